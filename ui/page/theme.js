// The chosen theme, set before anything is drawn. Without a choice the
// system's preference counts.
{
  const root = document.documentElement;
  const names = ["auto", "light", "dark"];
  let theme = "auto";
  try {
    theme = localStorage.getItem("orion.theme") || theme;
  } catch { /* storage is off: the choice lasts as long as the page */ }
  const apply = () => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
  };
  apply();
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => { button.textContent = `Theme: ${theme}`; };
    label();
    button.onclick = () => {
      theme = names[(names.indexOf(theme) + 1) % names.length];
      try {
        localStorage.setItem("orion.theme", theme);
      } catch { /* as above */ }
      apply();
      label();
    };
  });
}

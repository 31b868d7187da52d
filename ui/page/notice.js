// What the page says beside its views: commands to copy, the results of
// actions, questions before something is lost.

import {h, render} from "./dom.js";

// command is a line to type, with a button that copies it.
export function command(text) {
  return h("p", {class: "command"}, h("code", {}, text), h("button", {type: "button", class: "quiet", onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      toast("Copied");
    } catch {
      toast("The browser did not allow copying: select the text instead", {bad: true});
    }
  }}, "Copy", h("span", {class: "hidden"}, ` ${text}`)));
}

let toasts = [];

// toast says what an action did, with a link to its result.
export function toast(text, {href, label, bad} = {}) {
  const one = {text, href, label, bad, key: `${Date.now()}.${Math.random()}`};
  const draw = () => render(document.getElementById("toasts"), toasts.map((t) => h("div", {class: t.bad ? "toast bad" : "toast", key: t.key}, h("span", {}, t.text),
    t.href && h("a", {href: t.href}, t.label), h("button", {type: "button", class: "quiet", "aria-label": "Dismiss", onclick: () => drop(t)}, "×"))));
  const drop = (t) => {
    toasts = toasts.filter((x) => x !== t);
    draw();
  };
  toasts = [...toasts.filter((t) => t.text !== text), one].slice(-3);
  draw();
  setTimeout(() => drop(one), bad ? 15_000 : 8000);
}

// ask puts a question over the page and answers whether it was agreed to.
export function ask(question, yes, no) {
  return new Promise((answer) => {
    const dialog = document.createElement("dialog");
    render(dialog, h("p", {}, question), h("div", {class: "buttons"},
      h("button", {type: "button", onclick: () => dialog.close()}, no),
      h("button", {type: "button", class: "danger", onclick: () => dialog.close("yes")}, yes)));
    dialog.setAttribute("aria-label", question);
    dialog.onclose = () => {
      dialog.remove();
      answer(dialog.returnValue === "yes");
    };
    document.body.append(dialog);
    dialog.showModal();
  });
}

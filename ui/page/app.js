// The frame of the page: which view an address shows, live updates, and what
// is said when the server is gone. A view is an object with
//   title()          the page's title
//   load(first)      fetches what it shows; called again and again
//   draw()           describes it
//   every()          ms until the next load (optional)

import {Unreachable} from "./api.js";
import {h, render} from "./dom.js";
import {home} from "./home.js";
import {command, toast} from "./notice.js";
import {queues} from "./queues.js";
import {run, taskRun} from "./run.js";
import {clock, duration} from "./words.js";

const routes = [
  [/^\/$/, () => home({})],
  [/^\/(?:runs|flows|deployments)$/, () => home({})],
  [/^\/deployments\/deployment\/([^/]+)$/, (id) => home({deployment: id})],
  [/^\/flows\/flow\/([^/]+)$/, (id) => home({flow: id})],
  [/^\/runs\/flow-run\/([^/]+)$/, (id) => run(id)],
  [/^\/runs\/task-run\/([^/]+)$/, (id) => taskRun(id)],
  [/^\/work-(?:queues|pools)(?:\/.*)?$/, () => queues()],
];

const main = document.getElementById("main");
const offline = document.getElementById("offline");
let view, address, timer, loading, again = false, place = 0;
let goneSince = null, goneWhy = "", failures = 0, lastGood = 0;

const page = {redraw, go, refresh: () => schedule(0)};

// go shows another address. Replaced addresses leave no trace in the history.
function go(to, {replace = false} = {}) {
  if (replace) history.replaceState(null, "", to);
  else {
    history.replaceState({place: scrollY}, "");
    history.pushState(null, "", to);
  }
  show();
}

// Going back leads to where the reader was on the page.
history.scrollRestoration = "manual";
addEventListener("popstate", (e) => {
  show();
  place = e.state?.place || 0;
});

function show() {
  const path = location.pathname.replace(/\/+$/, "") || "/";
  for (const a of document.querySelectorAll("header nav a")) {
    if (a.getAttribute("href") === path) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  const moved = address !== undefined && address !== path;
  address = path;
  view?.stop?.();
  const [found, make] = routes.find(([pattern]) => pattern.test(path)) || [];
  view = found ? make(...found.exec(path).slice(1).map(decode)) : notFound("There is no page at", path);
  view.page = page;
  view.fresh = true;
  render(main);
  place = 0;
  if (moved) {
    scrollTo(0, 0);
    main.focus({preventScroll: true});
  }
  // A frame of the page, once the answer takes longer than a moment.
  const mine = view;
  setTimeout(() => {
    if (view === mine && mine.fresh && !goneSince) render(main, h("p", {class: "empty", role: "status"}, "Loading …"));
  }, 200);
  clearTimeout(timer);
  load();
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function redraw() {
  if (view.fresh) return;
  document.title = view.title();
  render(main, view.draw());
}

async function load() {
  clearTimeout(timer);
  const mine = view;
  loading = mine;
  try {
    await mine.load(mine.fresh);
    if (view !== mine) return;
    mine.fresh = false;
    reached();
    redraw();
    mine.drawn?.();
    if (place) scrollTo(0, place);
    place = 0;
  } catch (err) {
    if (view !== mine) return;
    if (err instanceof Unreachable) gone(err);
    else if (mine.fresh) {
      reached();
      view = (err.status === 404 || err.status === 422) && mine.missing ? notFound(mine.missing, "") : failed(err);
      view.page = page;
      redraw();
    } else {
      reached();
      toast(`Could not refresh: ${err.message}`, {bad: true});
    }
    if (!err.status && !(err instanceof Unreachable)) console.error(err);
  } finally {
    if (loading === mine) loading = null;
  }
  if (again) {
    again = false;
    schedule(0);
  } else schedule(goneSince ? Math.min(2000 * failures, 10_000) : view.every ? view.every() : 2000);
}

// schedule plans the next load, which waits for the page to be looked at. What
// is asked for during a load comes right after it.
function schedule(ms) {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (loading === view) again = true;
    else if (!document.hidden) load();
  }, ms);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) schedule(0);
});

function reached() {
  failures = 0;
  lastGood = Date.now();
  if (!goneSince) return;
  goneSince = null;
  offline.hidden = true;
  render(offline);
}

function gone(err) {
  failures++;
  goneSince ??= lastGood || Date.now();
  goneWhy = err.message;
  offline.hidden = false;
  // The sentence stays as it is while it is true: an alert is read aloud
  // whenever it changes. Only the age beside it moves, unread.
  render(offline, h("span", {}, `No live updates since ${clock(goneSince)}: ${goneWhy}. Trying again.`), h("span", {class: "age", "aria-hidden": "true"}, ""),
    h("button", {type: "button", onclick: () => schedule(0)}, "Try now"));
  age();
  if (view.fresh) {
    document.title = "Orion";
    render(main, h("div", {class: "empty"}, h("h1", {}, "No answer yet"), h("p", {}, "The server of this page does not answer. Is it running?"), command("orion server start")));
  }
}

function age() {
  const at = offline.querySelector(".age");
  if (!at || !goneSince) return;
  const s = Math.floor((Date.now() - goneSince) / 1000);
  at.textContent = s < 60 ? `${s} s` : duration(s);
}
setInterval(age, 1000);

function notFound(what, path) {
  return {
    title: () => "Not found · Orion",
    load: async () => {},
    every: () => 1e9,
    draw: () => h("div", {class: "empty"}, h("h1", {}, "Not found"), h("p", {}, what, " ", path && h("code", {}, path), path && "."),
      h("ul", {}, h("li", {}, h("a", {href: "/"}, "Deployments and recent runs")), h("li", {}, h("a", {href: "/work-queues"}, "Work queues")))),
  };
}

function failed(err) {
  return {
    title: () => "Error · Orion",
    load: async () => {},
    every: () => 1e9,
    draw: () => h("div", {class: "empty"}, h("h1", {}, "That did not work"), h("p", {}, err.message), h("button", {type: "button", onclick: show}, "Try again")),
  };
}

// Links within the page change the view, not the document.
document.addEventListener("click", (e) => {
  const a = e.target.closest?.("a[href]");
  if (!a || e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
  const to = new URL(a.href);
  if (to.origin !== location.origin || to.pathname.startsWith("/api") || a.target || (to.hash && to.pathname === location.pathname)) return;
  e.preventDefault();
  go(to.pathname + to.search);
});
show();

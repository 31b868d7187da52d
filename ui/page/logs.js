// The log of a run: its end first, older lines by the page, new ones as they
// come. Lines are put into the page one by one, outside of dom.js: there may
// be thousands.

import {anyOf, filter} from "./api.js";
import {h} from "./dom.js";
import {absolute, clock, isFinal} from "./words.js";

const page = 200; // the most the API gives at once
const most = 5000; // lines kept on the page while following
const pagesAtOnce = 25;
const levels = [[0, "All levels"], [20, "Info and above"], [30, "Warning and above"], [40, "Error and above"]];
const levelName = (n) => (n >= 50 ? "critical" : n >= 40 ? "error" : n >= 30 ? "warning" : n >= 20 ? "info" : "debug");

// logs keeps the lines of one run. nameOf says a task run's name, changed is
// called when the frame around the lines is to be drawn again, chosen when
// the reader filters.
export function logs({run, task, level, nameOf, changed, chosen}) {
  let lines = [], ids = new Set(), older = false, loaded = false;
  let box = null, following = true, unseen = 0, wrap = true, turn = 0, stopped = false;
  try {
    wrap = localStorage.getItem("orion.wrap") !== "off";
  } catch { /* storage is off */ }

  const ask = (sort, timestamp, offset = 0) => {
    const condition = {flow_run_id: anyOf(run)};
    if (task) condition.task_run_id = anyOf(task);
    if (level) condition.level = {ge_: level};
    if (timestamp) condition.timestamp = timestamp;
    return filter("logs", {logs: condition, sort, limit: page, offset});
  };

  function reset() {
    lines = [];
    ids = new Set();
    older = loaded = false;
    following = true;
    unseen = 0;
    turn++;
    box?.replaceChildren();
  }

  // load brings what is new: the last page at first, then what came since.
  async function load() {
    const mine = turn;
    if (!loaded || !lines.length) {
      const found = (await ask("TIMESTAMP_DESC")).reverse();
      if (mine !== turn) return;
      older = found.length === page;
      loaded = true;
      add(found);
      return;
    }
    // Lines of several processes may arrive out of order: look back a little,
    // but not over more lines than a page has.
    const last = Date.parse(lines.at(-1).timestamp);
    const back = Math.max(last - 10_000, Date.parse(lines[Math.max(0, lines.length - 150)].timestamp));
    const after = {after_: new Date(back).toISOString()};
    for (let n = 0; n < pagesAtOnce; n++) {
      const found = await ask("TIMESTAMP_ASC", after, n * page);
      if (mine !== turn || stopped) return;
      add(found);
      if (found.length < page) return;
    }
  }

  // earlier brings the page before the first line, and shows where it ends.
  async function earlier() {
    const mine = turn;
    const first = lines[0].timestamp;
    const same = lines.filter((l) => l.timestamp === first).length;
    const found = (await ask("TIMESTAMP_DESC", {before_: first}, same)).reverse();
    if (mine !== turn) return;
    older = found.length === page;
    following = false;
    const before = box.scrollHeight;
    add(found);
    unseen = 0;
    box.scrollTop = box.scrollHeight - before - box.clientHeight / 2;
    changed();
  }

  function add(found) {
    const fresh = found.filter((l) => !ids.has(l.id));
    if (!fresh.length) return;
    const wasEmpty = !lines.length;
    for (const l of fresh) {
      ids.add(l.id);
      let at = lines.length;
      while (at > 0 && lines[at - 1].timestamp > l.timestamp) at--;
      lines.splice(at, 0, l);
      if (box) box.insertBefore(entry(l), box.children[at] || null);
    }
    if (following) {
      if (lines.length > most) {
        for (const l of lines.splice(0, lines.length - most)) {
          ids.delete(l.id);
          box?.firstChild.remove();
        }
        older = true;
      }
      toEnd();
    } else if (!wasEmpty) unseen += fresh.length;
  }

  function entry(l) {
    const el = document.createElement("div");
    el.className = `entry ${levelName(l.level)}`;
    el.append(part("time", clock(l.timestamp), absolute(l.timestamp)), part("level", levelName(l.level)));
    const source = part("source", (l.task_run_id && nameOf(l.task_run_id)) || "");
    source.dataset.task = l.task_run_id || "";
    el.append(source, part("message", l.message));
    return el;
  }

  function part(name, text, title) {
    const el = document.createElement("span");
    el.className = name;
    el.textContent = text;
    if (title) el.title = title;
    return el;
  }

  // named fills in the names of task runs that became known after their lines.
  function named() {
    if (!box) return;
    for (const el of box.querySelectorAll(".source:empty")) {
      if (el.dataset.task) el.textContent = nameOf(el.dataset.task) || "";
    }
  }

  function toEnd() {
    if (box) box.scrollTop = box.scrollHeight;
  }

  function attach(el) {
    if (!el) return;
    if (el === box) {
      if (following) toEnd();
      return;
    }
    box = el;
    box.replaceChildren(...lines.map(entry));
    box.onscroll = () => {
      const end = box.scrollHeight - box.scrollTop - box.clientHeight < 30;
      if (end === following) return;
      following = end;
      if (end) unseen = 0;
      changed();
    };
    toEnd();
  }

  function draw(r, only, everything) {
    const ended = isFinal(r.state_type);
    const why = !loaded ? "Loading …" : level || task ? "No lines pass the filter." : ended ? "The run wrote no logs, or sent none." : r.start_time ? "No lines yet." : "No lines yet: the run has not started.";
    return h("section", {class: "log-panel", "aria-labelledby": "logs"},
      h("div", {class: "bar"}, h("h2", {id: "logs"}, "Logs"),
        only && h("button", {type: "button", class: "chip", title: "Show the logs of the whole run", onclick: everything}, `${only} ×`),
        h("select", {"aria-label": "Level", value: String(level), onchange: (e) => {
          level = Number(e.target.value);
          reset();
          chosen();
        }}, levels.map(([n, label]) => h("option", {value: String(n), selected: n === level}, label))),
        h("label", {class: "check"}, h("input", {type: "checkbox", checked: wrap, onchange: (e) => {
          wrap = e.target.checked;
          try {
            localStorage.setItem("orion.wrap", wrap ? "on" : "off");
          } catch { /* storage is off */ }
          changed();
          if (following) toEnd();
        }}), "Wrap"),
        h("span", {class: "grow"}),
        !following && lines.length > 0 ? h("button", {type: "button", onclick: () => {
          following = true;
          unseen = 0;
          toEnd();
          changed();
        }}, unseen ? `${unseen} new ↓` : "To the end ↓") : !ended && lines.length > 0 && h("span", {class: "muted"}, "Following")),
      older && h("button", {type: "button", class: "older", onclick: () => earlier().catch(() => changed())}, "Show earlier lines"),
      h("div", {id: "log", class: wrap ? "log wrap" : "log", role: "log", "aria-live": "off", "aria-labelledby": "logs", tabindex: "0", "data-own": true, hidden: !lines.length}),
      !lines.length && h("p", {class: "muted"}, why));
  }

  return {
    load, draw, attach, named,
    level: () => level,
    only: (id) => {
      task = id;
      reset();
    },
    stop: () => {
      stopped = true;
      turn++;
    },
  };
}

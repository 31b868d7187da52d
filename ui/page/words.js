// Times, durations, schedules and states, as a person says them.

import {h} from "./dom.js";
import {serverNow} from "./api.js";

const second = 1000, minute = 60 * second, hour = 60 * minute, day = 24 * hour;
export const here = Intl.DateTimeFormat().resolvedOptions().timeZone;

const absoluteFormat = new Intl.DateTimeFormat(undefined, {year: "numeric", month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short"});
const dayFormat = new Intl.DateTimeFormat(undefined, {month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23"});
const clockFormat = new Intl.DateTimeFormat(undefined, {hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23"});

// absolute is a moment in the reader's own zone, which it names.
export const absolute = (t) => absoluteFormat.format(new Date(t));
// clock is the time of day alone.
export const clock = (t) => clockFormat.format(new Date(t));

// relative is "3 min ago" or "in 2 h" within a day, the date beyond it.
export function relative(t) {
  const ms = serverNow() - Date.parse(t);
  const far = Math.abs(ms);
  if (far >= day) return dayFormat.format(new Date(t));
  if (far < 2 * second) return "now";
  const size = far < minute ? `${Math.floor(far / second)} s` : far < hour ? `${Math.floor(far / minute)} min` : `${Math.floor(far / hour)} h${far < 10 * hour && far % hour >= minute ? ` ${Math.floor((far % hour) / minute)} min` : ""}`;
  return ms > 0 ? `${size} ago` : `in ${size}`;
}

// time is an element with the relative words, the absolute ones on hover.
export const time = (t) => (t ? h("time", {datetime: t, title: absolute(t)}, relative(t)) : null);

// duration of so many seconds: "4.2 s", "3m 05s", "1h 04m".
export function duration(s) {
  if (s < 0.0005) return "0 s";
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.floor(s)} s`;
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${two((s % 3600) / 60)}m`;
  return `${Math.floor(s / 86400)}d ${two((s % 86400) / 3600)}h`;
}

// ranFor is how long a run has run, so far when it still does; null before.
export const ranFor = (run) => (run.start_time ? run.estimated_run_time : null);

export const isFinal = (type) => ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"].includes(type);
export const isBad = (type) => type === "FAILED" || type === "CRASHED";

const families = {SCHEDULED: "waiting", PENDING: "waiting", RUNNING: "running", COMPLETED: "good", FAILED: "failed", CRASHED: "crashed", CANCELLED: "waiting", CANCELLING: "waiting", PAUSED: "attention"};
const attention = ["Late", "Paused", "Suspended"];

// family is which of the six groups of states a run is in.
export const family = (run) => (attention.includes(run.state_name) ? "attention" : families[run.state_type] || "waiting");

const paths = {
  waiting: [["circle", {cx: 8, cy: 8, r: 5.5, class: "line"}]],
  pending: [["circle", {cx: 8, cy: 8, r: 5.5, class: "line"}], ["path", {d: "M8 2.5a5.5 5.5 0 0 1 0 11z", class: "fill"}]],
  cancelled: [["circle", {cx: 8, cy: 8, r: 5.5, class: "line"}], ["path", {d: "M4.3 11.7l7.4-7.4", class: "line"}]],
  running: [["circle", {cx: 8, cy: 8, r: 5.5, class: "faint"}], ["path", {d: "M8 2.5a5.5 5.5 0 0 1 5.5 5.5", class: "line"}]],
  good: [["circle", {cx: 8, cy: 8, r: 6.5, class: "fill"}], ["path", {d: "M5 8.2l2.1 2.1L11 6.2", class: "cut"}]],
  failed: [["rect", {x: 1.5, y: 1.5, width: 13, height: 13, rx: 2.5, class: "fill"}], ["path", {d: "M5.3 5.3l5.4 5.4M10.7 5.3l-5.4 5.4", class: "cut"}]],
  crashed: [["path", {d: "M8 1l6 3.5v7L8 15l-6-3.5v-7z", class: "fill"}], ["path", {d: "M9 3.8L6 8.4h4l-3 3.8", class: "cut"}]],
  attention: [["path", {d: "M8 1.5L15 14H1z", class: "fill"}], ["path", {d: "M8 6v3.6M8 11.3v.7", class: "cut"}]],
};

// mark is the drawing of a state: shape and colour.
export function mark(run) {
  const f = family(run);
  const shape = f !== "waiting" ? f : run.state_type === "PENDING" || run.state_name === "AwaitingRetry" ? "pending" : run.state_type?.startsWith("CANCELL") ? "cancelled" : "waiting";
  return h("svg", {class: `mark ${f}`, viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true", key: shape}, paths[shape].map(([tag, props]) => h(tag, props)));
}

// word is the state's name, apart where Prefect writes it together.
export const word = (run) => (run.state_name || run.state_type || "Unknown").replace(/([a-z])([A-Z])/g, (_, a, b) => `${a} ${b.toLowerCase()}`);

// state is the mark and the word.
export const state = (run) => h("span", {class: `state ${family(run)}`}, mark(run), h("span", {class: "word"}, word(run)));

// glyph stands for the state in a page's title.
export const glyph = (run) => ({good: "✓", failed: "✕", crashed: "↯", running: "▶", attention: "⚠", waiting: "○"})[family(run)];

// schedules says when a deployment runs.
export function schedules(list) {
  return list.map((s) => ({text: schedule(s.schedule), exact: exact(s.schedule), on: s.active}));
}

function exact(s) {
  const what = s.cron ? `cron ${s.cron}` : s.rrule ? s.rrule : `every ${s.interval} s from ${s.anchor_date}`;
  return `${what}${s.timezone ? `, ${s.timezone}` : ""}`;
}

function schedule(s) {
  const zone = s.timezone && s.timezone !== here ? ` ${s.timezone}` : "";
  if (s.interval != null) return `every ${interval(s.interval)}`;
  if (s.cron) return cron(s.cron, zone);
  return rrule(s.rrule);
}

function interval(s) {
  const units = [["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const [name, size] = units.find(([, n]) => s >= n && s % n === 0) || ["second", 1];
  const n = s / size;
  return n === 1 ? name : `${n} ${name}s`;
}

const weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const number = (s) => /^\d+$/.test(s);

// cron says the usual expressions in words and leaves the others as they are.
export function cron(text, zone) {
  const shorthand = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"};
  const parts = (shorthand[text] || text).trim().split(/\s+/);
  const raw = `cron ${text}${zone}`;
  if (parts.length !== 5) return raw;
  const [min, hrs, dom, month, dow] = parts;
  if (month !== "*") return raw;
  const everyDay = dom === "*" && dow === "*";
  const step = /^\*\/(\d+)$/;
  if (hrs === "*" && everyDay) {
    if (min === "*" || min === "*/1") return "every minute";
    // */40 runs at :00 and :40: that is not every 40 minutes.
    if (step.test(min) && 60 % min.match(step)[1] === 0) return `every ${min.match(step)[1]} minutes`;
    if (number(min)) return min === "0" ? "every hour" : `every hour at :${min.padStart(2, "0")}`;
    return raw;
  }
  if (!number(min)) return raw;
  if (step.test(hrs) && everyDay && 24 % hrs.match(step)[1] === 0) return `every ${hrs.match(step)[1]} hours at :${min.padStart(2, "0")}${zone}`;
  if (!/^\d+(,\d+)*$/.test(hrs)) return raw;
  const at = `${hrs.split(",").map((x) => `${x.padStart(2, "0")}:${min.padStart(2, "0")}`).join(", ")}${zone}`;
  if (everyDay) return `daily at ${at}`;
  if (dom === "*" && /^(1-5|mon-fri)$/i.test(dow)) return `weekdays at ${at}`;
  if (dom === "*" && /^[0-7](,[0-7])*$/.test(dow)) return `${dow.split(",").map((d) => `${weekdays[d]}s`).join(", ")} at ${at}`;
  if (dow === "*" && number(dom)) return `monthly on day ${dom} at ${at}`;
  return raw;
}

function rrule(text) {
  const rule = text.split("\n").find((l) => l.includes("FREQ=")) || "";
  const parts = Object.fromEntries(rule.replace(/^RRULE:/, "").split(";").map((p) => p.split("=")));
  const unit = {SECONDLY: "second", MINUTELY: "minute", HOURLY: "hour", DAILY: "day", WEEKLY: "week", MONTHLY: "month", YEARLY: "year"}[parts.FREQ];
  if (!unit) return "by a rule";
  const n = parts.INTERVAL || "1";
  const more = Object.keys(parts).some((k) => !["FREQ", "INTERVAL", "COUNT", "UNTIL", "DTSTART"].includes(k));
  return `every ${n === "1" ? unit : `${n} ${unit}s`}${more ? ", by a rule" : ""}`;
}

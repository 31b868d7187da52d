// Why a run failed, or why it does not start: in words, with what to do.

import {api, serverNow} from "./api.js";
import {h} from "./dom.js";
import {command} from "./notice.js";
import {absolute, family, isBad, mark, time} from "./words.js";

// polled says whether an agent asked for runs in the last minute, as the
// server's own health check does.
export const polled = (q) => q.last_polled && serverNow() - Date.parse(q.last_polled) < 60_000;

// startCommand starts the agent that a queue lacks.
export const startCommand = (q) => `orion agent start -q ${quote(q.name)}${ofPool(q)}`;

const ofPool = (q) => (q.work_pool_name && q.work_pool_name !== "default-agent-pool" ? ` -p ${quote(q.work_pool_name)}` : "");

const quote = (s) => (/^[\w.:@/-]+$/.test(s) ? s : `'${s.replaceAll("'", "'\\''")}'`);

// heldBy says in a few words why nobody takes the runs of a queue, null when
// somebody should.
export function heldBy(q) {
  if (q.is_paused) return `The queue ${q.name} is paused`;
  if (!polled(q)) return `No agent polls the queue ${q.name}`;
  if (q.concurrency_limit === 0) return `The queue ${q.name} has a limit of 0`;
  return null;
}

// waitsFor asks the server what a run that has not started waits for; it is
// called when the run changes and now and then.
export async function waitsFor(run) {
  if (run.state_type !== "SCHEDULED" && run.state_type !== "PENDING") return null;
  const why = await api(`/orion/flow_runs/${run.id}/why`);
  const [before, after] = why.text.split("{at}");
  return {
    text: after === undefined ? [before] : [before, absolute(why.at), " (", time(why.at), ")", after],
    held: why.held_by, run: why.command || null,
  };
}

// reason is the panel above everything else on the page of a run that failed
// or waits. failedTasks are its task runs that did not end well.
export function reason(run, waits, failedTasks, open) {
  const message = run.state?.message?.trim();
  const bad = isBad(run.state_type);
  if (bad) {
    return h("section", {class: `why ${family(run)}`, "aria-label": "Why it failed"},
      h("h2", {}, "Why it failed"),
      text(message || "The run gave no reason: its logs may have it."),
      failedTasks.length > 0 && h("ul", {class: "failed-tasks"}, failedTasks.slice(0, 5).map((t) => h("li", {key: t.id}, mark(t), h("span", {}, h("button", {type: "button", class: "link", onclick: () => open(t)}, t.name), t.state?.message && h("span", {class: "muted"}, ` ${t.state.message.trim().split("\n")[0]}`)))),
        failedTasks.length > 5 && h("li", {class: "muted"}, `and ${failedTasks.length - 5} more`)));
  }
  if (run.state_type === "CANCELLED" && message) return h("section", {class: "why waiting", "aria-label": "Why it was cancelled"}, h("h2", {}, "Cancelled"), text(message));
  if (run.state_type === "PAUSED") {
    const until = run.state?.state_details?.pause_timeout;
    return h("section", {class: "why attention", "aria-label": "Why it waits"}, h("h2", {}, "Paused"), text(message || "The run waits to be resumed."),
      until && h("p", {}, "It fails if nobody resumes it by ", absolute(until), "."));
  }
  if (!waits) return null;
  return h("section", {class: `why ${family(run)}`, "aria-label": "Why it waits"}, h("h2", {}, run.state_name === "Late" ? "Why it is late" : "Why it waits"),
    h("p", {}, waits.text),
    waits.held.length > 0 && h("ul", {class: "failed-tasks"}, waits.held.map((r) => h("li", {key: r.id}, h("a", {href: `/runs/flow-run/${r.id}`}, r.name), h("span", {class: "muted"}, ` ${r.state} since `, time(r.since))))),
    waits.run && command(waits.run));
}

// text is a message as it came; long ones, which are tracebacks, scroll.
function text(message) {
  return message.includes("\n") ? h("pre", {tabindex: "0"}, message) : h("p", {class: "message"}, message);
}

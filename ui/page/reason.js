// Why a run failed, or why it does not start: in words, with what to do.

import {anyOf, api, deploymentOf, serverNow} from "./api.js";
import {h} from "./dom.js";
import {command} from "./notice.js";
import {absolute, family, isBad, mark, relative, time} from "./words.js";

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

// waitsFor finds what a run that has not started waits for. It asks the
// server, so it is called when the run changes and now and then.
export async function waitsFor(run) {
  if (run.state_type !== "SCHEDULED" && run.state_type !== "PENDING") return null;
  const due = Date.parse(run.next_scheduled_start_time || run.expected_start_time);
  if (run.state_type === "SCHEDULED" && due > serverNow()) {
    const retry = run.state_name === "AwaitingRetry";
    return {text: [retry ? "It is tried again " : "It is to start ", time(run.next_scheduled_start_time || run.expected_start_time), `, at ${absolute(due)}.`]};
  }
  if (run.state_type === "PENDING") {
    return {text: [`Taken ${relative(run.state.timestamp)}: its process is starting.`]};
  }
  if (!run.work_queue_id) {
    if (!run.deployment_id) return {text: ["It belongs to no deployment: the process that made it starts it."]};
    const d = deploymentOf(run.deployment_id);
    return {text: ["Its deployment has no work queue, so only the process that serves it takes its runs", d?.last_polled ? [" (last seen ", time(d.last_polled), ")"] : "", "."]};
  }
  const queue = await api(`/work_queues/${run.work_queue_id}`);
  const pool = queue.work_pool_name && await api(`/work_pools/${encodeURIComponent(queue.work_pool_name)}`).catch(() => null);
  const link = h("a", {href: "/work-queues"}, queue.name);
  if (pool?.is_paused) return {text: ["The work pool ", pool.name, " is paused."], run: `orion work-pool resume ${quote(pool.name)}`};
  if (queue.is_paused) return {text: ["The queue ", link, " is paused."], run: `orion work-queue resume ${quote(queue.name)}${ofPool(queue)}`};
  if (!polled(queue)) return {text: ["No agent asks for the runs of the queue ", link, queue.last_polled ? [": the last time was ", time(queue.last_polled)] : ": none ever has", ". Start one with"], run: startCommand(queue)};
  for (const [what, limit, where] of [["queue", queue.concurrency_limit, {work_pool_queues: {id: anyOf(queue.id)}}], ["work pool", pool?.concurrency_limit, {work_pools: {name: anyOf(pool?.name)}}]]) {
    if (limit == null) continue;
    const busy = await api("/flow_runs/count", {...where, flow_runs: {state: {type: anyOf("RUNNING", "PENDING", "CANCELLING")}}});
    if (busy >= limit) return {text: [`The ${what} `, what === "queue" ? link : pool.name, ` runs at most ${limit} at once, and ${busy} ${busy === 1 ? "is" : "are"} under way.`]};
  }
  return {text: ["An agent polls the queue ", link, ": it should take the run at its next poll."]};
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
    h("p", {}, waits.text), waits.run && command(waits.run));
}

// text is a message as it came; long ones, which are tracebacks, scroll.
function text(message) {
  return message.includes("\n") ? h("pre", {tabindex: "0"}, message) : h("p", {class: "message"}, message);
}

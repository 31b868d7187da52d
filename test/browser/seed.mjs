// What a team's server holds on a working day, made through the public API.

const base = `${process.env.ORION_URL}/api`;

export async function api(path, body, method = body === undefined ? "GET" : "POST") {
  const answer = await fetch(base + path, {method, headers: {"Content-Type": "application/json"}, body: body === undefined ? undefined : JSON.stringify(body)});
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

export const set = (id, type, more = {}) => api(`/flow_runs/${id}/set_state`, {state: {type, ...more}, force: true});
export const setTask = (id, type, more = {}) => api(`/task_runs/${id}/set_state`, {state: {type, ...more}, force: true});

export async function deployment(flow, name, more = {}) {
  const {id} = await api("/flows/", {name: flow});
  return api("/deployments/", {name, flow_id: id, work_queue_name: "kubernetes", entrypoint: `${flow.replaceAll("-", "_")}.py:flow`, path: ".", parameters: {}, ...more});
}

export const run = (d, more = {}) => api(`/deployments/${d.id}/create_flow_run`, more);

let moment = Date.now() - 60_000;

export function logs(runID, lines, taskRun) {
  return api("/logs/", lines.map(([level, message]) => ({name: "prefect.flow_runs", level, message, timestamp: new Date(moment += 40).toISOString(), flow_run_id: runID, task_run_id: taskRun})));
}

export async function task(runID, name, key, type, more = {}) {
  const t = await api("/task_runs/", {flow_run_id: runID, task_key: name, dynamic_key: key, name: `${name}-${key}`});
  await setTask(t.id, "RUNNING");
  if (type !== "RUNNING") await setTask(t.id, type, more);
  return t;
}

export const reason = "Flow run encountered an exception. ValueError: expected 31 rows for 2026-10, found 30";

export async function seed() {
  const cron = (text, timezone = "Europe/Berlin") => ({schedule: {cron: text, timezone}, active: true});
  const sales = await deployment("daily-sales-etl", "prod", {schedules: [cron("0 6 * * *")], tags: ["sales", "critical"], parameters: {country: "DE", days: 31}, description: "Loads the sales of the day."});
  const hourly = await deployment("inventory-sync", "every-hour", {schedules: [{schedule: {interval: 3600}, active: true}]});
  const report = await deployment("monthly-report", "finance", {schedules: [cron("30 7 1 * *"), cron("0 8 * * 1-5", "America/New_York")]});
  await deployment("backfill", "on-demand", {work_queue_name: "a-queue-with-a-long-name-for-large-jobs"});
  const paused = await deployment("clean-up", "nightly", {schedules: [cron("15 3 * * *")]});
  await api(`/deployments/${paused.id}/pause_deployment`, {});

  for (let i = 0; i < 5; i++) {
    const r = await run(hourly);
    await set(r.id, "RUNNING");
    await set(r.id, i === 2 ? "CANCELLED" : "COMPLETED");
  }
  const crashed = await run(hourly, {name: "tidy-falcon"});
  await set(crashed.id, "RUNNING");
  await set(crashed.id, "CRASHED", {message: "The process was killed (signal 9): it probably ran out of memory."});

  const completed = await run(sales, {name: "calm-otter"});
  await set(completed.id, "RUNNING");
  for (const name of ["extract", "clean", "load"]) await task(completed.id, name, "0", "COMPLETED");
  await set(completed.id, "COMPLETED", {message: "All states completed."});

  const failed = await run(sales, {name: "lilac-kelpie"});
  await set(failed.id, "PENDING");
  await set(failed.id, "RUNNING");
  const extract = await task(failed.id, "extract", "0", "COMPLETED");
  await logs(failed.id, [[20, "Created task run 'extract-0' for task 'extract'"]]);
  await logs(failed.id, [[20, "30 rows read"], [30, "The source answered after 12 s"]], extract.id);
  const check = await task(failed.id, "check", "0", "FAILED", {message: "Task run encountered an exception ValueError: expected 31 rows for 2026-10, found 30"});
  await logs(failed.id, [[40, "Encountered exception during execution:\nTraceback (most recent call last):\n  File \"sales.py\", line 41, in check\n    raise ValueError(f\"expected {days} rows for {month}, found {len(rows)}\")\nValueError: expected 31 rows for 2026-10, found 30"]], check.id);
  await logs(failed.id, [[40, "Finished in state Failed(" + JSON.stringify(reason) + ")"]]);
  await set(failed.id, "FAILED", {message: reason});

  const running = await run(report, {name: "swift-heron"});
  await set(running.id, "PENDING");
  await set(running.id, "RUNNING");
  await task(running.id, "query", "0", "COMPLETED");
  await task(running.id, "render", "0", "RUNNING");
  const many = Array.from({length: 450}, (_, i) => [i % 50 === 49 ? 30 : i % 9 ? 20 : 10, `page ${i + 1} of 450 rendered`]);
  await logs(running.id, many);

  const late = await run(report, {name: "patient-crane", state: {type: "SCHEDULED", name: "Late", state_details: {scheduled_time: new Date(Date.now() - 600_000).toISOString()}}});
  return {sales, hourly, report, completed, failed, crashed, running, late, extract, check};
}

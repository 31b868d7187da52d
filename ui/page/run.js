// One flow run: why it failed or waits, its logs, task runs, states and
// parameters, and what can be done about it.

import {anyOf, api, deploymentOf, filter, flowName, names} from "./api.js";
import {h} from "./dom.js";
import {logs} from "./logs.js";
import {ask, toast} from "./notice.js";
import {reason, waitsFor} from "./reason.js";
import {absolute, clock, duration, glyph, isBad, isFinal, mark, ranFor, state, time, word} from "./words.js";

const pageOfTasks = 200; // the most the API gives at once

export function run(id) {
  const path = `/flow_runs/${encodeURIComponent(id)}`;
  const view = {title, load, draw, drawn, every, stop, missing: "There is no flow run with this id: it may have been deleted."};
  const query = new URLSearchParams(location.search);
  const taskNames = new Map();
  let r, states = [], tasks = [], allTasks = 0, badTasks = [], pages = 1, waits = null;
  let task = query.get("task"), known = "", rounds = 0, asking = false;
  const log = logs({
    run: id, task, level: Number(query.get("level")) || 0,
    nameOf: (taskRun) => taskNames.get(taskRun),
    changed: () => view.page.redraw(),
    chosen: remember,
  });

  function title() {
    return `${glyph(r)} ${flowName(r.flow_id)} / ${r.name} · Orion`;
  }

  // A run that has ended changes only when somebody retries it, or when its
  // last lines are still on their way.
  function every() {
    return isFinal(r.state_type) && Date.now() - Date.parse(r.end_time || r.updated) > 30_000 ? 10_000 : 2000;
  }

  async function load() {
    r = await api(path);
    const changed = known !== r.state_id;
    const of = {flow_runs: {id: anyOf(id)}};
    const needed = changed || !isFinal(r.state_type);
    const [s, t, n, b, w] = await Promise.all([
      changed ? api(`/flow_run_states/?flow_run_id=${encodeURIComponent(id)}`) : states,
      needed ? newestTasks() : tasks,
      needed ? api("/task_runs/count", of) : allTasks,
      needed ? filter("task_runs", {...of, task_runs: {state: {type: anyOf("FAILED", "CRASHED")}}, sort: "END_TIME_DESC", limit: 50}) : badTasks,
      changed || rounds++ % 3 === 0 ? waitsFor(r) : waits,
      log.load(),
      names([r]),
    ]);
    known = r.state_id;
    states = s;
    badTasks = b;
    show(t);
    allTasks = n;
    waits = w;
  }

  async function newestTasks() {
    const offsets = Array.from({length: pages}, (_, i) => i * pageOfTasks);
    return (await Promise.all(offsets.map((offset) => filter("task_runs", {flow_runs: {id: anyOf(id)}, sort: "EXPECTED_START_TIME_DESC", limit: pageOfTasks, offset})))).flat();
  }

  // show lists what failed before the rest, which is newest first.
  function show(list) {
    const first = new Map([...badTasks, ...list].map((t) => [t.id, t]));
    tasks = [...first.values()];
    for (const t of tasks) taskNames.set(t.id, t.name);
    log.named();
  }

  function drawn() {
    log.attach(document.getElementById("log"));
  }

  function stop() {
    log.stop();
  }

  function remember() {
    const q = new URLSearchParams();
    if (log.level()) q.set("level", log.level());
    if (task) q.set("task", task);
    history.replaceState(null, "", location.pathname + (q.size ? `?${q}` : ""));
    view.page.redraw();
    view.page.refresh();
  }

  function open(t) {
    task = t && t.id !== task ? t.id : null;
    log.only(task);
    remember();
  }

  async function act(what, f) {
    asking = true;
    view.page.redraw();
    try {
      await f();
      view.page.refresh();
    } catch (err) {
      toast(`${what}: ${err.message}`, {bad: true});
    }
    asking = false;
    view.page.redraw();
  }

  // set proposes a state; the server's rules decide.
  async function set(proposed, fine) {
    const answer = await api(`${path}/set_state`, {state: proposed});
    if (answer.status !== "ACCEPT" && !fine.includes(answer.state?.type)) throw new Error(answer.details?.reason || `the server answered ${answer.status}`);
  }

  async function cancel() {
    const sure = await ask(`Cancel the run ${r.name} of ${flowName(r.flow_id)}?${r.state_type === "RUNNING" ? " Its process is ended." : ""}`, "Cancel the run", "Keep it");
    if (sure) await act("Not cancelled", () => set({type: "CANCELLING", name: "Cancelling", message: "Cancelled from the page"}, ["CANCELLED", "CANCELLING"]));
  }

  const retry = () => act("No retry", () => set({type: "SCHEDULED", name: "AwaitingRetry", message: "Retry from the page"}, []));
  const resume = () => act("Not resumed", async () => {
    const answer = await api(`${path}/resume`, {});
    if (answer.status !== "ACCEPT") throw new Error(answer.details?.reason || `the server answered ${answer.status}`);
  });
  const again = () => act("No new run", async () => {
    const made = await api(`/deployments/${r.deployment_id}/create_flow_run`, {parameters: r.parameters, state: {type: "SCHEDULED", message: `Run again from ${r.name}`}});
    toast("Created", {href: `/runs/flow-run/${made.id}`, label: made.name});
  });

  async function moreTasks() {
    pages++;
    show(await newestTasks());
    view.page.redraw();
  }

  function draw() {
    return [
      crumbs(), header(),
      reason(r, waits, badTasks, open),
      h("div", {class: "split"},
        h("div", {class: "side"}, taskList(), stateList(), parameters()),
        log.draw(r, task && (taskNames.get(task) || task), () => open(null))),
    ];
  }

  function crumbs() {
    const d = deploymentOf(r.deployment_id);
    return h("nav", {class: "crumbs", "aria-label": "Breadcrumb"}, h("a", {href: "/"}, "Home"), " / ", h("a", {href: `/flows/flow/${r.flow_id}`}, flowName(r.flow_id)),
      d && [" / ", h("a", {href: `/deployments/deployment/${d.id}`}, d.name)], r.parent_task_run_id && [" · ", h("a", {href: `/runs/task-run/${r.parent_task_run_id}`}, "parent run")]);
  }

  function header() {
    const final = isFinal(r.state_type);
    const ran = ranFor(r);
    const facts = [
      [r.start_time ? "Started" : "Due", when(r.start_time || r.expected_start_time)],
      ["Ended", r.end_time && time(r.end_time)],
      ["Duration", ran != null && duration(ran)],
      ["Attempt", r.run_count > 1 && String(r.run_count)],
      ["Queue", r.work_queue_name],
      ["Version", r.deployment_version || r.flow_version],
      ["Tags", r.tags.join(", ")],
    ].filter(([, v]) => v);
    return h("div", {class: "head"},
      h("div", {class: "line"}, h("h1", {}, r.name), h("span", {role: "status"}, state(r))),
      h("div", {class: "buttons"},
        r.state_type === "PAUSED" && h("button", {type: "button", disabled: asking, onclick: resume}, "Resume"),
        final && r.state_type !== "COMPLETED" && r.deployment_id && h("button", {type: "button", class: "primary", disabled: asking, onclick: retry}, "Retry"),
        final && r.deployment_id && h("button", {type: "button", disabled: asking, onclick: again}, "Run again"),
        !final && r.state_type !== "CANCELLING" && h("button", {type: "button", class: "danger", disabled: asking, onclick: cancel}, "Cancel run")),
      h("dl", {class: "facts"}, facts.map(([k, v]) => h("div", {key: k}, h("dt", {}, k), h("dd", {}, v)))));
  }

  const when = (t) => t && [time(t), h("span", {class: "muted"}, ` ${absolute(t)}`)];

  function taskList() {
    return h("section", {"aria-labelledby": "tasks"}, h("h2", {id: "tasks"}, "Task runs ", h("span", {class: "count"}, String(allTasks))),
      !tasks.length ? h("p", {class: "muted"}, isFinal(r.state_type) ? "It ran no tasks." : "None yet.") : h("ul", {class: "rows"}, tasks.map((t) => {
        const child = t.state?.state_details?.child_flow_run_id;
        const ran = ranFor(t);
        const why = isBad(t.state_type) && t.state?.message;
        return h("li", {key: t.id, class: t.id === task ? "chosen" : ""},
          h("span", {class: "row"}, mark(t), h("span", {class: "hidden"}, word(t)),
            h("button", {type: "button", class: "link grow", "aria-pressed": String(t.id === task), title: `${word(t)}. Show only the logs of ${t.name}`, onclick: () => open(t)}, t.name),
            t.run_count > 1 && h("span", {class: "muted"}, `×${t.run_count}`),
            child && h("a", {href: `/runs/flow-run/${child}`}, "subflow"),
            h("span", {class: "muted number"}, ran != null ? duration(ran) : word(t).toLowerCase())),
          why && h("span", {class: "reason failed", title: why}, why.trim().split("\n")[0]));
      })),
      tasks.length < allTasks && h("button", {type: "button", onclick: () => moreTasks().catch((err) => toast(err.message, {bad: true}))}, `Show more (${tasks.length} of ${allTasks})`));
  }

  function stateList() {
    return h("section", {"aria-labelledby": "states"}, h("h2", {id: "states"}, "States"),
      h("ol", {class: "rows"}, states.map((s, i) => {
        const like = {state_type: s.type, state_name: s.name};
        const next = states[i + 1];
        return h("li", {key: s.id}, h("span", {class: "row"}, state(like), h("span", {class: "grow"}),
          next && h("span", {class: "muted number"}, duration((Date.parse(next.timestamp) - Date.parse(s.timestamp)) / 1000)),
          h("time", {datetime: s.timestamp, title: absolute(s.timestamp), class: "muted number"}, clock(s.timestamp))),
          s.message && i < states.length - 1 && h("span", {class: "reason", title: s.message}, s.message.trim().split("\n")[0]));
      })));
  }

  function parameters() {
    return h("section", {"aria-labelledby": "parameters"}, h("h2", {id: "parameters"}, "Parameters"),
      Object.keys(r.parameters || {}).length ? h("pre", {tabindex: "0", "aria-labelledby": "parameters"}, JSON.stringify(r.parameters, null, 2)) : h("p", {class: "muted"}, "None."));
  }

  return view;
}

// taskRun leads to the flow run that a task run belongs to.
export function taskRun(id) {
  const view = {title: () => "Task run · Orion", missing: "There is no task run with this id: it may have been deleted.", load, draw: () => h("p", {class: "empty"}, "This task run belongs to no flow run.")};
  async function load() {
    const t = await api(`/task_runs/${encodeURIComponent(id)}`);
    if (t.flow_run_id) view.page.go(`/runs/flow-run/${t.flow_run_id}?task=${t.id}`, {replace: true});
  }
  return view;
}

// Home: the deployments and the recent runs. With a deployment or a flow, only
// what belongs to it.

import {anyOf, api, deploymentOf, filter, flowName, names, remember, serverNow} from "./api.js";
import {h} from "./dom.js";
import {command, toast} from "./notice.js";
import {heldBy} from "./reason.js";
import {duration, family, isBad, isFinal, mark, ranFor, relative, schedules, state, time, word} from "./words.js";

const cells = 8; // past runs shown in a deployment's row
const pageOfRuns = 50;

// What the choices above the runs ask for.
const choices = {
  all: ["All", null],
  running: ["Running", {type: anyOf("RUNNING", "PENDING", "CANCELLING")}],
  failed: ["Failed", {type: anyOf("FAILED", "CRASHED")}],
  waiting: ["Late or paused", {name: anyOf("Late", "Paused", "Suspended", "AwaitingRetry")}],
};

export function home({deployment, flow}) {
  const scope = {};
  if (deployment) scope.deployments = {id: anyOf(deployment)};
  if (flow) scope.flows = {id: anyOf(flow)};
  const query = new URLSearchParams(location.search);
  let chosen = query.get("state") in choices ? query.get("state") : "all";
  let text = query.get("q") || "";
  let deployments = [], allDeployments = 0, runs = [], limit = pageOfRuns, rounds = 0, searched = null, wide = 0;
  const past = new Map(); // deployment → its last runs, newest first
  const next = new Map(); // deployment → its next run, null without one
  const held = new Map(); // queue → why nobody takes its runs
  const busy = new Set();
  const view = {title, load, draw, missing: deployment ? "There is no deployment with this id: it may have been deleted." : flow ? "There is no flow with this id: it may have been deleted." : null};

  function title() {
    const bad = runs.filter((r) => isBad(r.state_type) && serverNow() - startOf(r) < 86_400_000).length;
    const about = deployment ? `${flowName(deployments[0]?.flow_id)}/${deployments[0]?.name}` : flow ? flowName(flow) : bad ? `✕ ${bad} failed` : "";
    return about ? `${about} · Orion` : "Orion";
  }

  async function load(first) {
    // Deployments change seldom and are large: they come every third time,
    // and each time while there is none.
    const full = first || rounds++ % 3 === 0 || !deployments.length || searched !== text;
    const due = new Date(serverNow() + 1000).toISOString();
    if (first && deployment) await api(`/deployments/${encodeURIComponent(deployment)}`);
    if (first && flow) await names([{flow_id: (await api(`/flows/${encodeURIComponent(flow)}`)).id}]);
    await Promise.all([loadRuns(due), full && loadDeployments(due)]);
    await Promise.all([names([...runs, ...deployments]), full && loadQueues()]);
  }

  // A late run carries no reason of its own: its queue has it.
  async function loadQueues() {
    const ids = [...new Set(runs.filter((r) => r.state_name === "Late" && r.work_queue_id).map((r) => r.work_queue_id))];
    const list = ids.length ? await filter("work_queues", {work_queues: {id: anyOf(...ids)}}) : [];
    held.clear();
    for (const q of list) held.set(q.id, heldBy(q));
  }

  async function loadRuns(due) {
    const asked = chosen;
    const condition = {expected_start_time: {before_: due}};
    if (choices[chosen][1]) condition.state = choices[chosen][1];
    const list = await filter("flow_runs", {...scope, flow_runs: condition, sort: "START_TIME_DESC", limit: Math.min(limit, 200)});
    if (asked !== chosen) return;
    runs = list;
    keep(list);
  }

  async function loadDeployments(due) {
    searched = text;
    const where = {...scope};
    if (text) where.deployments = {...where.deployments, flow_or_deployment_name: {like_: text}};
    const [list, count] = await Promise.all([filter("deployments", {...where, limit: 200}), api("/deployments/count", where)]);
    if (searched !== text) return;
    remember(list);
    allDeployments = count;
    const ids = list.map((d) => d.id);
    // The recent runs keep the cells current; the rest of them can wait.
    const again = Date.now() - wide > 60_000;
    if (again) wide = Date.now();
    if (ids.length) {
      const of = (condition, sort, n) => filter("flow_runs", {flow_runs: {deployment_id: anyOf(...ids), ...condition}, sort, limit: n});
      const [coming, recent] = await Promise.all([
        of({state: {type: anyOf("SCHEDULED")}, next_scheduled_start_time: {after_: due}}, "NEXT_SCHEDULED_START_TIME_ASC", 200),
        again ? of({expected_start_time: {before_: due}}, "START_TIME_DESC", 200) : [],
      ]);
      next.clear();
      for (const r of coming) if (!next.has(r.deployment_id)) next.set(r.deployment_id, r);
      keep(recent);
      // A page holds 200: what a busy deployment has pushed out is asked for
      // by itself, a few at a time.
      const missing = coming.length < 200 ? [] : list.filter((d) => d.schedules.length && !d.paused && !next.has(d.id)).slice(0, 10);
      const unseen = recent.length < 200 ? [] : list.filter((d) => !past.has(d.id)).slice(0, 10);
      await Promise.all([
        ...missing.map(async (d) => next.set(d.id, (await filter("flow_runs", {flow_runs: {deployment_id: anyOf(d.id), state: {type: anyOf("SCHEDULED")}}, sort: "NEXT_SCHEDULED_START_TIME_ASC", limit: 1}))[0] || null)),
        ...unseen.map(async (d) => keep(await filter("flow_runs", {flow_runs: {deployment_id: anyOf(d.id), expected_start_time: {before_: due}}, sort: "START_TIME_DESC", limit: cells}))),
      ]);
    }
    deployments = list;
  }

  const startOf = (r) => Date.parse(r.start_time || r.expected_start_time);

  function keep(list) {
    for (const r of list) {
      if (!r.deployment_id) continue;
      const others = (past.get(r.deployment_id) || []).filter((x) => x.id !== r.id);
      past.set(r.deployment_id, [...others, r].sort((a, b) => startOf(b) - startOf(a)).slice(0, cells));
    }
  }

  function remind() {
    const q = new URLSearchParams();
    if (chosen !== "all") q.set("state", chosen);
    if (text) q.set("q", text);
    history.replaceState(null, "", location.pathname + (q.size ? `?${q}` : ""));
    view.page.redraw();
    view.page.refresh();
  }

  async function quickRun(d) {
    busy.add(d.id);
    view.page.redraw();
    try {
      const run = await api(`/deployments/${d.id}/create_flow_run`, {state: {type: "SCHEDULED", message: "Quick run from the page"}});
      toast(`Created a run of ${flowName(d.flow_id)}/${d.name}:`, {href: `/runs/flow-run/${run.id}`, label: run.name});
      view.page.refresh();
    } catch (err) {
      toast(`No run of ${d.name}: ${err.message}`, {bad: true});
    }
    busy.delete(d.id);
    view.page.redraw();
  }

  async function pause(d, paused) {
    const before = d.paused;
    d.paused = paused;
    view.page.redraw();
    try {
      // The route that pauses refuses a deployment with several schedules.
      if (d.schedules.length > 1) await api(`/deployments/${d.id}`, {paused}, "PATCH");
      else await api(`/deployments/${d.id}/${paused ? "pause" : "resume"}_deployment`, {});
      rounds = 0;
      view.page.refresh();
    } catch (err) {
      d.paused = before;
      toast(`${d.name} is as it was: ${err.message}`, {bad: true});
    }
    view.page.redraw();
  }

  function draw() {
    const one = deployment && deployments[0];
    return [
      (deployment || flow) && h("p", {class: "crumbs"}, h("a", {href: "/"}, "Home"), " / ", one ? h("a", {href: `/flows/flow/${one.flow_id}`}, flowName(one.flow_id)) : "Flows"),
      h("h1", {class: deployment || flow ? "" : "hidden"}, one ? one.name : flow ? flowName(flow) : "Home"),
      one && about(one),
      !one && deploymentList(),
      // An empty server has one thing to say.
      (allDeployments > 0 || runs.length > 0 || text || chosen !== "all") && runList(),
    ];
  }

  function about(d) {
    const facts = [
      ["Schedule", scheduleWords(d)], ["Next run", nextRun(d)], ["Queue", queueOf(d)], ["Entrypoint", d.entrypoint && h("code", {}, d.entrypoint)],
      ["Version", d.version], ["Tags", d.tags.join(", ")],
    ].filter(([, v]) => v && v.length !== 0);
    const parameters = Object.keys(d.parameters || {}).length > 0;
    return h("section", {class: "panel", "aria-label": "Deployment"},
      d.description && h("p", {class: "description"}, d.description),
      h("dl", {class: "facts"}, facts.map(([k, v]) => h("div", {key: k}, h("dt", {}, k), h("dd", {}, v)))),
      parameters && h("details", {}, h("summary", {}, "Parameters"), h("pre", {tabindex: "0"}, JSON.stringify(d.parameters, null, 2))),
      h("div", {class: "actions"}, buttons(d)));
  }

  function deploymentList() {
    if (!allDeployments && !text) {
      return h("section", {class: "empty", "aria-labelledby": "deployments"}, h("h2", {id: "deployments"}, "No deployments yet"),
        h("p", {}, "Deployments say how, when and where your flows run. Deploy every ", h("code", {}, "*.deployment.py"), " below a folder with"),
        command("orion up FOLDER"),
        h("p", {class: "muted"}, "or point any Prefect client here: ", h("code", {}, `export PREFECT_API_URL=${location.origin}/api`)));
    }
    return h("section", {"aria-labelledby": "deployments"},
      h("div", {class: "bar"}, h("h2", {id: "deployments"}, "Deployments ", h("span", {class: "count"}, String(allDeployments))),
        (allDeployments > 10 || text) && h("input", {type: "search", "aria-label": "Flow or deployment name", placeholder: "Flow or deployment name", value: text, oninput: (e) => {
          text = e.target.value.trim();
          remind();
        }})),
      !deployments.length ? h("p", {class: "muted"}, `No deployment or flow has “${text}” in its name.`) : h("table", {class: "deployments", role: "table"},
        h("thead", {role: "rowgroup"}, h("tr", {role: "row"}, ["Flow / deployment", "Schedule", "Queue", "Next run", "Last runs", "Actions"].map((x) => h("th", {scope: "col", role: "columnheader"}, x)))),
        h("tbody", {role: "rowgroup"}, deployments.map(deploymentRow))),
      allDeployments > deployments.length && deployments.length > 0 && h("p", {class: "muted"}, `The first ${deployments.length} of ${allDeployments}: type a part of a name to find the others.`));
  }

  const td = (name, ...children) => h("td", {class: name, role: "cell"}, ...children);

  function deploymentRow(d) {
    return h("tr", {key: d.id, role: "row", class: d.paused ? "paused" : ""},
      td("name", h("a", {href: `/flows/flow/${d.flow_id}`, class: "flow"}, flowName(d.flow_id)), h("span", {class: "muted"}, " / "), h("a", {href: `/deployments/deployment/${d.id}`}, d.name)),
      td("schedule", scheduleWords(d)),
      td("queue", queueOf(d)),
      td("next", nextRun(d)),
      td("last", h("span", {class: "cells"}, [...(past.get(d.id) || [])].reverse().map((r) => h("a", {key: r.id, href: `/runs/flow-run/${r.id}`, title: `${word(r)}, ${relative(r.start_time || r.expected_start_time)}, ${r.name}`, "aria-label": `${word(r)} ${relative(r.start_time || r.expected_start_time)}: ${r.name}`}, mark(r))),
        !past.get(d.id)?.length && h("span", {class: "muted"}, "none yet"))),
      td("do", buttons(d)));
  }

  function scheduleWords(d) {
    const list = schedules(d.schedules);
    if (!list.length) return h("span", {class: "muted"}, "on demand");
    return list.map((s, i) => h("span", {title: s.exact, class: s.on ? "" : "off"}, i ? ", " : "", s.text, !s.on && !d.paused ? " (off)" : ""));
  }

  function nextRun(d) {
    if (d.paused) return h("span", {class: "muted"}, "paused");
    const r = next.get(d.id);
    return r ? h("a", {href: `/runs/flow-run/${r.id}`, class: "plain"}, time(r.next_scheduled_start_time || r.expected_start_time)) : h("span", {class: "muted"}, "–");
  }

  function queueOf(d) {
    if (!d.work_queue_name) return h("span", {class: "muted"}, "–");
    const pool = d.work_pool_name && d.work_pool_name !== "default-agent-pool" ? `${d.work_pool_name} / ` : "";
    return h("a", {href: "/work-queues", class: "plain"}, pool, d.work_queue_name);
  }

  function buttons(d) {
    return h("span", {class: "buttons"},
      d.schedules.length > 0 && h("label", {class: "switch", title: d.paused ? "Paused: nothing is scheduled" : "Scheduling is on"},
        h("input", {type: "checkbox", role: "switch", checked: !d.paused, "aria-label": `Schedule ${d.name}`, onchange: (e) => pause(d, !e.target.checked)}), h("span", {class: "knob", "aria-hidden": "true"})),
      h("button", {type: "button", disabled: busy.has(d.id), onclick: () => quickRun(d)}, "Quick run", h("span", {class: "hidden"}, ` ${d.name}`)));
  }

  function runList() {
    const none = {all: "No runs yet.", running: "Nothing is running.", failed: "No run has failed.", waiting: "No run is late or paused."}[chosen];
    return h("section", {"aria-labelledby": "runs"},
      h("div", {class: "bar"}, h("h2", {id: "runs"}, deployment ? "Runs" : "Recent runs"),
        h("div", {class: "chips", role: "group", "aria-label": "Which runs"}, Object.entries(choices).map(([name, [label]]) => h("button", {type: "button", "aria-pressed": String(chosen === name), onclick: () => {
          chosen = name;
          limit = pageOfRuns;
          remind();
        }}, label)))),
      !runs.length && h("div", {class: "empty small"}, h("p", {}, none), chosen === "all" && deployments.length > 0 && [h("p", {class: "muted"}, "Start one with Quick run, or with"), command(`orion deployment run '${flowName(deployments[0].flow_id)}/${deployments[0].name}'`)]),
      runs.length > 0 && h("table", {class: "runs", role: "table"},
        h("thead", {role: "rowgroup"}, h("tr", {role: "row"}, ["State", "Flow / deployment", "Run", "Start", "Duration"].map((x) => h("th", {scope: "col", role: "columnheader"}, x)))),
        h("tbody", {role: "rowgroup"}, runs.map(runRow))),
      runs.length === limit && limit < 200 && h("p", {}, h("button", {type: "button", onclick: () => {
        limit = 200;
        view.page.refresh();
      }}, "Show more")));
  }

  function runRow(r) {
    const d = deploymentOf(r.deployment_id);
    const ran = ranFor(r);
    const why = isBad(r.state_type) || family(r) === "attention" ? r.state?.message || held.get(r.work_queue_id) : null;
    return h("tr", {key: r.id, role: "row", class: why ? "explained" : ""},
      td("state-cell", state(r)),
      td("name", h("a", {href: `/flows/flow/${r.flow_id}`, class: "flow"}, flowName(r.flow_id)), d && [h("span", {class: "muted"}, " / "), h("a", {href: `/deployments/deployment/${d.id}`, class: "plain"}, d.name)]),
      td("run", h("a", {href: `/runs/flow-run/${r.id}`}, r.name), why && h("span", {class: `reason ${family(r)}`, title: why}, firstLine(why))),
      td("start", time(r.start_time || r.expected_start_time)),
      td("duration", ran != null ? duration(ran) : h("span", {class: "muted"}, isFinal(r.state_type) ? "never ran" : "–")));
  }

  return view;
}

const firstLine = (s) => s.trim().split("\n")[0];

// Work queues: who polls them, and which hold runs back.

import {api, filter} from "./api.js";
import {h} from "./dom.js";
import {command} from "./notice.js";
import {polled, startCommand} from "./reason.js";
import {time} from "./words.js";

export function queues() {
  let list = [];
  const view = {title: () => "Queues · Orion", load, draw, every: () => 5000};

  async function load() {
    const found = await filter("work_queues", {limit: 200});
    // Only queues that nobody polls or that are paused need a second look.
    const status = await Promise.all(found.slice(0, 30).map((q) => (polled(q) ? null : api(`/work_queues/${q.id}/status`))));
    list = found.map((q, i) => ({...q, late: status[i]?.late_runs_count || 0}));
  }

  function draw() {
    if (!list.length) {
      return h("section", {class: "empty"}, h("h1", {}, "No work queues yet"), h("p", {}, "A queue holds the runs that an agent takes. The first deployment or agent that names one makes it:"), command("orion agent start -q default"));
    }
    return [h("h1", {}, "Queues"), h("table", {class: "queues", role: "table"},
      h("thead", {role: "rowgroup"}, h("tr", {role: "row"}, ["Queue", "State", "Limit", "Last poll"].map((x) => h("th", {scope: "col", role: "columnheader"}, x)))),
      h("tbody", {role: "rowgroup"}, list.map((q) => h("tr", {key: q.id, role: "row"},
        h("td", {class: "name", role: "cell"}, q.work_pool_name && q.work_pool_name !== "default-agent-pool" && h("span", {class: "muted"}, q.work_pool_name, " / "), h("strong", {}, q.name)),
        h("td", {role: "cell"}, q.is_paused ? "paused" : polled(q) ? "polled" : [h("span", {class: q.late ? "attention" : "muted"}, q.late ? `no agent, ${q.late} late` : "no agent"), command(startCommand(q))]),
        h("td", {role: "cell"}, q.concurrency_limit == null ? h("span", {class: "muted"}, "none") : String(q.concurrency_limit)),
        h("td", {role: "cell"}, time(q.last_polled) || h("span", {class: "muted"}, "never"))))))];
  }

  return view;
}

// A reader's way through the page: an empty server, a busy one, a run that
// failed, one that is running, a narrow screen, the dark theme, a server that
// goes and comes back. Every step looks at what a person would see.

import assert from "node:assert/strict";
import {createRequire} from "node:module";
import {readFileSync} from "node:fs";
import {join} from "node:path";
import {api, deployment, logs, reason, run, seed, set} from "./seed.mjs";

const {ORION_URL: url, CONTROL_URL: control, SCREENSHOTS: shots, MODULES: modules, CHROMIUM: executablePath} = process.env;
const require = createRequire(join(modules, "x.js"));
const {chromium} = require("playwright-core");
const axe = (() => {
  try {
    return readFileSync(join(modules, "axe-core", "axe.min.js"), "utf8");
  } catch {
    assert.notEqual(process.env.CI, "true", "axe-core is absent: run test/setup.sh browser");
    return null;
  }
})();

const browser = await chromium.launch({executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]});
const context = await browser.newContext({viewport: {width: 1440, height: 900}, colorScheme: "light", locale: "en-GB", reducedMotion: "reduce"});
const page = await context.newPage();
page.setDefaultTimeout(15_000);
const wrong = []; // console errors and failed requests
let serverIsGone = false;
const note = (text) => {
  // A browser reports each request that nobody answers; the page may not
  // prevent that, and says it in its bar.
  if (!(serverIsGone && /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/.test(text))) wrong.push(text);
};
page.on("console", (m) => ["error", "warning"].includes(m.type()) && note(m.text()));
page.on("pageerror", (e) => note(String(e)));
page.on("response", (r) => r.status() >= 400 && note(`${r.status()} ${r.url()}`));

const shot = (name) => page.screenshot({path: join(shots, `${name}.png`)});
const see = (locator) => locator.first().waitFor();
const text = (t) => page.getByText(t, {exact: false});
const open = (path) => page.goto(url + path);

async function accessible(where) {
  if (!axe) return;
  // The policy forbids scripts that the page did not bring; the protocol of
  // the browser may still run one.
  await page.evaluate(axe);
  const {violations} = await page.evaluate(() => globalThis.axe.run(document, {resultTypes: ["violations"]}));
  const bad = violations.filter((v) => ["serious", "critical"].includes(v.impact));
  assert.deepEqual(bad.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).slice(0, 3).join(" | ")}`), [], `accessibility of ${where}`);
}

async function noSidewaysScroll(where) {
  const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= width, `${where} is ${content} px wide on a screen of ${width} px`);
}

let data;

const steps = {
  async "an empty server says what fills it"() {
    await open("/");
    await see(text("No deployments yet"));
    await see(text("orion up FOLDER"));
    await accessible("the empty page");
    await shot("empty");
  },

  async "the first deployment appears by itself"() {
    data = await seed();
    await see(page.getByRole("link", {name: "on-demand"}));
  },

  async "home shows every deployment and run"() {
    const deployments = page.locator("table.deployments");
    const row = deployments.getByRole("row", {name: /daily-sales-etl/});
    await see(row.getByText("daily at 06:00", {exact: true}));
    await see(row.getByText("kubernetes"));
    await see(row.locator(".next time"));
    await see(row.locator(".cells a").nth(1));
    assert.equal(await row.locator(".cells a").count(), 2);
    await see(deployments.getByRole("row", {name: /monthly-report/}).getByText("weekdays at 08:00 America/New_York"));
    await see(deployments.getByRole("row", {name: /inventory-sync/}).getByText("every hour"));
    const runs = page.locator("table.runs");
    for (const [name, state] of [["calm-otter", "Completed"], ["lilac-kelpie", "Failed"], ["tidy-falcon", "Crashed"], ["swift-heron", "Running"], ["patient-crane", "Late"]]) {
      await see(runs.getByRole("row", {name: new RegExp(name)}).getByText(state, {exact: true}));
    }
    await see(runs.getByRole("row", {name: /lilac-kelpie/}).getByText(reason));
    await see(runs.getByRole("row", {name: /patient-crane/}).getByText("No agent polls the queue kubernetes"));
    await accessible("home");
    await noSidewaysScroll("home");
    await shot("home");
  },

  async "the runs can be narrowed down, and the address says how"() {
    await page.getByRole("button", {name: "Failed", exact: true}).click();
    await page.locator("table.runs").getByText("calm-otter").waitFor({state: "detached"});
    await see(page.locator("table.runs").getByText("lilac-kelpie"));
    assert.match(page.url(), /state=failed/);
    await page.reload();
    await see(page.locator("table.runs").getByText("lilac-kelpie"));
    assert.equal(await page.locator("table.runs").getByText("calm-otter").count(), 0);
    await page.getByRole("button", {name: "All", exact: true}).click();
    await see(page.locator("table.runs").getByText("calm-otter"));
  },

  async "Quick run creates a run"() {
    const before = await api("/flow_runs/count", {deployments: {id: {any_: [data.hourly.id]}}});
    await page.getByRole("button", {name: "Quick run every-hour"}).click();
    const link = page.locator(".toast a");
    await see(link);
    const name = await link.textContent();
    assert.equal(await api("/flow_runs/count", {deployments: {id: {any_: [data.hourly.id]}}}), before + 1);
    await see(page.locator("table.runs").getByText(name));
    await page.getByRole("button", {name: "Dismiss"}).click();
  },

  async "the switch pauses a deployment and resumes it"() {
    const box = page.getByRole("switch", {name: "Schedule prod"});
    assert.equal(await box.isChecked(), true);
    await box.click();
    await see(page.locator("table.deployments").getByRole("row", {name: /daily-sales-etl/}).getByText("paused"));
    assert.equal((await api(`/deployments/${data.sales.id}`)).paused, true);
    await box.press("Space");
    await see(page.locator("table.deployments").getByRole("row", {name: /daily-sales-etl/}).locator(".next time"));
    assert.equal((await api(`/deployments/${data.sales.id}`)).paused, false);
    // Several schedules go another way through the API.
    const several = page.getByRole("switch", {name: "Schedule finance"});
    await several.click();
    await page.waitForFunction(async (id) => (await (await fetch(`/api/deployments/${id}`)).json()).paused, data.report.id);
    await several.click();
    await page.waitForFunction(async (id) => !(await (await fetch(`/api/deployments/${id}`)).json()).paused, data.report.id);
  },

  async "a failed run starts with the reason"() {
    await page.locator("table.runs").getByRole("link", {name: "lilac-kelpie"}).click();
    await see(page.getByRole("heading", {name: "lilac-kelpie"}));
    assert.match(await page.title(), /^✕ daily-sales-etl \/ lilac-kelpie/);
    const why = page.getByRole("region", {name: "Why it failed"});
    await see(why.getByText(reason));
    await see(why.getByRole("button", {name: "check-0"}));
    await see(page.locator("#log").getByText("Traceback"));
    await see(page.locator(".side").getByText('"country": "DE"'));
    for (const s of ["Pending", "Running", "Failed"]) await see(page.getByRole("region", {name: "States"}).getByText(s, {exact: true}));
    await accessible("a failed run");
    await shot("failed");
  },

  async "a task run and a level choose the lines"() {
    await page.locator(".side").getByRole("button", {name: "extract-0"}).click();
    await page.locator("#log").getByText("Traceback").waitFor({state: "detached"});
    await see(page.locator("#log").getByText("30 rows read"));
    await page.getByLabel("Level").selectOption("30");
    await page.locator("#log").getByText("30 rows read").waitFor({state: "detached"});
    await see(page.locator("#log").getByText("The source answered"));
    await page.reload();
    await see(page.locator("#log").getByText("The source answered"));
    assert.equal(await page.locator("#log .entry").count(), 1);
    await page.getByRole("button", {name: "extract-0 ×"}).click();
    await see(page.locator("#log").getByText("Traceback"));
  },

  async "Retry schedules the run again"() {
    await page.getByRole("button", {name: "Retry"}).click();
    await see(page.locator(".head").getByText("Awaiting retry"));
    assert.equal((await api(`/flow_runs/${data.failed.id}`)).state_name, "AwaitingRetry");
    await set(data.failed.id, "FAILED", {message: reason});
    await see(page.getByRole("region", {name: "Why it failed"}));
  },

  async "a late run says what it waits for, and the command that helps"() {
    await open(`/runs/flow-run/${data.late.id}`);
    const why = page.getByRole("region", {name: "Why it waits"});
    await see(why.getByText("No agent asks for the runs of the queue"));
    await see(why.getByText("orion agent start -q kubernetes"));
    await accessible("a late run");
    await shot("late");
  },

  async "a running run updates as lines and states arrive"() {
    await open(`/runs/flow-run/${data.running.id}`);
    const log = page.locator("#log");
    await see(log.getByText("page 450 of 450 rendered"));
    assert.equal(await log.locator(".entry").count(), 200);
    const atEnd = () => log.evaluate((el) => el.scrollHeight - el.scrollTop - el.clientHeight < 30);
    assert.ok(await atEnd(), "a running run opens at the end of its log");
    await page.getByRole("button", {name: "Show earlier lines"}).click();
    await see(log.getByText("page 150 of 450 rendered"));
    assert.ok(!(await atEnd()), "who asks for earlier lines is led to them");
    await page.getByRole("button", {name: "Show earlier lines"}).click();
    await see(log.getByText("page 1 of 450 rendered"));
    const messages = await log.locator(".message").allTextContents();
    assert.deepEqual(messages, Array.from({length: 450}, (_, i) => `page ${i + 1} of 450 rendered`));

    // Who reads further up is not moved.
    const place = await log.evaluate((el) => (el.scrollTop = 900));
    await page.waitForTimeout(100);
    await logs(data.running.id, [[20, "while you were reading"]]);
    await see(page.getByRole("button", {name: "1 new ↓"}));
    assert.equal(await log.evaluate((el) => el.scrollTop), place);
    await page.getByRole("button", {name: "1 new ↓"}).click();
    assert.ok(await atEnd());
    const began = Date.now();
    await logs(data.running.id, [[40, "a line that arrives <b>live</b> <script>document.title = 'broken'</script>"]]);
    await see(log.getByText("a line that arrives <b>live</b>"));
    assert.ok(Date.now() - began < 10_000, "a new line takes too long");
    assert.ok(await atEnd(), "who follows stays at the end");
    await shot("running");
    await set(data.running.id, "COMPLETED");
    await see(page.locator(".head").getByText("Completed"));
    assert.match(await page.title(), /^✓/);
  },

  async "Cancel asks first"() {
    const r = await run(data.report, {name: "brief-wren"});
    await set(r.id, "RUNNING");
    await open(`/runs/flow-run/${r.id}`);
    await page.getByRole("button", {name: "Cancel run"}).click();
    await page.getByRole("button", {name: "Keep it"}).click();
    assert.equal((await api(`/flow_runs/${r.id}`)).state_type, "RUNNING");
    await page.getByRole("button", {name: "Cancel run"}).click();
    await shot("cancel");
    await page.getByRole("button", {name: "Cancel the run"}).click();
    await see(page.locator(".head").getByText("Cancelling"));
    assert.equal((await api(`/flow_runs/${r.id}`)).state_type, "CANCELLING");
  },

  async "names are text, whatever they contain"() {
    const name = `<img src=x onerror="document.title='broken'">`;
    const r = await run(data.sales, {name});
    await set(r.id, "FAILED", {message: `<b>${name}</b>`});
    await open("/");
    await see(page.locator("table.runs").getByText(name));
    await open(`/runs/flow-run/${r.id}`);
    await see(page.getByRole("heading", {name}));
    assert.equal(await page.locator("main img").count(), 0);
    assert.doesNotMatch(await page.title(), /^broken/);
    await api(`/flow_runs/${r.id}`, undefined, "DELETE");
  },

  async "schedules are said in words, or left as they are"() {
    const source = await page.locator('link[href$="words.js"]').getAttribute("href");
    const said = await page.evaluate(async ([source, list]) => {
      const {schedules} = await import(source);
      return schedules(list.map((schedule) => ({schedule, active: true}))).map((s) => s.text);
    }, [source, [
      {cron: "* * * * *"}, {cron: "*/15 * * * *"}, {cron: "*/40 * * * *"}, {cron: "0 * * * *"}, {cron: "5 */6 * * *"}, {cron: "30 7,19 * * *"},
      {cron: "0 9 * * 1,4", timezone: "Asia/Tokyo"}, {cron: "0 0 15 * *"}, {cron: "0 0 13 * 5"}, {cron: "@daily"}, {cron: "0 0 1 1 *"},
      {interval: 5400}, {interval: 1}, {interval: 1209600}, {interval: 0.5}, {rrule: "DTSTART:20260101T000000\nRRULE:FREQ=DAILY;INTERVAL=2"}, {rrule: "FREQ=WEEKLY;BYDAY=MO,FR"},
    ]]);
    assert.deepEqual(said, [
      "every minute", "every 15 minutes", "cron */40 * * * *", "every hour", "every 6 hours at :05", "daily at 07:30, 19:30",
      "Mondays, Thursdays at 09:00 Asia/Tokyo", "monthly on day 15 at 00:00", "cron 0 0 13 * 5", "daily at 00:00", "cron 0 0 1 1 *",
      "every 90 minutes", "every second", "every 2 weeks", "every 0.5 seconds", "every 2 days", "every week, by a rule",
    ]);
  },

  async "old addresses lead on, wrong ones say so"() {
    await open(`/flow-runs/flow-run/${data.completed.id}`);
    await see(page.getByRole("heading", {name: "calm-otter"}));
    assert.equal(new URL(page.url()).pathname, `/runs/flow-run/${data.completed.id}`);
    await open(`/task-runs/task-run/${data.check.id}`);
    await see(page.getByRole("heading", {name: "lilac-kelpie"}));
    assert.match(page.url(), new RegExp(`task=${data.check.id}`));
    await open(`/deployments/deployment/${data.sales.id}`);
    await see(page.getByRole("heading", {name: "prod"}));
    await see(text("Loads the sales of the day."));
    await shot("deployment");
    await accessible("a deployment");
    await open("/work-queues/work-queue/kubernetes");
    await see(page.getByRole("heading", {name: "Queues"}));
    await see(text("a-queue-with-a-long-name-for-large-jobs"));
    await shot("queues");
    await accessible("queues");
    await open("/no/such/page");
    await see(page.getByRole("heading", {name: "Not found"}));
    await page.getByRole("link", {name: "Deployments and recent runs"}).click();
    await see(page.locator("table.runs"));
    const before = wrong.length;
    await open("/runs/flow-run/00000000-0000-4000-8000-000000000000");
    await see(page.getByRole("heading", {name: "Not found"}));
    await see(text("There is no flow run with this id"));
    await shot("not-found");
    // The API's 404 is what was asked for here.
    wrong.splice(before, wrong.length, ...wrong.slice(before).filter((w) => !/404/.test(w)));
  },

  async "a keyboard is enough"() {
    await open("/");
    await see(page.locator("table.deployments"));
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
    await page.locator("table.runs").getByRole("link", {name: "calm-otter"}).focus();
    // Two rounds of live updates do not take the focus away.
    await page.waitForTimeout(4500);
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "calm-otter");
    await page.setViewportSize({width: 1440, height: 400});
    const place = await page.evaluate(() => {
      document.activeElement.scrollIntoView({block: "start"});
      return scrollY;
    });
    assert.ok(place > 0);
    await page.keyboard.press("Enter");
    await see(page.getByRole("heading", {name: "calm-otter"}));
    await page.goBack();
    await see(page.locator("table.runs"));
    await page.waitForFunction((y) => scrollY === y, place);
    await page.setViewportSize({width: 1440, height: 900});
  },

  async "a telephone shows the same without scrolling sideways"() {
    await page.setViewportSize({width: 390, height: 844});
    await open("/");
    await see(page.locator("table.runs"));
    await noSidewaysScroll("home");
    await accessible("home on a telephone");
    await shot("narrow-home");
    await page.locator("table.runs").scrollIntoViewIfNeeded();
    await page.evaluate(() => document.querySelector("#runs").scrollIntoView());
    await shot("narrow-runs");
    await open(`/runs/flow-run/${data.failed.id}`);
    await see(page.locator("#log .entry"));
    await noSidewaysScroll("a run");
    await shot("narrow-failed");
    await open("/work-queues");
    await see(text("orion agent start"));
    await noSidewaysScroll("queues");
    await shot("narrow-queues");
    await page.setViewportSize({width: 1440, height: 900});
  },

  async "dark by the system's wish, and by one's own"() {
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.emulateMedia({colorScheme: "dark"});
    await open("/");
    await see(page.locator("table.runs"));
    assert.equal(await background(), "rgb(15, 18, 22)");
    await accessible("home in the dark");
    await shot("dark-home");
    await open(`/runs/flow-run/${data.failed.id}`);
    await see(page.locator("#log .entry"));
    await accessible("a run in the dark");
    await shot("dark-failed");
    await page.emulateMedia({colorScheme: "light"});
    await page.getByRole("button", {name: "Theme: auto"}).click();
    await page.getByRole("button", {name: "Theme: light"}).click();
    assert.equal(await background(), "rgb(15, 18, 22)");
    await page.reload();
    await see(page.getByRole("button", {name: "Theme: dark"}));
    assert.equal(await background(), "rgb(15, 18, 22)");
    await page.getByRole("button", {name: "Theme: dark"}).click();
    assert.equal(await background(), "rgb(255, 255, 255)");
  },

  async "what the server refuses is said in words"() {
    const strict = await deployment("strict", "schema", {enforce_parameter_schema: true, parameter_openapi_schema: {type: "object", properties: {day: {type: "string"}}, required: ["day"]}});
    await open(`/deployments/deployment/${strict.id}`);
    await see(page.getByRole("heading", {name: "schema"}));
    const before = wrong.length;
    await page.getByRole("button", {name: "Quick run schema"}).click();
    await see(page.locator(".toast.bad").getByText(/day/));
    await shot("refused");
    wrong.splice(before, wrong.length, ...wrong.slice(before).filter((w) => !/409|422/.test(w)));
  },

  async "a server that goes is noticed, one that returns is too"() {
    await open("/");
    await see(page.locator("table.runs"));
    serverIsGone = true;
    await fetch(`${control}/stop`);
    await see(page.getByRole("alert").getByText("No live updates since"));
    await see(page.locator("table.runs").getByText("calm-otter"));
    await accessible("home without a server");
    await shot("server-gone");
    await fetch(`${control}/start`);
    await page.getByRole("alert").waitFor({state: "hidden"});
    serverIsGone = false;
    const r = await run(data.sales, {name: "back-again"});
    await see(page.locator("table.runs").getByText(r.name));
  },

  async "nothing went wrong on the way"() {
    assert.deepEqual(wrong, []);
  },
};

let failed = false;
for (const [name, step] of Object.entries(steps)) {
  const began = Date.now();
  try {
    await step();
    console.log(`ok    ${name} (${Date.now() - began} ms)`);
  } catch (err) {
    failed = true;
    console.log(`FAIL  ${name}\n${err.stack}\n${wrong.join("\n")}`);
    await shot("at-failure").catch(() => {});
    break; // what follows builds on it
  }
}
await browser.close();
process.exitCode = failed ? 1 : 0;

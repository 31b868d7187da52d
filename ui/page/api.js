// The one way to the server: its public API, at /api.

// ApiError is an answer that says no, in words.
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

// Unreachable is no answer at all.
export class Unreachable extends Error {}

let skew = 0; // the server's clock minus this one, ms

// serverNow is the present moment by the server's clock.
export const serverNow = () => Date.now() + skew;

// api sends a request and answers its JSON. A body makes it a POST.
export async function api(path, body, method = body === undefined ? "GET" : "POST") {
  let answer;
  try {
    answer = await fetch(`/api${path}`, {
      method,
      headers: body === undefined ? {} : {"Content-Type": "application/json"},
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(20_000),
    });
  } catch (err) {
    throw new Unreachable(err.name === "TimeoutError" ? "the server took more than 20 s" : "the server does not answer");
  }
  const date = Date.parse(answer.headers.get("Date"));
  // The header has whole seconds: a smaller difference means nothing.
  if (date) skew = Math.abs(date - Date.now()) > 1500 ? date - Date.now() : 0;
  if ([502, 503, 504].includes(answer.status)) throw new Unreachable(`the server answers ${answer.status}`);
  const text = await answer.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    throw new ApiError(`the server answered ${answer.status} with something that is not JSON`, answer.status);
  }
  if (!answer.ok) throw new ApiError(words(value, answer.status), answer.status);
  return value;
}

// words finds the sentence in an error's body, of which there are three shapes.
function words(value, status) {
  const fields = Array.isArray(value?.detail) ? value.detail : value?.exception_detail;
  if (Array.isArray(fields) && fields.length) {
    return fields.map((f) => `${(f.loc || []).filter((l) => l !== "body").join(".")}: ${f.msg}`).join("; ");
  }
  if (typeof value?.detail === "string") return value.detail;
  if (typeof value?.exception_message === "string") return value.exception_message;
  return status === 404 ? "not found" : `the server answered ${status}`;
}

// filter asks for a list of one kind.
export const filter = (kind, body) => api(`/${kind}/filter`, body);

// anyOf is the condition "one of these" of Prefect's filters.
export const anyOf = (...values) => ({any_: values});

const flows = new Map();
const deployments = new Map();

// names fetches the flows and deployments that runs name, each once.
export async function names(runs) {
  const missing = (known, key) => [...new Set(runs.map((r) => r[key]).filter((id) => id && !known.has(id)))].slice(0, 200);
  const f = missing(flows, "flow_id");
  const d = missing(deployments, "deployment_id");
  const [newFlows, newDeployments] = await Promise.all([
    f.length ? filter("flows", {flows: {id: anyOf(...f)}}) : [],
    d.length ? filter("deployments", {deployments: {id: anyOf(...d)}}) : [],
  ]);
  f.forEach((id) => flows.set(id, null));
  d.forEach((id) => deployments.set(id, null));
  newFlows.forEach((x) => flows.set(x.id, x));
  newDeployments.forEach((x) => deployments.set(x.id, x));
}

export const flowName = (id) => flows.get(id)?.name ?? "deleted flow";
export const deploymentOf = (id) => deployments.get(id);

// remember keeps deployments that came with another answer.
export const remember = (list) => list.forEach((d) => deployments.set(d.id, d));

"use strict";
// side_by_side.py for clients of Node: the same command line, the same claims about what `alike` and `apart` mean, the same exit codes.

const { createHash } = require("node:crypto");
const { parseArgs } = require("node:util");
const { setTimeout: pause } = require("node:timers/promises");

// Headers that belong to one hop (RFC 9110, section 7.6.1), the one that names it, and the mark that a proxy must leave.
const OF_THE_HOP = new Set(["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "host", "via"]);
const RETRIED = new Set([408, 425, 429, 500, 502, 503, 504, 529]);
// What Pillion asks for on behalf of an agent whose stream would come without token counts.
const OPTION = '"stream_options":{"include_usage":true},';
const SCENARIOS = new Map();

/** What a scenario claims does not hold. */
class Failed extends Error {}

function expect(holds, claim, found) {
  if (!holds) throw new Failed(`${claim}\nfound: ${typeof found === "string" ? found : written(found)}`);
}

/** The control plane of a simulated model. */
class Model {
  constructor(url) {
    this.url = url;
  }

  async #call(path, options = {}) {
    const reply = await fetch(`${this.url}/__simulate/${path}`, { ...options, signal: AbortSignal.timeout(10_000) });
    const told = await reply.json();
    expect(reply.ok, `the model does as it is told: ${path}`, told);
    return told;
  }

  /** The steps of the requests to come; a step that stays has `times: -1`. */
  script(...steps) {
    return this.#call("script", { method: "POST", body: JSON.stringify({ steps }) });
  }

  /** All requests since the start, as they were seen. */
  requests() {
    return this.#call("requests");
  }

  /** The last request, once it has ended; its times are by the model's clock. */
  async ended() {
    let last;
    for (let times = 0; times < 500; times += 1) {
      last = (await this.requests()).at(-1);
      if (last && last.end !== "open") return last;
      await pause(10);
    }
    throw new Failed(`the last request has not ended: ${written(last)}`);
  }
}

/** Where the client of a scenario connects, and the model behind it. */
class Side {
  constructor(name, base, model) {
    this.name = name;
    this.base = base.replace(/\/$/, "");
    this.model = new Model(model.replace(/\/$/, ""));
    // Set by a scenario that asks many things at once, whose order of arrival nobody promises.
    this.unordered = false;
  }

  /** A base URL; Pillion's may name the agent, which no model could read. */
  url(path = "", agent = undefined) {
    return `${this.base}${agent && this.name === "through" ? `/@${agent}` : ""}${path}`;
  }

  /** What the model has seen since so many requests, without what belongs to the hop. */
  async since(mark = 0) {
    const seen = (await this.model.requests()).slice(mark).map((request) => this.#seen(request));
    return this.unordered ? seen.sort((one, other) => (one.body < other.body ? -1 : 1)) : seen;
  }

  #seen(request) {
    expect(request.body_complete, `${this.name}: a request came whole`, request);
    const headers = request.headers.filter(([name]) => !OF_THE_HOP.has(name.toLowerCase()));
    const hops = Object.fromEntries(request.headers.map(([name, value]) => [name.toLowerCase(), value]));
    expect(hops.host === new URL(this.model.url).host, `${this.name}: host names the model`, hops);
    expect("via" in hops === (this.name === "through"), `${this.name}: via says whether a proxy was in between`, hops);
    const seen = { method: request.method, target: request.target, headers, body: request.body, sha256: request.sha256 };
    return this.name === "direct" ? asPillionAsks(seen) : seen;
  }
}

/** A request of an agent as it leaves Pillion, which asks for the token counts of OpenAI's streams: the one change of a body that is expected. */
function asPillionAsks(seen) {
  if (!seen.target.split("?")[0].endsWith("/completions")) return seen;
  let asked;
  try {
    asked = JSON.parse(seen.body);
  } catch {
    return seen;
  }
  if (!asked?.stream || "stream_options" in asked) return seen;
  const body = seen.body.replace("{", `{${OPTION}`);
  const changed = { "accept-encoding": "identity", "content-length": String(Buffer.byteLength(body)) };
  const headers = seen.headers.map(([name, value]) => [name, changed[name.toLowerCase()] ?? value]);
  return { ...seen, headers, body, sha256: createHash("sha256").update(body).digest("hex") };
}

/** As text that diffs well. */
function written(value) {
  return JSON.stringify(value, null, 1) ?? "undefined";
}

/** As JSON would carry it, and without the one thing that must differ: the address. */
function scrubbed(value, side) {
  const addresses = [side.base, side.model.url].map((url) => new URL(url).host);
  return JSON.parse(addresses.reduce((text, address) => text.replaceAll(address, "ADDRESS"), JSON.stringify(value ?? null)));
}

/** Fails with what differs: a line each, and where it is. */
function same(direct, through, what) {
  const [old, now] = [written(direct).split("\n"), written(through).split("\n")];
  const differing = [];
  for (let line = 0; line < Math.max(old.length, now.length); line += 1) {
    if (old[line] !== now[line]) differing.push(`@@ ${line} @@\n--- direct ${old[line]}\n+++ through ${now[line]}`);
  }
  expect(differing.length === 0, `${what}: the same on both sides`, differing.slice(0, 60).join("\n"));
}

/** An exception as the user of an SDK meets it. */
function told(error) {
  const { status, code, type, param, requestID, error: body } = error;
  return { raised: error.constructor.name, text: error.message, status, code, type, param, requestID, body };
}

/** What a call returns, or what it throws. */
async function tried(make) {
  try {
    return await make();
  } catch (error) {
    if (error instanceof Failed) throw error;
    return told(error);
  }
}

/** A scenario of one side, that must come out the same on both. */
function alike(scenario) {
  SCENARIOS.set(scenario.name, async (direct, through) => {
    const outcomes = [];
    for (const side of [direct, through]) outcomes.push(scrubbed(await scenario(side), side));
    const seen = [await direct.since(), await through.since()];
    expect(outcomes[0] && seen[0].length, "a scenario has an outcome and asks the model", outcomes[0]);
    same(...outcomes, "the outcome");
    same(...seen, "what the model saw");
  });
}

/** A scenario of both sides, that says itself how they differ. */
function apart(scenario) {
  SCENARIOS.set(scenario.name, scenario);
}

/** Every status, whole, with an SDK that does not retry: the same exception on both sides; the retries are Pillion's, of equal requests. */
async function byStatus(direct, through, statuses, ask) {
  for (const status of statuses) {
    const [outcomes, seen] = [[], []];
    for (const side of [direct, through]) {
      const mark = (await side.since()).length;
      await side.model.script({ status, headers: { "retry-after-ms": "1" }, times: -1 });
      outcomes.push(scrubbed(await tried(() => ask(side)), side));
      seen.push(await side.since(mark));
    }
    same(...outcomes, `status ${status}`);
    expect(outcomes[0].status === status, `status ${status} is raised`, outcomes[0]);
    expect(seen[0].length === 1, `status ${status} is asked once directly`, seen[0]);
    same(Array(RETRIED.has(status) ? 3 : 1).fill(seen[0][0]), seen[1], `what the model saw of status ${status}`);
  }
}

/** `SCRIPT SCENARIO --direct URL --through URL --behind URL [--metrics URL]` */
async function main() {
  const address = { type: "string" };
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { direct: address, through: address, behind: address, metrics: address } });
  const play = SCENARIOS.get(positionals[0]);
  if (!play) throw new Error(`there is no scenario ${positionals[0]}`);
  const [direct, through] = [new Side("direct", values.direct, values.direct), new Side("through", values.through, values.behind)];
  try {
    await play(direct, through);
  } catch (failure) {
    if (!(failure instanceof Failed)) throw failure;
    console.error(`${positionals[0]}: ${failure.message}`);
    process.exit(1);
  }
  const [directly, between] = [await direct.since(), await through.since()];
  console.log(`${positionals[0]}: held, with ${directly.length} requests directly and ${between.length} through`);
  // What a client keeps open must not keep this open.
  process.exit(0);
}

module.exports = { alike, apart, byStatus, expect, main, pause, same, told, tried };

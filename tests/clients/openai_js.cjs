"use strict";
// OpenAI's JavaScript SDK, side by side: whole replies, streams, tools, errors; and what is better through Pillion: stalls and cut streams.

const OpenAI = require("openai");
const { alike, apart, byStatus, expect, main, pause, same, told, tried } = require("./side_by_side.cjs");

const ASKED = [
  { role: "system", content: "You are a planner." },
  { role: "user", name: "alice", content: "How do tides come about? Ünïcödé ⛵" },
];
const PARAMETERS = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const WEATHER = { type: "function", function: { name: "get_weather", description: "Weather of a city", parameters: PARAMETERS } };
const CALLS = [
  { name: "get_weather", arguments: { city: "Paris" } },
  { name: "get_weather", arguments: '{"city": "Ro' },
];

function client(side, { path = "/v1", agent, ...options } = {}) {
  return new OpenAI({ baseURL: side.url(path, agent), apiKey: "sk-of-a-test", maxRetries: 0, ...options });
}

function chat(one, more = {}, options = undefined) {
  return one.chat.completions.create({ model: "gpt-4o-mini", messages: ASKED, ...more }, options);
}

/** All chunks of a stream, and how it ended. */
async function chunks(stream) {
  const got = [];
  let ending = "ended";
  try {
    for await (const chunk of await stream) got.push(chunk);
  } catch (error) {
    ending = told(error);
  }
  return { chunks: got, ending };
}

const words = (read) => read.chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta.content ?? "")).join("");

alike(async function whole(side) {
  const one = client(side);
  await side.model.script({}, { text: 'Zwölf Boxkämpfer — 🥊\u2028\\u0000 "quoted"' }, { thinking: "Hm.", text: "Yes." }, { usage: "none", text: "x" });
  const answers = [];
  for (let times = 0; times < 4; times += 1) answers.push(await chat(one));
  expect(answers[0].usage.total_tokens > 0 && !answers[3].usage, "usage is there, and absent where it was", answers);
  const several = await chat(one, { n: 2, max_tokens: 5, temperature: 0.3, user: "u-1", metadata: { run: "r1" } });
  expect(several.choices.every((choice) => choice.finish_reason === "length"), "a short limit is told", several);
  return [...answers, several];
});

// All headers of a reply but those of the hop, the date, and the three that Pillion adds.
alike(async function reply_headers(side) {
  await side.model.script({ headers: ["X-RateLimit-Remaining-Requests: 59", "Set-Cookie: a=1", "Set-Cookie: b=2", 'X-Odd: ä, "b"'] });
  const { data, response } = await chat(client(side)).withResponse();
  const names = [...response.headers.keys()];
  const added = names.filter((name) => ["via", "x-pillion-exchange", "x-pillion-attempts"].includes(name));
  expect(added.length === (side.name === "through" ? 3 : 0), "Pillion's headers are Pillion's", names);
  const hop = ["connection", "keep-alive", "transfer-encoding", "date", ...added];
  return { headers: [...response.headers].filter(([name]) => !hop.includes(name)), id: data.id };
});

alike(async function streamed(side) {
  const one = client(side);
  await side.model.script({}, { thinking: "Hm.", text: "Yes." }, { no_done: true }, { usage: { completion_tokens: 4 } });
  const read = [await chunks(chat(one, { stream: true }))];
  for (let times = 0; times < 3; times += 1) read.push(await chunks(chat(one, { stream: true, stream_options: { include_usage: true } })));
  expect(read.every((each) => each.ending === "ended" && each.chunks.length), "every stream is read to its end", read);
  expect(!read[0].chunks.at(-1).usage && read[1].chunks.at(-1).usage.total_tokens > 0, "usage is there where it was asked for", read);
  return read;
});

// However a reply is framed and however slowly it comes, its content is the same.
alike(async function framed_oddly(side) {
  const one = client(side);
  const got = [];
  const slowly = { text: "Böxe 🥊, byte by byte.", slow: { byte_by_byte: "50us" } };
  for (const step of [slowly, { chunked: "close" }, { big: { bytes: 300_000, events: 60 } }, { close_after: true }]) {
    await side.model.script(step, step);
    got.push(await chunks(chat(one, { stream: true })), await chat(one));
  }
  expect(got.every((each) => !each.chunks || each.ending === "ended"), "every stream is read to its end", got);
  expect(words(got[4]).length === 300_000, "all of a large reply comes", words(got[4]).length);
  return got;
});

// Two calls at once, one with broken arguments; their results; the answer.
alike(async function tools(side) {
  const one = client(side);
  await side.model.script({ tools: CALLS, text: "I will look." }, { text: "Both sunny." });
  const asked = (await chat(one, { tools: [WEATHER], parallel_tool_calls: true })).choices[0].message;
  const given = asked.tool_calls.map((call) => call.function.arguments);
  expect(given.join(" ") === '{"city":"Paris"} {"city": "Ro', "arguments are as they were", given);
  const results = asked.tool_calls.map((call, place) => ({ role: "tool", tool_call_id: call.id, content: `sunny ${place}` }));
  return [asked, await chat(one, { messages: [...ASKED, asked, ...results], tools: [WEATHER] })];
});

// The SDK gathers the deltas, runs the tool and asks again.
alike(async function tools_streamed(side) {
  const one = client(side);
  await side.model.script({ tools: CALLS }, { tools: [CALLS[0]], text: "I will look." }, { text: "Sunny." });
  const read = await chunks(chat(one, { tools: [WEATHER], stream: true }));
  const indexes = read.chunks.flatMap((chunk) => chunk.choices.flatMap((choice) => choice.delta.tool_calls ?? [])).map((call) => call.index);
  expect(new Set(indexes).size === 2 && read.ending === "ended", "both calls come in deltas", read);
  const tool = { type: "function", function: { ...WEATHER.function, parse: JSON.parse, function: ({ city }) => `${city}: sunny` } };
  const runner = one.chat.completions.runTools({ model: "gpt-4o-mini", messages: ASKED, tools: [tool], stream: true });
  const final = await runner.finalContent();
  expect(final === "Sunny." && runner.messages.some((message) => message.content === "Paris: sunny"), "the tool is run and its result told", runner.messages);
  return [read, runner.messages, final];
});

// An agent's name in the path is Pillion's to read; every other header, query and field is the model's.
alike(async function named_and_limited(side) {
  const one = client(side, { agent: "planner", defaultHeaders: { "X-Team": "tides", "X-Empty": "" }, timeout: 42_000 });
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const answers = [await chat(one, {}, { headers: { traceparent }, timeout: 7500 }), await chat(one, { x_own: [1, null] }, { query: { "api-version": "2024 10", a: "ä/b" } })];
  const limits = (await side.since()).map((request) => request.headers.find(([name]) => name.toLowerCase() === "x-stainless-timeout")?.[1]);
  expect(limits[0] === "7", "a limit given with a request is told to the model's side, in whole seconds", limits);
  const models = [];
  for await (const model of one.models.list()) models.push(model);
  return [...answers, ...models];
});

// Ten calls at a time, whole and streamed, each with its own answer.
alike(async function many_at_once(side) {
  side.unordered = true;
  const one = client(side);
  const ask = async (number) => {
    const messages = [{ role: "user", content: `Question ${number}` }];
    return number % 2 ? (await chat(one, { messages })).choices[0].message.content : words(await chunks(chat(one, { messages, stream: true })));
  };
  const answers = await Promise.all([...Array(10).keys()].map(ask));
  expect(new Set(answers).size === 10, "every question has an answer of its own", answers);
  return answers;
});

// The Responses API: whole, with a tool called and answered.
alike(async function responses(side) {
  const one = client(side);
  await side.model.script({ text: "Hello." }, { tools: CALLS, text: "I will look." }, { text: "Both sunny." });
  const asked = { model: "gpt-4o-mini", instructions: "You are a planner.", tools: [{ type: "function", name: "get_weather", parameters: PARAMETERS, strict: false }] };
  const first = await one.responses.create({ ...asked, input: "Weather? Ünïcödé ⛵" });
  const second = await one.responses.create({ ...asked, input: "Weather?" });
  const calls = second.output.filter((item) => item.type === "function_call");
  expect(first.output_text === "Hello." && calls.map((call) => call.arguments).join(" ") === '{"city":"Paris"} {"city": "Ro', "arguments are as they were", second);
  const results = calls.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "sunny" }));
  const third = await one.responses.create({ ...asked, input: [{ role: "user", content: "Weather?" }, ...calls, ...results] });
  expect(third.output_text === "Both sunny.", "the results go back", third);
  return [first, second, third];
});

// Every event of them, by hand and gathered by the SDK.
alike(async function responses_streamed(side) {
  const one = client(side);
  const asked = { model: "gpt-4o-mini", input: "How?" };
  await side.model.script({}, { thinking: "Hm.", text: "Yes." }, { tools: CALLS }, { text: "Done." });
  const read = [];
  for (let times = 0; times < 3; times += 1) read.push(await chunks(one.responses.create({ ...asked, stream: true })));
  expect(read.every((each) => each.ending === "ended" && each.chunks.at(-1).type === "response.completed"), "every stream is read to its end", read);
  const final = await one.responses.stream(asked).finalResponse();
  expect(final.output_text === "Done.", "the SDK gathers it", final);
  return [...read, final];
});

// The old completions, and embeddings both as base64, which the SDK asks for by itself, and as numbers.
alike(async function completed_and_embedded(side) {
  const one = client(side);
  const completed = await one.completions.create({ model: "gpt-3.5-turbo-instruct", prompt: "Once", max_tokens: 20 });
  const embedded = [];
  for (const more of [{}, { encoding_format: "float" }]) embedded.push(await one.embeddings.create({ model: "text-embedding-3-small", input: ["a", "b"], ...more }));
  expect(completed.choices[0].text && embedded[0].data.length === 2 && embedded[0].data[0].embedding.length > 2, "both are answered", [completed, embedded]);
  return [completed, ...embedded];
});

apart(async function errors_by_status(direct, through) {
  await byStatus(direct, through, [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529], (side) => chat(client(side)));
});

apart(async function errors_by_status_streamed(direct, through) {
  await byStatus(direct, through, [400, 429, 500, 503], (side) => chat(client(side), { stream: true }));
});

// What is no error object, and what is none of OpenAI's, is still thrown as it came.
alike(async function errors_of_any_shape(side) {
  const thrown = [];
  for (const body of ["<html><body>Bad Request</body></html>", { detail: "as FastAPI has it" }, { message: "flat", code: "x" }, { error: "just text" }, ""]) {
    await side.model.script({ status: 400, body, headers: { "x-request-id": "req_1" } });
    thrown.push(await tried(() => chat(client(side))));
  }
  expect(thrown.every((error) => error.raised === "BadRequestError" && error.requestID === "req_1"), "all are thrown", thrown);
  return thrown;
});

// After the first token nobody may try again: the model's own words are what is thrown.
alike(async function error_event_mid_stream(side) {
  await side.model.script({ error_event: { after: 4, type: "server_error", message: "It broke.", code: "engine_gone" } });
  const read = await chunks(chat(client(side), { stream: true }));
  expect(read.ending.raised === "APIError" && read.ending.code === "engine_gone" && read.chunks.length, "the event is thrown after the words", read);
  return read;
});

// A failure before each answer: directly each one is thrown, through Pillion none.
apart(async function survives_failures(direct, through) {
  const faults = [{ status: 500 }, { status: 429, headers: { "retry-after-ms": "20" } }, { status: 503 }, { error_event: { message: "Overloaded." } }];
  const answers = ["The plan.", "A draft.", "A critique.", "The end."].map((text) => ({ text }));
  for (const fault of faults) {
    await direct.model.script(fault);
    const read = await tried(() => chunks(chat(client(direct), { stream: true })));
    expect((read.ending ?? read) !== "ended", `directly it is thrown: ${JSON.stringify(fault)}`, read);
  }
  await direct.model.script(...answers);
  await through.model.script(...faults.flatMap((fault, place) => [fault, answers[place]]));
  const runs = [[], []];
  for (const [run, side] of [direct, through].entries()) {
    for (const { text } of answers) {
      const read = await chunks(chat(client(side), { stream: true }));
      expect(read.ending === "ended" && words(read) === text, `${side.name}: it is answered`, read);
      runs[run].push(words(read));
    }
  }
  same(...runs, "the answers");
  same((await direct.since(faults.length)).flatMap((request) => [request, request]), await through.since(), "every request, once more after its fault");
});

// The SDK's own two retries make three requests directly; with Pillion's there are three in all, and the same exception.
apart(async function retries_do_not_multiply(direct, through) {
  const thrown = [];
  for (const side of [direct, through]) {
    await side.model.script({ status: 503, headers: { "retry-after-ms": "1" }, times: -1 });
    thrown.push(await tried(() => chat(client(side, { maxRetries: 2 }))));
    expect((await side.since()).length === 3, `${side.name}: three requests in all`, thrown);
  }
  expect(thrown[0].raised === "InternalServerError", "the status is thrown", thrown);
  same(...thrown, "the exception");
});

// The user aborts while there is no head, and in the middle of a stream: the model is let go at once, on both sides.
apart(async function aborted(direct, through) {
  for (const side of [direct, through]) {
    const unanswered = new AbortController();
    await side.model.script({ stall: { at: "head" } }, { stall: { at: "mid", after: 4 } });
    const asking = tried(() => chat(client(side), {}, { signal: unanswered.signal }));
    while ((await side.model.requests()).length < 1) await pause(5);
    unanswered.abort();
    const thrown = await asking;
    expect(thrown.raised === "APIUserAbortError", `${side.name}: it is the user's own abort`, thrown);
    expect((await side.model.ended()).end === "gone", `${side.name}: the model is let go`, await side.model.ended());

    const stream = await chat(client(side), { stream: true });
    const read = [];
    for await (const chunk of stream) {
      read.push(chunk);
      if (read.length === 4) stream.controller.abort();
    }
    expect(read.length === 4, `${side.name}: an aborted stream ends there`, read);
    const last = await side.model.ended();
    expect(last.end === "gone" && (await side.since()).length === 2, `${side.name}: the model is let go, and not asked again`, last);
  }
});

// A limit of its own, which it tells only where it is given with the request. Directly a bare timeout; through Pillion a 504 in words, not retried by the SDK.
apart(async function stalls_are_answered_before_the_agents_own_limit(direct, through) {
  for (const at of ["head", "first_token"]) {
    for (const side of [direct, through]) {
      const mark = (await side.since()).length;
      await side.model.script({ stall: { at }, times: -1 });
      const limits = side === direct ? { timeout: 500, maxRetries: 0, signal: AbortSignal.timeout(2000) } : { timeout: 2000, maxRetries: 2 };
      const read = await tried(() => chunks(chat(client(side), { stream: true }, limits)));
      const thrown = read.ending ?? read;
      if (side === direct) {
        // Its timer stops at the head: a stream that has one and no token hangs until its user's own patience ends.
        expect(at === "first_token" || thrown.raised === "APIConnectionTimeoutError", "directly it is a bare timeout, or none", thrown);
        expect(at === "head" || (await direct.model.ended()).lasted_ms > 1500, "directly nobody hears of a stall behind the head", await direct.model.ended());
        continue;
      }
      expect(thrown.raised === "InternalServerError" && thrown.status === 504 && thrown.code === "timeout_agent", "it is a 504", thrown);
      expect(thrown.text.includes("the agent's own timeout") && thrown.text.includes("Raise the timeout"), "with the clock, and what to change", thrown);
      expect((await through.model.ended()).lasted_ms < 2000, "it comes before the agent's own limit", await through.model.ended());
      expect((await through.since(mark)).length === 1, "a clock that fires is not retried", await through.since(mark));
    }
  }
});

// Pillion is started with `timeouts.idle: 1s`. The SDK has no clock for a stream that falls silent: directly its user would wait for ever.
apart(async function a_stall_in_mid_stream_is_told_by_pillions_idle_clock(direct, through) {
  for (const side of [direct, through]) {
    await side.model.script({ stall: { at: "mid", after: 4 } });
    const read = await tried(() => chunks(chat(client(side), { stream: true }, { timeout: 500, signal: AbortSignal.timeout(2500) })));
    expect(read.chunks.length === 4, `${side.name}: what came is given on`, read);
    const { lasted_ms: lasted } = await side.model.ended();
    if (side === direct) {
      expect(lasted > 2000, "directly only its user's own patience ends it", lasted);
      continue;
    }
    expect(read.ending.raised === "APIError" && read.ending.text.includes("in the middle of this stream"), "it says where and why", read.ending);
    expect(lasted < 2500, "it ends by Pillion's clock", lasted);
  }
});

// `fin`, `rst`, and the clean end without `[DONE]` that clients take for the whole answer.
apart(async function a_cut_stream_is_never_a_short_answer(direct, through) {
  for (const how of ["fin", "rst", "clean"]) {
    const read = [];
    for (const side of [direct, through]) {
      await side.model.script({ cut: { at: "mid", after: 5, how } });
      read.push(await chunks(chat(client(side), { stream: true })));
    }
    same(read[0].chunks, read[1].chunks, `the chunks before the cut (${how})`);
    expect(read[1].chunks.length === 5, "all that came is given on", read[1]);
    expect((read[0].ending === "ended") === (how === "clean"), "the client alone takes a clean end for the whole answer", read[0].ending);
    expect(read[1].ending.raised === "APIError" && read[1].ending.text.includes("ended this stream before it was complete"), `through Pillion it throws and says why (${how})`, read[1].ending);
  }
});

apart(async function a_cut_before_the_first_byte_is_tried_again_or_told(direct, through) {
  for (const [how, at] of [["fin", "request"], ["rst", "request"], ["rst", "connect"]]) {
    for (const side of [direct, through]) {
      await side.model.script({ cut: { at, how }, times: -1 });
      const thrown = await tried(() => chat(client(side)));
      if (side === direct) {
        expect(thrown.raised === "APIConnectionError", "directly the connection is lost", thrown);
      } else {
        expect(thrown.raised === "InternalServerError" && thrown.status === 502 && thrown.text.includes("Upstream") && thrown.code, "through Pillion it is a 502 in words", thrown);
      }
    }
  }
});

apart(async function half_a_body_is_no_answer(direct, through) {
  for (const side of [direct, through]) {
    await side.model.script({ cut: { at: "mid", how: "fin" }, times: -1 });
    const thrown = await tried(() => chat(client(side)));
    expect(thrown.raised, `${side.name}: it throws`, thrown);
  }
});

main();

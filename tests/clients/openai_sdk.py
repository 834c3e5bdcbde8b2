"""openai-python, side by side: whole replies, streams, tools, errors; and what is better through Pillion: stalls and cut streams."""

import asyncio

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from side_by_side import alike, apart, by_status, expect, main, same, told, tried

ASKED = [{"role": "system", "content": "You are a planner."}, {"role": "user", "name": "alice", "content": "How do tides come about? Ünïcödé ⛵"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALLS = [{"name": "get_weather", "arguments": {"city": "Paris"}}, {"name": "get_weather", "arguments": '{"city": "Ro'}]
USAGE = {"include_usage": True}


def client(side, path="/v1", agent=None, **options):
    return OpenAI(base_url=side.url(path, agent), api_key="sk-of-a-test", **{"max_retries": 0, **options})


def asynchronous(side, **options):
    return AsyncOpenAI(base_url=side.url("/v1"), api_key="sk-of-a-test", **{"max_retries": 0, **options})


def chat(client, **options):
    return client.chat.completions.create(**{"model": "gpt-4o-mini", "messages": ASKED, **options})


def chunks(stream):
    """All chunks of a stream, and how it ended."""
    got, ending = [], "ended"
    try:
        for chunk in stream:
            got.append(chunk.model_dump())
    except Exception as error:
        ending = told(error)
    return {"chunks": got, "ending": ending}


def words(read):
    return "".join(choice["delta"]["content"] or "" for chunk in read["chunks"] for choice in chunk["choices"])


@alike
def whole(side):
    one = client(side)
    side.model.script({}, {}, {"text": "Zwölf Boxkämpfer — 🥊\u2028\\u0000 \"quoted\""}, {"thinking": "Hm.", "text": "Yes."}, {"usage": "none", "text": "x"})
    answers = [chat(one).model_dump() for _ in range(5)]
    expect(answers[0]["usage"]["total_tokens"] > 0 and answers[4]["usage"] is None, "usage is there, and absent where it was", answers)
    several = chat(one, n=2, max_tokens=5, temperature=0.3, seed=7, user="u-1", metadata={"run": "r1"}).model_dump()
    expect([choice["finish_reason"] for choice in several["choices"]] == ["length", "length"], "a short limit is told", several)
    return [*answers, several]


@alike
def reply_headers(side):
    """All headers of a reply but those of the hop, the date, and the three that Pillion adds."""
    side.model.script({"headers": ["X-RateLimit-Remaining-Requests: 59", "Set-Cookie: a=1", "Set-Cookie: b=2", "X-Odd: ä, \"b\""]})
    raw = client(side).chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=ASKED)
    added = [name for name in raw.headers if name in ("via", "x-pillion-exchange", "x-pillion-attempts")]
    expect(len(added) == (3 if side.name == "through" else 0), "Pillion's headers are Pillion's", dict(raw.headers))
    hop = ("connection", "transfer-encoding", "date", *added)
    return {"headers": [pair for pair in raw.headers.multi_items() if pair[0] not in hop], "text": raw.text, "id": raw.parse().id}


@alike
def streamed(side):
    one = client(side)
    side.model.script({}, {}, {"thinking": "Hm.", "text": "Yes."}, {"no_done": True}, {"usage": {"completion_tokens": 4}})
    read = [chunks(chat(one, stream=True)) for _ in range(2)]
    read += [chunks(chat(one, stream=True, stream_options=USAGE)) for _ in range(3)]
    expect(all(one["ending"] == "ended" and one["chunks"] for one in read), "every stream is read to its end", read)
    expect(read[0]["chunks"][-1]["usage"] is None and read[2]["chunks"][-1]["usage"]["total_tokens"] > 0, "usage is there where it was asked for", read)
    return read


@alike
def framed_oddly(side):
    """However a reply is framed and however slowly it comes, its content is the same."""
    one = client(side)
    steps = [{"text": "Böxe 🥊, byte by byte.", "slow": {"byte_by_byte": "50us"}}, {"chunked": False}, {"chunked": "close"}, {"big": {"bytes": 300_000, "events": 60}}, {"close_after": True}]
    got = []
    for step in steps:
        side.model.script(step, {**step, "chunked": step.get("chunked", True)})
        got += [chunks(chat(one, stream=True)), chat(one).model_dump()]
    expect(all(read["ending"] == "ended" for read in got[::2]), "every stream is read to its end", got[::2])
    expect(len(words(got[6])) == 300_000, "all of a large reply comes", len(words(got[6])))
    return got


@alike
def tools(side):
    """Two calls at once, one with broken arguments; their results; the answer."""
    one = client(side)
    side.model.script({"tools": CALLS, "text": "I will look."}, {"text": "Both sunny."})
    asked = chat(one, tools=[WEATHER], parallel_tool_calls=True).choices[0].message
    expect([call.function.arguments for call in asked.tool_calls] == ['{"city":"Paris"}', '{"city": "Ro'], "arguments are as they were", asked.model_dump())
    results = [{"role": "tool", "tool_call_id": call.id, "content": f"sunny {place}"} for place, call in enumerate(asked.tool_calls)]
    answer = chat(one, messages=[*ASKED, asked.model_dump(exclude_none=True), *results], tools=[WEATHER])
    own = chat(one, tools=[WEATHER], tool_choice="required")
    expect(own.choices[0].finish_reason == "tool_calls", "an unscripted model calls what it must", own.model_dump())
    return [asked.model_dump(), answer.model_dump(), own.model_dump()]


@alike
def tools_streamed(side):
    one = client(side)
    side.model.script({"tools": CALLS}, {"tools": CALLS, "text": "I will look."})
    read = [chunks(chat(one, tools=[WEATHER], stream=True, stream_options=USAGE)) for _ in range(2)]
    deltas = [call for chunk in read[0]["chunks"] for choice in chunk["choices"] for call in choice["delta"]["tool_calls"] or []]
    expect({call["index"] for call in deltas} == {0, 1} and read[0]["ending"] == "ended", "both calls come in deltas", deltas)
    with one.chat.completions.stream(model="gpt-4o-mini", messages=ASKED, tools=[WEATHER]) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion().model_dump()
    return [*read, events, final]


@alike
def parsed(side):
    class Plan(BaseModel):
        title: str
        steps: list[str]

    answer = client(side).chat.completions.parse(model="gpt-4o-mini", messages=ASKED, response_format=Plan)
    expect(isinstance(answer.choices[0].message.parsed, Plan), "the answer fits the schema", answer.model_dump())
    return [answer.choices[0].message.content, answer.usage.model_dump(), repr(answer.choices[0].message.parsed)]


@alike
def named_and_limited(side):
    """An agent's name in the path is Pillion's to read; every other header, query and field is the model's."""
    one = client(side, agent="planner", default_headers={"X-Team": "tides", "X-Empty": ""}, timeout=42)
    return [
        chat(one, extra_headers={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, timeout=7.5).model_dump(),
        chat(one.with_options(timeout=None), extra_query={"api-version": "2024 10", "a": "ä/b"}, extra_body={"x_own": [1, None]}).model_dump(),
        [model.model_dump() for model in one.models.list().data],
    ]


@alike
async def many_at_once(side):
    """Ten asynchronous calls at a time, whole and streamed, each with its own answer."""
    side.unordered = True

    async def ask(one, number):
        asked = [{"role": "user", "content": f"Question {number}"}]
        if number % 2:
            answer = await chat(one, messages=asked)
            return [answer.choices[0].message.content, answer.usage.model_dump()]
        return ["".join([chunk.choices[0].delta.content or "" async for chunk in await chat(one, messages=asked, stream=True)])]

    async with asynchronous(side) as one:
        answers = await asyncio.gather(*(ask(one, number) for number in range(10)))
    expect(len({answer[0] for answer in answers}) == 10, "every question has an answer of its own", answers)
    return answers


@apart
async def errors_by_status(direct, through):
    await by_status(direct, through, [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529], lambda side: chat(client(side)))


@apart
async def errors_by_status_streamed(direct, through):
    await by_status(direct, through, [400, 429, 500, 503], lambda side: chunks(chat(client(side), stream=True)))


@alike
async def errors_of_any_shape(side):
    """What is no error object, and what is none of OpenAI's, is still raised as it came."""
    bodies = ["<html><body>Bad Request</body></html>", {"detail": "as FastAPI has it"}, {"message": "flat", "code": "x"}, {"error": "just text"}, ""]
    bodies.append({"error": {"message": "This model's maximum context length is 10 tokens.", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}})
    raised = []
    for body in bodies:
        side.model.script({"status": 400, "body": body, "headers": {"x-request-id": "req_1"}})
        raised.append(await tried(lambda: chat(client(side))))
    expect(all(error["raised"].endswith("BadRequestError") for error in raised), "all are raised", raised)
    expect(raised[-1]["code"] == "context_length_exceeded", "a code is kept", raised[-1])
    return raised


@alike
def error_event_mid_stream(side):
    """After the first token nobody may try again: the model's own words are what is raised."""
    side.model.script({"error_event": {"after": 4, "type": "server_error", "message": "It broke.", "code": "engine_gone"}})
    read = chunks(chat(client(side), stream=True))
    expect(read["ending"] != "ended" and read["ending"]["code"] == "engine_gone" and read["chunks"], "the event is raised after the words", read)
    return read


@apart
def retries_do_not_multiply(direct, through):
    """The SDK's own two retries make three requests directly; with Pillion's there are three in all, and the same exception."""
    raised = []
    for side in (direct, through):
        side.model.script({"status": 503, "headers": {"retry-after-ms": "1"}, "times": -1})
        try:
            chat(client(side, max_retries=2))
        except openai.InternalServerError as error:
            raised.append(told(error))
        expect(len(side.since()) == 3, f"{side.name}: three requests in all", len(side.since()))
    same(*raised, "the exception")


@apart
async def stalls_are_answered_before_the_agents_own_limit(direct, through):
    """Directly a bare timeout; through Pillion a 504 in words, not retried by the SDK."""

    async def ask(side, stream, **options):
        one = client(side, **options)
        raised = await tried(lambda: chunks(chat(one, stream=True)) if stream else chat(one))
        return raised.get("ending", raised)

    for stream, at in ((False, "head"), (True, "head"), (True, "first_token")):
        direct.model.script({"stall": {"at": at}, "times": -1})
        raised = await ask(direct, stream, timeout=0.5)
        expect(raised["raised"] in ("openai.APITimeoutError", "openai.APIConnectionError"), "directly it is a bare timeout", raised)
        mark = len(through.since())
        through.model.script({"stall": {"at": at}, "times": -1})
        raised = await ask(through, stream, timeout=2, max_retries=2)
        expect((raised["raised"], raised["status_code"], raised["code"]) == ("openai.InternalServerError", 504, "timeout_agent"), "it is a 504", raised)
        expect(raised["type"] == "timeout" and "agent's own timeout" in raised["text"] and "Raise" in raised["text"], "with the clock, and what to change", raised)
        expect(through.model.ended_after() < 2, "it comes before the agent's own limit", through.model.ended_after())
        expect(len(through.since(mark)) == 1, "a clock that fires is not retried", through.since(mark))


@apart
async def a_stall_in_mid_stream_is_raised_with_its_words(direct, through):
    for side in (direct, through):
        side.model.script({"stall": {"at": "mid", "after": 4}})
        read = chunks(chat(client(side, timeout=2), stream=True))
        expect(len(read["chunks"]) == 4 and read["ending"] != "ended", f"{side.name}: four chunks and an exception", read)
    expect(read["ending"]["raised"] == "openai.APIError" and "in the middle of this stream" in read["ending"]["text"], "it says where and why", read)


@apart
def a_cut_stream_is_never_a_short_answer(direct, through):
    """`fin`, `rst`, and the clean end without `[DONE]` that clients take for the whole answer."""
    for how in ("fin", "rst", "clean"):
        read = []
        for side in (direct, through):
            side.model.script({"cut": {"at": "mid", "after": 5, "how": how}})
            read.append(chunks(chat(client(side), stream=True)))
        same(read[0]["chunks"], read[1]["chunks"], f"the chunks before the cut ({how})")
        expect(len(read[1]["chunks"]) == 5, "all that came is given on", read[1])
        expect((read[0]["ending"] == "ended") == (how == "clean"), "the client alone takes a clean end for the whole answer", read[0]["ending"])
        expect(read[1]["ending"] != "ended" and read[1]["ending"]["raised"] in ("openai.APIError", "openai.APIConnectionError"), f"through Pillion it raises ({how})", read[1])
        if how == "clean":
            expect("ended this stream before it was complete" in read[1]["ending"]["text"], "and says why", read[1]["ending"])


@apart
async def a_cut_before_the_first_byte_is_tried_again_or_told(direct, through):
    for how, at in (("fin", "request"), ("rst", "request"), ("rst", "connect")):
        for side in (direct, through):
            side.model.script({"cut": {"at": at, "how": how}, "times": -1})
            raised = await tried(lambda side=side: chat(client(side)))
            if side is direct:
                expect(raised["raised"] == "openai.APIConnectionError", "directly the connection is lost", raised)
            else:
                expect((raised["raised"], raised["status_code"]) == ("openai.InternalServerError", 502), "through Pillion it is a 502", raised)
                expect("Upstream" in raised["text"] and raised["code"], "in words", raised)


@apart
async def half_a_body_is_no_answer(direct, through):
    for side in (direct, through):
        side.model.script({"cut": {"at": "mid", "how": "fin"}, "times": -1})
        raised = await tried(lambda side=side: chat(client(side)))
        expect(raised["raised"] == "openai.APIConnectionError", f"{side.name}: it raises", raised)


if __name__ == "__main__":
    main()

"""anthropic (the Python SDK), side by side: whole replies, streams, tools, errors; and what is better through Pillion."""

import asyncio

from anthropic import Anthropic, AsyncAnthropic

from side_by_side import alike, apart, by_status, expect, main, same, told, tried

ASKED = [{"role": "user", "content": [{"type": "text", "text": "How do tides come about? Ünïcödé ⛵"}]}]
WEATHER = {"name": "get_weather", "description": "Weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
CALLS = [{"name": "get_weather", "arguments": {"city": "Paris"}}, {"name": "get_weather", "arguments": {"city": "Rome"}}]
ERRORS = [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529]


def client(side, path="", agent=None, **options):
    return Anthropic(base_url=side.url(path, agent), api_key="sk-ant-of-a-test", **{"max_retries": 0, **options})


def message(client, **options):
    return client.messages.create(**{"model": "claude-of-a-test", "max_tokens": 256, "messages": ASKED, **options})


def events(stream):
    """All events of a stream, and how it ended."""
    got, ending = [], "ended"
    try:
        for event in stream:
            got.append(event.model_dump())
    except Exception as error:
        ending = told(error)
    return {"events": got, "ending": ending}


@alike
def whole(side):
    one = client(side, agent="planner", default_headers={"X-Team": "tides"})
    side.model.script({}, {"text": "Zwölf Boxkämpfer — 🥊"}, {"thinking": "Hm.", "text": "Yes."})
    answers = [message(one, system="You are a planner.", metadata={"user_id": "u-1"}).model_dump() for _ in range(3)]
    short = message(one, max_tokens=3, timeout=7.5).model_dump()
    expect(short["stop_reason"] == "max_tokens" and answers[0]["usage"]["output_tokens"] > 0, "limits and usage are told", [answers, short])
    counted = one.messages.count_tokens(model="claude-of-a-test", messages=ASKED).model_dump()
    return [*answers, short, counted]


@alike
def streamed(side):
    one = client(side)
    side.model.script({}, {}, {"thinking": "Hm.", "text": "Yes."}, {"slow": {"byte_by_byte": "50us"}}, {"chunked": "close"})
    read = [events(message(one, stream=True)) for _ in range(5)]
    expect(all(one["ending"] == "ended" and one["events"][-1]["type"] == "message_stop" for one in read), "every stream is read to its end", read)
    with one.messages.stream(model="claude-of-a-test", max_tokens=256, messages=ASKED) as stream:
        pieces = list(stream.text_stream)
        return [*read, pieces, stream.get_final_message().model_dump()]


@alike
def tools(side):
    """Two calls at once; their results, one of them an error; the answer."""
    one = client(side)
    side.model.script({"tools": CALLS, "text": "Let me look."}, {"text": "Paris is sunny."})
    asked = message(one, tools=[WEATHER])
    calls = [block for block in asked.content if block.type == "tool_use"]
    expect([call.input for call in calls] == [{"city": "Paris"}, {"city": "Rome"}], "both calls come", asked.model_dump())
    results = [{"type": "tool_result", "tool_use_id": calls[0].id, "content": "sunny"}]
    results.append({"type": "tool_result", "tool_use_id": calls[1].id, "content": "no data", "is_error": True})
    turns = [*ASKED, {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in asked.content]}, {"role": "user", "content": results}]
    return [asked.model_dump(), message(one, tools=[WEATHER], messages=turns).model_dump()]


@alike
def tools_streamed(side):
    one = client(side)
    side.model.script({"tools": CALLS}, {"tools": CALLS, "text": "Let me look."})
    read = events(message(one, tools=[WEATHER], stream=True))
    with one.messages.stream(model="claude-of-a-test", max_tokens=256, messages=ASKED, tools=[WEATHER]) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message().model_dump()
    expect([block["type"] for block in final["content"]] == ["text", "tool_use", "tool_use"], "words and both calls come", final)
    return [read, kinds, final]


@alike
async def many_at_once(side):
    side.unordered = True

    async def ask(one, number):
        asked = [{"role": "user", "content": f"Question {number}"}]
        if number % 2:
            return (await message(one, messages=asked)).content[0].text
        stream = await message(one, messages=asked, stream=True)
        return "".join([event.delta.text async for event in stream if event.type == "content_block_delta"])

    async with AsyncAnthropic(base_url=side.url(), api_key="sk-ant-of-a-test", max_retries=0) as one:
        answers = await asyncio.gather(*(ask(one, number) for number in range(8)))
    expect(len(set(answers)) == 8, "every question has an answer of its own", answers)
    return answers


@apart
async def errors_by_status(direct, through):
    await by_status(direct, through, ERRORS, lambda side: message(client(side)))


@alike
def error_event_mid_stream(side):
    side.model.script({"error_event": {"after": 5, "type": "overloaded_error", "message": "Overloaded"}})
    read = events(message(client(side), stream=True))
    expect(read["ending"] != "ended" and "verloaded" in read["ending"]["text"] and len(read["events"]) > 2, "the event is raised after the words", read)
    return read


@apart
async def stalls_are_answered_before_the_agents_own_limit(direct, through):
    """Directly a bare timeout; through Pillion a 504 in words and in Anthropic's own shape, not retried by the SDK."""

    async def ask(side, stream, **options):
        one = client(side, **options)
        raised = await tried(lambda: events(message(one, stream=True)) if stream else message(one))
        return raised.get("ending", raised)

    for stream, at in ((False, "head"), (True, "first_token")):
        direct.model.script({"stall": {"at": at}, "times": -1})
        raised = await ask(direct, stream, timeout=0.5)
        expect("504" not in raised["text"] and raised["status_code"] is None, "directly it is a bare timeout", raised)
        mark = len(through.since())
        through.model.script({"stall": {"at": at}, "times": -1})
        raised = await ask(through, stream, timeout=2, max_retries=2)
        expect((raised["raised"], raised["status_code"]) == ("anthropic.GatewayTimeoutError", 504), "it is a 504", raised)
        expect(raised["body"]["error"]["type"] == "timeout_error", "in Anthropic's own shape", raised)
        expect("agent's own timeout" in raised["text"] and "Raise" in raised["text"], "with the clock, and what to change", raised)
        expect(through.model.ended_after() < 2, "it comes before the agent's own limit", through.model.ended_after())
        expect(len(through.since(mark)) == 1, "a clock that fires is not retried", through.since(mark))


@apart
def a_cut_stream_is_never_a_short_answer(direct, through):
    for how in ("fin", "rst", "clean"):
        read = []
        for side in (direct, through):
            side.model.script({"cut": {"at": "mid", "after": 5, "how": how}})
            read.append(events(message(client(side), stream=True)))
        same(read[0]["events"], read[1]["events"], f"the events before the cut ({how})")
        expect((read[0]["ending"] == "ended") == (how == "clean"), "the client alone takes a clean end for the whole answer", read[0]["ending"])
        expect(read[1]["ending"] != "ended", f"through Pillion it raises ({how})", read[1])
        if how == "clean":
            expect("ended this stream before it was complete" in read[1]["ending"]["text"], "and says why", read[1]["ending"])


if __name__ == "__main__":
    main()

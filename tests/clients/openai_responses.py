"""openai-python's other dialects, side by side: Responses, whole and streamed, with tools; the old completions; embeddings."""

from pydantic import BaseModel

from openai_sdk import CALLS, WEATHER, chunks, client
from side_by_side import SCENARIOS, alike, apart, by_status, expect, main, same, tried

# What the module of chat completions has registered is played there.
SCENARIOS.clear()


@alike
def responses(side):
    """The Responses API: whole, with a tool called and answered, and parsed."""
    class Plan(BaseModel):
        title: str

    one = client(side)
    side.model.script({"text": "Hello."}, {"tools": CALLS, "text": "I will look."}, {"text": "Both sunny."})
    tool = {"type": "function", "name": "get_weather", "parameters": WEATHER["function"]["parameters"], "strict": False}
    asked = {"model": "gpt-4o-mini", "instructions": "You are a planner.", "tools": [tool]}
    first = one.responses.create(**asked, input="Weather? Ünïcödé ⛵")
    second = one.responses.create(**asked, input="Weather?")
    calls = [item for item in second.output if item.type == "function_call"]
    expect(first.output_text == "Hello." and [call.arguments for call in calls] == ['{"city":"Paris"}', '{"city": "Ro'], "arguments are as they were", second.model_dump())
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls]
    third = one.responses.create(**asked, input=[{"role": "user", "content": "Weather?"}, *(call.to_dict() for call in calls), *results])
    fourth = one.responses.parse(model="gpt-4o-mini", input="A plan.", text_format=Plan)
    expect(third.output_text == "Both sunny." and isinstance(fourth.output_parsed, Plan), "the results go back; an answer fits the schema", [third.model_dump(), fourth.output_text])
    return [answer.model_dump() for answer in (first, second, third)] + [fourth.output_text]


@alike
def responses_streamed(side):
    """Every event of them, by hand and gathered by the SDK."""
    one = client(side)
    side.model.script({}, {"thinking": "Hm.", "text": "Yes."}, {"tools": CALLS}, {"text": "Done."})
    read = [chunks(one.responses.create(model="gpt-4o-mini", input="How?", stream=True)) for _ in range(3)]
    expect(all(each["ending"] == "ended" and each["chunks"][-1]["type"] == "response.completed" for each in read), "every stream is read to its end", read)
    with one.responses.stream(model="gpt-4o-mini", input="How?") as stream:
        events = [event.type for event in stream]
        final = stream.get_final_response()
    expect(final.output_text == "Done." and "response.output_text.delta" in events, "it comes in pieces", events)
    return [*read, events, final.model_dump()]


@alike
def completed_and_embedded(side):
    """The old completions, and embeddings both as base64, which the SDK asks for by itself, and as numbers."""
    one = client(side)
    completed = one.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once", max_tokens=20)
    read = chunks(one.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once", stream=True))
    expect(completed.choices[0].text and len(read["chunks"]) > 2 and read["ending"] == "ended", "it goes on, whole and in pieces", [completed.model_dump(), read])
    embedded = [one.embeddings.create(model="text-embedding-3-small", input=["a", "b"], **more) for more in ({}, {"encoding_format": "float"})]
    expect(len(embedded[0].data) == 2 and len(embedded[0].data[0].embedding) > 2, "every input is embedded", len(embedded[0].data))
    return [completed.model_dump(), read, *(answer.model_dump() for answer in embedded)]


@apart
async def errors_by_status(direct, through):
    asks = [
        lambda side: client(side).responses.create(model="gpt-4o-mini", input="How?"),
        lambda side: client(side).embeddings.create(model="text-embedding-3-small", input="a"),
    ]
    for ask in asks:
        await by_status(direct, through, [400, 401, 404, 429, 500, 503], ask)


@alike
def error_event_mid_stream(side):
    """The SDK gives this event to its user like any other, or raises it: as the model told it, on both sides."""
    side.model.script({"error_event": {"after": 6, "type": "server_error", "message": "It broke.", "code": "engine_gone"}})
    read = chunks(client(side).responses.create(model="gpt-4o-mini", input="How?", stream=True))
    expect(len(read["chunks"]) >= 6 and "It broke." in str(read["chunks"][6:]) + str(read["ending"]), "the event comes after the words", read)
    return read


@apart
async def stalls_are_answered_before_the_agents_own_limit(direct, through):
    """Directly a bare timeout; through Pillion a 504 in words, not retried by the SDK."""
    for stream, at in ((False, "head"), (True, "first_token")):
        for side in (direct, through):
            mark = len(side.since())
            side.model.script({"stall": {"at": at}, "times": -1})
            one = client(side, **({"timeout": 0.5} if side is direct else {"timeout": 2, "max_retries": 2}))
            asked = {"model": "gpt-4o-mini", "input": "How?"}
            raised = await tried(lambda one=one, stream=stream, asked=asked: chunks(one.responses.create(**asked, stream=True)) if stream else one.responses.create(**asked))
            raised = raised.get("ending", raised)
            if side is direct:
                expect(raised["raised"] in ("openai.APITimeoutError", "openai.APIConnectionError"), "directly it is a bare timeout", raised)
                continue
            expect((raised["raised"], raised["status_code"], raised["code"]) == ("openai.InternalServerError", 504, "timeout_agent"), "it is a 504", raised)
            expect("agent's own timeout" in raised["text"] and "Raise" in raised["text"], "with the clock, and what to change", raised)
            expect(side.model.ended_after() < 2 and len(side.since(mark)) == 1, "in time, and not retried", side.since(mark))


@apart
def a_cut_stream_is_never_a_short_answer(direct, through):
    """A part without `response.completed` passes for an end, where nobody looks for that event."""
    for how in ("fin", "rst", "clean"):
        read = []
        for side in (direct, through):
            side.model.script({"cut": {"at": "mid", "after": 6, "how": how}})
            read.append(chunks(client(side).responses.create(model="gpt-4o-mini", input="How?", stream=True)))
        same(read[0]["chunks"], read[1]["chunks"][:6], f"the events before the cut ({how})")
        expect((read[0]["ending"] == "ended") == (how == "clean"), "the client alone takes a clean end for the whole answer", read[0]["ending"])
        expect("ended this stream before it was complete" in str(read[1]["chunks"][6:]) + str(read[1]["ending"]), f"through Pillion it is told ({how})", read[1])


if __name__ == "__main__":
    main()

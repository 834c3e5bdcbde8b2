"""openai-agents, side by side: agents with tools, handoffs and agents as tools, on the Responses API and on chat completions, streamed and
not; and what is better through Pillion: failures, stalls and cut streams."""

import logging

from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
from pydantic import BaseModel

from side_by_side import alike, apart, by_status, expect, main, same, told, tried

logging.disable(logging.CRITICAL)
set_tracing_disabled(True)

CALLS = [{"name": "get_weather", "arguments": {"city": "Paris"}, "id": "call_1"}, {"name": "get_weather", "arguments": {"city": "Rome"}, "id": "call_2"}]
KINDS = {"responses": OpenAIResponsesModel, "chat": OpenAIChatCompletionsModel}
WHOLE = "The tide rises twice a day, nearly."


@function_tool
def get_weather(city: str) -> str:
    """Weather of a city."""
    if city == "Rome":
        raise RuntimeError("no data for Rome")
    return f"{city}: sunny"


def model(side, kind="responses", agent=None, **options):
    client = AsyncOpenAI(base_url=side.url("/v1", agent), api_key="sk-of-a-test", **{"max_retries": 0, **options})
    return KINDS[kind](model="gpt-4o-mini", openai_client=client)


def agent(side, name="planner", kind="responses", options=None, **more):
    return Agent(name, **{"instructions": f"You are the {name}.", "model": model(side, kind, **(options or {})), **more})


def outcome_of(result):
    """What a run came to: the answer, by whom, all that was said, and what it cost."""
    usage = result.context_wrapper.usage
    return {"answer": result.final_output, "by": result.last_agent.name, "said": result.to_input_list(), "usage": [usage.requests, usage.input_tokens, usage.output_tokens]}


async def run(starting, task="Write about tides."):
    return outcome_of(await Runner.run(starting, task))


async def stream(starting, task="Write about tides."):
    """The events of a run, and what it came to."""
    running, events = Runner.run_streamed(starting, task), []
    async for event in running.stream_events():
        if event.type != "raw_response_event":
            events.append(event.type)
            continue
        events.append(event.data.model_dump(exclude_none=True))
        if events[-1].get("response", {}).get("id") == "__fake_id__":  # Of its own making, from a chat: so is its time.
            del events[-1]["response"]["created_at"]
    return {"events": events, **outcome_of(running)}


@alike
async def whole(side):
    """One agent, on both of OpenAI's dialects; named in its path."""
    outcomes = [await run(agent(side, kind=kind, options={"agent": "planner"})) for kind in KINDS]
    expect(all(outcome["answer"] and outcome["usage"][1] > 0 for outcome in outcomes), "it answers, with usage", outcomes)
    expect([request["target"] for request in side.since()] == ["/v1/responses", "/v1/chat/completions"], "in both dialects", side.since())
    return outcomes


@alike
async def streamed(side):
    """On chat completions with usage asked for, which it does not do by itself."""
    side.model.script({"text": WHOLE}, {"text": WHOLE}, {"thinking": "Hm.", "text": "Yes."})
    asked = {"model_settings": ModelSettings(include_usage=True)}
    outcomes = [await stream(agent(side)), await stream(agent(side, kind="chat", **asked)), await stream(agent(side))]
    expect([outcome["answer"] for outcome in outcomes] == [WHOLE, WHOLE, "Yes."], "every stream is read to its end", outcomes)
    expect(all(len(outcome["events"]) > 4 and outcome["usage"][1] > 0 for outcome in outcomes), "in pieces, with usage", outcomes)
    return outcomes


@alike
async def tools(side):
    """Two calls at once, of which one raises; their results; the answer."""
    outcomes = []
    for kind in KINDS:
        side.model.script({"tools": CALLS, "text": "I will look."}, {"text": "One of two."})
        outcomes.append(await run(agent(side, kind=kind, tools=[get_weather])))
        told_back = side.since()[-1]["body"]
        expect(outcomes[-1]["answer"] == "One of two." and "Paris: sunny" in told_back and "An error occurred" in told_back, "each result is told", told_back)
    return outcomes


@alike
async def tools_streamed(side):
    outcomes = []
    for kind in KINDS:
        side.model.script({"tools": CALLS}, {"text": "One of two."})
        outcomes.append(await stream(agent(side, kind=kind, tools=[get_weather])))
        expect(outcomes[-1]["answer"] == "One of two." and len(side.since()) == 2 * len(outcomes), "the results go back", outcomes[-1])
    return outcomes


@alike
async def tools_on_its_own(side):
    """No script: the simulated model calls the tool and answers by itself."""
    outcome = await run(agent(side, tools=[get_weather], model_settings=ModelSettings(tool_choice="required")))
    expect("function_call" in str(outcome["said"]) and outcome["answer"], "the tool is called, and it answers", outcome)
    return outcome


def triage(side, kind):
    side.model.script({"tools": [{"name": "transfer_to_billing_agent", "arguments": {}, "id": "call_1"}]}, {"text": "Billed."})
    return agent(side, "Triage", kind, handoffs=[agent(side, "Billing Agent", kind, handoff_description="Bills")])


@alike
async def handoff(side):
    outcomes = [await run(triage(side, kind), "My bill?") for kind in KINDS]
    expect([(outcome["by"], outcome["answer"]) for outcome in outcomes] == [("Billing Agent", "Billed.")] * 2, "the other takes over", outcomes)
    return outcomes


@alike
async def handoff_streamed(side):
    outcome = await stream(triage(side, "responses"), "My bill?")
    expect("agent_updated_stream_event" in outcome["events"] and outcome["answer"] == "Billed.", "the other takes over", outcome)
    return outcome


@alike
async def agent_as_tool(side):
    side.model.script({"tools": [{"name": "research", "arguments": {"input": "tides"}, "id": "call_1"}]}, {"text": "The moon does it."}, {"text": "Final."})
    researcher = agent(side, "researcher").as_tool("research", "Researches a thing")
    outcome = await run(agent(side, tools=[researcher]))
    expect(outcome["answer"] == "Final." and "The moon does it." in side.since()[2]["body"], "the inner answer is the tool's result", outcome)
    return outcome


@alike
async def conversation(side):
    """A second question that carries the first answer."""
    one = agent(side)
    first = await Runner.run(one, "Hello.")
    second = await run(one, first.to_input_list() + [{"role": "user", "content": "And again?"}])
    expect(second["answer"] and len(second["said"]) == 4, "it remembers", second)
    return second


@alike
async def parsed(side):
    class Plan(BaseModel):
        title: str
        steps: list[str]

    outcome = await run(agent(side, output_type=Plan))
    expect(isinstance(outcome["answer"], Plan), "the answer fits the schema", outcome)
    return {**outcome, "answer": outcome["answer"].model_dump()}


@apart
async def errors_by_status(direct, through):
    await by_status(direct, through, [400, 401, 403, 404, 422, 429, 500, 503], lambda side: run(agent(side)))


@apart
async def survives_failures(direct, through):
    """Before each answer a fault: directly each one ends the run; through Pillion it is the run of a good day."""
    faults = [{"status": 500}, {"status": 429, "headers": {"retry-after-ms": "20"}}, {"status": 503}]
    answers = [{"tools": CALLS[:1]}, {"tools": [{"name": "transfer_to_writer", "arguments": {}, "id": "call_3"}]}, {"text": "A draft."}]

    def crew(side, kind):
        return agent(side, "planner", kind, tools=[get_weather], handoffs=[agent(side, "writer", kind)])

    for play, more, kind in ((run, {"status": 503}, "responses"), (stream, {"status": 529}, "responses"), (stream, {"error_event": {"message": "Overloaded."}}, "chat")):
        struck = [*faults[:2], more]
        for fault in struck:
            direct.model.script(fault)
            raised = await tried(lambda play=play, kind=kind: play(crew(direct, kind)))
            expect("raised" in raised, f"directly {fault} ends the run", raised)
        marks = [len(side.since()) for side in (direct, through)]
        direct.model.script(*answers)
        through.model.script(*[step for pair in zip(struck, answers, strict=True) for step in pair])
        ends = [await play(crew(side, kind)) for side in (direct, through)]
        same(*[(end["answer"], end["by"], end["usage"]) for end in ends], "the run")
        expect(ends[1]["answer"] == "A draft." and ends[1]["by"] == "writer", "the writer has the last word", ends[1])
        expect(len(through.since(marks[1])) == 2 * len(direct.since(marks[0])), "every request is made once more after its fault", through.since(marks[1]))


@apart
async def stalls_are_answered_before_the_agents_own_limit(direct, through):
    """Directly a bare timeout; through Pillion a 504 in words, not retried by the SDK."""
    for play, at in ((run, "head"), (stream, "first_token")):
        for side in (direct, through):
            mark = len(side.since())
            side.model.script({"stall": {"at": at}, "times": -1})
            options = {"timeout": 0.5} if side is direct else {"timeout": 2, "max_retries": 2}
            raised = await tried(lambda play=play, side=side, options=options: play(agent(side, options=options)))
            if side is direct:
                expect("raised" in raised and "504" not in raised["text"], "directly it is a bare timeout", raised)
                continue
            expect((raised["raised"], raised["status_code"], raised["code"]) == ("openai.InternalServerError", 504, "timeout_agent"), "it is a 504", raised)
            expect("the agent's own timeout" in raised["text"] and "Raise the timeout" in raised["text"], "with the clock, and what to change", raised)
            expect(side.model.ended_after() < 2, "it comes before the agent's own limit", side.model.ended_after())
            expect(len(side.since(mark)) == 1, "a clock that fires is not retried", side.since(mark))


@apart
async def a_cut_stream_is_never_the_answer(direct, through):
    """`fin`, `rst` and a clean early end, on both dialects."""
    for kind in KINDS:
        for how in ("fin", "rst", "clean"):
            for side in (direct, through):
                mark = len(side.since())
                side.model.script({"text": WHOLE, "cut": {"at": "mid", "after": 6, "how": how}, "times": -1})
                end = await tried(lambda side=side, kind=kind: stream(agent(side, kind=kind)))
                expect(len(side.since(mark)) == 1, f"{side.name}: after its first token a stream is not asked for again", side.since(mark))
                if side is through:
                    expect("raised" in end and "ended this stream before it was complete" in end["text"], f"it raises and says why ({kind}, {how})", end)
                elif kind == "chat" and how == "clean":
                    expect(end.get("answer") and end["answer"] != WHOLE, "directly a part passes for the answer", end)
                else:
                    expect("raised" in end, f"directly it raises ({kind}, {how})", end)


if __name__ == "__main__":
    main()

"""AutoGen 0.7 over OpenAI's dialect, side by side: agents and teams, with tools, streamed and not."""

import logging
import time

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat, SelectorGroupChat, Swarm
from autogen_ext.models.openai import OpenAIChatCompletionClient

from side_by_side import alike, apart, expect, main, same, scrubbed, tried

logging.disable(logging.CRITICAL)

CALLS = [
    {"name": "get_weather", "arguments": {"city": "Paris"}},
    {"name": "get_weather", "arguments": {"city": "Rome"}},
    {"name": "no_such_tool", "arguments": {}},
    {"name": "get_weather", "arguments": "{broken"},
    {"name": "get_weather", "arguments": {"town": "x"}},
]
ONE_CALL = [{"name": "get_weather", "arguments": {"city": "Paris"}}]
NAMES = ("planner", "researcher", "writer")


async def get_weather(city: str) -> str:
    """Weather of a city."""
    if city == "Rome":
        raise RuntimeError("no data for Rome")
    return f"{city}: sunny"


def openai_client(side, agent=None, **options):
    return OpenAIChatCompletionClient(**{"model": "gpt-4o-mini", "base_url": side.url("/v1", agent), "api_key": "sk-of-a-test", "max_retries": 0, **options})


def crew(client, **options):
    """Three agents of which one has a tool."""
    return [
        AssistantAgent(
            name,
            model_client=client,
            system_message=f"You are the {name}.",
            description=f"The {name}",
            tools=[get_weather] if name == "researcher" else [],
            reflect_on_tool_use=True,
            **options,
        )
        for name in NAMES
    ]


def plain(item):
    """A message or an event, without the two things that AutoGen draws anew each time: its id and its time."""
    fields = {key: value for key, value in item.model_dump(mode="json").items() if key not in ("id", "created_at", "full_message_id")}
    return {"kind": type(item).__name__, **fields}


async def run(team, task="Write about tides."):
    result = await team.run(task=task)
    return {"messages": [plain(message) for message in result.messages], "stop": result.stop_reason}


async def stream(team, task="Write about tides."):
    """The sequence of events of a run, and its result."""
    got = []
    async for item in team.run_stream(task=task):
        got.append({"stop": item.stop_reason, "messages": len(item.messages)} if isinstance(item, TaskResult) else plain(item))
    return got


def kinds(outcome):
    return [item.get("kind") for item in (outcome["messages"] if isinstance(outcome, dict) else outcome)]


@alike
async def assistant(side):
    """One agent, asked twice, so that the second question carries the first answer; and named in its path."""
    agent = AssistantAgent("planner", model_client=openai_client(side, agent="planner"))
    outcome = [await run(agent), await run(agent, "And again.")]
    expect(all(one["messages"][-1]["source"] == "planner" and one["messages"][-1]["models_usage"]["prompt_tokens"] for one in outcome), "it answers, with usage", outcome)
    return outcome


@alike
async def assistant_streamed(side):
    """Without and with usage asked for."""
    outcome = []
    for options in ({}, {"stream_options": {"include_usage": True}}):
        agent = AssistantAgent("planner", model_client=openai_client(side, **options), model_client_stream=True)
        outcome.append(await stream(agent))
    expect(kinds(outcome[0]).count("ModelClientStreamingChunkEvent") > 2, "it comes in pieces", kinds(outcome[0]))
    usage = [one[-2]["models_usage"]["prompt_tokens"] for one in outcome]
    expect(usage[0] == 0 and usage[1] > 0, "usage is there where it was asked for", usage)
    return outcome


@alike
async def tools(side):
    """Five calls at once: one works, one raises, one is of no tool, one has broken arguments, one has the wrong ones; then reflection."""
    side.model.script({"tools": CALLS}, {"text": "done"}, {"tools": CALLS}, {"text": "done"})
    outcome = []
    for streamed in (False, True):
        agent = AssistantAgent("planner", model_client=openai_client(side), tools=[get_weather], reflect_on_tool_use=True, model_client_stream=streamed)
        outcome.append(await (stream(agent) if streamed else run(agent)))
    results = next(message["content"] for message in outcome[0]["messages"] if message["kind"] == "ToolCallExecutionEvent")
    expect([result["is_error"] for result in results] == [False, True, True, True, True], "every result is told", results)
    expect(len({result["call_id"] for result in results}) == 5, "every call has an id of its own", results)
    return outcome


@alike
async def tool_loop(side):
    """Model, tool, model, tool, model: each result goes back under its call's id."""
    side.model.script({"tools": ONE_CALL, "text": "I will look."}, {"tools": ONE_CALL}, {"text": "done"})
    outcome = await run(AssistantAgent("planner", model_client=openai_client(side), tools=[get_weather], max_tool_iterations=3))
    expect(outcome["messages"][-1]["content"] == "done" and len(side.since()) == 3, "three calls of the model make one answer", outcome)
    return outcome


def everyone_spoke(outcome):
    spoken = {item.get("source") for item in (outcome["messages"] if isinstance(outcome, dict) else outcome)}
    expect(set(NAMES) <= spoken, "every agent speaks", sorted(map(str, spoken)))
    expect("ToolCallExecutionEvent" in kinds(outcome), "a tool is called", kinds(outcome))
    return outcome


@alike
async def round_robin(side):
    return everyone_spoke(await run(RoundRobinGroupChat(crew(openai_client(side)), max_turns=6)))


@alike
async def round_robin_streamed(side):
    outcome = everyone_spoke(await stream(RoundRobinGroupChat(crew(openai_client(side), model_client_stream=True), max_turns=6)))
    expect("ModelClientStreamingChunkEvent" in kinds(outcome), "it comes in pieces", kinds(outcome))
    return outcome


@apart
async def streams_are_counted(direct, through):
    """AutoGen asks for no token counts and records none; Pillion knows them all the same, and AutoGen sees what it would have seen."""
    outcomes = []
    for side in (direct, through):
        team = RoundRobinGroupChat(crew(openai_client(side), model_client_stream=True), max_turns=6)
        outcomes.append(scrubbed(everyone_spoke(await stream(team)), side))
    asked = direct.model.requests()
    same(*outcomes, "the outcome")
    same(direct.since(), through.since(), "what the model saw")
    usages = [direct.model.usage_of(request) for request in asked]
    for kind, told in (("input", "prompt_tokens"), ("output", "completion_tokens")):
        true = sum(usage[told] for usage in usages)
        for _ in range(100):
            counted = through.metric("pillion_tokens_total", type=kind)
            if counted == true:
                break
            time.sleep(0.1)
        expect(counted == true > 0, f"{kind} tokens are those that the model counts", [counted, usages])
    expect(through.metric("pillion_usage_missing_total") == 0, "no answer is without its usage")


def choices(side):
    """The selector's choices, one of them a bad one that it is asked to mend, between what the agents say."""
    side.model.script(
        {"text": "researcher"}, {"tools": ONE_CALL}, {"text": "It is sunny."}, {"text": "nobody"}, {"text": "planner"}, {"text": "The plan."},
        {"text": "writer"}, {"text": "The tides, a draft."},
    )  # fmt: skip


@alike
async def selector(side):
    choices(side)
    client = openai_client(side)
    outcome = everyone_spoke(await run(SelectorGroupChat(crew(client), model_client=client, max_turns=3)))
    expect(outcome["messages"][-1]["content"] == "The tides, a draft.", "the last one chosen has the last word", outcome["messages"][-1])
    return outcome


@alike
async def selector_streamed(side):
    choices(side)
    client = openai_client(side, stream_options={"include_usage": True})
    team = SelectorGroupChat(crew(client, model_client_stream=True), model_client=client, max_turns=3, model_client_streaming=True)
    return everyone_spoke(await stream(team))


@alike
async def selector_on_its_own(side):
    """No script: the simulated model chooses, calls tools and answers by itself."""
    client = openai_client(side)
    outcome = await run(SelectorGroupChat(crew(client), model_client=client, termination_condition=MaxMessageTermination(8)))
    expect(len(outcome["messages"]) >= 8, "the team goes on until it is told to end", outcome["stop"])
    return outcome


@alike
async def swarm(side):
    """Handovers are tools too."""
    client = openai_client(side)
    side.model.script({"tools": [*ONE_CALL, {"name": "transfer_to_bob", "arguments": {}}]}, {"text": "done"})
    alice = AssistantAgent("alice", model_client=client, handoffs=["bob"], tools=[get_weather], system_message="You are Alice.")
    bob = AssistantAgent("bob", model_client=client, handoffs=["alice"], system_message="You are Bob.")
    outcome = await run(Swarm([alice, bob], max_turns=2))
    expect("HandoffMessage" in kinds(outcome) and outcome["messages"][-1]["source"] == "bob", "Bob takes over", kinds(outcome))
    return outcome


@alike
async def errors(side):
    """What the user of an agent, and of a team, meets when the model refuses: the same text to the letter."""
    outcome = []
    for status in (400, 401, 404):
        side.model.script({"status": status, "times": -1})
        agent = AssistantAgent("planner", model_client=openai_client(side))
        outcome.append(await tried(lambda agent=agent: run(agent)))
        outcome.append(await tried(lambda agent=agent: run(RoundRobinGroupChat([agent], max_turns=1))))
        expect(outcome[-2]["status_code"] == status and outcome[-2]["raised"].startswith("openai."), "an agent raises the SDK's exception", outcome[-2])
        expect(outcome[-1]["raised"] == "builtins.RuntimeError" and f"Error code: {status}" in outcome[-1]["text"], "a team raises its text", outcome[-1])
    return outcome


if __name__ == "__main__":
    main()

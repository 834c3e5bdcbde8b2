"""AutoGen 0.7 over Anthropic's dialect, side by side. Its Anthropic client needs the SDK as it was before 1.0: see its requirements."""

import logging

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat, SelectorGroupChat
from autogen_core.models import ModelFamily
from autogen_ext.models.anthropic import AnthropicChatCompletionClient

from autogen_agents import CALLS, choices, crew, everyone_spoke, run, stream
from side_by_side import SCENARIOS, alike, apart, expect, main, same, tried

logging.disable(logging.CRITICAL)
# What the module of the other dialect has registered is played there.
SCENARIOS.clear()

CLAUDE = {"vision": False, "function_calling": True, "json_output": False, "family": ModelFamily.CLAUDE_3_7_SONNET, "structured_output": False}


def anthropic_client(side, agent=None, **options):
    url = side.url(agent=agent)
    return AnthropicChatCompletionClient(model="claude-of-a-test", model_info=CLAUDE, base_url=url, api_key="sk-ant-of-a-test", **{"max_retries": 0, **options})


@alike
async def round_robin(side):
    side.model.script({"text": "The plan."}, {"tools": [CALLS[0], CALLS[1]], "text": "Let me look."}, {"text": "Paris is sunny."}, {"text": "A draft."})
    outcome = everyone_spoke(await run(RoundRobinGroupChat(crew(anthropic_client(side)), max_turns=3)))
    expect(outcome["messages"][-1]["content"] == "A draft.", "the writer has the last word", outcome["messages"][-1])
    return outcome


@alike
async def round_robin_streamed(side):
    side.model.script({"text": "The plan."}, {"tools": [CALLS[0]], "text": "Let me look."}, {"text": "Paris is sunny."}, {"text": "A draft."})
    return everyone_spoke(await stream(RoundRobinGroupChat(crew(anthropic_client(side), model_client_stream=True), max_turns=3)))


@alike
async def selector(side):
    choices(side)
    client = anthropic_client(side)
    return everyone_spoke(await run(SelectorGroupChat(crew(client), model_client=client, max_turns=3)))


@apart
async def survives_a_bad_quarter_of_an_hour(direct, through):
    """500, 429 and 529, and an error event before the first token: directly the run ends, through Pillion it is the run of a good day."""
    faults = [{"status": 500}, {"status": 429, "headers": {"retry-after-ms": "20"}}, {"status": 529}, {"error_event": {"type": "overloaded_error"}}]
    for fault in faults:
        direct.model.script(fault)
        agent = AssistantAgent("planner", model_client=anthropic_client(direct), model_client_stream=True)
        raised = await tried(lambda agent=agent: run(agent))
        expect("raised" in raised, f"directly {fault} ends the run", raised)
    answers = [{"text": "The plan."}, {"tools": [{**CALLS[0], "id": "toolu_1"}]}, {"text": "Paris is sunny."}, {"text": "A draft."}]
    direct.model.script(*answers)
    through.model.script(*[step for pair in zip(faults, answers, strict=True) for step in pair])
    runs = [await stream(RoundRobinGroupChat(crew(anthropic_client(side), model_client_stream=True), max_turns=3)) for side in (direct, through)]
    same(*runs, "the run of a good day")
    same([request for request in direct.since(4) for _ in range(2)], through.since(), "every request, once more after its fault")


@apart
async def a_stall_is_told_before_its_own_limit(direct, through):
    """Its user reads which clock it was; directly, nothing but that time is up."""
    for side in (direct, through):
        side.model.script({"stall": {"at": "first_token"}, "times": -1})
        team = RoundRobinGroupChat([AssistantAgent("planner", model_client=anthropic_client(side, timeout=2 if side is through else 0.5), model_client_stream=True)], max_turns=1)
        raised = await tried(lambda team=team: run(team))
        expect(raised["raised"] == "builtins.RuntimeError", f"{side.name}: a team raises a RuntimeError", raised)
        expect(("timeout_agent" in raised["text"] and "agent's own timeout" in raised["text"]) == (side is through), f"{side.name}: the clock is named through Pillion", raised)


if __name__ == "__main__":
    main()

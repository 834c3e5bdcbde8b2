"""AutoGen 0.7 where Pillion makes the difference: failing, stalling and breaking models, with nothing of the program changed but base_url."""

import logging

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat, SelectorGroupChat

from autogen_agents import ONE_CALL, crew, openai_client, run, stream
from side_by_side import SCENARIOS, apart, expect, main, same, tried

logging.disable(logging.CRITICAL)
# What the module of the good days has registered is played there.
SCENARIOS.clear()

FAULTS = [{"status": 500}, {"status": 429, "headers": {"retry-after-ms": "20"}}, {"status": 503}, {"error_event": {"message": "Overloaded."}}]
ANSWERS = [{"text": "The plan."}, {"tools": [{**ONE_CALL[0], "id": "call_1"}]}, {"text": "Paris is sunny."}, {"text": "A draft."}]


def one_agent(side, streamed, **options):
    """A team of one: what it raises is what most programs show."""
    return RoundRobinGroupChat([AssistantAgent("planner", model_client=openai_client(side, **options), model_client_stream=streamed)], max_turns=1)


async def good_day(direct, through, faults, play, answers=ANSWERS):
    """Before each answer a fault: directly each one ends the run; through Pillion the run is that of a day without them."""
    for fault in faults:
        mark = len(direct.since())
        direct.model.script(fault, *answers)
        raised = await tried(lambda: play(direct))
        expect(raised.get("raised") if isinstance(raised, dict) else None, f"directly {fault} ends the run", raised)
        expect(len(direct.since(mark)) == 1, "at its first request", direct.since(mark))
    mark = len(direct.since())
    direct.model.script(*answers)
    through.model.script(*[step for pair in zip(faults, answers, strict=True) for step in pair])
    same(await play(direct), await play(through), "the run")
    same([request for request in direct.since(mark) for _ in range(2)], through.since(), "every request, once more after its fault")


@apart
async def survives_failures(direct, through):
    faults = [*FAULTS[:3], {"status": 502}]
    await good_day(direct, through, faults, lambda side: run(RoundRobinGroupChat(crew(openai_client(side)), max_turns=3)))


@apart
async def survives_failures_streamed(direct, through):
    """With the fourth fault a stream that begins well and tells of an error before its first token."""
    await good_day(direct, through, FAULTS, lambda side: stream(RoundRobinGroupChat(crew(openai_client(side), model_client_stream=True), max_turns=3)))


@apart
async def survives_failures_of_a_selector(direct, through):
    """The selector's own questions are carried like any other."""

    def play(side):
        client = openai_client(side)
        team = SelectorGroupChat(crew(client), model_client=client, max_turns=2)
        return run(team)

    answers = [{"text": "planner"}, {"text": "The plan."}, {"text": "writer"}, {"text": "A draft."}]
    await good_day(direct, through, [*FAULTS[:3], {"status": 529}], play, answers)


@apart
async def a_stall_is_told_before_its_own_limit(direct, through):
    """The client gives it two seconds, or half a one. Directly its user reads that time is up, through Pillion which clock it was and what to change."""
    for streamed, at in ((False, "head"), (True, "head"), (True, "first_token")):
        for side in (direct, through):
            mark = len(side.since())
            side.model.script({"stall": {"at": at}, "times": -1})
            # Through Pillion with the SDK's usual retries: it must not use them.
            options = {"timeout": 2, "max_retries": 2} if side is through else {"timeout": 0.5}
            team = one_agent(side, streamed, **options)
            raised = await tried(lambda team=team: run(team))
            expect(raised["raised"] == "builtins.RuntimeError", f"{side.name}: a team raises a RuntimeError", raised)
            expect(len(side.since(mark)) == 1, f"{side.name}: one request", side.since(mark))
            if side is direct:
                expect("Timeout" in raised["text"] and "504" not in raised["text"], "directly it is a bare timeout", raised)
                continue
            first = raised["text"].splitlines()[0]
            expect(first.startswith("InternalServerError: Error code: 504 - Timed out (timeout_agent)"), "the first line is the 504", first)
            expect("the agent's own timeout" in first and "1.9s" in first and "1 attempt" in first, "with the clock, how long, and how often", first)
            expect("Raise the timeout of the agent's client" in first, "and what to change", first)
            expect(side.model.ended_after() < 2, "it comes before the agent's own limit", side.model.ended_after())


@apart
async def a_stall_is_told_by_pillions_own_clock(direct, through):
    """Pillion is started with `timeouts.first_token: 1s`; the agent would wait for ten minutes."""
    through.model.script({"stall": {"at": "first_token"}, "times": -1})
    raised = await tried(lambda: run(one_agent(through, streamed=True)))
    first = raised["text"].splitlines()[0]
    expect(first.startswith("InternalServerError: Error code: 504 - Timed out (timeout_first_token)"), "the first line is the 504", raised)
    expect("timeouts.first_token" in first and "1s" in first and "Raise it" in first, "with the clock, how long, and what to change", first)
    expect(len(through.since()) == 1 and not direct.since(), "a clock that fires is not retried", through.since())


@apart
async def a_cut_stream_is_never_the_answer(direct, through):
    """AutoGen takes a clean early end for the whole answer; through Pillion it raises, as it does for the other two."""
    for how in ("clean", "fin", "rst"):
        for side in (direct, through):
            mark = len(side.since())
            side.model.script({"text": "The tide rises twice a day, nearly.", "cut": {"at": "mid", "after": 4, "how": how}, "times": -1})
            outcome = await tried(lambda side=side: run(one_agent(side, streamed=True)))
            expect(len(side.since(mark)) == 1, f"{side.name}: after its first token a stream is not asked for again", side.since(mark))
            if side is direct and how == "clean":
                short = outcome["messages"][-1]["content"]
                expect(short and short != "The tide rises twice a day, nearly.", "directly a part passes for the answer", outcome)
                continue
            expect(outcome.get("raised") == "builtins.RuntimeError", f"{side.name}: it raises ({how})", outcome)
            if how == "clean":
                expect("ended this stream before it was complete" in outcome["text"], "and says why", outcome)


if __name__ == "__main__":
    main()

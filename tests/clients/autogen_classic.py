"""Classic AutoGen (ag2 0.14) over OpenAI's dialect, side by side: two agents, a GroupChat with its manager, tools, nested chats, streams; and
what is better through Pillion: failures, stalls and cut streams."""

import logging

import autogen
from autogen import AssistantAgent, ConversableAgent, GroupChat, GroupChatManager, UserProxyAgent

from side_by_side import alike, apart, by_status, expect, main, same, tried

logging.disable(logging.CRITICAL)

CALLS = [
    {"name": "get_weather", "arguments": {"city": "Paris"}},
    {"name": "get_weather", "arguments": {"city": "Rome"}},
    {"name": "no_such_tool", "arguments": {}},
    {"name": "get_weather", "arguments": "{broken"},
]
# A round of the group: whom the manager chooses, once after a name that is none, and what each says.
ROUND = [{"text": text} for text in ("planner", "The plan.", "nobody at all", "writer", "A draft.", "critic", "A critique.")]
FAULTS = [{"status": 500}, {"status": 429, "headers": {"retry-after-ms": "20"}}, {"status": 503}, {"status": 502}, {"status": 529}, {"status": 408}, {"cut": {"at": "request"}}]


def config(side, agent=None, stream=False, **options):
    """As its users write it: a list of one model; no cache on disk, and no retries of the SDK."""
    entry = {"model": "gpt-4o-mini", "base_url": side.url("/v1", agent), "api_key": "sk-of-a-test", "max_retries": 0, "stream": stream, **options}
    return {"config_list": [entry], "cache_seed": None}


def user(turns=0, **options):
    return UserProxyAgent("user_proxy", human_input_mode="NEVER", code_execution_config=False, max_consecutive_auto_reply=turns, **options)


def speaker(side, name, **options):
    llm = config(side, agent=name, **options)
    return ConversableAgent(name, system_message=f"You are the {name}.", description=f"The {name}", llm_config=llm, human_input_mode="NEVER")


def history(chat):
    """What was said, and what it cost, which is counted from each reply's usage."""
    return {"said": chat.chat_history, "cost": chat.cost, "summary": chat.summary}


def ask(side, **options):
    return history(user().initiate_chat(AssistantAgent("assistant", llm_config=config(side, **options)), message="Why are there tides?", max_turns=1))


def group(side, method="auto", rounds=4, turns=0, **options):
    """A user, three speakers and the manager that lets them speak."""
    asking = user(turns)
    chat = GroupChat([asking, *(speaker(side, name, **options) for name in ("planner", "writer", "critic"))], messages=[], max_round=rounds, speaker_selection_method=method)
    manager = GroupChatManager(groupchat=chat, llm_config=config(side, agent="manager"))
    return history(asking.initiate_chat(manager, message="Write about tides."))


def contents(outcome):
    return [message["content"] for message in outcome["said"]]


def weather(side, **options):
    """An assistant that asks for a tool, and the user that runs it."""
    assistant, executor = AssistantAgent("assistant", llm_config=config(side, **options)), user(3, is_termination_msg=lambda message: "done" in (message.get("content") or ""))

    def get_weather(city: str) -> str:
        if city == "Rome":
            raise RuntimeError("no data for Rome")
        return f"{city}: sunny"

    autogen.register_function(get_weather, caller=assistant, executor=executor, name="get_weather", description="Weather of a city")
    return history(executor.initiate_chat(assistant, message="Weather?"))


@alike
def two_agents(side):
    """Three turns, so that each question carries the answers before it; and the assistant is named in its path."""
    outcome = history(user(2).initiate_chat(AssistantAgent("planner", llm_config=config(side, agent="planner")), message="Say hello.", max_turns=3))
    expect(len(outcome["said"]) == 6 and len(side.since()) == 3, "both speak three times", outcome)
    counted = outcome["cost"]["usage_including_cached_inference"]
    expect(any(model != "total_cost" and usage["total_tokens"] > 0 for model, usage in counted.items()), "tokens are counted", counted)
    return outcome


@alike
def two_agents_streamed(side):
    """It asks for usage by itself."""
    outcome = ask(side, stream=True)
    expect(contents(outcome)[-1] and '"include_usage"' in side.since()[0]["body"], "it comes in pieces, with usage", outcome)
    return outcome


@alike
def tools(side):
    """Four calls at once, whole and streamed: one works, one raises, one is of no tool, one has broken arguments."""
    outcome = []
    for stream in (False, True):
        side.model.script({"tools": CALLS}, {"text": "done"})
        outcome.append(weather(side, stream=stream))
        results = outcome[-1]["said"][2]["tool_responses"]
        expect([result["content"].startswith("Error:") for result in results] == [False, True, True, True], "every result is told", results)
        expect(len({result["tool_call_id"] for result in results}) == 4, "every call has an id of its own", results)
        expect(contents(outcome[-1])[-1] == "done", "the results go back", outcome[-1])
    return outcome


@alike
def group_chat(side):
    """The manager chooses the speakers, once after a name that is none of theirs."""
    side.model.script(*ROUND)
    outcome = group(side)
    expect([message["name"] for message in outcome["said"]] == ["user_proxy", "planner", "writer", "critic"], "each speaks once", outcome)
    expect(len(side.since()) == 7, "three speakers and four choices are asked for", side.since())
    return outcome


@alike
def group_chat_on_its_own(side):
    """No script: the simulated model chooses and speaks by itself."""
    outcome = group(side, rounds=6, turns=6)
    expect(len(outcome["said"]) == 6, "the group goes on until it is told to end", outcome)
    return outcome


@alike
def group_chat_streamed(side):
    outcome = group(side, method="round_robin", stream=True)
    expect(len(outcome["said"]) == 4 and len(side.since()) == 3, "each speaks in turn", outcome)
    return outcome


@alike
def group_chat_with_tools(side):
    """In a group the user runs the tool that a speaker asks for."""
    asking, planner = user(2), speaker(side, "planner")

    def get_weather(city: str) -> str:
        return f"{city}: sunny"

    autogen.register_function(get_weather, caller=planner, executor=asking, name="get_weather", description="Weather of a city")
    side.model.script({"tools": CALLS[:1]}, {"text": "Paris is sunny."}, {"text": "A draft."})
    chat = GroupChat([asking, planner, speaker(side, "writer")], messages=[], max_round=5, speaker_selection_method="round_robin")
    outcome = history(asking.initiate_chat(GroupChatManager(groupchat=chat, llm_config=config(side)), message="Weather?"))
    expect("Paris: sunny" in contents(outcome) and len(side.since()) >= 2, "the tool is run and its result told", outcome)
    return outcome


@alike
def nested_chat(side):
    """A chat within a chat, with a summary by the model."""
    writer, critic, asking = speaker(side, "writer"), speaker(side, "critic"), user(1)
    inner = {"recipient": critic, "message": "Critique this.", "max_turns": 1, "summary_method": "reflection_with_llm"}
    asking.register_nested_chats([inner], trigger=writer)
    outcome = history(asking.initiate_chat(writer, message="Write.", max_turns=2))
    expect(len(side.since()) == 4, "the writer twice, the critic, and the summary", side.since())
    return outcome


@alike
async def asynchronous(side):
    outcome = history(await user(1).a_initiate_chat(speaker(side, "planner"), message="Say hello.", max_turns=2))
    expect(len(outcome["said"]) == 4, "both speak twice", outcome)
    return outcome


@alike
def second_of_the_list(side):
    """After any error, a 400 too, the next model of the list is asked."""
    side.model.script({"status": 400}, {"text": "From the second."})
    first, second = (config(side, model=model)["config_list"][0] for model in ("gpt-4o", "gpt-4o-mini"))
    assistant = AssistantAgent("assistant", llm_config={"config_list": [first, second], "cache_seed": None})
    outcome = history(user().initiate_chat(assistant, message="Hello.", max_turns=1))
    expect(contents(outcome)[-1] == "From the second." and len(side.since()) == 2, "the second answers", outcome)
    return outcome


@apart
async def errors_by_status(direct, through):
    """What the user of an agent meets when the model refuses or fails."""
    await by_status(direct, through, [400, 401, 403, 404, 422, 429, 500, 503], lambda side: ask(side))


@apart
async def survives_failures(direct, through):
    """Before each answer a fault, before each choice of a speaker too: directly the first one ends the run; through Pillion it is the run of a good day."""
    for fault in FAULTS:
        mark = len(direct.since())
        direct.model.script(fault)
        raised = await tried(lambda: group(direct))
        expect("raised" in raised and len(direct.since(mark)) == 1, f"directly {fault} ends the run", raised)
    mark = len(direct.since())
    direct.model.script(*ROUND)
    through.model.script(*[step for pair in zip(FAULTS, ROUND, strict=True) for step in pair])
    same(group(direct), group(through), "the run")
    same([request for request in direct.since(mark) for _ in range(2)], through.since(), "every request, once more after its fault")


@apart
async def survives_failures_streamed(direct, through):
    """With them a stream that begins well and tells of an error before its first token."""
    faults = [*FAULTS[:2], {"error_event": {"message": "Overloaded."}}]
    words = [{"text": text} for text in ("The plan.", "A draft.", "A critique.")]
    for fault in faults:
        direct.model.script(fault)
        raised = await tried(lambda: group(direct, "round_robin", stream=True))
        expect("raised" in raised, f"directly {fault} ends the run", raised)
    mark = len(direct.since())
    direct.model.script(*words)
    through.model.script(*[step for pair in zip(faults, words, strict=True) for step in pair])
    runs = [group(side, "round_robin", stream=True) for side in (direct, through)]
    same(*runs, "the run")
    same([request for request in direct.since(mark) for _ in range(2)], through.since(), "every request, once more after its fault")


@apart
async def a_stall_is_told_before_its_own_limit(direct, through):
    """Directly its user reads that time is up; through Pillion which clock it was and what to change."""
    # Through Pillion with the SDK's usual retries: it must not use them.
    limits = {"direct": {"timeout": 0.5}, "through": {"timeout": 2, "max_retries": 2}}
    for stream, at in ((False, "head"), (True, "first_token")):
        for side in (direct, through):
            mark = len(side.since())
            side.model.script({"stall": {"at": at}, "times": -1})
            raised = await tried(lambda side=side, stream=stream: ask(side, stream=stream, **limits[side.name]))
            expect("raised" in raised and len(side.since(mark)) == 1, f"{side.name}: it raises, after one request", raised)
            if side is direct:
                expect("504" not in raised["text"] and "clock" not in raised["text"], "directly it is a bare timeout", raised)
                continue
            expect((raised["raised"], raised["status_code"], raised["code"]) == ("openai.InternalServerError", 504, "timeout_agent"), "it is a 504", raised)
            expect("the agent's own timeout" in raised["text"] and "Raise the timeout of the agent's client" in raised["text"], "with the clock, and what to change", raised)
            expect(side.model.ended_after() < 2, "it comes before the agent's own limit", side.model.ended_after())


@apart
async def a_cut_stream_is_never_the_answer(direct, through):
    """Directly a clean early end is raised as a fault of types that no reader can act on; through Pillion all three say what broke."""
    for how in ("clean", "fin", "rst"):
        for side in (direct, through):
            mark = len(side.since())
            side.model.script({"text": "The tide rises twice a day, nearly.", "cut": {"at": "mid", "after": 4, "how": how}, "times": -1})
            raised = await tried(lambda side=side: ask(side, stream=True))
            expect("raised" in raised, f"{side.name}: it raises ({how})", raised)
            expect(len(side.since(mark)) == 1, f"{side.name}: after its first token a stream is not asked for again", side.since(mark))
            expect(raised["raised"].startswith("openai.") == (side is through), f"{side.name}: the SDK's own exception ({how})", raised)
            if side is through:
                expect("ended this stream before it was complete" in raised["text"], "it says why", raised)


if __name__ == "__main__":
    main()

"""Agents and teams of AutoGen that outgrow their model's window, side by side: directly each of them ends in an error of the context's length, through Pillion it goes on to
its end. The model counts with a tokenizer of its own and refuses what does not fit, or what was broken apart on the way."""

import json
import logging
import math
import time

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import MagenticOneGroupChat, RoundRobinGroupChat, SelectorGroupChat
from openai import DefaultAsyncHttpxClient

from autogen_agents import openai_client, run, stream
from side_by_side import SCENARIOS, apart, expect, main, same, tried

logging.disable(logging.CRITICAL)
# What the module of the short runs has registered is played there.
SCENARIOS.clear()

# Of every model here, by their own count; and by how much Pillion's cut moves at a time.
WINDOW, STEP = 3000, 900
LAST_PAGE = 30
THE_END = "Here the book ends."
READS = [{"name": "read_page", "arguments": {}}]
DONE = "I have read it all."
NAMES = ("planner", "researcher", "writer")


class Book:
    """A tool that brings something new each time: a page, every fourth a long one."""

    def __init__(self):
        self.page = 0

    def read(self):
        self.page += 1
        lines = 48 if self.page % 4 == 0 else 12
        text = "\n".join(f"{self.page}.{line} The tide comes in at the mole, and goes out as it has come." for line in range(lines))
        return f"{text}\n{THE_END}" if self.page == LAST_PAGE else text


class Heard:
    """What Pillion says of each reply, to whoever looks at its headers."""

    def __init__(self):
        self.attempts, self.trimmed = [], []

    def take(self, headers):
        self.attempts.append(headers.get("x-pillion-attempts"))
        said = headers.get("x-pillion-trimmed")
        self.trimmed.append(int(said.split("tokens=")[1]) if said else 0)

    async def hook(self, response):
        self.take(response.headers)

    def client(self):
        return DefaultAsyncHttpxClient(event_hooks={"response": [self.hook]})


def reads_on(side, refuses=None, **step):
    """A model with a small window that calls for page after page, until it has read the last one; `refuses` is how it says what does not fit."""
    end = {"when": {"body": THE_END}, "text": DONE}
    side.model.play(context=WINDOW, tokens="o200k", **(refuses or {}), rules=[end], steps=[{"tools": READS, **step, "times": -1}])


def refusals(side):
    """The statuses of what was refused, but by an event."""
    return [request["status"] for request in side.model.requests() if request["status"] != 200]


def settled(side, name, wanted, **labels):
    """A metric, once it is what it should be: an exchange is counted when it has ended."""
    for _ in range(100):
        value = side.metric(name, **labels)
        if wanted(value):
            break
        time.sleep(0.1)
    return value


def goes_on(side, counts, heard, agents, model):
    """Nothing was refused, no prompt was larger than the window, and what was left out is told."""
    expect(not refusals(side), "the model has refused nothing", refusals(side))
    expect(counts and 0 < max(counts) <= WINDOW, "by its own count every prompt fits", counts)
    expect(sum(heard.trimmed) > WINDOW and set(heard.attempts) == {"1"}, "that prompts were trimmed is told, and nothing was asked twice", vars(heard))
    for agent in agents:
        trims = settled(side, "pillion_trims_total", lambda value: value > 0, agent=agent, model=model)
        expect(trims > 0, f"the trims are counted as those of {agent}", trims)
    total = sum(1 for trimmed in heard.trimmed if trimmed)
    counted = settled(side, "pillion_trims_total", lambda value: value == total)
    expect(counted == total, "all of them are counted once", [counted, total])
    ended = settled(side, "pillion_exchanges_total", lambda value: value == len(heard.attempts))
    expect(side.metric("pillion_exchanges_total", outcome="ok") == ended == len(heard.attempts), "every exchange ended well", ended)


def keeps_its_beginning(side, key, counts, heard, answer=WINDOW // 4, since=0):
    """From one turn to the next what the model has read stays in front, so that its cache holds; but for where the cut moves: once a step of growth."""
    lists = [json.loads(request["body"])[key] for request in side.model.requests()[since:]]
    moves = sum(after[: len(before)] != before for before, after in zip(lists, lists[1:]))
    grown = counts[-1] + heard.trimmed[-1] - (WINDOW - answer)
    expect(0 < moves <= math.ceil(grown / STEP), "the cut moves in large steps", [moves, grown, len(lists)])


def dies(raised, kind, words, side):
    """It ends in the SDK's own exception; what it would have asked next is never asked."""
    expect(raised.get("raised") == kind and words in raised["text"], "directly the run dies of its length", raised)
    expect(refusals(side) == [400], "at the first prompt that does not fit", refusals(side))


def autogen_reader(side, heard, book, asks=None, **options):
    async def read_page() -> str:
        """The next page."""
        return book.read()

    client = openai_client(side, agent="reader", http_client=heard.client(), **(asks or {}))
    return AssistantAgent("reader", model_client=client, tools=[read_page], max_tool_iterations=LAST_PAGE + 5, system_message="Read the book.", **options)


def prompts(outcome):
    """What the model has counted of each prompt, as AutoGen tells it."""
    return [message["models_usage"]["prompt_tokens"] for message in outcome["messages"] if message.get("models_usage")]


async def reads_the_book(side):
    heard, book = Heard(), Book()
    reads_on(side)
    outcome = await tried(lambda: run(autogen_reader(side, heard, book), "Read the book to its end."))
    return outcome, heard, book


@apart
async def autogen_agent(direct, through):
    """One task of many steps: nothing in it is old but the tool's results."""
    raised, _, book = await reads_the_book(direct)
    dies(raised, "openai.BadRequestError", f"This model's maximum context length is {WINDOW} tokens. However, your messages resulted in", direct)
    expect(raised["code"] == "context_length_exceeded" and book.page < LAST_PAGE / 2, "long before it is done", [raised, book.page])
    outcome, heard, book = await reads_the_book(through)
    expect("messages" in outcome and outcome["messages"][-1]["content"] == DONE and book.page == LAST_PAGE, "through Pillion it is done", outcome)
    counts = prompts(outcome)
    expect(len(counts) == LAST_PAGE + 1, "in as many steps as there are pages", counts)
    goes_on(through, counts, heard, ["reader"], "gpt-4o-mini")
    keeps_its_beginning(through, "messages", counts, heard)


@apart
async def autogen_agent_streamed(direct, through):
    """The same in streams, with another task behind the first."""
    for side in (direct, through):
        heard, book = Heard(), Book()
        reads_on(side)
        agent = autogen_reader(side, heard, book, model_client_stream=True)
        outcome = await tried(lambda agent=agent: stream(agent, "Read the book to its end."))
        if side is direct:
            dies(outcome, "openai.BadRequestError", "maximum context length", side)
            continue
        expect(isinstance(outcome, list) and outcome[-2]["content"] == DONE, "through Pillion it is done", outcome)
        again = await stream(agent, "And what was it about?")
        expect(again[-2]["content"] and not refusals(side), "and goes on from there", again)
        expect(heard.trimmed[-1] > 0 and set(heard.attempts) == {"1"}, "with what was left out told again", vars(heard))


@apart
async def autogen_agent_declines(direct, through):
    """Whoever says so dies through Pillion as without it."""
    ends = []
    for side in (direct, through):
        reads_on(side)
        book = Book()
        agent = autogen_reader(side, Heard(), book, {"default_headers": {"x-pillion-trim": "off"}})
        ends.append([await tried(lambda agent=agent: run(agent, "Read the book to its end.")), book.page])
        dies(ends[-1][0], "openai.BadRequestError", "maximum context length", side)
    same(*ends, "the end")


def crew(side, heard):
    """Three agents, each by its name in its path."""
    return [
        AssistantAgent(name, model_client=openai_client(side, agent=name, http_client=heard.client()), description=f"The {name}", system_message=f"You are the {name}.")
        for name in NAMES
    ]


def talks_on(side, *rules):
    """A model that always has some hundred words to say."""
    said = "What the planner has said of the tide holds, and what the writer has made of it does not: " * 6
    side.model.play(context=WINDOW, tokens="o200k", rules=list(rules), steps=[{"text": said, "times": -1}])


@apart
async def autogen_team(direct, through):
    """A team that goes on: everybody reads what everybody has said."""
    for side in (direct, through):
        heard = Heard()
        talks_on(side)
        outcome = await tried(lambda side=side, heard=heard: run(RoundRobinGroupChat(crew(side, heard), max_turns=60)))
        if side is direct:
            dies(outcome, "builtins.RuntimeError", "maximum context length", side)
            continue
        counts = prompts(outcome) if "messages" in outcome else []
        expect(len(counts) == 60, "through Pillion it has its sixty turns", outcome)
        goes_on(side, counts, heard, NAMES, "gpt-4o-mini")


@apart
async def autogen_selector(direct, through):
    """Whoever is asked for the next speaker is asked in one system message, with all that was said in it."""
    for side in (direct, through):
        heard = Heard()
        talks_on(side, {"when": {"body": "select the next role"}, "times": -1})
        chooser = openai_client(side, agent="chooser", http_client=heard.client())
        outcome = await tried(lambda: run(SelectorGroupChat(crew(side, heard), model_client=chooser, max_turns=40)))
        if side is direct:
            dies(outcome, "builtins.RuntimeError", "maximum context length", side)
            continue
        counts = prompts(outcome) if "messages" in outcome else []
        expect(len(counts) == 40, "through Pillion it has its forty turns", outcome)
        goes_on(side, counts, heard, [*NAMES, "chooser"], "gpt-4o-mini")


@apart
async def autogen_magentic(direct, through):
    """An orchestrator that keeps a ledger in JSON, and one agent that it instructs."""
    answers = {"is_request_satisfied": False, "is_in_loop": False, "is_progress_being_made": True, "next_speaker": "planner", "instruction_or_question": "Go on."}
    ledger = json.dumps({question: {"reason": "So.", "answer": answer} for question, answer in answers.items()})
    for side in (direct, through):
        heard = Heard()
        talks_on(side, {"when": {"body": "is_request_satisfied"}, "text": ledger})
        orchestrator = openai_client(side, agent="orchestrator", http_client=heard.client())
        outcome = await tried(lambda: run(MagenticOneGroupChat(crew(side, heard)[:1], model_client=orchestrator, max_turns=25)))
        if side is direct:
            dies(outcome, "builtins.RuntimeError", "maximum context length", side)
            continue
        expect(outcome.get("stop") == "Max rounds reached.", "through Pillion it has its turns", outcome)
        goes_on(side, prompts(outcome), heard, ["planner", "orchestrator"], "gpt-4o-mini")


def learns(side, heard, counts, most=1):
    """The first prompt that does not fit is asked once more, which nobody notices; the others fit."""
    expect(1 <= len(refusals(side)) <= most and set(refusals(side)) == {400}, "a prompt that did not fit has told how large the window is", refusals(side))
    expect(heard.attempts.count("2") == len(refusals(side)) and set(heard.attempts) == {"1", "2"}, "it was asked once more", heard.attempts)
    expect(counts and max(counts) <= WINDOW, "by the model's own count every prompt that was answered fits", counts)
    retries = settled(side, "pillion_retries_total", lambda value: value == len(refusals(side)), reason="context_length")
    expect(retries == len(refusals(side)), "and that is counted", retries)
    expect(side.metric("pillion_exchanges_total", outcome="ok") == len(heard.attempts), "every exchange ended well", heard.attempts)


@apart
async def autogen_agent_learnt(_, through):
    """Here and below Pillion was not told of the window."""
    outcome, heard, book = await reads_the_book(through)
    expect("messages" in outcome and outcome["messages"][-1]["content"] == DONE and book.page == LAST_PAGE, "the agent has noticed nothing", outcome)
    learns(through, heard, prompts(outcome))


@apart
async def autogen_agent_streamed_learnt(_, through):
    """By the first event of a stream, under a status that says that all is well."""
    heard, book = Heard(), Book()
    reads_on(through, {"context_event": True})
    outcome = await tried(lambda: stream(autogen_reader(through, heard, book, model_client_stream=True), "Read the book to its end."))
    expect(isinstance(outcome, list) and outcome[-2]["content"] == DONE and book.page == LAST_PAGE, "the agent has noticed nothing", outcome)
    expect(heard.attempts.count("2") == 1 and set(heard.attempts) == {"1", "2"}, "one prompt was asked once more", heard.attempts)
    expect(heard.trimmed.index(max(heard.trimmed)) > heard.attempts.index("2") and min(heard.trimmed[heard.attempts.index("2") :]) > 0, "and all that came behind it was trimmed before", vars(heard))
    ended = settled(through, "pillion_exchanges_total", lambda value: value == len(heard.attempts), outcome="ok")
    expect(ended == len(heard.attempts), "every exchange ended well", ended)


OF_A_SERVER = {"vision": False, "function_calling": True, "json_output": True, "family": "unknown", "structured_output": False}


@apart
async def autogen_agent_learnt_of_other_servers(_, through):
    """Each in its own words and by its own rule, one of them under a status that says nothing."""
    for words in ("vllm", "sglang", "llama_cpp", "lm_studio", "mistral", "tgi", "xai"):
        mark, heard, book = len(refusals(through)), Heard(), Book()
        reads_on(through, {"overflow_words": words, **({"context_status": 500} if words == "llama_cpp" else {})})
        agent = autogen_reader(through, heard, book, {"model": f"of-{words}", "model_info": OF_A_SERVER})
        outcome = await tried(lambda agent=agent: run(agent, "Read the book to its end."))
        expect("messages" in outcome and outcome["messages"][-1]["content"] == DONE and book.page == LAST_PAGE, f"{words}: the agent has noticed nothing", outcome)
        expect(heard.attempts.count("2") == len(refusals(through)) - mark == 1, f"{words}: one prompt was asked once more", [heard.attempts, refusals(through)])
        expect(max(prompts(outcome)) <= WINDOW, f"{words}: by its own count every prompt that was answered fits", prompts(outcome))


if __name__ == "__main__":
    main()

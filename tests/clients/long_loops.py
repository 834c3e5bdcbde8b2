"""Loops around a model and its tools that outgrow its window, side by side, as the SDKs of Anthropic, Google and Ollama have them and as openai-agents
runs them: directly they end in an error of the context's length, or forget what they were asked; through Pillion they go on to their end."""

import json

import ollama
from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from anthropic import Anthropic
from google import genai
from google.genai import types
from openai import AsyncOpenAI

from long_runs import DONE, LAST_PAGE, READS, WINDOW, Book, Heard, dies, goes_on, keeps_its_beginning, learns, reads_on, refusals, settled
from side_by_side import SCENARIOS, apart, expect, main, tried

set_tracing_disabled(True)
# What the module of AutoGen's runs has registered is played there.
SCENARIOS.clear()
ASKED = "Read the book to its end."


READ_PAGE = {"name": "read_page", "description": "The next page.", "input_schema": {"type": "object", "properties": {}}}


def anthropic_loop(side, heard, book, **options):
    """The loop of Anthropic's own pages: ask, run what is called, bring the results, until nothing is called. What the model has counted each time."""
    client = Anthropic(base_url=side.url(agent="reader"), api_key="sk-ant-of-a-test", max_retries=0)
    messages, counts = [{"role": "user", "content": ASKED}], []
    while True:
        asked = {"model": "claude-of-a-test", "max_tokens": 600, "tools": [READ_PAGE], "system": "Read the book.", "messages": messages, **options}
        raw = client.messages.with_raw_response.create(**asked)
        heard.take(raw.headers)
        reply = raw.parse()
        counts.append(reply.usage.input_tokens)
        messages.append({"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in reply.content]})
        calls = [block for block in reply.content if block.type == "tool_use"]
        if not calls:
            return {"answer": reply.content[-1].text, "counts": counts, "messages": len(messages)}
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": book.read()} for call in calls]
        messages.append({"role": "user", "content": results})


def claude_reads_on(side, **step):
    """With two calls at once, of which each has its result in the same message."""
    reads_on(side, **{"tools": [*READS, *READS], "text": "Let me read on.", **step})


@apart
async def anthropic_tools(direct, through):
    for side in (direct, through):
        heard, book = Heard(), Book()
        claude_reads_on(side)
        outcome = await tried(lambda side=side, heard=heard, book=book: anthropic_loop(side, heard, book))
        if side is direct:
            dies(outcome, "anthropic.BadRequestError", f"> {WINDOW}", side)
            continue
        expect(outcome.get("answer") == DONE and book.page == LAST_PAGE, "through Pillion it is done", outcome)
        goes_on(side, outcome["counts"], heard, ["reader"], "claude-of-a-test")
        # How the model counts is learnt by now, and moves no cut any more.
        mark, heard, book = len(side.model.requests()), Heard(), Book()
        outcome = anthropic_loop(side, heard, book)
        keeps_its_beginning(side, "messages", outcome["counts"], heard, answer=600, since=mark)


@apart
async def anthropic_tools_with_thinking(direct, through):
    """Every step opens with a thought that is signed."""
    for side in (direct, through):
        heard, book = Heard(), Book()
        claude_reads_on(side, thinking="One more page, or two.")
        thinks = {"max_tokens": 1100, "thinking": {"type": "enabled", "budget_tokens": 1024}}
        outcome = await tried(lambda side=side, heard=heard, book=book: anthropic_loop(side, heard, book, **thinks))
        if side is direct:
            dies(outcome, "anthropic.BadRequestError", f"> {WINDOW}", side)
            continue
        expect(outcome.get("answer") == DONE and book.page == LAST_PAGE, "through Pillion it is done", outcome)
        goes_on(side, outcome["counts"], heard, ["reader"], "claude-of-a-test")
        keeps_its_beginning(side, "messages", outcome["counts"], heard, answer=1100)


async def agents_sdk(side, heard, book):
    """A run of openai-agents on the Responses API; what the model has counted each time, and the answer."""

    @function_tool
    def read_page() -> str:
        """The next page."""
        return book.read()

    client = AsyncOpenAI(base_url=side.url("/v1", "reader"), api_key="sk-of-a-test", max_retries=0, http_client=heard.client())
    model = OpenAIResponsesModel(model="gpt-4o-mini", openai_client=client)
    result = await Runner.run(Agent("reader", instructions="Read the book.", model=model, tools=[read_page]), ASKED, max_turns=LAST_PAGE + 5)
    return {"answer": result.final_output, "counts": [reply.usage.input_tokens for reply in result.raw_responses]}


@apart
async def responses_run(direct, through):
    for side in (direct, through):
        heard, book = Heard(), Book()
        reads_on(side, thinking="One more page.")
        outcome = await tried(lambda side=side, heard=heard, book=book: agents_sdk(side, heard, book))
        if side is direct:
            dies(outcome, "openai.BadRequestError", "Your input exceeds the context window of this model", side)
            expect(outcome["code"] == "context_length_exceeded", "by its code", outcome)
            continue
        expect(outcome.get("answer") == DONE and book.page == LAST_PAGE, "through Pillion it is done", outcome)
        goes_on(side, outcome["counts"], heard, ["reader"], "gpt-4o-mini")
        keeps_its_beginning(side, "input", outcome["counts"], heard)


def gemini_loop(side, heard, book):
    """Google's SDK runs the tools by itself, and keeps all of it in a chat."""

    def read_page() -> dict:
        """The next page."""
        return {"page": book.read()}

    options = types.HttpOptions(base_url=side.url(agent="reader"))
    config = types.GenerateContentConfig(
        tools=[read_page], system_instruction="Read the book.", automatic_function_calling=types.AutomaticFunctionCallingConfig(maximum_remote_calls=LAST_PAGE + 5)
    )
    client = genai.Client(api_key="key-of-a-test", http_options=options)
    chat = client.chats.create(model="gemini-2.5-flash", config=config)
    reply = chat.send_message(ASKED)
    again = chat.send_message("And what was it about?")
    return {"answers": [reply.text, again.text], "counts": [one.usage_metadata.prompt_token_count for one in (reply, again)]}


@apart
async def gemini_tools(direct, through):
    for side in (direct, through):
        heard, book = Heard(), Book()
        reads_on(side)
        outcome = await tried(lambda side=side, heard=heard, book=book: gemini_loop(side, heard, book))
        if side is direct:
            dies(outcome, "google.genai.errors.ClientError", f"exceeds the maximum number of tokens allowed ({WINDOW})", side)
            continue
        expect(outcome.get("answers", [""])[0] == DONE and book.page == LAST_PAGE and outcome["answers"][1], "through Pillion it is done, and goes on", outcome)
        expect(not refusals(side) and max(outcome["counts"]) <= WINDOW, "the model has refused nothing", [refusals(side), outcome["counts"]])
        trims = settled(side, "pillion_trims_total", lambda value: value > 0, agent="reader", model="gemini-2.5-flash")
        expect(trims > LAST_PAGE / 2, "and that prompts were trimmed is counted", trims)


def ollama_loop(side, book):
    """The loop of Ollama's own examples. What the model has read of each prompt, as it says."""
    client, messages, counts = ollama.Client(host=side.url(agent="reader")), [{"role": "user", "content": ASKED}], []
    while True:
        reply = client.chat(model="llama3.2", messages=messages, tools=[{"type": "function", "function": {"name": "read_page", "description": "The next page.", "parameters": {"type": "object", "properties": {}}}}])
        counts.append(reply.prompt_eval_count)
        messages.append(reply.message)
        if not reply.message.tool_calls:
            return {"answer": reply.message.content, "counts": counts}
        messages.extend({"role": "tool", "tool_name": call.function.name, "content": book.read()} for call in reply.message.tool_calls)


@apart
async def ollama_tools_learnt(direct, through):
    """Ollama refuses nothing: it leaves out the beginning of what is too long, question and all, and says how much it has read. So the window is found."""
    for side in (direct, through):
        book = Book()
        reads_on(side)
        outcome = await tried(lambda side=side, book=book: ollama_loop(side, book))
        expect(outcome.get("answer") == DONE and book.page == LAST_PAGE, f"{side.name}: it comes to an end", outcome)
        cut = outcome["counts"].count(WINDOW)
        if side is direct:
            expect(cut > LAST_PAGE / 2, "directly most prompts are cut by the model", outcome["counts"])
            continue
        expect(0 < cut <= 6 and outcome["counts"][-1] < WINDOW, "through Pillion that is noticed, and the next ones fit", outcome["counts"])
        last = max(at for at, count in enumerate(outcome["counts"]) if count == WINDOW)
        expect(last < LAST_PAGE / 2, "for as long as it goes on", outcome["counts"])
        trims = settled(side, "pillion_trims_total", lambda value: value > 0, agent="reader", model="llama3.2")
        expect(trims > LAST_PAGE / 2, "and that they were trimmed is counted", trims)
        left = json.loads(side.model.requests()[-1]["body"])["messages"]
        expect(left[0]["content"] == ASKED and len(left) < 2 * LAST_PAGE, "with the question still in front", left[0])


@apart
async def anthropic_tools_learnt(_, through):
    heard, book = Heard(), Book()
    claude_reads_on(through)
    outcome = await tried(lambda: anthropic_loop(through, heard, book))
    expect(outcome.get("answer") == DONE and book.page == LAST_PAGE, "the agent has noticed nothing", outcome)
    learns(through, heard, outcome["counts"])


@apart
async def responses_run_learnt(_, through):
    """The words of this API say neither how large the window is nor how long the prompt was, so that more than one may be needed."""
    heard, book = Heard(), Book()
    reads_on(through)
    outcome = await tried(lambda: agents_sdk(through, heard, book))
    expect(outcome.get("answer") == DONE and book.page == LAST_PAGE, "the agent has noticed nothing", outcome)
    learns(through, heard, outcome["counts"], most=2)


if __name__ == "__main__":
    main()

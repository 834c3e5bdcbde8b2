"""ollama's Python package, side by side: chats, generation, streams of NDJSON, tools, embeddings, lists; and what is better through
Pillion: failures, stalls and cut streams."""

import asyncio

import ollama

from side_by_side import alike, apart, by_status, expect, main, same, told, tried

MODEL = "llama3.2"
ASKED = [{"role": "system", "content": "You are a planner."}, {"role": "user", "content": "How do tides come about? Ünïcödé ⛵"}]
CALLS = [{"name": "get_weather", "arguments": {"city": "Paris"}}, {"name": "get_weather", "arguments": {"city": "Rome"}}]
WHOLE = "The tide rises twice a day, nearly."


def client(side, agent=None, **options):
    return ollama.Client(host=side.url(agent=agent), **options)


def chat(client, **options):
    return client.chat(**{"model": MODEL, "messages": ASKED, **options})


def timeless(reply):
    """A reply without the times that the model measured, which are its own affair."""
    return {key: value for key, value in reply.model_dump(exclude_none=True).items() if key != "created_at" and not key.endswith("_duration")}


def parts(stream):
    """All of a stream, and how it ended."""
    got, ending = [], "ended"
    try:
        for part in stream:
            got.append(timeless(part))
    except Exception as error:
        ending = told(error)
    return {"parts": got, "ending": ending}


def words(read):
    return "".join(part["message"].get("content") or "" for part in read["parts"])


def get_weather(city: str) -> str:
    """Weather of a city.

    Args:
      city: the city
    """
    return f"{city}: sunny"


@alike
def whole(side):
    one = client(side)
    side.model.script({}, {"text": "Zwölf Boxkämpfer — 🥊\u2028\\u0000 \"quoted\""}, {"thinking": "Hm.", "text": "Yes."})
    answers = [chat(one), chat(one), chat(one, think=True), chat(one, options={"temperature": 0.3, "num_predict": 5, "seed": 7}, keep_alive="5m")]
    expect(answers[0].eval_count > 0 and answers[2].message.content == "Yes." and answers[0].done, "words and usage are there", [timeless(answer) for answer in answers])
    expect(answers[3].done_reason == "length", "a short limit is told", timeless(answers[3]))
    return [timeless(answer) for answer in answers]


@alike
def generated(side):
    one = client(side)
    answers = [timeless(one.generate(model=MODEL, prompt="Why are there tides?", system="Be short."))]
    read = parts(one.generate(model=MODEL, prompt="Why are there tides?", stream=True))
    expect(answers[0]["response"] and len(read["parts"]) > 2 and read["parts"][-1]["done"], "it answers, whole and in pieces", [answers, read])
    return [*answers, read]


@alike
def streamed(side):
    one = client(side)
    side.model.script({}, {"text": WHOLE})
    read = [parts(chat(one, stream=True)) for _ in range(2)]
    expect(all(each["ending"] == "ended" and each["parts"][-1]["done"] for each in read) and words(read[1]) == WHOLE, "every stream is read to its end", read)
    expect(len(read[0]["parts"]) > 2 and read[0]["parts"][-1]["eval_count"] > 0, "in pieces, with usage at the end", read[0])
    return read


@alike
def framed_oddly(side):
    """However a reply is framed, its content is the same."""
    one = client(side)
    got = []
    for step in ({"chunked": "close"}, {"big": {"bytes": 300_000, "events": 60}}, {"close_after": True}):
        side.model.script(step, step)
        got += [parts(chat(one, stream=True)), timeless(chat(one))]
    expect(all(read["ending"] == "ended" for read in got[::2]) and len(words(got[2])) == 300_000, "every stream is read to its end", got[::2])
    return got


@alike
def tools(side):
    """Two calls, their results, the answer; whole and streamed."""
    one, outcome = client(side), []
    for stream in (False, True):
        side.model.script({"tools": CALLS, "text": "I will look."}, {"text": "Both sunny."})
        asked = chat(one, tools=[get_weather], stream=stream)
        messages = [part.message for part in asked] if stream else [asked.message]
        calls = [call for message in messages for call in message.tool_calls or []]
        expect([call.function.arguments["city"] for call in calls] == ["Paris", "Rome"], "both calls come", [message.model_dump() for message in messages])
        said = {"role": "assistant", "content": "".join(message.content or "" for message in messages), "tool_calls": calls}
        results = [{"role": "tool", "tool_name": call.function.name, "content": get_weather(**call.function.arguments)} for call in calls]
        answer = chat(one, messages=[*ASKED, said, *results], tools=[get_weather])
        expect(answer.message.content == "Both sunny.", "the results go back", timeless(answer))
        outcome += [[message.model_dump() for message in messages], timeless(answer)]
    return outcome


@alike
def parsed(side):
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    answer = chat(client(side), format=schema)
    expect('"title"' in answer.message.content, "the answer fits the schema", timeless(answer))
    return timeless(answer)


@alike
def embedded_and_listed(side):
    one = client(side)
    embedded = one.embed(model="nomic-embed-text", input=["a", "b"])
    expect(len(embedded.embeddings) == 2 and embedded.embeddings[0], "every input is embedded", timeless(embedded))
    listed = one.list()
    expect(listed.models and listed.models[0].model, "models are listed", listed.model_dump())
    return [timeless(embedded), timeless(one.embeddings(model="nomic-embed-text", prompt="a")), [model.model for model in listed.models], timeless(one.show(MODEL)), timeless(one.ps())]


@alike
def named(side):
    """An agent's name in the path is Pillion's to read; every other header is the model's."""
    return [timeless(chat(client(side, agent="planner", headers={"X-Team": "tides", "Authorization": "Bearer of-a-test"}, timeout=42)))]


@alike
async def many_at_once(side):
    """Ten asynchronous calls at a time, whole and streamed, each with its own answer."""
    side.unordered = True
    one = ollama.AsyncClient(host=side.url())

    async def question(number):
        asked = {"model": MODEL, "messages": [{"role": "user", "content": f"Question {number}"}]}
        if number % 2:
            return (await one.chat(**asked)).message.content
        return "".join([part.message.content or "" async for part in await one.chat(**asked, stream=True)])

    answers = await asyncio.gather(*(question(number) for number in range(10)))
    expect(len(set(answers)) == 10, "every question has an answer of its own", answers)
    return answers


@alike
def error_line_mid_stream(side):
    """After the first token nobody may try again: the model's own words are what is raised."""
    side.model.script({"error_event": {"after": 3, "message": "It broke."}})
    read = parts(chat(client(side), stream=True))
    expect(len(read["parts"]) == 3 and read["ending"]["raised"].endswith("ResponseError") and "It broke." in read["ending"]["text"], "the error is raised after the words", read)
    return read


@apart
async def errors_by_status(direct, through):
    await by_status(direct, through, [400, 401, 403, 404, 408, 429, 500, 502, 503, 504], lambda side: chat(client(side)))


@apart
async def errors_by_status_streamed(direct, through):
    def read(side):
        for _ in chat(client(side), stream=True):
            pass

    await by_status(direct, through, [400, 404, 429, 503], read)


@apart
async def survives_failures(direct, through):
    """The package never tries again: directly each fault is raised, through Pillion none."""
    faults = [{"status": 500}, {"status": 429, "headers": {"retry-after-ms": "20"}}, {"status": 503}, {"error_event": {"message": "Overloaded."}}]
    answers = [{"text": text} for text in ("The plan.", "A draft.", "A critique.", "The end.")]
    for fault in faults:
        direct.model.script(fault)
        read = parts(chat(client(direct), stream=True))
        expect(read["ending"] != "ended", f"directly it is raised: {fault}", read)
    direct.model.script(*answers)
    through.model.script(*[step for pair in zip(faults, answers, strict=True) for step in pair])
    runs = [[chat(one).message.content, chat(one).message.content, words(parts(chat(one, stream=True))), words(parts(chat(one, stream=True)))] for one in (client(direct), client(through))]
    same(*runs, "the run")
    expect(runs[1][3] == "The end.", "it is answered", runs)
    same([request for request in direct.since(len(faults)) for _ in range(2)], through.since(), "every request, once more after its fault")


@apart
async def a_stall_is_told_by_the_limit_that_it_is_given(direct, through):
    """The package tells its limit to nobody; its user does, in a header. Directly a bare timeout of the HTTP library; through Pillion a 504 in words."""
    for stream, at in ((False, "head"), (True, "first_token")):
        for side in (direct, through):
            mark = len(side.since())
            side.model.script({"stall": {"at": at}, "times": -1})
            one = client(side, timeout=1) if side is direct else client(side, timeout=10, headers={"x-pillion-timeout": "1s"})
            raised = await tried(lambda one=one, stream=stream: parts(chat(one, stream=True)) if stream else chat(one))
            raised = raised.get("ending", raised)
            if side is direct:
                expect(not raised["raised"].startswith("ollama."), "directly it is a bare timeout", raised)
                continue
            expect((raised["raised"], raised["status_code"]) == ("ollama._types.ResponseError", 504), "it is a 504", raised)
            expect("timeout_agent" in raised["text"] and "950ms" in raised["text"] and "Raise the timeout" in raised["text"], "with the clock, and what to change", raised)
            expect(side.model.ended_after() < 2 and len(side.since(mark)) == 1, "in time, and not retried", side.since(mark))


@apart
async def a_cut_stream_is_never_a_short_answer(direct, through):
    """`fin`, `rst`, and the clean end without `done` that the client takes for the whole answer."""
    for how in ("fin", "rst", "clean"):
        read = []
        for side in (direct, through):
            side.model.script({"text": WHOLE, "cut": {"at": "mid", "after": 3, "how": how}})
            read.append(parts(chat(client(side), stream=True)))
        same(read[0]["parts"], read[1]["parts"], f"the parts before the cut ({how})")
        expect(len(read[1]["parts"]) == 3, "all that came is given on", read[1])
        expect((read[0]["ending"] == "ended") == (how == "clean"), "the client alone takes a clean end for the whole answer", read[0]["ending"])
        expect(read[1]["ending"] != "ended" and "ended this stream before it was complete" in read[1]["ending"]["text"], f"through Pillion it raises and says why ({how})", read[1]["ending"])


if __name__ == "__main__":
    main()

"""google-genai, side by side: whole replies, streams over SSE, tools that it runs by itself, chats, embeddings, lists; and what is better
through Pillion: failures, stalls and cut streams."""

import asyncio

from google import genai
from google.genai import types

from side_by_side import alike, apart, by_status, expect, main, same, told, tried

MODEL = "gemini-2.5-flash"
CALLS = [{"name": "get_weather", "arguments": {"city": "Paris"}}, {"name": "get_weather", "arguments": {"city": "Rome"}}]
WHOLE = "The tide rises twice a day, nearly."


def client(side, agent=None, **options):
    return genai.Client(api_key="key-of-a-test", http_options=types.HttpOptions(base_url=side.url(agent=agent), **options))


def ask(client, contents="How do tides come about? Ünïcödé ⛵", **options):
    return client.models.generate_content(model=MODEL, contents=contents, **options)


def plain(reply):
    """What a reply holds, but for the headers of the hop that it came with."""
    return reply.model_dump(exclude={"sdk_http_response"}, exclude_none=True)


def chunks(client, contents="How do tides come about?", **options):
    """All of a stream, and how it ended."""
    got, ending = [], "ended"
    try:
        for chunk in client.models.generate_content_stream(model=MODEL, contents=contents, **options):
            got.append(plain(chunk))
    except Exception as error:
        ending = told(error)
    return {"chunks": got, "ending": ending}


def words(read):
    candidates = [candidate for chunk in read["chunks"] for candidate in chunk["candidates"]]
    return "".join(part.get("text", "") for candidate in candidates for part in candidate.get("content", {}).get("parts", []))


def get_weather(city: str) -> str:
    """Weather of a city."""
    if city == "Rome":
        raise RuntimeError("no data for Rome")
    return f"{city}: sunny"


@alike
def whole(side):
    one = client(side)
    side.model.script({}, {"text": "Zwölf Boxkämpfer — 🥊\u2028\\u0000 \"quoted\""}, {"thinking": "Hm.", "text": "Yes."})
    answers = [ask(one) for _ in range(3)]
    expect(answers[0].usage_metadata.total_token_count > 0 and answers[2].text == "Yes.", "words and usage are there", [plain(answer) for answer in answers])
    limited = ask(one, config=types.GenerateContentConfig(system_instruction="You are a planner.", temperature=0.3, max_output_tokens=5, seed=7))
    expect(limited.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS, "a short limit is told", plain(limited))
    return [plain(answer) for answer in (*answers, limited)]


@alike
def streamed(side):
    one = client(side)
    side.model.script({}, {"thinking": "Hm.", "text": "Yes."}, {"text": WHOLE})
    read = [chunks(one, config=types.GenerateContentConfig(system_instruction="You are a planner.")) for _ in range(3)]
    expect(all(each["ending"] == "ended" for each in read) and words(read[2]) == WHOLE, "every stream is read to its end", read)
    expect(len(read[0]["chunks"]) > 2 and read[0]["chunks"][-1]["usage_metadata"]["total_token_count"] > 0, "in pieces, with usage at the end", read[0])
    return read


@alike
def framed_oddly(side):
    """However a reply is framed, its content is the same."""
    one = client(side)
    got = []
    for step in ({"chunked": "close"}, {"big": {"bytes": 300_000, "events": 60}}, {"close_after": True}):
        side.model.script(step, step)
        got += [chunks(one), plain(ask(one))]
    expect(all(read["ending"] == "ended" for read in got[::2]) and len(words(got[2])) == 300_000, "every stream is read to its end", got[::2])
    return got


@alike
def tools(side):
    """The SDK runs the tool that the model calls, and asks again; a tool that raises is told."""
    side.model.script({"tools": CALLS[:1]}, {"text": "Sunny."}, {"tools": CALLS}, {"text": "One of two."})
    one = client(side)
    answers = [ask(one, config=types.GenerateContentConfig(tools=[get_weather])) for _ in range(2)]
    expect([answer.text for answer in answers] == ["Sunny.", "One of two."], "the results go back", [plain(answer) for answer in answers])
    told_back = side.since()[3]["body"]
    expect("functionResponse" in told_back and "no data for Rome" in told_back, "each result is told", told_back)
    return [plain(answer) for answer in answers]


@alike
def tools_streamed(side):
    """Declared, called and answered by hand."""
    declared = types.FunctionDeclaration(name="get_weather", description="Weather of a city", parameters=types.Schema(type="OBJECT", properties={"city": types.Schema(type="STRING")}))
    given = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[declared])])
    side.model.script({"tools": CALLS, "text": "I will look."}, {"text": "Both sunny."})
    one = client(side)
    asked = chunks(one, config=given)
    calls = [part["function_call"] for chunk in asked["chunks"] for candidate in chunk["candidates"] for part in candidate.get("content", {}).get("parts", []) if "function_call" in part]
    expect([call["args"]["city"] for call in calls] == ["Paris", "Rome"] and asked["ending"] == "ended", "both calls come", asked)
    said = types.Content(role="model", parts=[types.Part.from_function_call(name=call["name"], args=call["args"]) for call in calls])
    results = types.Content(role="user", parts=[types.Part.from_function_response(name=call["name"], response={"result": "sunny"}) for call in calls])
    answer = chunks(one, [types.Content(role="user", parts=[types.Part(text="Weather?")]), said, results], config=given)
    expect(words(answer) == "Both sunny.", "the results go back", answer)
    return [asked, answer]


@alike
def chat(side):
    """A conversation that the SDK keeps: each question carries what was said before."""
    one = client(side)  # Which closes itself when nobody holds it any more.
    talk = one.chats.create(model=MODEL)
    first = talk.send_message("Hello.").text
    second = "".join(chunk.text or "" for chunk in talk.send_message_stream("And again."))
    third = talk.send_message("And once more.").text
    expect(first and second and third and len(talk.get_history()) >= 6, "it remembers all of it", [first, second, third])
    return [entry.model_dump(exclude_none=True) for entry in talk.get_history()]


@alike
def parsed(side):
    schema = types.Schema(type="OBJECT", properties={"title": types.Schema(type="STRING")}, required=["title"])
    answer = ask(client(side), config=types.GenerateContentConfig(response_mime_type="application/json", response_schema=schema))
    expect(isinstance(answer.parsed, dict) and "title" in answer.parsed, "the answer fits the schema", plain(answer))
    return plain(answer)


@alike
def named_and_limited(side):
    """An agent's name in the path is Pillion's to read; every other header is the model's."""
    one = client(side, agent="planner", headers={"X-Team": "tides"}, timeout=42_000)
    limited = types.GenerateContentConfig(http_options=types.HttpOptions(headers={"X-Team": "winds"}, timeout=7500))
    answers = [plain(ask(one)), plain(ask(one, config=limited))]
    limits = [{name.lower(): value for name, value in request["headers"]}["x-server-timeout"] for request in side.since()]
    expect(limits == ["42", "8"], "its limits are told to the model's side", limits)
    return answers


@alike
def counted_embedded_listed(side):
    one = client(side)
    counted = one.models.count_tokens(model=MODEL, contents="How many?").total_tokens
    embedded = one.models.embed_content(model="gemini-embedding-001", contents=["a", "b"])
    listed = [model.name for model in one.models.list()]
    described = one.models.get(model=listed[0])
    expect(counted > 0 and len(embedded.embeddings) == 2 and embedded.embeddings[0].values, "all are answered", [counted, listed])
    return [counted, [each.values for each in embedded.embeddings], listed, described.name]


@alike
async def many_at_once(side):
    """Ten asynchronous calls at a time, whole and streamed, each with its own answer."""
    side.unordered = True
    one = client(side).aio

    async def question(number):
        asked = {"model": MODEL, "contents": f"Question {number}"}
        if number % 2:
            return (await one.models.generate_content(**asked)).text
        return "".join([chunk.text or "" async for chunk in await one.models.generate_content_stream(**asked)])

    answers = await asyncio.gather(*(question(number) for number in range(10)))
    expect(len(set(answers)) == 10, "every question has an answer of its own", answers)
    return answers


@alike
def error_event_mid_stream(side):
    """After the first token nobody may try again: the model's own words are what is raised."""
    side.model.script({"error_event": {"after": 3, "message": "It broke."}})
    read = chunks(client(side))
    expect(read["chunks"] and read["ending"] != "ended" and "It broke." in read["ending"]["text"], "the error is raised after the words", read)
    return read


@apart
async def errors_by_status(direct, through):
    await by_status(direct, through, [400, 401, 403, 404, 408, 429, 500, 502, 503, 504], lambda side: ask(client(side)))


@apart
async def errors_by_status_streamed(direct, through):
    def read(side):
        one = client(side)
        for _ in one.models.generate_content_stream(model=MODEL, contents="hello"):
            pass

    await by_status(direct, through, [400, 429, 503], read)


@apart
async def survives_failures(direct, through):
    """The SDK never tries again: directly each fault is raised, through Pillion none."""
    faults = [{"status": 500}, {"status": 429, "headers": {"retry-after-ms": "20"}}, {"status": 503}, {"error_event": {"message": "Overloaded."}}]
    answers = [{"text": "The plan."}, {"tools": CALLS[:1]}, {"text": "Paris is sunny."}, {"text": "A draft."}]

    def run(side):
        one = client(side)
        talk = one.chats.create(model=MODEL, config=types.GenerateContentConfig(tools=[get_weather]))
        said = [talk.send_message("Make a plan.").text, talk.send_message("The weather?").text]
        said.append("".join(chunk.text or "" for chunk in talk.send_message_stream("Write.")))
        return said

    for fault in faults:
        direct.model.script(fault)
        read = await tried(lambda: chunks(client(direct)))
        expect(read["ending"] != "ended", f"directly it is raised: {fault}", read)
    direct.model.script(*answers)
    through.model.script(*[step for pair in zip(faults, answers, strict=True) for step in pair])
    same(run(direct), run(through), "the run")
    same([request for request in direct.since(len(faults)) for _ in range(2)], through.since(), "every request, once more after its fault")


@apart
async def stalls_are_answered_before_the_agents_own_limit(direct, through):
    """Directly a bare timeout of the HTTP library; through Pillion a 504 in Gemini's own shape."""
    for stream, at in ((False, "head"), (True, "first_token")):
        for side in (direct, through):
            mark = len(side.since())
            side.model.script({"stall": {"at": at}, "times": -1})
            # Told as `2`: the SDK rounds up, and what it means comes sooner.
            one = client(side, timeout=1000 if side is direct else 1500)
            raised = await tried(lambda one=one, stream=stream: chunks(one) if stream else ask(one))
            raised = raised.get("ending", raised)
            if side is direct:
                expect(not raised["raised"].startswith("google."), "directly it is a bare timeout", raised)
                continue
            expect((raised["raised"], raised["status_code"]) == ("google.genai.errors.ServerError", 504), "it is a 504", raised)
            expect("the agent's own timeout" in raised["text"] and "Raise the timeout" in raised["text"], "with the clock, and what to change", raised)
            expect(side.model.ended_after() < 1.5, "it comes before the agent's own limit", side.model.ended_after())
            expect(len(side.since(mark)) == 1, "a clock that fires is not retried", side.since(mark))


@apart
async def a_cut_stream_is_never_a_short_answer(direct, through):
    """`fin`, `rst`, and the clean end without a finish reason that the client takes for the whole answer."""
    for how in ("fin", "rst", "clean"):
        read = []
        for side in (direct, through):
            side.model.script({"text": WHOLE, "cut": {"at": "mid", "after": 3, "how": how}})
            read.append(chunks(client(side)))
        same(read[0]["chunks"], read[1]["chunks"], f"the chunks before the cut ({how})")
        expect(len(read[1]["chunks"]) == 3, "all that came is given on", read[1])
        expect((read[0]["ending"] == "ended") == (how == "clean"), "the client alone takes a clean end for the whole answer", read[0]["ending"])
        expect(read[1]["ending"] != "ended" and "ended this stream before it was complete" in read[1]["ending"]["text"], f"through Pillion it raises and says why ({how})", read[1]["ending"])


if __name__ == "__main__":
    main()

"""Plays one scenario with a real client on two sides: `direct`, against a simulated model, and `through`, the same with Pillion in between.

Each side has a model of its own, started fresh with the same seed, so that equal requests get equal answers, ids included. A scenario
marked `alike` must come out the same on both sides: what the client returned or raised, and what the model saw. One marked `apart`
is given both sides and says itself how they shall differ. The exit code is 0 if all of it held; else the reason is on stderr.
"""

import argparse
import asyncio
import difflib
import hashlib
import inspect
import json
import re
import sys
import time
import urllib.parse
import urllib.request

# Headers that belong to one hop (RFC 9110, section 7.6.1), the one that names it, and the mark that a proxy must leave.
OF_THE_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "host", "via"}
# What Pillion asks for on behalf of an agent whose stream would come without token counts.
OPTION = '"stream_options":{"include_usage":true},'
SCENARIOS = {}


class Failed(Exception):
    """What a scenario claims does not hold."""


def expect(holds, claim, found=None):
    """Like assert, but never compiled away, and with what was found."""
    if not holds:
        raise Failed(f"{claim}\nfound: {found if isinstance(found, str) else written(found)}")


class Model:
    """The control plane of a simulated model."""

    def __init__(self, url):
        self.url = url

    def _call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/__simulate/{path}", data=data, method="GET" if data is None else "POST")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as reply:
            return json.loads(reply.read())

    def script(self, *steps):
        """The steps of the requests to come; a step that stays has `times: -1`."""
        self._call("script", {"steps": list(steps)})

    def play(self, **script):
        """A whole script, with its rules and what holds for all requests."""
        self._call("script", script)

    def requests(self):
        """All requests since the start, as they were seen."""
        return self._call("requests")

    def usage_of(self, request):
        """What the answer to a streamed request costs, told by the model itself when it is asked."""
        body = json.dumps({**json.loads(request["body"]), "stream_options": {"include_usage": True}}).encode()
        again = urllib.request.Request(self.url + request["target"], data=body, headers={"content-type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(again, timeout=10) as reply:
            events = [line[6:] for line in reply.read().decode().splitlines() if line.startswith("data: {")]
        return json.loads(events[-1])["usage"]

    def ended_after(self):
        """How many seconds the last request was left open, once it has ended, by the model's clock: no busy Python is in that time."""
        for _ in range(500):
            last = self.requests()[-1]
            if last["end"] != "open":
                return last["lasted_ms"] / 1000
            time.sleep(0.01)
        raise Failed(f"the last request has not ended: {written(last)}")


class Side:
    """Where the client of a scenario connects, and the model behind it."""

    def __init__(self, name, base, model):
        self.name, self.base, self.model = name, base.rstrip("/"), Model(model.rstrip("/"))
        # Of Pillion, where there is one.
        self.metrics_url = None
        # Set by a scenario that asks many things at once, whose order of arrival nobody promises.
        self.unordered = False

    def url(self, path="", agent=None):
        """A base URL; Pillion's may name the agent, which no model could read."""
        named = f"/@{agent}" if agent and self.name == "through" else ""
        return f"{self.base}{named}{path}"

    def metric(self, name, **labels):
        """The sum of a metric's series that have these labels, as Pillion tells it."""
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(self.metrics_url, timeout=10) as reply:
            lines = reply.read().decode().splitlines()
        series = [line.rsplit(" ", 1) for line in lines if re.match(rf"{name}[ {{]", line)]
        return sum(float(value) for key, value in series if all(f'{label}="{wanted}"' in key for label, wanted in labels.items()))

    def since(self, mark=0):
        """What the model has seen since so many requests, without what belongs to the hop."""
        seen = [self._seen(request) for request in self.model.requests()[mark:]]
        return sorted(seen, key=lambda request: request["body"]) if self.unordered else seen

    def _seen(self, request):
        expect(request["body_complete"], f"{self.name}: a request came whole", request)
        headers = [[name, value] for name, value in request["headers"] if name.lower() not in OF_THE_HOP]
        hops = {name.lower(): value for name, value in request["headers"] if name.lower() in ("via", "host")}
        expect(hops.get("host") == urllib.parse.urlsplit(self.model.url).netloc, f"{self.name}: host names the model", hops)
        expect(("via" in hops) == (self.name == "through"), f"{self.name}: via says whether a proxy was in between", hops)
        seen = {"method": request["method"], "target": request["target"], "headers": headers, "body": request["body"], "sha256": request["sha256"]}
        return as_pillion_asks(seen) if self.name == "direct" else seen


def as_pillion_asks(seen):
    """A request of an agent as it leaves Pillion, which asks for the token counts of OpenAI's streams: the one change of a body that is expected."""
    if not seen["target"].split("?")[0].endswith("/completions"):
        return seen
    try:
        asked = json.loads(seen["body"])
    except ValueError:
        return seen
    if not isinstance(asked, dict) or not asked.get("stream") or "stream_options" in asked:
        return seen
    body = seen["body"].replace("{", "{" + OPTION, 1)
    changed = {"accept-encoding": "identity", "content-length": str(len(body.encode()))}
    headers = [[name, changed.get(name.lower(), value)] for name, value in seen["headers"]]
    return {**seen, "headers": headers, "body": body, "sha256": hashlib.sha256(body.encode()).hexdigest()}


def written(value):
    """As text that diffs well."""
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True, default=repr)


def scrubbed(value, side):
    """As JSON would carry it, and without the one thing that must differ: the address."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    for url in (side.base, side.model.url):
        text = text.replace(urllib.parse.urlsplit(url).netloc, "ADDRESS")
    return json.loads(text)


def same(direct, through, what):
    """Fails with a diff."""
    old, new = written(direct).splitlines(), written(through).splitlines()
    lines = difflib.unified_diff(old, new, "direct", "through", lineterm="", n=2)
    expect(direct == through, f"{what}: the same on both sides", "\n".join(list(lines)[:200]))


def told(error):
    """An exception as the user of an SDK meets it."""
    facts = {name: getattr(error, name, None) for name in ("status_code", "code", "type", "param", "request_id", "body")}
    if isinstance(facts["code"], int):  # So google-genai names a status.
        facts |= {"status_code": facts["code"], "code": error.status}
    return {"raised": f"{type(error).__module__}.{type(error).__qualname__}", "text": str(error), **facts}


async def resolved(value):
    """A value, or what comes of awaiting it."""
    return await value if inspect.isawaitable(value) else value


async def tried(make):
    """What a call returns, or what it raises."""
    try:
        return await resolved(make())
    except Exception as error:  # Whatever it is, it is the finding.
        return told(error)


def alike(scenario):
    """A scenario of one side, that must come out the same on both."""

    async def both(direct, through):
        outcomes = [scrubbed(await resolved(scenario(side)), side) for side in (direct, through)]
        seen = [side.since() for side in (direct, through)]
        expect(outcomes[0] not in (None, [], {}) and seen[0], "a scenario has an outcome and asks the model", outcomes[0])
        same(*outcomes, "the outcome")
        same(*seen, "what the model saw")

    SCENARIOS[scenario.__name__] = both
    return scenario


def apart(scenario):
    """A scenario of both sides, that says itself how they differ."""
    SCENARIOS[scenario.__name__] = scenario
    return scenario


async def by_status(direct, through, statuses, ask):
    """Every status, whole, with an SDK that does not retry: the same exception on both sides; the retries are Pillion's, of equal requests."""
    retried = {408, 425, 429, 500, 502, 503, 504, 529}
    for status in statuses:
        outcomes, seen = [], []
        for side in (direct, through):
            mark = len(side.since())
            side.model.script({"status": status, "headers": {"retry-after-ms": "1"}, "times": -1})
            outcomes.append(scrubbed(await tried(lambda side=side: ask(side)), side))
            seen.append(side.since(mark))
        same(*outcomes, f"status {status}")
        expect(outcomes[0]["status_code"] == status, f"status {status} is raised", outcomes[0])
        expect(len(seen[0]) == 1, f"status {status} is asked once directly", seen[0])
        same(seen[0] * (3 if status in retried else 1), seen[1], f"what the model saw of status {status}")


def main():
    """`SCRIPT SCENARIO --direct URL --through URL --behind URL [--metrics URL]`"""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--direct", required=True, help="the model that is asked directly")
    parser.add_argument("--through", required=True, help="what stands in front of the other model")
    parser.add_argument("--behind", required=True, help="that other model")
    parser.add_argument("--metrics", help="Pillion's metrics")
    asked = parser.parse_args()
    direct, through = Side("direct", asked.direct, asked.direct), Side("through", asked.through, asked.behind)
    through.metrics_url = asked.metrics
    try:
        asyncio.run(resolved(SCENARIOS[asked.scenario](direct, through)))
    except Failed as failure:
        print(f"{asked.scenario}: {failure}", file=sys.stderr)
        sys.exit(1)
    print(f"{asked.scenario}: held, with {len(direct.since())} requests directly and {len(through.since())} through")

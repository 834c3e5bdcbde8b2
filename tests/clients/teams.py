"""Teams of AutoGen 0.7 as their authors would write them: no base_url, no names for anybody but the agents, and not a word of Pillion.
`teams.py TEAM` runs one and prints what it said."""

import asyncio
import logging
import sys

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.teams import MagenticOneGroupChat, RoundRobinGroupChat, SelectorGroupChat, Swarm
from autogen_ext.models.openai import OpenAIChatCompletionClient

logging.disable(logging.CRITICAL)


async def get_weather(city: str) -> str:
    """Weather of a city."""
    if city == "Rome":
        raise RuntimeError("no data for Rome")
    return f"{city}: sunny"


def client():
    return OpenAIChatCompletionClient(model="gpt-4o-mini", api_key="sk-of-a-test", max_retries=0)


def crew(model_client, **options):
    """Three agents of which one has a tool."""
    return [
        AssistantAgent(
            name,
            model_client=model_client,
            system_message=f"You are the {name}.",
            description=f"The {name}",
            tools=[get_weather] if name == "researcher" else [],
            reflect_on_tool_use=True,
            **options,
        )
        for name in ("planner", "researcher", "writer")
    ]


def selector():
    model_client = client()
    return SelectorGroupChat(crew(model_client), model_client=model_client, max_turns=3)


def long():
    """Goes on until its conversation is longer than what the model can read, which nobody here thinks of."""
    model_client = client()
    return SelectorGroupChat(crew(model_client), model_client=model_client, max_turns=30)


def swarm():
    model_client = client()
    alice = AssistantAgent("alice", model_client=model_client, handoffs=["bob"], tools=[get_weather], system_message="You are Alice.")
    bob = AssistantAgent("bob", model_client=model_client, handoffs=["alice"], system_message="You are Bob.")
    return Swarm([alice, bob], termination_condition=TextMentionTermination("TERMINATE"))


def magentic():
    model_client = client()
    coder = AssistantAgent("coder", model_client=model_client, description="Writes code", system_message="You write code.", tools=[get_weather])
    return MagenticOneGroupChat([coder], model_client=model_client, max_turns=4)


def streamed():
    """Asks for no usage."""
    return RoundRobinGroupChat(crew(client(), model_client_stream=True), max_turns=3)


async def run(team):
    result = await team.run(task="Write about tides.")
    for message in result.messages:
        usage = message.models_usage
        print(f"{message.source}: {message.to_text()}" + (f" [{usage.prompt_tokens}, {usage.completion_tokens}]" if usage else ""))


asyncio.run(run({"selector": selector, "long": long, "swarm": swarm, "magentic": magentic, "streamed": streamed}[sys.argv[1]]()))

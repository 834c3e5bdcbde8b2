"""A plain AutoGen program as its author would have it: no base_url, no retries, and not a word of Pillion. Prints what the team said."""

import asyncio
import logging
import sys

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient

logging.disable(logging.CRITICAL)


async def get_weather(city: str) -> str:
    """Weather of a city."""
    return f"{city}: sunny"


async def run():
    client = OpenAIChatCompletionClient(model="gpt-4o-mini", api_key="sk-of-a-test", max_retries=0)
    planner = AssistantAgent("planner", model_client=client)
    writer = AssistantAgent("writer", model_client=client, tools=[get_weather], reflect_on_tool_use=True, model_client_stream=True)
    result = await RoundRobinGroupChat([planner, writer], max_turns=4).run(task="Write about tides.")
    for message in result.messages:
        print(f"{message.source}: {message.to_text()}")


try:
    asyncio.run(run())
except RuntimeError as error:
    print(str(error).splitlines()[0], file=sys.stderr)
    sys.exit(3)

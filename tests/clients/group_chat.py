"""A GroupChat of the classic AutoGen API as its author would write it: no base_url, and not a word of Pillion. Prints what was said."""

import logging

import autogen
from autogen import ConversableAgent, GroupChat, GroupChatManager, UserProxyAgent

logging.disable(logging.CRITICAL)

CONFIG = {"config_list": [{"model": "gpt-4o-mini", "api_key": "sk-of-a-test", "max_retries": 0}], "cache_seed": None}


def get_weather(city: str) -> str:
    if city == "Rome":
        raise RuntimeError("no data for Rome")
    return f"{city}: sunny"


def speaker(name):
    return ConversableAgent(name, system_message=f"You are the {name}.", description=f"The {name}", llm_config=CONFIG, human_input_mode="NEVER")


user = UserProxyAgent("user_proxy", human_input_mode="NEVER", code_execution_config=False, max_consecutive_auto_reply=2)
planner, writer = speaker("planner"), speaker("writer")
autogen.register_function(get_weather, caller=planner, executor=user, name="get_weather", description="Weather of a city")
chat = GroupChat([user, planner, writer], messages=[], max_round=5, speaker_selection_method="auto")
manager = GroupChatManager(groupchat=chat, llm_config=CONFIG)
for message in user.initiate_chat(manager, message="Write about tides.").chat_history:
    print(f"{message.get('name')}: {message.get('content')}")

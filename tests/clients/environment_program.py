"""`environment_program.py CLIENT`: one question as the client's own pages ask it, with no address but the environment's. Prints the answer."""

import os
import sys

for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
    os.environ[name] = "key-of-a-test"
QUESTION = "Why are there tides?"


def openai():
    from openai import OpenAI

    return OpenAI().responses.create(model="gpt-4o-mini", input=QUESTION).output_text


def anthropic():
    from anthropic import Anthropic

    asked = [{"role": "user", "content": QUESTION}]
    return Anthropic().messages.create(model="claude-of-a-test", max_tokens=100, messages=asked).content[0].text


def google_genai():
    from google import genai

    one = genai.Client()
    return "".join(chunk.text for chunk in one.models.generate_content_stream(model="gemini-2.5-flash", contents=QUESTION))


def ollama():
    import ollama

    asked = [{"role": "user", "content": QUESTION}]
    return "".join(part.message.content for part in ollama.chat(model="llama3.2", messages=asked, stream=True))


def openai_agents():
    from agents import Agent, Runner, set_tracing_disabled

    set_tracing_disabled(True)
    return Runner.run_sync(Agent("planner", model="gpt-4o-mini"), QUESTION).final_output


def autogen_classic():
    from autogen import AssistantAgent, UserProxyAgent

    assistant = AssistantAgent("assistant", llm_config={"config_list": [{"model": "gpt-4o-mini"}], "cache_seed": None})
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
    return user.initiate_chat(assistant, message=QUESTION, max_turns=1, silent=True).summary


print({make.__name__: make for make in (openai, anthropic, google_genai, ollama, openai_agents, autogen_classic)}[sys.argv[1]]())

"""Streams in which the gateway gives signs of life, by all of the Python SDKs: before the provider's first word, and between."""

import anthropic
import openai
from common import *
from google import genai
from google.genai import errors as failed
from google.genai import types

chats = openai.OpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0)
messages = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
contents = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL))
SAID = [{"role": "user", "content": HELLO}]


def in_chat(model):
    stream = chats.chat.completions.create(model=model, messages=SAID, stream=True)
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    return "".join(pieces)


def in_responses(model):
    with chats.responses.stream(model=model, input=SAID, store=False) as stream:
        for _ in stream:
            pass
        return stream.get_final_response().output_text


def in_messages(model):
    with messages.messages.stream(model=model, max_tokens=4096, messages=SAID) as stream:
        return stream.get_final_text()


def in_content(model):
    stream = contents.models.generate_content_stream(model=model, contents=HELLO)
    return "".join(chunk.text or "" for chunk in stream)


def slow(model):
    for answer in (in_chat, in_responses, in_messages, in_content):
        same(answer(other(model, "slow")), HEARD_HELLO)


def slow_to_fail(model):
    """The status was told long before anything went wrong."""
    for answer, kind in (
        (in_chat, openai.APIError),
        (in_responses, openai.APIError),
        (in_messages, anthropic.APIStatusError),
        (in_content, failed.APIError),
    ):
        try:
            answer(other(model, "slow-to-fail"))
        except kind as error:
            assert "scripted 429" in str(error), error
            continue
        raise AssertionError(f"{answer.__name__}: nothing went wrong")


run(slow, slow_to_fail)

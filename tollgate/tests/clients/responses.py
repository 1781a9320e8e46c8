"""The Responses API by OpenAI's Python SDK, of the models of every provider. Nothing is stored with a vendor."""

import json

import openai
from common import *

client = openai.OpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0)
TOOLS = [{"type": "function", "name": "weather", "parameters": WEATHER, "strict": True}]
THINK = {"reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}


def said(text):
    return [{"role": "user", "content": text}]


def ask(model, items, **more):
    return client.responses.create(model=model, input=items, store=False, **more)


def used(usage, reasoning=0):
    same((usage.input_tokens, usage.input_tokens_details.cached_tokens), (INPUT, CACHED))
    same((usage.output_tokens, usage.output_tokens_details.reasoning_tokens), (OUTPUT, reasoning))
    same(usage.total_tokens, INPUT + OUTPUT)


def streamed(model, items, **more):
    """The text in its pieces, and the whole."""
    with client.responses.stream(model=model, input=items, store=False, **more) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        return pieces, stream.get_final_response()


def text(model):
    answer = ask(model, HELLO)
    same(answer.output_text, HEARD_HELLO)
    same(answer.status, "completed")
    used(answer.usage)


def streaming(model):
    pieces, answer = streamed(model, HELLO)
    same("".join(pieces), HEARD_HELLO)
    assert len(pieces) > 2, pieces
    same(answer.output_text, HEARD_HELLO)
    used(answer.usage)


def conversation(model):
    turns = [{"role": role, "content": content} for role, content in TURNS]
    same(ask(model, turns, instructions=SYSTEM).output_text, HEARD_TURNS)


def with_tool(prompt, calls, heard, answer):
    """Calls the tool, and goes on with what it gave."""
    output = answer(said(prompt)).output
    called = [item for item in output if item.type == "function_call"]
    given = [json.loads(call.arguments) for call in called]
    same(given, calls)
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": weather(arguments)}
        for call, arguments in zip(called, given)
    ]
    same(answer([*said(prompt), *output, *results]).output_text, heard)
    return output


def tool(model):
    with_tool("How is it?", ONE, HEARD_ONE, lambda items: ask(model, items, tools=TOOLS))


def parallel_tools(model):
    with_tool("In both?", BOTH, HEARD_BOTH, lambda items: ask(model, items, tools=TOOLS))


def streamed_tools(model):
    with_tool("In both?", BOTH, HEARD_BOTH, lambda items: streamed(model, items, tools=TOOLS)[1])


def structured(model):
    schema = {"type": "json_schema", "name": "person", "schema": PERSON, "strict": True}
    same(json.loads(ask(model, "Who?", text={"format": schema}).output_text), ADA)


def image(model):
    parts = [
        {"type": "input_text", "text": LOOK},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
    ]
    same(ask(model, said(parts)).output_text, HEARD_LOOK)


def thought(output, model):
    # A vendor's own words stand in `content`, and what sums them up in `summary`.
    thoughts = [item for item in output if item.type == "reasoning"]
    shown = [part.text for item in thoughts for part in [*item.summary, *(item.content or [])]]
    # OpenAI shows them in this dialect alone.
    assert shown == [THOUGHT] or (not thinks(model) and shown == []), shown


def reasoning(model):
    def answer(items):
        found = ask(model, items, tools=TOOLS, **THINK)
        used(found.usage, REASONING)
        return found

    thought(with_tool("think: how is it?", ONE, HEARD_ONE, answer), model)


def streamed_reasoning(model):
    def answer(items):
        found = streamed(model, items, tools=TOOLS, **THINK)[1]
        used(found.usage, REASONING)
        return found

    thought(with_tool("think: how is it in both?", BOTH, HEARD_BOTH, answer), model)


def errors(model):
    for status, kind in [
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ]:
        for stream in (False, True):
            error = refused(kind, lambda: ask(other(model, f"status-{status}"), "Hello", stream=stream))
            same(error.body["message"], f"scripted {status}")
            if status == 429:
                same(error.response.headers["retry-after"], "7")
    stranger = client.with_options(api_key="sk-tg-unknown")
    refused(openai.AuthenticationError, lambda: stranger.responses.create(model=model, input="Hello"))
    refused(openai.NotFoundError, lambda: ask("no-such-model", "Hello"))
    refused(openai.BadRequestError, lambda: ask(model, 7))


def broken_stream(model):
    events = []

    def read():
        for event in ask(other(model, "cut"), "Hello", stream=True):
            events.append(event)
        raise openai.OpenAIError("it ended")

    refused(openai.APIError, read)
    assert any(event.type == "response.output_text.delta" for event in events), events


def cancellation(model):
    stream = ask(other(model, "hangs"), "Hello", stream=True)
    assert any(event.type == "response.output_text.delta" for event in stream)
    stream.close()


run(
    text,
    streaming,
    conversation,
    tool,
    parallel_tools,
    streamed_tools,
    structured,
    image,
    reasoning,
    streamed_reasoning,
    errors,
    broken_stream,
    cancellation,
)

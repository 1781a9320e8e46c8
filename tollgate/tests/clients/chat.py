"""Chat Completions by OpenAI's Python SDK, of the models of every provider."""

import json

import openai
from common import *

client = openai.OpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0)
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]


def said(text):
    return [{"role": "user", "content": text}]


def ask(model, messages, **more):
    return client.chat.completions.create(model=model, messages=messages, **more)


def used(usage, reasoning=0):
    found = (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens)
    same(found, (INPUT, CACHED, OUTPUT))
    same(usage.total_tokens, INPUT + OUTPUT)
    same(usage.completion_tokens_details.reasoning_tokens or 0, reasoning)


def streamed(model, messages, **more):
    return client.chat.completions.stream(
        model=model, messages=messages, stream_options={"include_usage": True}, **more
    )


def text(model):
    answer = ask(model, said(HELLO))
    same(answer.choices[0].message.content, HEARD_HELLO)
    same(answer.choices[0].finish_reason, "stop")
    used(answer.usage)


def streaming(model):
    with streamed(model, said(HELLO)) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        answer = stream.get_final_completion()
    same("".join(pieces), HEARD_HELLO)
    assert len(pieces) > 2, pieces
    same(answer.choices[0].finish_reason, "stop")
    used(answer.usage)


def conversation(model):
    turns = [{"role": role, "content": content} for role, content in TURNS]
    answer = ask(model, [{"role": "system", "content": SYSTEM}, *turns])
    same(answer.choices[0].message.content, HEARD_TURNS)


def with_tool(prompt, calls, heard, answer, **more):
    """Calls the tool, and goes on with what it gave."""
    message = answer(said(prompt)).choices[0].message
    given = [json.loads(call.function.arguments) for call in message.tool_calls]
    same(given, calls)
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": weather(arguments)}
        for call, arguments in zip(message.tool_calls, given)
    ]
    same(answer([*said(prompt), message, *results]).choices[0].message.content, heard)
    return message


def tool(model):
    with_tool("How is it?", ONE, HEARD_ONE, lambda messages: ask(model, messages, tools=TOOLS))


def parallel_tools(model):
    with_tool("In both?", BOTH, HEARD_BOTH, lambda messages: ask(model, messages, tools=TOOLS))


def streamed_tools(model):
    def answer(messages):
        with streamed(model, messages, tools=TOOLS) as stream:
            return stream.get_final_completion()

    with_tool("In both?", BOTH, HEARD_BOTH, answer)


def structured(model):
    schema = {"name": "person", "schema": PERSON, "strict": True}
    answer = ask(model, said("Who?"), response_format={"type": "json_schema", "json_schema": schema})
    same(json.loads(answer.choices[0].message.content), ADA)


def image(model):
    parts = [
        {"type": "text", "text": LOOK},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]
    same(ask(model, said(parts)).choices[0].message.content, HEARD_LOOK)


def reasoning(model):
    def answer(messages):
        found = ask(model, messages, tools=TOOLS, reasoning_effort="high")
        used(found.usage, REASONING)
        return found

    message = with_tool("think: how is it?", ONE, HEARD_ONE, answer)
    # Where OpenAI has no place for a thought, vendors made two.
    shown = [message.model_extra[name] for name in ("reasoning", "reasoning_content") if name in message.model_extra]
    if model.startswith(("anthropic/", "cerebras/")):
        same(shown, [THOUGHT])


def streamed_reasoning(model):
    def answer(messages):
        with streamed(model, messages, tools=TOOLS, reasoning_effort="high") as stream:
            found = stream.get_final_completion()
        used(found.usage, REASONING)
        return found

    with_tool("think: how is it in both?", BOTH, HEARD_BOTH, answer)


def errors(model):
    for status, kind in [
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ]:
        for stream in (False, True):
            error = refused(kind, lambda: ask(other(model, f"status-{status}"), said("Hello"), stream=stream))
            same(error.body["message"], f"scripted {status}")
            if status == 429:
                same(error.response.headers["retry-after"], "7")
    stranger = client.with_options(api_key="sk-tg-unknown")
    refused(
        openai.AuthenticationError,
        lambda: stranger.chat.completions.create(model=model, messages=said("Hello")),
    )
    refused(openai.NotFoundError, lambda: ask("no-such-model", said("Hello")))
    refused(openai.BadRequestError, lambda: ask(model, "words"))


def broken_stream(model):
    pieces = []

    def read():
        for chunk in ask(other(model, "cut"), said("Hello"), stream=True):
            pieces.extend(choice.delta.content for choice in chunk.choices)

    error = refused(openai.APIError, read)
    assert any(pieces) and error.code == "provider_answer_cut", (pieces, error.body)


def models(model):
    assert model in [entry.id for entry in client.models.list()]
    same(client.models.retrieve(model).id, model)


def cancellation(model):
    stream = ask(other(model, "hangs"), said("Hello"), stream=True)
    assert any(chunk.choices[0].delta.content for chunk in stream)
    stream.close()


class Recorded:
    """How recordings are asked for, and what is seen of them."""

    ENDS = {"end": "stop", "tool": "tool_calls", "cap": "length", "filter": "content_filter"}
    FAILURE = openai.APIError

    def begin(case):
        prompt = case["turns"][0]["prompt"]
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        messages = said([{"type": "text", "text": prompt}, picture] if case["image"] else prompt)
        if case["conversation"]:
            turns = [{"role": role, "content": content} for role, content in TURNS[:2]]
            messages = [{"role": "system", "content": SYSTEM}, *turns, *messages]
        more = {}
        if case["tools"]:
            more["tools"] = [{"type": "function", "function": tool} for tool in case["tools"]]
        if case["schema"]:
            schema = {"name": "answer", "schema": case["schema"], "strict": True}
            more["response_format"] = {"type": "json_schema", "json_schema": schema}
        if case["thinks"]:
            more["reasoning_effort"] = "high"
        return messages, more

    def answer(case, messages, more):
        if not case["stream"]:
            return ask(case["model"], messages, **more)
        with streamed(case["model"], messages, **more) as stream:
            return stream.get_final_completion()

    def seen(answer):
        message, usage = answer.choices[0].message, answer.usage
        # Vendors have three members for what OpenAI has none for.
        extra = message.model_extra
        thoughts = extra.get("reasoning") or extra.get("reasoning_content") or ""
        text = message.content or ""
        if not isinstance(text, str):
            thoughts = "".join(part["text"] for block in text for part in block.get("thinking") or [])
            text = "".join(block.get("text") or "" for block in text)
        calls = [
            {"name": call.function.name, "arguments": json.loads(call.function.arguments or "{}")}
            for call in message.tool_calls or []
        ]
        cached = usage and usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens
        reasoning = usage and usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens
        return {
            "text": text,
            "calls": calls,
            "thoughts": thoughts,
            "end": answer.choices[0].finish_reason,
            "usage": usage and (usage.prompt_tokens, cached or 0, usage.completion_tokens, reasoning or 0),
        }

    def usage(told):
        return (told["input"], told["cached"], told["output"], told["reasoning"])

    def go_on(messages, answer, given, prompt):
        message = answer.choices[0].message
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": result}
            for call, result in zip(message.tool_calls or [], given)
        ]
        return [*messages, message, *(results or said(prompt))]

    def leave(case, messages, more):
        stream = ask(case["model"], messages, stream=True, **more)
        assert any(chunk.choices and chunk.choices[0].delta.content for chunk in stream)
        stream.close()

    def status(case, status):
        return 503 if status == 529 else status

    def kind(status):
        kinds = {400: openai.BadRequestError, 404: openai.NotFoundError, 429: openai.RateLimitError}
        return kinds[status] if status < 500 else openai.InternalServerError


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
    models,
    cancellation,
    sdk=Recorded,
)

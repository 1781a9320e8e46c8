"""Messages by Anthropic's Python SDK, of the models of every provider."""

import json

import anthropic
from common import *

client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
TOOLS = [{"name": "weather", "description": "Tells the weather.", "input_schema": WEATHER}]
THINK = {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}}


def said(text):
    return [{"role": "user", "content": text}]


def ask(model, messages, **more):
    return client.messages.create(model=model, max_tokens=4096, messages=messages, **more)


def used(usage, reasoning=None):
    # What came from the cache is told beside the rest of the input.
    same((usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens), (INPUT - CACHED, CACHED, OUTPUT))
    if reasoning is not None:
        same(usage.output_tokens_details.thinking_tokens, reasoning)


def streamed(model, messages, **more):
    """The text in its pieces, and the whole."""
    with client.messages.stream(model=model, max_tokens=4096, messages=messages, **more) as stream:
        pieces = list(stream.text_stream)
        return pieces, stream.get_final_message()


def text(model):
    answer = ask(model, said(HELLO))
    same([block.text for block in answer.content], [HEARD_HELLO])
    same(answer.stop_reason, "end_turn")
    used(answer.usage)


def streaming(model):
    pieces, answer = streamed(model, said(HELLO))
    same("".join(pieces), HEARD_HELLO)
    assert len(pieces) > 2, pieces
    same(answer.stop_reason, "end_turn")
    used(answer.usage)


def conversation(model):
    turns = [{"role": role, "content": content} for role, content in TURNS]
    same(ask(model, turns, system=SYSTEM).content[0].text, HEARD_TURNS)


def with_tool(prompt, calls, heard, answer):
    """Calls the tool, and goes on with what it gave."""
    first = answer(said(prompt))
    same(first.stop_reason, "tool_use")
    called = [block for block in first.content if block.type == "tool_use"]
    same([call.input for call in called], calls)
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": weather(call.input)} for call in called
    ]
    turns = [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    second = answer([*said(prompt), *turns])
    same([block.text for block in second.content if block.type == "text"], [heard])
    return first.content


def tool(model):
    with_tool("How is it?", ONE, HEARD_ONE, lambda messages: ask(model, messages, tools=TOOLS))


def parallel_tools(model):
    with_tool("In both?", BOTH, HEARD_BOTH, lambda messages: ask(model, messages, tools=TOOLS))


def streamed_tools(model):
    with_tool("In both?", BOTH, HEARD_BOTH, lambda messages: streamed(model, messages, tools=TOOLS)[1])


def structured(model):
    answer = ask(model, said("Who?"), output_config={"format": {"type": "json_schema", "schema": PERSON}})
    same(json.loads(answer.content[0].text), ADA)


def image(model):
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    parts = [{"type": "text", "text": LOOK}, {"type": "image", "source": source}]
    same(ask(model, said(parts)).content[0].text, HEARD_LOOK)


def thought(content, model):
    shown = [block.thinking for block in content if block.type == "thinking" and block.thinking]
    same(shown, [THOUGHT] if thinks(model) else [])


def reasoning(model):
    def answer(messages):
        found = ask(model, messages, tools=TOOLS, **THINK)
        used(found.usage, REASONING)
        return found

    thought(with_tool("think: how is it?", ONE, HEARD_ONE, answer), model)


def streamed_reasoning(model):
    def answer(messages):
        found = streamed(model, messages, tools=TOOLS, **THINK)[1]
        used(found.usage, REASONING)
        return found

    thought(with_tool("think: how is it in both?", BOTH, HEARD_BOTH, answer), model)


def errors(model):
    for status, kind in [
        (400, anthropic.BadRequestError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
    ]:
        for stream in (False, True):
            error = refused(kind, lambda: ask(other(model, f"status-{status}"), said("Hello"), stream=stream))
            same(error.body["error"]["message"], f"scripted {status}")
            if status == 429:
                same(error.response.headers["retry-after"], "7")
    stranger = client.with_options(api_key="sk-tg-unknown")
    refused(
        anthropic.AuthenticationError,
        lambda: stranger.messages.create(model=model, max_tokens=9, messages=said("Hello")),
    )
    refused(anthropic.NotFoundError, lambda: ask("no-such-model", said("Hello")))
    refused(anthropic.BadRequestError, lambda: ask(model, "words"))


def overload(model):
    """Anthropic's own 503 stays one; another vendor's is what this SDK knows as overload."""
    native = model.startswith("anthropic/")
    kind = anthropic.ServiceUnavailableError if native else anthropic.OverloadedError
    error = refused(kind, lambda: ask(other(model, "status-503"), said("Hello")))
    same(error.body["error"]["type"], "api_error" if native else "overloaded_error")


def broken_stream(model):
    events = []

    def read():
        events.extend(ask(other(model, "cut"), said("Hello"), stream=True))

    error = refused(anthropic.APIStatusError, read)
    same(error.body["error"]["type"], "api_error")


def models(model):
    listed = [entry.id for entry in client.models.list()]
    assert model in listed, listed
    same(client.models.retrieve(model).id, model)


def cancellation(model):
    stream = ask(other(model, "hangs"), said("Hello"), stream=True)
    assert any(event.type == "content_block_delta" for event in stream)
    stream.close()


class Recorded:
    """How recordings are asked for, and what is seen of them."""

    ENDS = {"end": "end_turn", "tool": "tool_use", "cap": "max_tokens", "filter": "refusal"}
    FAILURE = anthropic.APIError

    def begin(case):
        prompt = case["turns"][0]["prompt"]
        source = {"type": "base64", "media_type": "image/png", "data": PNG}
        picture = {"type": "image", "source": source}
        messages = said([{"type": "text", "text": prompt}, picture] if case["image"] else prompt)
        more = {}
        if case["conversation"]:
            messages = [*({"role": role, "content": content} for role, content in TURNS[:2]), *messages]
            more["system"] = SYSTEM
        if case["tools"]:
            more["tools"] = [
                {"name": tool["name"], "description": tool["description"], "input_schema": tool["parameters"]}
                for tool in case["tools"]
            ]
        if case["schema"]:
            more["output_config"] = {"format": {"type": "json_schema", "schema": case["schema"]}}
        if case["thinks"]:
            more |= THINK
        return messages, more

    def answer(case, messages, more):
        if not case["stream"]:
            return ask(case["model"], messages, **more)
        return streamed(case["model"], messages, **more)[1]

    def seen(answer):
        def all_of(kind, member):
            return "".join(getattr(block, member) for block in answer.content if block.type == kind)

        usage = answer.usage
        calls = [
            {"name": block.name, "arguments": block.input} for block in answer.content if block.type == "tool_use"
        ]
        return {
            "text": all_of("text", "text"),
            "calls": calls,
            "thoughts": all_of("thinking", "thinking"),
            "end": answer.stop_reason,
            "usage": (usage.input_tokens, usage.cache_read_input_tokens or 0, usage.output_tokens),
        }

    def usage(told):
        return (told["input"] - told["cached"] - told["written"], told["cached"], told["output"])

    def go_on(messages, answer, given, prompt):
        called = [block for block in answer.content if block.type == "tool_use"]
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": result}
            for call, result in zip(called, given)
        ]
        user = {"role": "user", "content": results or prompt}
        return [*messages, {"role": "assistant", "content": answer.content}, user]

    def leave(case, messages, more):
        stream = ask(case["model"], messages, stream=True, **more)
        assert any(event.type == "content_block_delta" for event in stream)
        stream.close()

    def status(case, status):
        is_native = case["provider"] == "anthropic"
        if case["quota"]:
            return 402
        return 529 if status == 503 and not is_native else status

    def kind(status):
        kinds = {
            400: anthropic.BadRequestError,
            402: anthropic.PaymentRequiredError,
            404: anthropic.NotFoundError,
            429: anthropic.RateLimitError,
            529: anthropic.OverloadedError,
        }
        return kinds.get(status, anthropic.InternalServerError)


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
    overload,
    broken_stream,
    models,
    cancellation,
    sdk=Recorded,
)

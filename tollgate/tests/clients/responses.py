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


class Recorded:
    """How recordings are asked for, and what is seen of them."""

    ENDS = {"end": "completed", "tool": "completed", "cap": "incomplete", "filter": "incomplete"}
    FAILURE = openai.APIError

    def begin(case):
        prompt = case["turns"][0]["prompt"]
        picture = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
        items = said([{"type": "input_text", "text": prompt}, picture] if case["image"] else prompt)
        more = {}
        if case["conversation"]:
            items = [*({"role": role, "content": content} for role, content in TURNS[:2]), *items]
            more["instructions"] = SYSTEM
        if case["tools"]:
            more["tools"] = [{"type": "function", "strict": False, **tool} for tool in case["tools"]]
        if case["schema"]:
            schema = {"type": "json_schema", "name": "answer", "schema": case["schema"], "strict": True}
            more["text"] = {"format": schema}
        if case["thinks"]:
            more |= THINK
        return items, more

    def answer(case, items, more):
        if not case["stream"]:
            return ask(case["model"], items, **more)
        if case["fails"]:
            # This SDK leaves it to its users to see a response that failed.
            for event in ask(case["model"], items, stream=True, **more):
                if event.type == "response.failed":
                    raise openai.APIError(event.response.error.message, request=None, body=None)
        return streamed(case["model"], items, **more)[1]

    def seen(answer):
        usage = answer.usage
        thoughts = [item for item in answer.output if item.type == "reasoning"]
        calls = [
            {"name": item.name, "arguments": json.loads(item.arguments or "{}")}
            for item in answer.output
            if item.type == "function_call"
        ]
        return {
            "text": answer.output_text,
            "calls": calls,
            "thoughts": "".join(part.text for item in thoughts for part in [*item.summary, *(item.content or [])]),
            "end": answer.status,
            "usage": usage
            and (
                usage.input_tokens,
                usage.input_tokens_details.cached_tokens,
                usage.output_tokens,
                usage.output_tokens_details.reasoning_tokens,
            ),
        }

    def usage(told):
        return (told["input"], told["cached"], told["output"], told["reasoning"])

    def go_on(items, answer, given, prompt):
        called = [item for item in answer.output if item.type == "function_call"]
        results = [
            {"type": "function_call_output", "call_id": call.call_id, "output": result}
            for call, result in zip(called, given)
        ]
        return [*items, *answer.output, *(results or said(prompt))]

    def leave(case, items, more):
        stream = ask(case["model"], items, stream=True, **more)
        assert any(event.type == "response.output_text.delta" for event in stream)
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
    cancellation,
    sdk=Recorded,
)

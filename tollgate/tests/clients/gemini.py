"""generateContent by Google's Python SDK, of the models of every provider."""

import base64
import json

from common import *
from google import genai
from google.genai import errors as failed
from google.genai import types

client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL))
WEATHER_TOOL = types.FunctionDeclaration(
    name="weather", description="Tells the weather.", parameters_json_schema=WEATHER
)
TOOLS = [types.Tool(function_declarations=[WEATHER_TOOL])]
THINK = types.ThinkingConfig(include_thoughts=True, thinking_level="HIGH")


def said(text):
    return types.Content(role="user", parts=[types.Part(text=text)])


def ask(model, contents, **config):
    return client.models.generate_content(
        model=model, contents=contents, config=types.GenerateContentConfig(**config)
    )


def streamed(model, contents, **config):
    """The chunks, and one answer made of them."""
    chunks = list(
        client.models.generate_content_stream(
            model=model, contents=contents, config=types.GenerateContentConfig(**config)
        )
    )
    last = chunks[-1]
    contents = [candidate.content for chunk in chunks for candidate in chunk.candidates or []]
    parts = [part for content in contents if content for part in content.parts or []]
    last.candidates[0].content = types.Content(role="model", parts=parts)
    return chunks, last


def used(usage, reasoning=0):
    same((usage.prompt_token_count, usage.cached_content_token_count), (INPUT, CACHED))
    same((usage.candidates_token_count, usage.thoughts_token_count or 0), (OUTPUT - reasoning, reasoning))
    same(usage.total_token_count, INPUT + OUTPUT)


def text(model):
    answer = ask(model, HELLO)
    same(answer.text, HEARD_HELLO)
    same(answer.candidates[0].finish_reason, types.FinishReason.STOP)
    used(answer.usage_metadata)


def streaming(model):
    chunks, answer = streamed(model, HELLO)
    same(answer.text, HEARD_HELLO)
    assert len(chunks) > 2, chunks
    same(answer.candidates[0].finish_reason, types.FinishReason.STOP)
    used(answer.usage_metadata)


def conversation(model):
    roles = {"user": "user", "assistant": "model"}
    turns = [types.Content(role=roles[role], parts=[types.Part(text=text)]) for role, text in TURNS]
    same(ask(model, turns, system_instruction=SYSTEM).text, HEARD_TURNS)


def with_tool(prompt, calls, heard, answer):
    """Calls the tool, and goes on with what it gave."""
    content = answer([said(prompt)]).candidates[0].content
    called = [part.function_call for part in content.parts if part.function_call]
    same([call.args for call in called], calls)
    results = [
        types.Part(
            function_response=types.FunctionResponse(
                id=call.id, name=call.name, response={"result": weather(call.args)}
            )
        )
        for call in called
    ]
    second = answer([said(prompt), content, types.Content(role="user", parts=results)])
    same(second.text, heard)
    return content.parts


def tool(model):
    with_tool("How is it?", ONE, HEARD_ONE, lambda contents: ask(model, contents, tools=TOOLS))


def parallel_tools(model):
    with_tool("In both?", BOTH, HEARD_BOTH, lambda contents: ask(model, contents, tools=TOOLS))


def streamed_tools(model):
    with_tool("In both?", BOTH, HEARD_BOTH, lambda contents: streamed(model, contents, tools=TOOLS)[1])


def structured(model):
    answer = ask(model, "Who?", response_mime_type="application/json", response_json_schema=PERSON)
    same(json.loads(answer.text), ADA)


def image(model):
    picture = types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png")
    same(ask(model, [LOOK, picture]).text, HEARD_LOOK)


def thought(parts, model):
    shown = "".join(part.text or "" for part in parts if part.thought)
    same(shown, THOUGHT if thinks(model) else "")


def reasoning(model):
    def answer(contents):
        found = ask(model, contents, tools=TOOLS, thinking_config=THINK)
        used(found.usage_metadata, REASONING)
        return found

    thought(with_tool("think: how is it?", ONE, HEARD_ONE, answer), model)


def streamed_reasoning(model):
    def answer(contents):
        found = streamed(model, contents, tools=TOOLS, thinking_config=THINK)[1]
        used(found.usage_metadata, REASONING)
        return found

    thought(with_tool("think: how is it in both?", BOTH, HEARD_BOTH, answer), model)


def errors(model):
    for status, kind in [
        (400, failed.ClientError),
        (404, failed.ClientError),
        (429, failed.ClientError),
        (500, failed.ServerError),
        (503, failed.ServerError),
    ]:
        for answer in (ask, streamed):
            error = refused(kind, lambda: answer(other(model, f"status-{status}"), "Hello"))
            same((error.code, error.message), (status, f"scripted {status}"))
            if status == 429:
                same(error.status, "RESOURCE_EXHAUSTED")
    stranger = genai.Client(api_key="sk-tg-unknown", http_options=types.HttpOptions(base_url=URL))
    error = refused(
        failed.ClientError, lambda: stranger.models.generate_content(model=model, contents="Hello")
    )
    same((error.code, error.status), (401, "UNAUTHENTICATED"))
    error = refused(failed.ClientError, lambda: ask("no-such-model", "Hello"))
    same((error.code, error.status), (404, "NOT_FOUND"))
    error = refused(failed.ClientError, lambda: ask(model, "Hello", max_output_tokens=-7))
    same((error.code, error.status), (400, "INVALID_ARGUMENT"))


def broken_stream(model):
    chunks = []

    def read():
        for chunk in client.models.generate_content_stream(model=other(model, "cut"), contents="Hello"):
            chunks.append(chunk)

    error = refused(failed.ServerError, read)
    same((error.code, error.status), (502, "UNAVAILABLE"))
    assert chunks[0].text, chunks
    # Before its first event, it is the status of the answer.
    for answer in (ask, streamed):
        error = refused(failed.ServerError, lambda: answer(other(model, "nothing"), "Hello"))
        same((error.code, error.status), (502, "UNAVAILABLE"))


def models(model):
    listed = [entry.name for entry in client.models.list()]
    assert f"models/{model}" in listed, listed
    same(client.models.get(model=model).name, f"models/{model}")


def cancellation(model):
    stream = client.models.generate_content_stream(model=other(model, "hangs"), contents="Hello")
    assert next(iter(stream)).text
    stream.close()


class Recorded:
    """How recordings are asked for, and what is seen of them."""

    ENDS = {"end": "STOP", "tool": "STOP", "cap": "MAX_TOKENS", "filter": "SAFETY"}
    FAILURE = failed.APIError

    def begin(case):
        content = said(case["turns"][0]["prompt"])
        if case["image"]:
            content.parts.append(types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png"))
        contents, config = [content], {}
        if case["conversation"]:
            turns = [types.Content(role="user", parts=[types.Part(text=TURNS[0][1])])]
            turns.append(types.Content(role="model", parts=[types.Part(text=TURNS[1][1])]))
            contents, config["system_instruction"] = [*turns, content], SYSTEM
        if case["tools"]:
            declared = [
                types.FunctionDeclaration(
                    name=tool["name"], description=tool["description"], parameters_json_schema=tool["parameters"]
                )
                for tool in case["tools"]
            ]
            config["tools"] = [types.Tool(function_declarations=declared)]
        if case["schema"]:
            config |= {"response_mime_type": "application/json", "response_json_schema": case["schema"]}
        if case["thinks"]:
            config["thinking_config"] = THINK
        return contents, config

    def answer(case, contents, config):
        if not case["stream"]:
            return ask(case["model"], contents, **config)
        return streamed(case["model"], contents, **config)[1]

    def seen(answer):
        candidate, usage = answer.candidates[0], answer.usage_metadata
        parts = (candidate.content and candidate.content.parts) or []
        calls = [part.function_call for part in parts if part.function_call]
        reason = candidate.finish_reason
        return {
            "text": "".join(part.text or "" for part in parts if not part.thought),
            "calls": [{"name": call.name, "arguments": call.args or {}} for call in calls],
            "thoughts": "".join(part.text or "" for part in parts if part.thought),
            # Vertex has told some of them by their numbers.
            "end": "STOP" if reason.value == "1" else reason.value,
            "usage": (
                usage.prompt_token_count,
                usage.cached_content_token_count or 0,
                usage.candidates_token_count or 0,
                usage.thoughts_token_count or 0,
            ),
        }

    def usage(told):
        return (told["input"], told["cached"], told["output"] - told["reasoning"], told["reasoning"])

    def go_on(contents, answer, given, prompt):
        content = answer.candidates[0].content
        called = [part.function_call for part in content.parts if part.function_call]
        results = [
            types.Part(
                function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": result})
            )
            for call, result in zip(called, given)
        ]
        user = types.Content(role="user", parts=results) if results else said(prompt)
        return [*contents, content, user]

    def leave(case, contents, config):
        stream = client.models.generate_content_stream(model=case["model"], contents=contents)
        assert any(chunk.text for chunk in stream)
        stream.close()

    def status(case, status):
        return 503 if status == 529 else status

    def kind(status):
        return failed.ClientError if status < 500 else failed.ServerError


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

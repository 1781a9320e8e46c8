"""What an application does with OpenAI's Python SDK, against the gateway at BASE_URL.

`echo-1` answers inside the gateway; `custom/…` is a scripted vendor that does what the model's name says.
"""

import json
import os

import openai

client = openai.OpenAI(base_url=os.environ["BASE_URL"] + "/v1", api_key=os.environ["KEY"], max_retries=0)
SAID = [{"role": "user", "content": "one two three"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather at a place.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city", "days"],
            },
        },
    }
]


def chat():
    whole = client.chat.completions.create(model="echo-1", messages=SAID)
    assert whole.choices[0].message.content == "one two three", whole
    assert whole.usage.prompt_tokens == 3 and whole.usage.total_tokens == 6, whole.usage
    raw = client.chat.completions.with_raw_response.create(model="echo-1", messages=SAID)
    assert raw.headers["x-request-id"] and raw.headers["x-tollgate-provider"] == "echo"


def streaming():
    asked = list(
        client.chat.completions.create(
            model="echo-1", messages=SAID, stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(c.choices[0].delta.content or "" for c in asked if c.choices) == "one two three"
    assert asked[-1].choices == [] and asked[-1].usage.total_tokens == 6, asked[-1]
    unasked = list(client.chat.completions.create(model="echo-1", messages=SAID, stream=True))
    assert unasked and all(c.usage is None and c.choices for c in unasked), unasked


def tools():
    whole = client.chat.completions.create(model="echo-1", messages=SAID, tools=TOOLS, tool_choice="required")
    assert whole.choices[0].finish_reason == "tool_calls", whole
    call = whole.choices[0].message.tool_calls[0]
    arguments = json.loads(call.function.arguments)
    assert call.function.name == "get_weather" and isinstance(arguments["days"], int), call
    streamed = client.chat.completions.create(
        model="echo-1", messages=SAID, tools=TOOLS, tool_choice="required", stream=True
    )
    parts = [c.choices[0].delta.tool_calls[0] for c in streamed if c.choices and c.choices[0].delta.tool_calls]
    assert parts[0].function.name == "get_weather"
    assert json.loads("".join(p.function.arguments or "" for p in parts)) == arguments
    answered = client.chat.completions.create(
        model="echo-1",
        messages=SAID
        + [whole.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "sunny and warm"}],
        tools=TOOLS,
    )
    assert answered.choices[0].message.content == "sunny and warm", answered


def models():
    assert "echo-1" in [model.id for model in client.models.list()]
    assert client.models.retrieve("custom/m-1").id == "custom/m-1"
    refused(openai.NotFoundError, lambda: client.models.retrieve("nothing"))


def refused(kind, call):
    try:
        call()
    except kind as error:
        assert type(error) is kind, error
        return error
    raise AssertionError(f"no {kind.__name__}")


def ask(model, **more):
    return lambda: client.chat.completions.create(**{"model": model, "messages": SAID, **more})


def errors():
    stranger = client.with_options(api_key="sk-tg-unknown")
    error = refused(
        openai.AuthenticationError, lambda: stranger.chat.completions.create(model="echo-1", messages=SAID)
    )
    assert error.code == "invalid_api_key" and error.request_id, error
    error = refused(openai.NotFoundError, ask("no-such-model"))
    assert error.code == "model_not_found" and error.param == "model", error
    error = refused(openai.BadRequestError, ask("echo-1", messages="words"))
    assert error.code == "invalid_value" and error.param == "messages", error
    error = refused(openai.BadRequestError, ask("custom/status-400"))
    assert error.code == "scripted" and error.body["message"] == "status 400", error.body
    error = refused(openai.RateLimitError, ask("custom/status-429"))
    assert error.response.headers["retry-after"] == "7"
    refused(openai.InternalServerError, ask("custom/status-500"))
    refused(openai.RateLimitError, ask("custom/status-429", stream=True))
    # A provider that refuses our credential is not the caller's mistake.
    error = refused(openai.InternalServerError, ask("custom/status-401"))
    assert error.status_code == 502 and error.code == "provider_credential_refused", error


def broken_stream():
    got = []

    def read():
        for part in client.chat.completions.create(model="custom/cut", messages=SAID, stream=True):
            got.append(part)

    error = refused(openai.APIError, read)
    assert got and "did not finish" in error.message, (got, error)


def cancellation():
    stream = client.chat.completions.create(model="custom/hangs", messages=SAID, stream=True)
    assert next(iter(stream)).choices[0].delta.content == "first"
    stream.close()


for step in (chat, streaming, tools, models, errors, broken_stream, cancellation):
    step()
    print(step.__name__, "ok", flush=True)

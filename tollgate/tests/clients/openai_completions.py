"""Real completions by OpenAI's Python SDK: straight from the inference server at DIRECT, and through the gateway at
BASE_URL. With a temperature of 0 both have to say the same. Prints the usage that the gateway's answers told, as JSON.
"""

import json
import os

import openai

direct = openai.OpenAI(base_url=os.environ["DIRECT"] + "/v1", api_key="none", max_retries=0)
gateway = openai.OpenAI(base_url=os.environ["BASE_URL"] + "/v1", api_key=os.environ["KEY"], max_retries=0)
SAID = [{"role": "user", "content": "Tell me about gates."}]
ASKED = {"messages": SAID, "temperature": 0, "max_tokens": 24, "seed": 1}


def streamed(client, model):
    stream = client.chat.completions.create(
        model=model, stream=True, stream_options={"include_usage": True}, **ASKED
    )
    parts, usage = [], None
    for chunk in stream:
        usage = chunk.usage or usage
        parts += [choice.delta.content for choice in chunk.choices if choice.delta.content]
    return "".join(parts), usage, len(parts)


model = direct.models.list().data[0].id
assert f"llamacpp/{model}" in [entry.id for entry in gateway.models.list()]
wanted = direct.chat.completions.create(model=model, **ASKED)
whole = gateway.chat.completions.create(model=f"llamacpp/{model}", **ASKED)
assert whole.choices[0].message.content == wanted.choices[0].message.content, (whole, wanted)
assert whole.usage.completion_tokens == 24 and whole.choices[0].finish_reason == "length", whole
text, usage, parts = streamed(gateway, f"llamacpp/{model}")
wanted_text, _, _ = streamed(direct, model)
assert text == wanted_text and parts > 5, (text, wanted_text, parts)
totals = [whole.usage, usage]
print(
    json.dumps(
        {
            "input_tokens": sum(one.prompt_tokens for one in totals),
            "output_tokens": sum(one.completion_tokens for one in totals),
        }
    )
)

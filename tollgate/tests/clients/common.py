"""What the clients of all SDKs ask, what they have to be answered, and how their steps are run.

The gateway is at BASE_URL. Each step is run with each of MODELS, one of every kind of provider. What a model
answers says what reached it: the vendors behind it are testkit's (`vendors`), which say back what they heard.
"""

import os
import sys
import traceback

URL, KEY = os.environ["BASE_URL"], os.environ["KEY"]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
HELLO = "Grüße, \U0001f600 Welt!"
HEARD_HELLO = f"user: {HELLO}"
SYSTEM = "Be brief."
TURNS = [("user", "One"), ("assistant", "Two"), ("user", "Three")]
HEARD_TURNS = "system: Be brief.\nuser: One\nassistant: Two\nuser: Three"
LOOK = "What is this?"
HEARD_LOOK = f"user: {LOOK}<image/png>"

# What the vendors think, and call.
THOUGHT = "I think about größe."
ONE = [{"city": "Paris", "days": 2}]
BOTH = [*ONE, {"city": "Zürich", "days": 3}]
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}


def weather(given):
    """The tool."""
    return f"Sunny for {given['days']} days"


HEARD_ONE = "Paris: Sunny for 2 days"
HEARD_BOTH = f"{HEARD_ONE}; Zürich: Sunny for 3 days"

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
ADA = {"name": "Ada", "age": 36}

# What every answer uses; what was thought is part of the output.
INPUT, CACHED, OUTPUT, REASONING = 50, 20, 30, 10


def same(found, wanted):
    assert found == wanted, f"{found!r} and not {wanted!r}"


def refused(kind, call):
    """The error that the SDK makes of it, which has to be of exactly this kind."""
    try:
        call()
    except kind as error:
        same(type(error), kind)
        return error
    raise AssertionError(f"no {kind.__name__}")


def other(model, name):
    """Another model of the same provider."""
    return f"{model.split('/')[0]}/{name}"


def thinks(model):
    """Whether the provider shows its thoughts."""
    return not model.startswith("openai/")


def run(*steps):
    failed = 0
    for model in os.environ["MODELS"].split(","):
        for step in steps:
            try:
                step(model)
                print(model, step.__name__, "ok", flush=True)
            except Exception:
                failed += 1
                print(model, step.__name__, "failed:", traceback.format_exc(limit=-3), flush=True)
    sys.exit(failed > 0)

"""What the clients of all SDKs ask, what they have to be answered, and how their steps are run.

The gateway is at BASE_URL. Each step is run with each of MODELS, one of every kind of provider. What a model
answers says what reached it: the vendors behind it are testkit's (`vendors`), which say back what they heard.
"""

import json
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


def replay(case, sdk):
    """One step with what was recorded of a vendor; what has to be seen stands in the recording."""
    asked, more = sdk.begin(case)
    turns = case["turns"]
    if case["fails"]:
        return fail(case, turns[0], sdk, lambda: sdk.answer(case, asked, more))
    if case["form"] == "Left":
        return sdk.leave(case, asked, more)
    if case["form"] == "Cut":
        return fail(case, {"status": 200, "failure": None}, sdk, lambda: sdk.answer(case, asked, more))
    for turn, after in zip(turns, [*turns[1:], None]):
        answer = sdk.answer(case, asked, more)
        found = sdk.seen(answer)
        if turn["usage"] is not None:
            same(found["usage"], sdk.usage(turn["usage"]))
        for what in ("text", "calls"):
            same((what, found[what]), (what, turn[what]))
        # Where thoughts are told in several parts, blanks may stand between those.
        same("".join(found["thoughts"].split()), "".join(turn["thoughts"].split()))
        same(found["end"], sdk.ENDS[turn["end"]])
        if after:
            given = [f"{number}: {after['prompt']}" for number, _ in enumerate(turn["calls"])]
            asked = sdk.go_on(asked, answer, given, after["prompt"])


def fail(case, turn, sdk, call):
    """What the vendor says is wrong has to come as the error that the SDK has for it."""
    status = sdk.status(case, turn["status"])
    try:
        call()
    except sdk.FAILURE as error:
        if status >= 400:
            same(type(error), sdk.kind(status))
        # Names of organisations are left out.
        told = (turn["failure"] or "").split(" org-")[0]
        assert told in str(error), f"{told!r} is not in {error}"
        assert "sk-" not in str(error), error
        return
    raise AssertionError("nothing failed")


def run(*steps, sdk=None):
    failed = 0

    def attempt(model, name, step):
        nonlocal failed
        try:
            step()
            print(model, name, "ok", flush=True)
        except Exception:
            failed += 1
            print(model, name, "failed:", traceback.format_exc(limit=-3), flush=True)

    for model in os.environ["MODELS"].split(","):
        for step in steps:
            attempt(model, step.__name__, lambda: step(model))
    if "RECORDED" in os.environ:
        for case in json.load(open(os.environ["RECORDED"])):
            attempt(case["model"], f"replay {case['name']}", lambda: replay(case, sdk))
    sys.exit(failed > 0)

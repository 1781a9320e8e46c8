// What the clients of all SDKs ask, what they have to be answered, and how their steps are run: as in common.py.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The packages lie in a cache folder, not beside this file.
export const require = createRequire(pathToFileURL(process.env.PACKAGES + "/"));
export const { BASE_URL: URL, KEY } = process.env;

export const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
export const HELLO = "Grüße, \u{1f600} Welt!";
export const HEARD_HELLO = `user: ${HELLO}`;
export const SYSTEM = "Be brief.";
export const TURNS = [
  ["user", "One"],
  ["assistant", "Two"],
  ["user", "Three"],
];
export const HEARD_TURNS = "system: Be brief.\nuser: One\nassistant: Two\nuser: Three";
export const LOOK = "What is this?";
export const HEARD_LOOK = `user: ${LOOK}<image/png>`;

export const THOUGHT = "I think about größe.";
export const ONE = [{ city: "Paris", days: 2 }];
export const BOTH = [...ONE, { city: "Zürich", days: 3 }];
export const WEATHER = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};
export const weather = (given) => `Sunny for ${given.days} days`;
export const HEARD_ONE = "Paris: Sunny for 2 days";
export const HEARD_BOTH = `${HEARD_ONE}; Zürich: Sunny for 3 days`;

export const PERSON = {
  type: "object",
  properties: { name: { type: "string" }, age: { type: "integer" } },
  required: ["name", "age"],
  additionalProperties: false,
};
export const ADA = { name: "Ada", age: 36 };

export const [INPUT, CACHED, OUTPUT, REASONING] = [50, 20, 30, 10];

export const same = assert.deepEqual;
export const other = (model, name) => `${model.split("/")[0]}/${name}`;
export const thinks = (model) => !model.startsWith("openai/");

// The error that the SDK makes of it, which has to be of exactly this kind.
export async function refused(kind, call) {
  try {
    await call();
  } catch (error) {
    same(error.constructor.name, kind.name, error);
    return error;
  }
  assert.fail(`no ${kind.name}`);
}

export async function read(stream) {
  const all = [];
  for await (const one of stream) all.push(one);
  return all;
}

// One step with what was recorded of a vendor; what has to be seen stands in the recording.
async function replay(recorded, sdk) {
  let [asked, more] = sdk.begin(recorded);
  const { turns, form } = recorded;
  const answer = () => sdk.answer(recorded, asked, more);
  if (recorded.fails) return fail(recorded, turns[0], sdk, answer);
  if (form === "Left") return sdk.leave(recorded, asked, more);
  if (form === "Cut") return fail(recorded, { status: 200 }, sdk, answer);
  for (const [number, turn] of turns.entries()) {
    const answered = await answer();
    const found = sdk.seen(answered);
    if (turn.usage) same(found.usage, sdk.usage(turn.usage));
    for (const what of ["text", "calls"]) same([what, found[what]], [what, turn[what]]);
    // Where thoughts are told in several parts, blanks may stand between those.
    same(found.thoughts.replace(/\s/g, ""), turn.thoughts.replace(/\s/g, ""));
    same(found.end, sdk.ends[turn.end]);
    const after = turns[number + 1];
    if (after) {
      const given = turn.calls.map((_, index) => `${index}: ${after.prompt}`);
      asked = sdk.goOn(asked, answered, given, after.prompt);
    }
  }
}

// What the vendor says is wrong has to come as the error that the SDK has for it.
async function fail(recorded, turn, sdk, call) {
  const status = sdk.status(recorded, turn.status);
  let error;
  try {
    await call();
  } catch (caught) {
    error = caught;
  }
  assert.ok(error instanceof sdk.failure, error ?? "nothing failed");
  if (status >= 400) same([error.status, error.constructor.name], [status, sdk.kind(status).name]);
  // Names of organisations are left out.
  const told = (turn.failure ?? "").split(" org-")[0];
  const said = error.message + JSON.stringify(error.error ?? null);
  assert.ok(said.includes(told) || said.includes(JSON.stringify(told).slice(1, -1)), `${told} is not in ${said}`);
  assert.ok(!said.includes("sk-"), said);
}

export async function run(steps, sdk) {
  let failed = 0;
  async function attempt(model, name, step) {
    try {
      await step();
      console.log(model, name, "ok");
    } catch (error) {
      failed += 1;
      console.log(model, name, "failed:", error);
    }
  }
  for (const model of process.env.MODELS.split(",")) {
    for (const [name, step] of Object.entries(steps)) await attempt(model, name, () => step(model));
  }
  if (process.env.RECORDED) {
    for (const recorded of JSON.parse(readFileSync(process.env.RECORDED, "utf8"))) {
      await attempt(recorded.model, `replay ${recorded.name}`, () => replay(recorded, sdk));
    }
  }
  process.exit(failed > 0 ? 1 : 0);
}

// What the clients of all SDKs ask, what they have to be answered, and how their steps are run: as in common.py.

import assert from "node:assert/strict";
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

export async function run(steps) {
  let failed = 0;
  for (const model of process.env.MODELS.split(",")) {
    for (const [name, step] of Object.entries(steps)) {
      try {
        await step(model);
        console.log(model, name, "ok");
      } catch (error) {
        failed += 1;
        console.log(model, name, "failed:", error);
      }
    }
  }
  process.exit(failed > 0 ? 1 : 0);
}

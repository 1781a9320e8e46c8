// What an application does with OpenAI's Node SDK, against the gateway at BASE_URL.
//
// `echo-1` answers inside the gateway; `custom/…` is a scripted vendor that does what the model's name says.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The packages lie in a cache folder, not beside this file.
const require = createRequire(pathToFileURL(process.env.PACKAGES + "/"));
const { OpenAI } = require("openai");

const options = { baseURL: process.env.BASE_URL + "/v1", apiKey: process.env.KEY, maxRetries: 0 };
const client = new OpenAI(options);
const messages = [{ role: "user", content: "one two three" }];
const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather at a place.",
      parameters: {
        type: "object",
        properties: { city: { type: "string" }, days: { type: "integer" } },
        required: ["city", "days"],
      },
    },
  },
];

const create = (model, more = {}) => client.chat.completions.create({ model, messages, ...more });

async function read(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

async function refused(kind, call) {
  try {
    await call();
  } catch (error) {
    assert.equal(error.constructor.name, kind.name, error);
    return error;
  }
  assert.fail(`no ${kind.name}`);
}

const steps = {
  async chat() {
    const { data, response } = await create("echo-1").withResponse();
    assert.equal(data.choices[0].message.content, "one two three");
    assert.equal(data.usage.total_tokens, 6);
    assert.equal(response.headers.get("x-tollgate-provider"), "echo");
    assert.ok(data._request_id);
  },
  async streaming() {
    const asked = await read(await create("echo-1", { stream: true, stream_options: { include_usage: true } }));
    assert.equal(asked.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), "one two three");
    assert.equal(asked.at(-1).usage.total_tokens, 6);
    const unasked = await read(await create("echo-1", { stream: true }));
    assert.ok(unasked.length > 0 && unasked.every((chunk) => chunk.choices.length > 0 && !chunk.usage));
  },
  async tools() {
    const whole = await create("echo-1", { tools, tool_choice: "required" });
    const call = whole.choices[0].message.tool_calls[0];
    assert.equal(call.function.name, "get_weather");
    const given = JSON.parse(call.function.arguments);
    assert.equal(typeof given.days, "number");
    const streamed = await client.chat.completions
      .stream({ model: "echo-1", messages, tools, tool_choice: "required" })
      .finalChatCompletion();
    assert.deepEqual(JSON.parse(streamed.choices[0].message.tool_calls[0].function.arguments), given);
  },
  async models() {
    const ids = (await read(await client.models.list())).map((model) => model.id);
    assert.ok(ids.includes("echo-1"), ids);
    assert.equal((await client.models.retrieve("custom/m-1")).id, "custom/m-1");
  },
  async errors() {
    const stranger = new OpenAI({ ...options, apiKey: "sk-tg-unknown" });
    await refused(OpenAI.AuthenticationError, () => stranger.chat.completions.create({ model: "echo-1", messages }));
    const missing = await refused(OpenAI.NotFoundError, () => create("no-such-model"));
    assert.equal(missing.code, "model_not_found");
    await refused(OpenAI.BadRequestError, () => create("echo-1", { messages: "words" }));
    const scripted = await refused(OpenAI.BadRequestError, () => create("custom/status-400"));
    assert.equal(scripted.code, "scripted");
    const limited = await refused(OpenAI.RateLimitError, () => create("custom/status-429"));
    assert.equal(limited.headers.get("retry-after"), "7");
    await refused(OpenAI.InternalServerError, () => create("custom/status-500"));
  },
  async broken_stream() {
    const got = [];
    await refused(OpenAI.APIError, async () => {
      for await (const chunk of await create("custom/cut", { stream: true })) got.push(chunk);
    });
    assert.ok(got.length > 0);
  },
  async cancellation() {
    const stream = await create("custom/hangs", { stream: true });
    for await (const chunk of stream) {
      assert.equal(chunk.choices[0].delta.content, "first");
      stream.controller.abort();
      break;
    }
  },
};

for (const [name, step] of Object.entries(steps)) {
  await step();
  console.log(name, "ok");
}

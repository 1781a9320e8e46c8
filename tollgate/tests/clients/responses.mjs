// The Responses API by OpenAI's Node SDK, of the models of every provider. Nothing is stored with a vendor.

import assert from "node:assert/strict";
import * as common from "./common.mjs";

const { HELLO, HEARD_HELLO, ONE, HEARD_ONE, BOTH, HEARD_BOTH, INPUT, CACHED, OUTPUT, REASONING } = common;
const { same, refused, weather } = common;
const { OpenAI } = common.require("openai");

const options = { baseURL: common.URL + "/v1", apiKey: common.KEY, maxRetries: 0 };
const client = new OpenAI(options);
const tools = [{ type: "function", name: "weather", parameters: common.WEATHER, strict: true }];
const think = { tools, reasoning: { effort: "high", summary: "auto" }, include: ["reasoning.encrypted_content"] };

const said = (content) => [{ role: "user", content }];
const ask = (model, input, more = {}) => client.responses.create({ model, input, store: false, ...more });

function used(usage, reasoning = 0) {
  same([usage.input_tokens, usage.input_tokens_details.cached_tokens], [INPUT, CACHED]);
  same([usage.output_tokens, usage.output_tokens_details.reasoning_tokens], [OUTPUT, reasoning]);
  same(usage.total_tokens, INPUT + OUTPUT);
}

async function streamed(model, input, more = {}) {
  const pieces = [];
  const stream = client.responses.stream({ model, input, store: false, ...more });
  stream.on("response.output_text.delta", (event) => pieces.push(event.delta));
  return [await stream.finalResponse(), pieces];
}

// Calls the tool, and goes on with what it gave.
async function withTool(prompt, calls, heard, answer) {
  const { output } = await answer(said(prompt));
  const called = output.filter((item) => item.type === "function_call");
  same(called.map((call) => JSON.parse(call.arguments)), calls);
  const results = called.map((call) => {
    return { type: "function_call_output", call_id: call.call_id, output: weather(JSON.parse(call.arguments)) };
  });
  same((await answer([...said(prompt), ...output, ...results])).output_text, heard);
  return output;
}

function thought(output, model) {
  // A vendor's own words stand in `content`, and what sums them up in `summary`.
  const reasoning = output.filter((item) => item.type === "reasoning");
  const shown = reasoning.flatMap((item) => [...item.summary, ...(item.content ?? [])]);
  // OpenAI shows them in this dialect alone.
  const isKept = !common.thinks(model) && shown.length === 0;
  if (!isKept) same(shown.map((part) => part.text), [common.THOUGHT]);
}

const steps = {
  async text(model) {
    const answer = await ask(model, HELLO);
    same(answer.output_text, HEARD_HELLO);
    used(answer.usage);
  },
  async streaming(model) {
    const [answer, pieces] = await streamed(model, HELLO);
    same(pieces.join(""), HEARD_HELLO);
    assert.ok(pieces.length > 2);
    used(answer.usage);
  },
  async conversation(model) {
    const turns = common.TURNS.map(([role, content]) => ({ role, content }));
    same((await ask(model, turns, { instructions: common.SYSTEM })).output_text, common.HEARD_TURNS);
  },
  tool: (model) => withTool("How is it?", ONE, HEARD_ONE, (input) => ask(model, input, { tools })),
  parallel_tools: (model) => withTool("In both?", BOTH, HEARD_BOTH, (input) => ask(model, input, { tools })),
  streamed_tools: (model) =>
    withTool("In both?", BOTH, HEARD_BOTH, async (input) => (await streamed(model, input, { tools }))[0]),
  async structured(model) {
    const format = { type: "json_schema", name: "person", schema: common.PERSON, strict: true };
    same(JSON.parse((await ask(model, "Who?", { text: { format } })).output_text), common.ADA);
  },
  async image(model) {
    const picture = { type: "input_image", image_url: `data:image/png;base64,${common.PNG}`, detail: "auto" };
    const answer = await ask(model, said([{ type: "input_text", text: common.LOOK }, picture]));
    same(answer.output_text, common.HEARD_LOOK);
  },
  async reasoning(model) {
    const output = await withTool("think: how is it?", ONE, HEARD_ONE, async (input) => {
      const answer = await ask(model, input, think);
      used(answer.usage, REASONING);
      return answer;
    });
    thought(output, model);
  },
  async streamed_reasoning(model) {
    const output = await withTool("think: how is it in both?", BOTH, HEARD_BOTH, async (input) => {
      const [answer] = await streamed(model, input, think);
      used(answer.usage, REASONING);
      return answer;
    });
    thought(output, model);
  },
  async errors(model) {
    for (const [status, kind] of [
      [400, OpenAI.BadRequestError],
      [404, OpenAI.NotFoundError],
      [429, OpenAI.RateLimitError],
      [500, OpenAI.InternalServerError],
      [503, OpenAI.InternalServerError],
    ]) {
      for (const stream of [false, true]) {
        const error = await refused(kind, () => ask(common.other(model, `status-${status}`), "Hello", { stream }));
        same(error.error.message, `scripted ${status}`);
        if (status === 429) same(error.headers.get("retry-after"), "7");
      }
    }
    const stranger = new OpenAI({ ...options, apiKey: "sk-tg-unknown" });
    await refused(OpenAI.AuthenticationError, () => stranger.responses.create({ model, input: "Hello" }));
    await refused(OpenAI.NotFoundError, () => ask("no-such-model", "Hello"));
    await refused(OpenAI.BadRequestError, () => ask(model, 7));
  },
  async broken_stream(model) {
    const events = [];
    await refused(OpenAI.APIError, async () => {
      for await (const event of await ask(common.other(model, "cut"), "Hello", { stream: true })) events.push(event);
    });
    assert.ok(events.some((event) => event.type === "response.output_text.delta"));
  },
  async cancellation(model) {
    const stream = await ask(common.other(model, "hangs"), "Hello", { stream: true });
    for await (const event of stream) if (event.type === "response.output_text.delta") break;
    stream.controller.abort();
  },
};

// How recordings are asked for, and what is seen of them.
const recordings = {
  ends: { end: "completed", tool: "completed", cap: "incomplete", filter: "incomplete" },
  failure: OpenAI.APIError,
  begin({ turns, image, conversation, tools, schema, thinks }) {
    const { prompt } = turns[0];
    const picture = { type: "input_image", image_url: `data:image/png;base64,${common.PNG}`, detail: "auto" };
    let input = said(image ? [{ type: "input_text", text: prompt }, picture] : prompt);
    const more = {};
    if (conversation) {
      input = [...common.TURNS.slice(0, 2).map(([role, content]) => ({ role, content })), ...input];
      more.instructions = common.SYSTEM;
    }
    if (tools.length) more.tools = tools.map((tool) => ({ type: "function", strict: false, ...tool }));
    if (schema) more.text = { format: { type: "json_schema", name: "answer", schema, strict: true } };
    if (thinks) Object.assign(more, { reasoning: think.reasoning, include: think.include });
    return [input, more];
  },
  async answer({ model, stream, fails }, input, more) {
    if (stream && fails) {
      // This SDK leaves it to its users to see a response that failed.
      for await (const event of await ask(model, input, { stream, ...more })) {
        if (event.type === "response.failed") throw new OpenAI.APIError(undefined, event.response.error, undefined, undefined);
      }
    }
    return stream ? (await streamed(model, input, more))[0] : ask(model, input, more);
  },
  seen({ output, output_text, status, usage }) {
    const calls = output.filter((item) => item.type === "function_call").map((item) => {
      return { name: item.name, arguments: JSON.parse(item.arguments || "{}") };
    });
    const reasoning = output.filter((item) => item.type === "reasoning");
    const parts = reasoning.flatMap((item) => [...item.summary, ...(item.content ?? [])]);
    return {
      text: output_text,
      calls,
      thoughts: parts.map((part) => part.text).join(""),
      end: status,
      usage: usage && [
        usage.input_tokens,
        usage.input_tokens_details.cached_tokens,
        usage.output_tokens,
        usage.output_tokens_details.reasoning_tokens,
      ],
    };
  },
  usage: ({ input, cached, output, reasoning }) => [input, cached, output, reasoning],
  goOn(input, { output }, given, prompt) {
    const called = output.filter((item) => item.type === "function_call");
    const results = called.map((call, index) => {
      return { type: "function_call_output", call_id: call.call_id, output: given[index] };
    });
    return [...input, ...output, ...(results.length ? results : said(prompt))];
  },
  async leave({ model }, input, more) {
    const stream = await ask(model, input, { stream: true, ...more });
    for await (const event of stream) if (event.type === "response.output_text.delta") break;
    stream.controller.abort();
  },
  status: (_, status) => (status === 529 ? 503 : status),
  kind(status) {
    const kinds = { 400: OpenAI.BadRequestError, 404: OpenAI.NotFoundError, 429: OpenAI.RateLimitError };
    return kinds[status] ?? OpenAI.InternalServerError;
  },
};

await common.run(steps, recordings);

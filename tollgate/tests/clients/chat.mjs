// Chat Completions by OpenAI's Node SDK, of the models of every provider.

import assert from "node:assert/strict";
import * as common from "./common.mjs";

const { HELLO, HEARD_HELLO, ONE, HEARD_ONE, BOTH, HEARD_BOTH, INPUT, CACHED, OUTPUT, REASONING } = common;
const { same, refused, read, weather } = common;
const { OpenAI } = common.require("openai");

const options = { baseURL: common.URL + "/v1", apiKey: common.KEY, maxRetries: 0 };
const client = new OpenAI(options);
const tools = [{ type: "function", function: { name: "weather", parameters: common.WEATHER } }];

const said = (content) => [{ role: "user", content }];
const ask = (model, messages, more = {}) => client.chat.completions.create({ model, messages, ...more });

function used(usage, reasoning = 0) {
  same([usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens], [INPUT, CACHED]);
  same([usage.completion_tokens, usage.total_tokens], [OUTPUT, INPUT + OUTPUT]);
  same(usage.completion_tokens_details.reasoning_tokens ?? 0, reasoning);
}

async function streamed(model, messages, more = {}) {
  const pieces = [];
  const stream = client.chat.completions.stream({
    model,
    messages,
    stream_options: { include_usage: true },
    ...more,
  });
  stream.on("content", (piece) => pieces.push(piece));
  // Of members that it does not know, this SDK keeps what came last.
  let thoughts = "";
  stream.on("chunk", ({ choices }) => {
    const delta = choices[0]?.delta ?? {};
    thoughts += delta.reasoning ?? delta.reasoning_content ?? "";
  });
  return [await stream.finalChatCompletion(), pieces, thoughts];
}

// Calls the tool, and goes on with what it gave.
async function withTool(prompt, calls, heard, answer) {
  const { message } = (await answer(said(prompt))).choices[0];
  same(message.tool_calls.map((call) => JSON.parse(call.function.arguments)), calls);
  const results = message.tool_calls.map((call) => {
    const content = weather(JSON.parse(call.function.arguments));
    return { role: "tool", tool_call_id: call.id, content };
  });
  const second = await answer([...said(prompt), message, ...results]);
  same(second.choices[0].message.content, heard);
}

const steps = {
  async text(model) {
    const answer = await ask(model, said(HELLO));
    same(answer.choices[0].message.content, HEARD_HELLO);
    same(answer.choices[0].finish_reason, "stop");
    used(answer.usage);
  },
  async streaming(model) {
    const [answer, pieces] = await streamed(model, said(HELLO));
    same(pieces.join(""), HEARD_HELLO);
    assert.ok(pieces.length > 2);
    used(answer.usage);
  },
  async conversation(model) {
    const turns = common.TURNS.map(([role, content]) => ({ role, content }));
    const answer = await ask(model, [{ role: "system", content: common.SYSTEM }, ...turns]);
    same(answer.choices[0].message.content, common.HEARD_TURNS);
  },
  tool: (model) => withTool("How is it?", ONE, HEARD_ONE, (messages) => ask(model, messages, { tools })),
  parallel_tools: (model) => withTool("In both?", BOTH, HEARD_BOTH, (messages) => ask(model, messages, { tools })),
  streamed_tools: (model) =>
    withTool("In both?", BOTH, HEARD_BOTH, async (messages) => (await streamed(model, messages, { tools }))[0]),
  async structured(model) {
    const json_schema = { name: "person", schema: common.PERSON, strict: true };
    const answer = await ask(model, said("Who?"), { response_format: { type: "json_schema", json_schema } });
    same(JSON.parse(answer.choices[0].message.content), common.ADA);
  },
  async image(model) {
    const image_url = { url: `data:image/png;base64,${common.PNG}` };
    const answer = await ask(model, said([{ type: "text", text: common.LOOK }, { type: "image_url", image_url }]));
    same(answer.choices[0].message.content, common.HEARD_LOOK);
  },
  async reasoning(model) {
    await withTool("think: how is it?", ONE, HEARD_ONE, async (messages) => {
      const answer = await ask(model, messages, { tools, reasoning_effort: "high" });
      used(answer.usage, REASONING);
      return answer;
    });
  },
  async streamed_reasoning(model) {
    await withTool("think: how is it in both?", BOTH, HEARD_BOTH, async (messages) => {
      const [answer] = await streamed(model, messages, { tools, reasoning_effort: "high" });
      used(answer.usage, REASONING);
      // Of members that it does not know, this SDK keeps what came last: what is to go back has to come in one piece.
      const { message } = answer.choices[0];
      if (model.startsWith("anthropic/") && message.tool_calls) {
        same(message.reasoning_details.map((detail) => detail.text), [common.THOUGHT]);
      }
      return answer;
    });
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
        const error = await refused(kind, () => ask(common.other(model, `status-${status}`), said("Hello"), { stream }));
        same(error.error.message, `scripted ${status}`);
        if (status === 429) same(error.headers.get("retry-after"), "7");
      }
    }
    const stranger = new OpenAI({ ...options, apiKey: "sk-tg-unknown" });
    await refused(OpenAI.AuthenticationError, () =>
      stranger.chat.completions.create({ model, messages: said("Hello") }),
    );
    await refused(OpenAI.NotFoundError, () => ask("no-such-model", said("Hello")));
    await refused(OpenAI.BadRequestError, () => ask(model, "words"));
  },
  async broken_stream(model) {
    const pieces = [];
    const error = await refused(OpenAI.APIError, async () => {
      for await (const chunk of await ask(common.other(model, "cut"), said("Hello"), { stream: true })) {
        pieces.push(chunk.choices[0].delta.content);
      }
    });
    assert.ok(pieces.join(""));
    same(error.code, "provider_answer_cut");
  },
  async models(model) {
    const ids = (await read(await client.models.list())).map((entry) => entry.id);
    assert.ok(ids.includes(model), ids);
    same((await client.models.retrieve(model)).id, model);
  },
  async cancellation(model) {
    const stream = await ask(common.other(model, "hangs"), said("Hello"), { stream: true });
    for await (const chunk of stream) if (chunk.choices[0].delta.content) break;
    stream.controller.abort();
  },
};

// How recordings are asked for, and what is seen of them.
const recordings = {
  ends: { end: "stop", tool: "tool_calls", cap: "length", filter: "content_filter" },
  failure: OpenAI.APIError,
  begin({ turns, image, conversation, tools, schema, thinks }) {
    const { prompt } = turns[0];
    const picture = { type: "image_url", image_url: { url: `data:image/png;base64,${common.PNG}` } };
    let messages = said(image ? [{ type: "text", text: prompt }, picture] : prompt);
    if (conversation) {
      const before = common.TURNS.slice(0, 2).map(([role, content]) => ({ role, content }));
      messages = [{ role: "system", content: common.SYSTEM }, ...before, ...messages];
    }
    const more = {};
    if (tools.length) more.tools = tools.map((tool) => ({ type: "function", function: tool }));
    if (schema) {
      more.response_format = { type: "json_schema", json_schema: { name: "answer", schema, strict: true } };
    }
    if (thinks) more.reasoning_effort = "high";
    return [messages, more];
  },
  async answer({ model, stream }, messages, more) {
    if (!stream) return ask(model, messages, more);
    const [answer, , thoughts] = await streamed(model, messages, more);
    return { ...answer, thoughts };
  },
  seen({ choices, usage, thoughts }) {
    const { message, finish_reason } = choices[0];
    const { content, tool_calls } = message;
    const parts = Array.isArray(content) ? content : [{ text: content ?? "" }];
    const thought = parts.flatMap((part) => part.thinking ?? []).map((part) => part.text);
    const calls = (tool_calls ?? []).map((call) => {
      return { name: call.function.name, arguments: JSON.parse(call.function.arguments || "{}") };
    });
    const details = [usage?.prompt_tokens_details?.cached_tokens, usage?.completion_tokens_details?.reasoning_tokens];
    return {
      text: parts.map((part) => part.text ?? "").join(""),
      calls,
      thoughts: thoughts ?? message.reasoning ?? message.reasoning_content ?? thought.join(""),
      end: finish_reason,
      usage: usage && [usage.prompt_tokens, details[0] ?? 0, usage.completion_tokens, details[1] ?? 0],
    };
  },
  usage: ({ input, cached, output, reasoning }) => [input, cached, output, reasoning],
  goOn(messages, { choices }, given, prompt) {
    const { message } = choices[0];
    const results = (message.tool_calls ?? []).map((call, index) => {
      return { role: "tool", tool_call_id: call.id, content: given[index] };
    });
    return [...messages, message, ...(results.length ? results : said(prompt))];
  },
  async leave({ model }, messages, more) {
    const stream = await ask(model, messages, { stream: true, ...more });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
    stream.controller.abort();
  },
  status: (_, status) => (status === 529 ? 503 : status),
  kind(status) {
    const kinds = { 400: OpenAI.BadRequestError, 404: OpenAI.NotFoundError, 429: OpenAI.RateLimitError };
    return kinds[status] ?? OpenAI.InternalServerError;
  },
};

await common.run(steps, recordings);

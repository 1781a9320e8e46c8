// Messages by Anthropic's Node SDK, of the models of every provider.

import assert from "node:assert/strict";
import * as common from "./common.mjs";

const { HELLO, HEARD_HELLO, ONE, HEARD_ONE, BOTH, HEARD_BOTH, INPUT, CACHED, OUTPUT, REASONING } = common;
const { same, refused, read, weather } = common;
const { Anthropic } = common.require("@anthropic-ai/sdk");

const options = { baseURL: common.URL, apiKey: common.KEY, maxRetries: 0 };
const client = new Anthropic(options);
const tools = [{ name: "weather", description: "Tells the weather.", input_schema: common.WEATHER }];
const think = {
  tools,
  thinking: { type: "adaptive", display: "summarized" },
  output_config: { effort: "high" },
};

const said = (content) => [{ role: "user", content }];
const ask = (model, messages, more = {}) => client.messages.create({ model, max_tokens: 4096, messages, ...more });

function used(usage, reasoning) {
  same([usage.input_tokens, usage.cache_read_input_tokens], [INPUT - CACHED, CACHED]);
  same(usage.output_tokens, OUTPUT);
  if (reasoning) same(usage.output_tokens_details.thinking_tokens, reasoning);
}

async function streamed(model, messages, more = {}) {
  const pieces = [];
  const stream = client.messages.stream({ model, max_tokens: 4096, messages, ...more });
  stream.on("text", (piece) => pieces.push(piece));
  return [await stream.finalMessage(), pieces];
}

// Calls the tool, and goes on with what it gave.
async function withTool(prompt, calls, heard, answer) {
  const { content, stop_reason } = await answer(said(prompt));
  same(stop_reason, "tool_use");
  const called = content.filter((block) => block.type === "tool_use");
  same(called.map((call) => call.input), calls);
  const results = called.map((call) => {
    return { type: "tool_result", tool_use_id: call.id, content: weather(call.input) };
  });
  const turns = [
    { role: "assistant", content },
    { role: "user", content: results },
  ];
  const second = await answer([...said(prompt), ...turns]);
  same(second.content.filter((block) => block.type === "text").map((block) => block.text), [heard]);
  return content;
}

function thought(content, model) {
  const shown = content.filter((block) => block.type === "thinking" && block.thinking);
  same(shown.map((block) => block.thinking), common.thinks(model) ? [common.THOUGHT] : []);
}

const steps = {
  async text(model) {
    const answer = await ask(model, said(HELLO));
    same(answer.content.map((block) => block.text), [HEARD_HELLO]);
    same(answer.stop_reason, "end_turn");
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
    const answer = await ask(model, turns, { system: common.SYSTEM });
    same(answer.content[0].text, common.HEARD_TURNS);
  },
  tool: (model) => withTool("How is it?", ONE, HEARD_ONE, (messages) => ask(model, messages, { tools })),
  parallel_tools: (model) => withTool("In both?", BOTH, HEARD_BOTH, (messages) => ask(model, messages, { tools })),
  streamed_tools: (model) =>
    withTool("In both?", BOTH, HEARD_BOTH, async (messages) => (await streamed(model, messages, { tools }))[0]),
  async structured(model) {
    const output_config = { format: { type: "json_schema", schema: common.PERSON } };
    const answer = await ask(model, said("Who?"), { output_config });
    same(JSON.parse(answer.content[0].text), common.ADA);
  },
  async image(model) {
    const source = { type: "base64", media_type: "image/png", data: common.PNG };
    const answer = await ask(model, said([{ type: "text", text: common.LOOK }, { type: "image", source }]));
    same(answer.content[0].text, common.HEARD_LOOK);
  },
  async reasoning(model) {
    const content = await withTool("think: how is it?", ONE, HEARD_ONE, async (messages) => {
      const answer = await ask(model, messages, think);
      used(answer.usage, REASONING);
      return answer;
    });
    thought(content, model);
  },
  async streamed_reasoning(model) {
    const content = await withTool("think: how is it in both?", BOTH, HEARD_BOTH, async (messages) => {
      const [answer] = await streamed(model, messages, think);
      used(answer.usage, REASONING);
      return answer;
    });
    thought(content, model);
  },
  async errors(model) {
    for (const [status, kind] of [
      [400, Anthropic.BadRequestError],
      [404, Anthropic.NotFoundError],
      [429, Anthropic.RateLimitError],
      [500, Anthropic.InternalServerError],
    ]) {
      for (const stream of [false, true]) {
        const error = await refused(kind, () => ask(common.other(model, `status-${status}`), said("Hello"), { stream }));
        same(error.error.error.message, `scripted ${status}`);
        if (status === 429) same(error.headers.get("retry-after"), "7");
      }
    }
    // Anthropic's own 503 stays one; another vendor's is what this SDK knows as overload.
    const isNative = model.startsWith("anthropic/");
    const kind = isNative ? Anthropic.ServiceUnavailableError : Anthropic.OverloadedError;
    const overload = await refused(kind, () => ask(common.other(model, "status-503"), said("Hello")));
    same(overload.status, isNative ? 503 : 529);
    const stranger = new Anthropic({ ...options, apiKey: "sk-tg-unknown" });
    await refused(Anthropic.AuthenticationError, () =>
      stranger.messages.create({ model, max_tokens: 9, messages: said("Hello") }),
    );
    await refused(Anthropic.NotFoundError, () => ask("no-such-model", said("Hello")));
    await refused(Anthropic.BadRequestError, () => ask(model, "words"));
  },
  async broken_stream(model) {
    const events = [];
    const error = await refused(Anthropic.APIError, async () => {
      for await (const event of await ask(common.other(model, "cut"), said("Hello"), { stream: true })) events.push(event);
    });
    assert.ok(events.some((event) => event.type === "content_block_delta"));
    same(error.error.error.type, "api_error");
  },
  async models(model) {
    const ids = (await read(await client.models.list())).map((entry) => entry.id);
    assert.ok(ids.includes(model), ids);
    same((await client.models.retrieve(model)).id, model);
  },
  async cancellation(model) {
    const stream = await ask(common.other(model, "hangs"), said("Hello"), { stream: true });
    for await (const event of stream) if (event.type === "content_block_delta") break;
    stream.controller.abort();
  },
};

// How recordings are asked for, and what is seen of them.
const recordings = {
  ends: { end: "end_turn", tool: "tool_use", cap: "max_tokens", filter: "refusal" },
  failure: Anthropic.APIError,
  begin({ turns, image, conversation, tools, schema, thinks }) {
    const { prompt } = turns[0];
    const source = { type: "base64", media_type: "image/png", data: common.PNG };
    let messages = said(image ? [{ type: "text", text: prompt }, { type: "image", source }] : prompt);
    const more = {};
    if (conversation) {
      messages = [...common.TURNS.slice(0, 2).map(([role, content]) => ({ role, content })), ...messages];
      more.system = common.SYSTEM;
    }
    if (tools.length) more.tools = tools.map(({ parameters, ...tool }) => ({ ...tool, input_schema: parameters }));
    if (schema) more.output_config = { format: { type: "json_schema", schema } };
    if (thinks) Object.assign(more, { thinking: think.thinking, output_config: think.output_config });
    return [messages, more];
  },
  async answer({ model, stream }, messages, more) {
    return stream ? (await streamed(model, messages, more))[0] : ask(model, messages, more);
  },
  seen({ content, stop_reason, usage }) {
    const all = (type, member) => content.filter((block) => block.type === type).map((block) => block[member]);
    const calls = content.filter((block) => block.type === "tool_use");
    return {
      text: all("text", "text").join(""),
      calls: calls.map((block) => ({ name: block.name, arguments: block.input })),
      thoughts: all("thinking", "thinking").join(""),
      end: stop_reason,
      usage: [usage.input_tokens, usage.cache_read_input_tokens ?? 0, usage.output_tokens],
    };
  },
  usage: ({ input, cached, written, output }) => [input - cached - written, cached, output],
  goOn(messages, { content }, given, prompt) {
    const called = content.filter((block) => block.type === "tool_use");
    const results = called.map((call, index) => {
      return { type: "tool_result", tool_use_id: call.id, content: given[index] };
    });
    const user = { role: "user", content: results.length ? results : prompt };
    return [...messages, { role: "assistant", content }, user];
  },
  async leave({ model }, messages, more) {
    const stream = await ask(model, messages, { stream: true, ...more });
    for await (const event of stream) if (event.type === "content_block_delta") break;
    stream.controller.abort();
  },
  status({ provider, quota }, status) {
    if (quota) return 402;
    return status === 503 && provider !== "anthropic" ? 529 : status;
  },
  kind(status) {
    const kinds = {
      400: Anthropic.BadRequestError,
      402: Anthropic.PaymentRequiredError,
      404: Anthropic.NotFoundError,
      429: Anthropic.RateLimitError,
      529: Anthropic.OverloadedError,
    };
    return kinds[status] ?? Anthropic.InternalServerError;
  },
};

await common.run(steps, recordings);

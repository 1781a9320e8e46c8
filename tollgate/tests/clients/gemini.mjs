// generateContent by Google's Node SDK, of the models of every provider.

import assert from "node:assert/strict";
import * as common from "./common.mjs";

const { HELLO, HEARD_HELLO, ONE, HEARD_ONE, BOTH, HEARD_BOTH, INPUT, CACHED, OUTPUT, REASONING } = common;
const { same, refused, read, weather } = common;
const { ApiError, GoogleGenAI } = common.require("@google/genai");

const options = { apiKey: common.KEY, httpOptions: { baseUrl: common.URL } };
const client = new GoogleGenAI(options);
const declaration = { name: "weather", description: "Tells the weather.", parametersJsonSchema: common.WEATHER };
const tools = [{ functionDeclarations: [declaration] }];
const think = { tools, thinkingConfig: { includeThoughts: true, thinkingLevel: "HIGH" } };

const said = (text) => ({ role: "user", parts: [{ text }] });
const ask = (model, contents, config = {}) => client.models.generateContent({ model, contents, config });

// The chunks, and one answer made of them.
async function streamed(model, contents, config = {}) {
  const chunks = await read(await client.models.generateContentStream({ model, contents, config }));
  const answer = chunks.at(-1);
  const parts = chunks.flatMap((chunk) => chunk.candidates?.[0].content?.parts ?? []);
  answer.candidates[0].content = { role: "model", parts };
  return [answer, chunks];
}

function used(usage, reasoning = 0) {
  same([usage.promptTokenCount, usage.cachedContentTokenCount], [INPUT, CACHED]);
  same([usage.candidatesTokenCount, usage.thoughtsTokenCount ?? 0], [OUTPUT - reasoning, reasoning]);
  same(usage.totalTokenCount, INPUT + OUTPUT);
}

// Calls the tool, and goes on with what it gave.
async function withTool(prompt, calls, heard, answer) {
  const { content } = (await answer([said(prompt)])).candidates[0];
  const called = content.parts.flatMap((part) => part.functionCall ?? []);
  same(called.map((call) => call.args), calls);
  const parts = called.map(({ id, name, args }) => {
    return { functionResponse: { id, name, response: { result: weather(args) } } };
  });
  const second = await answer([said(prompt), content, { role: "user", parts }]);
  same(second.text, heard);
  return content.parts;
}

function thought(parts, model) {
  const shown = parts.filter((part) => part.thought).map((part) => part.text);
  same(shown.join(""), common.thinks(model) ? common.THOUGHT : "");
}

const steps = {
  async text(model) {
    const answer = await ask(model, HELLO);
    same(answer.text, HEARD_HELLO);
    same(answer.candidates[0].finishReason, "STOP");
    used(answer.usageMetadata);
  },
  async streaming(model) {
    const [answer, chunks] = await streamed(model, HELLO);
    same(answer.text, HEARD_HELLO);
    assert.ok(chunks.length > 2);
    used(answer.usageMetadata);
  },
  async conversation(model) {
    const turns = common.TURNS.map(([role, text]) => ({ ...said(text), role: role === "user" ? role : "model" }));
    same((await ask(model, turns, { systemInstruction: common.SYSTEM })).text, common.HEARD_TURNS);
  },
  tool: (model) => withTool("How is it?", ONE, HEARD_ONE, (contents) => ask(model, contents, { tools })),
  parallel_tools: (model) => withTool("In both?", BOTH, HEARD_BOTH, (contents) => ask(model, contents, { tools })),
  streamed_tools: (model) =>
    withTool("In both?", BOTH, HEARD_BOTH, async (contents) => (await streamed(model, contents, { tools }))[0]),
  async structured(model) {
    const config = { responseMimeType: "application/json", responseJsonSchema: common.PERSON };
    same(JSON.parse((await ask(model, "Who?", config)).text), common.ADA);
  },
  async image(model) {
    const inlineData = { mimeType: "image/png", data: common.PNG };
    const contents = [{ role: "user", parts: [{ text: common.LOOK }, { inlineData }] }];
    same((await ask(model, contents)).text, common.HEARD_LOOK);
  },
  async reasoning(model) {
    const parts = await withTool("think: how is it?", ONE, HEARD_ONE, async (contents) => {
      const answer = await ask(model, contents, think);
      used(answer.usageMetadata, REASONING);
      return answer;
    });
    thought(parts, model);
  },
  async streamed_reasoning(model) {
    const parts = await withTool("think: how is it in both?", BOTH, HEARD_BOTH, async (contents) => {
      const [answer] = await streamed(model, contents, think);
      used(answer.usageMetadata, REASONING);
      return answer;
    });
    thought(parts, model);
  },
  async errors(model) {
    for (const status of [400, 404, 429, 500, 503]) {
      for (const answer of [ask, streamed]) {
        const error = await refused(ApiError, () => answer(common.other(model, `status-${status}`), "Hello"));
        same(error.status, status);
        assert.ok(error.message.includes(`scripted ${status}`), error.message);
      }
    }
    const stranger = new GoogleGenAI({ ...options, apiKey: "sk-tg-unknown" });
    const unknown = await refused(ApiError, () => stranger.models.generateContent({ model, contents: "Hello" }));
    same(unknown.status, 401);
    same((await refused(ApiError, () => ask("no-such-model", "Hello"))).status, 404);
    same((await refused(ApiError, () => ask(model, "Hello", { maxOutputTokens: -7 }))).status, 400);
  },
  async broken_stream(model) {
    const chunks = [];
    const error = await refused(ApiError, async () => {
      const stream = await client.models.generateContentStream({
        model: common.other(model, "cut"),
        contents: "Hello",
      });
      for await (const chunk of stream) chunks.push(chunk);
    });
    assert.ok(chunks[0].text);
    same(error.status, 502);
    // Before its first event, it is the status of the answer.
    for (const answer of [ask, streamed]) {
      same((await refused(ApiError, () => answer(common.other(model, "nothing"), "Hello"))).status, 502);
    }
  },
  async models(model) {
    const names = (await read(await client.models.list())).map((entry) => entry.name);
    assert.ok(names.includes(`models/${model}`), names);
    same((await client.models.get({ model })).name, `models/${model}`);
  },
  async cancellation(model) {
    const stopping = new AbortController();
    const stream = await client.models.generateContentStream({
      model: common.other(model, "hangs"),
      contents: "Hello",
      config: { abortSignal: stopping.signal },
    });
    for await (const chunk of stream) if (chunk.text) break;
    stopping.abort();
  },
};

// How recordings are asked for, and what is seen of them.
const recordings = {
  ends: { end: "STOP", tool: "STOP", cap: "MAX_TOKENS", filter: "SAFETY" },
  failure: ApiError,
  begin({ turns, image, conversation, tools, schema, thinks }) {
    const content = said(turns[0].prompt);
    if (image) content.parts.push({ inlineData: { mimeType: "image/png", data: common.PNG } });
    const before = common.TURNS.slice(0, 2).map(([role, text]) => ({ ...said(text), role: role === "user" ? role : "model" }));
    const config = {};
    if (conversation) config.systemInstruction = common.SYSTEM;
    if (tools.length) {
      const functionDeclarations = tools.map(({ parameters, ...tool }) => ({ ...tool, parametersJsonSchema: parameters }));
      config.tools = [{ functionDeclarations }];
    }
    if (schema) Object.assign(config, { responseMimeType: "application/json", responseJsonSchema: schema });
    if (thinks) config.thinkingConfig = think.thinkingConfig;
    return [conversation ? [...before, content] : [content], config];
  },
  async answer({ model, stream }, contents, config) {
    return stream ? (await streamed(model, contents, config))[0] : ask(model, contents, config);
  },
  seen({ candidates, usageMetadata: usage }) {
    const parts = candidates[0].content?.parts ?? [];
    const all = (isThought) => parts.filter((part) => Boolean(part.thought) === isThought).map((part) => part.text ?? "");
    const called = parts.flatMap((part) => part.functionCall ?? []);
    const reason = candidates[0].finishReason;
    return {
      text: all(false).join(""),
      calls: called.map(({ name, args }) => ({ name, arguments: args ?? {} })),
      thoughts: all(true).join(""),
      // Vertex has told some of them by their numbers.
      end: String(reason) === "1" ? "STOP" : reason,
      usage: [
        usage.promptTokenCount,
        usage.cachedContentTokenCount ?? 0,
        usage.candidatesTokenCount ?? 0,
        usage.thoughtsTokenCount ?? 0,
      ],
    };
  },
  usage: ({ input, cached, output, reasoning }) => [input, cached, output - reasoning, reasoning],
  goOn(contents, { candidates }, given, prompt) {
    const { content } = candidates[0];
    const called = content.parts.flatMap((part) => part.functionCall ?? []);
    const parts = called.map(({ id, name }, index) => {
      return { functionResponse: { id, name, response: { result: given[index] } } };
    });
    return [...contents, content, parts.length ? { role: "user", parts } : said(prompt)];
  },
  async leave({ model }, contents) {
    const stopping = new AbortController();
    const config = { abortSignal: stopping.signal };
    const stream = await client.models.generateContentStream({ model, contents, config });
    for await (const chunk of stream) if (chunk.text) break;
    stopping.abort();
  },
  status: (_, status) => (status === 529 ? 503 : status),
  kind: () => ApiError,
};

await common.run(steps, recordings);

// Streams in which the gateway gives signs of life, by all of the Node SDKs: before the provider's first word, and between.

import assert from "node:assert/strict";
import * as common from "./common.mjs";

const { HELLO, HEARD_HELLO, KEY, URL, other, same } = common;
const { OpenAI } = common.require("openai");
const { Anthropic } = common.require("@anthropic-ai/sdk");
const { GoogleGenAI } = common.require("@google/genai");

const chats = new OpenAI({ baseURL: URL + "/v1", apiKey: KEY, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: URL, apiKey: KEY, maxRetries: 0 });
const google = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: URL } });
const said = [{ role: "user", content: HELLO }];

async function inChat(model) {
  const pieces = [];
  for await (const chunk of await chats.chat.completions.create({ model, messages: said, stream: true })) {
    pieces.push(chunk.choices[0]?.delta.content ?? "");
  }
  return pieces.join("");
}

async function inResponses(model) {
  const stream = chats.responses.stream({ model, input: said, store: false });
  return (await stream.finalResponse()).output_text;
}

async function inMessages(model) {
  return await anthropic.messages.stream({ model, max_tokens: 4096, messages: said }).finalText();
}

async function inContent(model) {
  const pieces = [];
  for await (const chunk of await google.models.generateContentStream({ model, contents: HELLO })) {
    pieces.push(chunk.text ?? "");
  }
  return pieces.join("");
}

const answers = [inChat, inResponses, inMessages, inContent];

async function slow(model) {
  for (const answer of answers) same(await answer(other(model, "slow")), HEARD_HELLO);
}

// The status was told long before anything went wrong.
async function slowToFail(model) {
  for (const answer of answers) {
    await assert.rejects(answer(other(model, "slow-to-fail")), /scripted 429/, answer.name);
  }
}

await common.run({ slow, slowToFail });

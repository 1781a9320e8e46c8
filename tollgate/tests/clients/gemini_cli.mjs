// All kinds of clients, by their own SDKs, of a model behind the Gemini CLI: what they say comes back, whole and streamed.

import assert from "node:assert/strict";
import * as common from "./common.mjs";

const OpenAI = common.require("openai").default;
const Anthropic = common.require("@anthropic-ai/sdk").default;
const { GoogleGenAI } = common.require("@google/genai");
const { KEY, PNG, SYSTEM, LOOK, same, read } = common;

const MODEL = "gemini-cli/gemini-2.5-flash";
const once = { maxRetries: 0 };
const openai = new OpenAI({ apiKey: KEY, baseURL: common.URL + "/v1", ...once });
const anthropic = new Anthropic({ apiKey: KEY, baseURL: common.URL, ...once });
const google = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: common.URL } });

const url = `data:image/png;base64,${PNG}`;
const chat = {
  model: MODEL,
  messages: [
    { role: "system", content: SYSTEM },
    { role: "user", content: "One" },
    { role: "assistant", content: "Two" },
    { role: "user", content: [{ type: "text", text: LOOK }, { type: "image_url", image_url: { url } }] },
  ],
};
const whole = await openai.chat.completions.create(chat);
same(whole.choices[0].message.content, LOOK);
same(whole.choices[0].finish_reason, "stop");
assert(whole.usage.prompt_tokens > 0 && whole.usage.completion_tokens > 0);
const plain = { ...chat, messages: [{ role: "user", content: "Grüße" }] };
const chunks = await read(await openai.chat.completions.create({ ...plain, stream: true }));
same(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), "Grüße");

const input = [{ role: "user", content: [{ type: "input_text", text: LOOK }, { type: "input_image", image_url: url }] }];
const response = await openai.responses.create({ model: MODEL, instructions: SYSTEM, input });
same([response.output_text, response.status], [LOOK, "completed"]);
const events = await read(await openai.responses.create({ model: MODEL, input: "Grüße", stream: true }));
same(events.at(-1).type, "response.completed");
same(events.at(-1).response.output[0].content[0].text, "Grüße");

const source = { type: "base64", media_type: "image/png", data: PNG };
const content = [{ type: "image", source }, { type: "text", text: LOOK }];
const messages = { model: MODEL, max_tokens: 1000, system: SYSTEM, messages: [{ role: "user", content }] };
const message = await anthropic.messages.create(messages);
same([message.content[0].text, message.stop_reason], [LOOK, "end_turn"]);
const said = { ...messages, messages: [{ role: "user", content: "Grüße" }] };
const final = await anthropic.messages.stream(said).finalMessage();
same([final.content[0].text, final.stop_reason], ["Grüße", "end_turn"]);
assert(final.usage.output_tokens > 0);

const parts = [{ text: `${LOOK} ((play think=1))` }, { inlineData: { mimeType: "image/png", data: PNG } }];
const config = { systemInstruction: SYSTEM, thinkingConfig: { includeThoughts: true } };
const contents = [{ role: "user", parts }];
const generated = await google.models.generateContent({ model: MODEL, contents, config });
same([generated.text, generated.candidates[0].finishReason], [LOOK, "STOP"]);
assert(generated.candidates[0].content.parts.some((part) => part.thought));
const pieces = await read(await google.models.generateContentStream({ model: MODEL, contents: "Grüße" }));
same(pieces.map((piece) => piece.text ?? "").join(""), "Grüße");
assert(pieces.at(-1).usageMetadata.totalTokenCount > 0);

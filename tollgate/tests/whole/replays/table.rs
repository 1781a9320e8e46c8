//! Which recording stands for which step at which kind of provider.
//!
//! A name is a case in `../shared/fixtures`, in the folder of the provider's dialect. Where a step has two, the second was
//! answered to what a tool gave, or to what was said next. A step that a provider does not have here is played by the
//! scripts of testkit's vendors alone: nothing of that shape was recorded of it. Names that begin with `made-` were
//! not recorded: they were written after what the vendor documents.

use super::ask::Ask;

/// A kind of provider, and what was recorded of it.
pub(super) struct Kind {
    pub(super) provider: &'static str,
    /// By which provider clients of Responses reach it, where they do not speak their own dialect to it.
    pub(super) for_responses: Option<&'static str>,
    pub(super) folder: &'static str,
    pub(super) steps: &'static [(Step, &'static [&'static str])],
}

impl Kind {
    pub(super) fn provider_for(&self, is_responses: bool) -> Option<&'static str> {
        if is_responses {
            self.for_responses
        } else {
            Some(self.provider)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    Stream,
    /// A stream that stays open after its first words, until the client leaves.
    Left,
    /// A stream whose connection is gone after its first words.
    Cut,
}

/// What is asked, and in which form the answer comes.
pub(super) type Step = (Ask, Form);

use Ask::{Conversation, Fails, Image, Parallel, Structured, Text, Thinks, ThinksAndCalls, Tool};
use Form::{Cut, Left, Stream, Whole};

/// Every step that there is.
pub(super) const STEPS: [Step; 23] = [
    (Text, Whole),
    (Text, Stream),
    (Conversation, Whole),
    (Tool, Whole),
    (Tool, Stream),
    (Parallel, Whole),
    (Parallel, Stream),
    (Structured, Whole),
    (Structured, Stream),
    (Image, Whole),
    (Thinks, Whole),
    (Thinks, Stream),
    (ThinksAndCalls, Whole),
    (ThinksAndCalls, Stream),
    (Fails(400), Whole),
    (Fails(401), Whole),
    (Fails(404), Whole),
    (Fails(429), Whole),
    (Fails(500), Whole),
    (Fails(503), Whole),
    (Fails(200), Stream),
    (Text, Left),
    (Text, Cut),
];

/// What an SDK makes nothing of when it speaks with the vendor itself, since nothing stands between them here: the client, the
/// provider, the step.
pub(super) const STRANGE: [(&str, &str, Step); 7] = [
    // Calls without a type, and content in parts.
    ("chat.", "mistral", (Tool, Whole)),
    ("chat.", "mistral", (Tool, Stream)),
    ("chat.", "mistral", (Thinks, Stream)),
    // What it makes of a stream that ends at the cap is an error of its own.
    ("chat.", "deepseek", (Text, Stream)),
    // Thoughts are told in the total alone.
    ("chat.", "gemini_openai", (Tool, Whole)),
    // Words told by their numbers.
    ("gemini.", "gemini", (Image, Whole)),
    ("gemini.", "gemini", (Parallel, Whole)),
];

pub(super) const KINDS: [Kind; 11] = [
    Kind {
        provider: "openai",
        for_responses: Some("custom"),
        folder: "openai-chat",
        steps: &[
            ((Text, Whole), &["text-async-chat-completion-with-raw-response"]),
            ((Text, Stream), &["developer-role-agent-run-streaming"]),
            ((Conversation, Whole), &["prompt-caching-openai-prompt-caching"]),
            (
                (Tool, Whole),
                &[
                    "file-input-document-as-binary-content-input-with-tool",
                    "tool-result-chat-tool-calls",
                ],
            ),
            (
                (Tool, Stream),
                &[
                    "tool-call-agent-arun-streaming-with-tools-t0",
                    "tool-result-agent-arun-streaming-with-tools-t1",
                ],
            ),
            (
                (Parallel, Whole),
                &[
                    "parallel-tools-open-ai-function-calls-tools-parallel",
                    "tool-result-chat-tool-calls",
                ],
            ),
            (
                (Parallel, Stream),
                &[
                    "parallel-tools-complex-agent-run-in-workflow-t0",
                    "tool-result-complex-agent-run-in-workflow-t1",
                ],
            ),
            (
                (Structured, Whole),
                &["structured-output-chat-openai-agents-python"],
            ),
            (
                (Thinks, Whole),
                &[
                    "reasoning-tokens-chat-with-service-tier-t0",
                    "service-tier-chat-with-service-tier-t1",
                ],
            ),
            ((Fails(400), Whole), &["error-400-chat-bad-request"]),
            ((Fails(401), Whole), &["made-err-401-invalid-key"]),
            ((Fails(404), Whole), &["error-404-chat-unknown-model"]),
            ((Fails(429), Whole), &["made-err-429-tpm"]),
            ((Fails(500), Whole), &["made-err-500-server"]),
            ((Fails(200), Stream), &["made-stream-midway-error"]),
            ((Text, Left), &["developer-role-agent-run-streaming"]),
            ((Text, Cut), &["developer-role-agent-run-streaming"]),
        ],
    },
    Kind {
        provider: "custom-responses",
        for_responses: Some("custom-responses"),
        folder: "openai-responses",
        steps: &[
            (
                (Text, Whole),
                &["text-openai-responses-reasoning-generate-summary"],
            ),
            ((Text, Stream), &["text-responses-streaming-async"]),
            (
                (Conversation, Whole),
                &["multi-turn-openai-responses-compact-messages-t1"],
            ),
            (
                (Tool, Whole),
                &[
                    "tool-call-responses-create-captures-tool-call-content-content-mode0",
                    "file-input-multimodal-tool-return-matrix-direct-uploaded-file-document-openai-responses",
                ],
            ),
            (
                (Tool, Stream),
                &[
                    "tool-call-openai-responses-stream-t0",
                    "tool-result-openai-responses-stream-t1",
                ],
            ),
            (
                (Parallel, Whole),
                &[
                    "parallel-tools-openai-responses-model-retry",
                    "file-input-multimodal-tool-return-matrix-direct-uploaded-file-document-openai-responses",
                ],
            ),
            (
                (Structured, Whole),
                &["structured-output-bedrock-mantle-native-output"],
            ),
            ((Image, Whole), &["image-input-openai-responses-image-url-input"]),
            (
                (Thinks, Whole),
                &[
                    "reasoning-azure-azure-reasoning-encrypted-content-1",
                    "multi-turn-responses-with-input-history",
                ],
            ),
            (
                (Thinks, Stream),
                &[
                    "reasoning-openai-responses-thinking-part-iter",
                    "text-responses-streaming-with-content",
                ],
            ),
            (
                (ThinksAndCalls, Whole),
                &[
                    "reasoning-tools-tool-choice-matrix-tools-plus-output-openai-responses",
                    "file-input-multimodal-tool-return-matrix-direct-uploaded-file-document-openai-responses",
                ],
            ),
            (
                (ThinksAndCalls, Stream),
                &[
                    "reasoning-tools-openai-responses-phase-streamed-on-part-start-t0",
                    "reasoning-tools-openai-responses-phase-streamed-on-part-start-t1",
                ],
            ),
            (
                (Fails(400), Whole),
                &["error-400-openai-responses-model-http-error"],
            ),
            ((Fails(429), Whole), &["error-429-openai-error-1"]),
            ((Fails(200), Stream), &["made-stream-failed-server-error"]),
            ((Text, Left), &["text-responses-streaming-async"]),
            ((Text, Cut), &["text-responses-streaming-async"]),
        ],
    },
    Kind {
        provider: "anthropic",
        for_responses: Some("anthropic"),
        folder: "anthropic",
        steps: &[
            ((Text, Whole), &["text-extra-headers"]),
            ((Text, Stream), &["text-async-anthropic-message-stream-manager"]),
            (
                (Conversation, Whole),
                &["prompt-caching-anthropic-cache-real-api"],
            ),
            (
                (Tool, Whole),
                &[
                    "tool-call-tool-calls-anthropic-text-block",
                    "tool-result-tool-choice-matrix-auto-anthropic",
                ],
            ),
            (
                (Tool, Stream),
                &[
                    "tool-call-fixed-version-tool-chain-regression-t0",
                    "tool-result-fixed-version-tool-chain-regression-t1",
                ],
            ),
            (
                (Parallel, Whole),
                &[
                    "parallel-tools-mixed-tools-basemodel-output",
                    "tool-result-tool-choice-matrix-auto-anthropic",
                ],
            ),
            (
                (Parallel, Stream),
                &["parallel-tools-tools-t0", "tool-result-tools-t1"],
            ),
            (
                (Structured, Whole),
                &["structured-output-anthropic-native-output-decimal-strict"],
            ),
            ((Structured, Stream), &["structured-output-opus-46-schema"]),
            ((Image, Whole), &["image-input-image-url-input"]),
            (
                (Thinks, Whole),
                &[
                    "redacted-thinking-anthropic-model-thinking-part-redacted-t0",
                    "redacted-thinking-anthropic-model-thinking-part-redacted-t1",
                ],
            ),
            (
                (Thinks, Stream),
                &["thinking-stream-events-thinking", "text-stream-events-text"],
            ),
            (
                (ThinksAndCalls, Whole),
                &[
                    "thinking-tools-anthropic-tool-with-thinking",
                    "tool-result-tool-choice-matrix-auto-anthropic",
                ],
            ),
            (
                (Fails(400), Whole),
                &["error-400-anthropic-explicit-effort-xhigh-unsupported-model-errors"],
            ),
            ((Fails(401), Whole), &["made-err-401-authentication"]),
            ((Fails(429), Whole), &["made-err-429-input-tokens"]),
            ((Fails(500), Whole), &["made-err-500-api-error"]),
            ((Fails(503), Whole), &["made-err-529-overloaded"]),
            ((Fails(200), Stream), &["made-stream-midway-overloaded"]),
            ((Text, Left), &["text-async-anthropic-message-stream-manager"]),
            ((Text, Cut), &["text-async-anthropic-message-stream-manager"]),
        ],
    },
    Kind {
        provider: "gemini",
        for_responses: Some("gemini"),
        folder: "gemini",
        steps: &[
            ((Text, Whole), &["text-google-httpx-client-is-not-closed"]),
            ((Text, Stream), &["text-google-stream-usage-is-live-mid-stream"]),
            (
                (Conversation, Whole),
                &["prompt-caching-google-model-cached-content"],
            ),
            (
                (Tool, Whole),
                &[
                    "tool-call-multiple-agent-tool-calls-t0",
                    "tool-result-multiple-agent-tool-calls-t1",
                ],
            ),
            (
                (Tool, Stream),
                &[
                    "structured-output-native-output-with-function-tools-stream-t0",
                    "structured-output-native-output-with-function-tools-stream-t1",
                ],
            ),
            (
                (Parallel, Whole),
                &[
                    "parallel-tools-vertex-function-call-choice",
                    "tool-result-vertex-tool-events",
                ],
            ),
            (
                (Parallel, Stream),
                &[
                    "made-stream-two-calls-same-name",
                    "tool-result-signature-google-streaming-tool-call-thought-signature-t1",
                ],
            ),
            (
                (Structured, Whole),
                &["structured-output-google-discriminated-union-native-output"],
            ),
            (
                (Image, Whole),
                &["inline-media-vertex-generate-content-with-files"],
            ),
            ((Thinks, Whole), &["text-google-reasoning", "system-google-model"]),
            (
                (Thinks, Stream),
                &[
                    "prompt-caching-cli-context-compress-interactive-compress",
                    "system-google-model-stream",
                ],
            ),
            (
                (ThinksAndCalls, Whole),
                &[
                    "tool-call-signature-google-tool-call-gemini3",
                    "tool-result-signature-google-validated-accepts-strict-incompatible-schema",
                ],
            ),
            (
                (ThinksAndCalls, Stream),
                &[
                    "thinking-cli-hooks-system-allow-tool-t0",
                    "prompt-caching-cli-hooks-system-allow-tool-t3",
                ],
            ),
            (
                (Fails(400), Whole),
                &["error-400-vertex-model-sees-multiple-images-google-vertex"],
            ),
            ((Fails(401), Whole), &["made-err-400-api-key"]),
            ((Fails(404), Whole), &["error-404-model-name-suggestion-google"]),
            ((Fails(429), Whole), &["error-429-google-429-retry-info"]),
            ((Fails(503), Whole), &["made-err-503-overloaded"]),
            ((Fails(200), Stream), &["made-stream-midway-error"]),
            ((Text, Left), &["text-google-stream-usage-is-live-mid-stream"]),
            ((Text, Cut), &["text-google-stream-usage-is-live-mid-stream"]),
        ],
    },
    // Usage under a name of its own, thoughts in `reasoning`, whole calls in one fragment, failures after 200.
    Kind {
        provider: "groq",
        for_responses: Some("groq"),
        folder: "openai-chat",
        steps: &[
            ((Text, Whole), &["stop-sequence-groq-stop-settings-groq"]),
            (
                (Parallel, Whole),
                &[
                    "parallel-tools-groq-tool-choice-matrix-tools-plus-output-groq",
                    "image-input-groq-multimodal-tool-return-matrix-tool-return-content-url-image-groq",
                ],
            ),
            (
                (Image, Whole),
                &["image-input-groq-multimodal-tool-return-matrix-tool-return-content-url-image-groq"],
            ),
            (
                (Thinks, Whole),
                &[
                    "effort-groq-reasoning-wire-contract-groq-gpt-oss-thinking-high",
                    "stop-sequence-groq-stop-settings-groq",
                ],
            ),
            ((Thinks, Stream), &["reasoning-text-groq-groq-reasoning"]),
            (
                (ThinksAndCalls, Stream),
                &[
                    "reasoning-text-tools-groq-tool-use-failed-error-streaming-t1",
                    "reasoning-text-tools-groq-tool-use-failed-error-streaming-t2",
                ],
            ),
            (
                (Fails(200), Stream),
                &["reasoning-text-groq-tool-use-failed-error-streaming-t0"],
            ),
        ],
    },
    // Ids of nine letters, content in parts, the end and the usage in one event.
    Kind {
        provider: "mistral",
        for_responses: Some("mistral"),
        folder: "openai-chat",
        steps: &[
            ((Text, Whole), &["text-mistral-mistralai-chat"]),
            ((Text, Stream), &["text-mistral-mistral-text"]),
            (
                (Conversation, Whole),
                &["prompt-caching-mistral-mistral-history-uses-prompt-cache"],
            ),
            (
                (Tool, Whole),
                &[
                    "tool-call-mistral-mistral-tool-call",
                    "text-mistral-mistralai-chat",
                ],
            ),
            (
                (Tool, Stream),
                &["tool-call-mistral-mistral-tool-call", "text-mistral-mistral-text"],
            ),
            (
                (Thinks, Stream),
                &["reasoning-text-mistral-mistral-model-thinking-part-iter"],
            ),
            ((Text, Left), &["text-mistral-mistral-text"]),
            ((Text, Cut), &["text-mistral-mistral-text"]),
        ],
    },
    // Thoughts in `reasoning_content`, which it wants back.
    Kind {
        provider: "deepseek",
        for_responses: None,
        folder: "openai-chat",
        steps: &[
            ((Text, Whole), &["length-deepseek-deepseek-text"]),
            ((Text, Stream), &["length-deepseek-deepseek-text"]),
            (
                (ThinksAndCalls, Whole),
                &[
                    "reasoning-text-tools-deepseek-deepseek-tool-call",
                    "reasoning-text-tools-deepseek-deepseek-deferred-capability-with-thinking",
                ],
            ),
            (
                (ThinksAndCalls, Stream),
                &["reasoning-text-tools-deepseek-deepseek-tool-call"],
            ),
        ],
    },
    // Comments in streams, thoughts in `reasoning_details`, failures in the last event.
    Kind {
        provider: "openrouter",
        for_responses: None,
        folder: "openai-chat",
        steps: &[
            (
                (Text, Whole),
                &["multi-turn-openrouter-openrouter-cache-instructions-gemini-skips-dynamic-e2e"],
            ),
            (
                (Text, Stream),
                &["system-openrouter-openrouter-cache-streaming-e2e"],
            ),
            (
                (Conversation, Whole),
                &["system-openrouter-openrouter-cache-instructions-gemini-e2e"],
            ),
            (
                (Image, Whole),
                &["image-input-openrouter-openrouter-cache-point-image-e2e"],
            ),
            (
                (Thinks, Whole),
                &[
                    "reasoning-text-openrouter-openrouter-usage",
                    "system-openrouter-openrouter-cache-instructions-gemini-e2e",
                ],
            ),
            (
                (Fails(200), Stream),
                &["length-openrouter-openrouter-stream-error"],
            ),
        ],
    },
    Kind {
        provider: "alibaba",
        for_responses: Some("alibaba"),
        folder: "openai-chat",
        steps: &[
            ((Text, Whole), &["text-alibaba-alibaba-text"]),
            ((Text, Stream), &["text-alibaba-alibaba-text"]),
            (
                (Tool, Whole),
                &["tool-call-alibaba-alibaba-tool-call", "text-alibaba-alibaba-text"],
            ),
            (
                (Tool, Stream),
                &["tool-call-alibaba-alibaba-tool-call", "text-alibaba-alibaba-text"],
            ),
            ((Thinks, Whole), &["reasoning-text-alibaba-alibaba-reasoning"]),
            ((Thinks, Stream), &["reasoning-text-alibaba-alibaba-reasoning"]),
            ((Text, Left), &["text-alibaba-alibaba-text"]),
            ((Text, Cut), &["text-alibaba-alibaba-text"]),
        ],
    },
    Kind {
        provider: "zai",
        for_responses: Some("zai"),
        folder: "openai-chat",
        steps: &[
            ((Thinks, Whole), &["reasoning-text-zai-zai-reasoning-effort"]),
            ((Thinks, Stream), &["reasoning-text-zai-zai-thinking-stream"]),
        ],
    },
    // Calls without ids, signatures in `extra_content`.
    Kind {
        provider: "gemini_openai",
        for_responses: Some("gemini_openai"),
        folder: "openai-chat",
        steps: &[(
            (Tool, Whole),
            &[
                "tool-call-google-compatible-api-with-tool-calls-without-id-t0",
                "tool-result-google-compatible-api-with-tool-calls-without-id-t1",
            ],
        )],
    },
];

//! The most that a call can use, for limits that must never be passed: what is reserved for it before it is made.
//!
//! Input by its bytes ([`dialect::weigh`]), or, where they do not show all of it, as much as the model takes. Output by the
//! client's own cap, else by the most that the model can answer, which is then also sent as the cap, so that the vendor and
//! we go by the same number. Dollars by the dearest price that may come to apply: nothing was cached, all is written to the
//! cache, and the input is as long as it can be.

use dialect::{Dialect, Weight};

use crate::price::{PriceBook, Tier};

/// A call that is about to be made.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    pub provider: &'a str,
    /// What the provider calls it.
    pub model: &'a str,
    /// In which the provider is spoken to.
    pub dialect: Dialect,
    pub at_ms: i64,
    pub weight: &'a Weight,
    /// `None` where there is no answer to cap: for embeddings, and where tokens are counted.
    pub answer: Option<Answer>,
}

/// What a client wants for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub choices: u64,
    /// The client's own cap of each.
    pub max_tokens: Option<u64>,
    /// The most that the catalogue of providers knows of the model, where no price says more.
    pub catalog_max: Option<u64>,
}

/// The most of each. `None` where nothing says how much it can be: a limit on it cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bound {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub nano_dollars: Option<u64>,
    /// What has to be sent as the answer's cap, or the bound of the output is none: the client set none.
    pub cap: Option<u64>,
}

/// What is made of a picture at most. Of the vendor's document for its own models; where many vendors speak a dialect, of
/// those that were looked at the one with the largest.
const IMAGE_TOKENS_ANTHROPIC: u64 = 5_000;
const IMAGE_TOKENS_GEMINI: u64 = 10_000;
const IMAGE_TOKENS_OTHERS: u64 = 16_384;
/// OpenAI's smallest model of this family makes 5,667 tokens of each tile, and has up to eight tiles beside the whole.
const IMAGE_TOKENS_GPT_4O_MINI: u64 = 48_169;

impl Bound {
    pub fn of(ask: &Ask<'_>, prices: &PriceBook) -> Self {
        let found = prices.find(ask.provider, ask.model, ask.at_ms);
        let model = found.as_ref().map(|found| &*found.price);
        let context = model.and_then(|model| model.context);
        let shown = ask.weight.tokens_at_most(image_tokens(ask));
        let input_tokens = shown.or(context);
        let (output_tokens, cap) = match ask.answer {
            None => (Some(0), None),
            Some(answer) => {
                let most = model
                    .and_then(|model| model.max_output)
                    .or(answer.catalog_max)
                    .or(context);
                let cap = most.filter(|_| answer.max_tokens.is_none());
                let each = answer.max_tokens.or(cap);
                let all = each.map(|each| each.saturating_mul(answer.choices));
                (all.map(|all| all.saturating_add(ask.weight.predicted_bytes)), cap)
            }
        };
        let word = ask.weight.tier.as_deref();
        let tier = Tier::of_vendor(word);
        let nano_dollars = || {
            let (input, output) = (input_tokens?, output_tokens?);
            let price = &model?.price;
            let rates = price.all_rates_up_to(tier, input);
            // What the vendor may charge by its own choice counts as far as anybody has told what it costs.
            let others = Tier::others_of_vendor(word).iter();
            let others = others.flat_map(|other| price.all_rates_up_to(*other, input));
            let all = rates.chain(others.filter(Option::is_some));
            let costs = all.map(|rates| rates?.cost_at_most(input, output));
            costs.collect::<Option<Vec<u64>>>()?.into_iter().max()
        };
        Self {
            input_tokens,
            output_tokens,
            nano_dollars: nano_dollars(),
            cap,
        }
    }

    /// Of a request to count tokens: it is one, and uses none.
    pub fn of_counting() -> Self {
        Self {
            input_tokens: Some(0),
            output_tokens: Some(0),
            nano_dollars: Some(0),
            cap: None,
        }
    }

    /// Of input and output together.
    pub fn tokens(&self) -> Option<u64> {
        Some(self.input_tokens?.saturating_add(self.output_tokens?))
    }
}

fn image_tokens(ask: &Ask<'_>) -> u64 {
    match ask.dialect {
        Dialect::AnthropicMessages => IMAGE_TOKENS_ANTHROPIC,
        Dialect::GeminiGenerate => IMAGE_TOKENS_GEMINI,
        Dialect::OpenaiChat | Dialect::OpenaiResponses if ask.model.contains("gpt-4o-mini") => {
            IMAGE_TOKENS_GPT_4O_MINI
        }
        Dialect::OpenaiChat | Dialect::OpenaiResponses => IMAGE_TOKENS_OTHERS,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dialect::weigh;
    use proptest::prelude::*;
    use tiktoken_rs::{cl100k_base_singleton, o200k_base_singleton};

    use super::*;
    use crate::price::{ModelPrice, PriceList};

    fn book(price: &str, context: Option<u64>, max_output: Option<u64>) -> PriceBook {
        let mut list = PriceList::default();
        let price = ModelPrice {
            from_ms: None,
            price: price.parse().unwrap(),
            context,
            max_output,
        };
        list.add("p", "m", Arc::new(price));
        PriceBook::new(Some(Arc::new(list)), None)
    }

    fn ask<'a>(weight: &'a Weight, choices: u64, max_tokens: Option<u64>) -> Ask<'a> {
        Ask {
            provider: "p",
            model: "m",
            dialect: Dialect::OpenaiChat,
            at_ms: 0,
            weight,
            answer: Some(Answer {
                choices,
                max_tokens,
                catalog_max: None,
            }),
        }
    }

    fn weight(body: &str) -> Weight {
        weigh(Dialect::OpenaiChat, body.as_bytes())
    }

    #[test]
    fn an_answer_is_as_long_as_its_client_or_else_its_model_lets_it_be() {
        let book = book("input 1, output 1", Some(10_000), Some(800));
        let weight = weight("{}");
        let bound = |choices, max_tokens| {
            let bound = Bound::of(&ask(&weight, choices, max_tokens), &book);
            (bound.output_tokens, bound.cap)
        };
        assert_eq!(bound(1, Some(50)), (Some(50), None));
        assert_eq!(bound(3, Some(50)), (Some(150), None));
        assert_eq!(bound(1, None), (Some(800), Some(800)));
        assert_eq!(bound(2, None), (Some(1_600), Some(800)));
        assert_eq!(bound(1, Some(0)), (Some(0), None));
        assert_eq!(bound(u64::MAX, Some(u64::MAX)), (Some(u64::MAX), None));
    }

    #[test]
    fn where_no_price_says_how_long_an_answer_is_the_catalogue_or_the_context_does() {
        let weight = weight("{}");
        let with = |book: &PriceBook, catalog_max| {
            let mut ask = ask(&weight, 1, None);
            ask.answer.as_mut().unwrap().catalog_max = catalog_max;
            let bound = Bound::of(&ask, book);
            (bound.output_tokens, bound.cap, bound.nano_dollars.is_some())
        };
        let known = book("input 1, output 1", Some(10_000), None);
        assert_eq!(with(&known, Some(70)), (Some(70), Some(70), true));
        assert_eq!(with(&known, None), (Some(10_000), Some(10_000), true));
        let unknown = PriceBook::default();
        assert_eq!(with(&unknown, Some(70)), (Some(70), Some(70), false));
        assert_eq!(with(&unknown, None), (None, None, false));
    }

    #[test]
    fn what_does_not_show_is_as_much_as_the_model_takes() {
        let file = weight(r#"{"messages":[{"content":[{"type":"file","file":{"file_id":"f"}}]}]}"#);
        let of = |book: &PriceBook| Bound::of(&ask(&file, 1, Some(1)), book);
        let known = of(&book("input 1, output 1", Some(10_000), None));
        assert_eq!(known.input_tokens, Some(10_000));
        assert_eq!(known.tokens(), Some(10_001));
        assert_eq!(known.nano_dollars, Some(10_001_000));
        let unknown = of(&book("input 1, output 1", None, None));
        assert_eq!(
            (unknown.input_tokens, unknown.nano_dollars, unknown.tokens()),
            (None, None, None)
        );
    }

    #[test]
    fn embeddings_have_no_answer_to_be_capped() {
        let weight = weight(r#"{"input":["a","b"]}"#);
        let ask = Ask {
            answer: None,
            ..ask(&weight, 1, None)
        };
        let bound = Bound::of(&ask, &book("input 1", None, None));
        assert_eq!((bound.output_tokens, bound.cap), (Some(0), None));
        assert!(bound.nano_dollars >= Some(1_000));
    }

    #[test]
    fn dollars_are_those_of_the_dearest_price_that_may_apply() {
        let price = "input 2, cached 0.2, cache_write 2.5, cache_write_1h 4, output 10, audio_output 40; flex: input 1, output 5\n\
                     over 1000: input 3, output 15";
        let book = book(price, Some(5_000), None);
        let nano =
            |weight: &Weight, max_tokens| Bound::of(&ask(weight, 1, Some(max_tokens)), &book).nano_dollars;
        let short = weight(r#"{"messages":[]}"#);
        let input = short.tokens_at_most(0).unwrap();
        assert_eq!(nano(&short, 100), Some(input * 4_000 + 100 * 40_000));
        // It may be answered, and charged, in the usual tier.
        let flex = weight(r#"{"service_tier":"flex"}"#);
        let input = flex.tokens_at_most(0).unwrap();
        assert_eq!(nano(&flex, 100), Some(input * 4_000 + 100 * 40_000));
        // Longer than the usual price reaches, if it is as long as it can be; but it may turn out to be short.
        let long = weight(&format!(
            r#"{{"messages":[{{"content":"{}"}}]}}"#,
            "x".repeat(2_000)
        ));
        let input = long.tokens_at_most(0).unwrap();
        assert_eq!(nano(&long, 1), Some(input * 4_000 + 40_000));
        let fast = weight(r#"{"speed":"fast"}"#);
        assert_eq!(nano(&fast, 1), None, "nobody says what that costs");
    }

    #[test]
    fn who_asks_for_no_tier_may_be_charged_for_a_faster_one() {
        let book = book(
            "input 2, output 10; priority: input 4, output 20",
            Some(5_000),
            None,
        );
        let nano = |body: &str| {
            let weight = weight(body);
            let input = weight.tokens_at_most(0).unwrap();
            let nano = Bound::of(&ask(&weight, 1, Some(100)), &book)
                .nano_dollars
                .unwrap();
            (nano
                - 100
                    * if nano > input * 2_000 + 100 * 10_000 {
                        20_000
                    } else {
                        10_000
                    })
                / input
        };
        for (body, of_a_token) in [
            (r"{}", 4_000),
            (r#"{"service_tier":"auto"}"#, 4_000),
            (r#"{"service_tier":"default"}"#, 2_000),
            (r#"{"service_tier":"priority"}"#, 4_000),
        ] {
            assert_eq!(nano(body), of_a_token, "{body}");
        }
    }

    #[test]
    fn what_a_client_foresees_may_have_to_be_paid_as_output() {
        let weight = weight(r#"{"prediction":{"type":"content","content":"abc"}}"#);
        let bound = Bound::of(&ask(&weight, 1, Some(5)), &book("input 1, output 1", None, None));
        assert_eq!(bound.output_tokens, Some(5 + 34));
    }

    #[test]
    fn a_picture_counts_as_much_as_its_vendor_makes_of_one() {
        let weight =
            weight(r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"https://x"}}]}]}"#);
        let input = |dialect, model| {
            let ask = Ask {
                dialect,
                model,
                ..ask(&weight, 1, None)
            };
            Bound::of(&ask, &PriceBook::default()).input_tokens.unwrap()
        };
        let without = weight.tokens_at_most(0).unwrap();
        assert_eq!(input(Dialect::AnthropicMessages, "m"), without + 5_000);
        assert_eq!(input(Dialect::GeminiGenerate, "m"), without + 10_000);
        assert_eq!(input(Dialect::OpenaiChat, "gpt-4o"), without + 16_384);
        assert_eq!(
            input(Dialect::OpenaiResponses, "gpt-4o-mini-2024-07-18"),
            without + 48_169
        );
    }

    /// Texts that tokenizers find hard: many scripts, runs, code, what is no word in any language.
    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            "\\PC{0,400}",
            "[ -~\\n\\t]{0,400}",
            "[\u{4e00}-\u{9fff}\u{3040}-\u{30ff}\u{ac00}-\u{d7a3}]{0,200}",
            "[\u{1f300}-\u{1faff}\u{200d}\u{fe0f}]{0,100}",
            "[\u{300}-\u{36f}a-z]{0,200}",
            "(<\\|[a-z_]{1,12}\\|>| {1,40}|\\n{1,9}|[0-9]{1,30}|[A-Z]{1,30}|[{}\\[\\]();:,\"\\\\]{1,9}){0,60}",
            ".{0,200}",
        ]
    }

    proptest! {
        /// Real tokenizers make no more tokens of a conversation, with the frame that OpenAI tells of around each message, than
        /// its bound says.
        #[test]
        fn no_tokenizer_makes_more_tokens_than_the_bound(
            texts in proptest::collection::vec(texts(), 0..6), named in any::<bool>(),
        ) {
            let messages: Vec<String> = texts
                .iter()
                .map(|text| {
                    let text = serde_json::to_string(text).unwrap();
                    let name = if named { r#","name":"n""# } else { "" };
                    format!(r#"{{"role":"user","content":{text}{name}}}"#)
                })
                .collect();
            let body = format!(r#"{{"model":"m","messages":[{}]}}"#, messages.join(","));
            let bound = weight(&body).tokens_at_most(0).unwrap();
            for tokenizer in [cl100k_base_singleton(), o200k_base_singleton()] {
                let framed: usize = texts.iter().map(|text| tokenizer.encode_ordinary(text).len() + 4).sum();
                prop_assert!(framed as u64 + 3 <= bound, "{} > {bound}", framed + 3);
            }
        }

        #[test]
        fn no_tokenizer_makes_more_tokens_of_texts_to_embed_than_the_bound(
            texts in proptest::collection::vec(texts(), 1..20),
        ) {
            let body = serde_json::json!({"model": "m", "input": texts}).to_string();
            let bound = weight(&body).tokens_at_most(0).unwrap();
            let tokens: usize = texts.iter().map(|text| cl100k_base_singleton().encode_ordinary(text).len()).sum();
            prop_assert!(tokens as u64 <= bound);
        }
    }
}

//! What the parts of a call cost, one by one: `cargo bench -p tollgate`. The whole is measured by `cargo xtask bench`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement stops at the first thing that is wrong"
)]

use bytes::Bytes;
use dialect::json::{Limits, scan};
use dialect::openai_chat::{self, Metered, StreamLimits, StreamRelay};
use divan::Bencher;
use divan::counter::BytesCount;
use policy::{Pattern, Route, RouteTarget, Rules, Scope};
use provider::Catalog;
use serde_json::json;
use vault::gateway_key::{self, KeyKind};
use vault::{DataKey, DigestKey};

fn main() {
    divan::main();
}

/// A request with a prompt of so many bytes, in words.
fn request(prompt_bytes: usize) -> Bytes {
    let prompt = "seven letters \"quoted\" ".repeat(prompt_bytes / 23 + 1);
    let body = json!({
        "model": "gpt-4o-mini", "temperature": 0.2, "stream": true,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}],
    });
    Bytes::from(body.to_string())
}

fn answer() -> Vec<u8> {
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "word ".repeat(60)}}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 60, "total_tokens": 90,
            "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}},
    });
    body.to_string().into_bytes()
}

const PROMPT_BYTES: [usize; 2] = [512, 65_536];

#[divan::bench(args = PROMPT_BYTES)]
fn scan_of_a_body(bencher: Bencher<'_, '_>, prompt_bytes: usize) {
    let (body, limits) = (request(prompt_bytes), Limits::default());
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| scan(&body, &limits).map(|object| object.members.len()));
}

/// What the scan stands in for.
#[divan::bench(args = PROMPT_BYTES)]
fn tree_of_a_body_by_serde_json(bencher: Bencher<'_, '_>, prompt_bytes: usize) {
    let body = request(prompt_bytes);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| serde_json::from_slice::<serde_json::Value>(&body));
}

#[divan::bench(args = PROMPT_BYTES)]
fn look_and_splice(bencher: Bencher<'_, '_>, prompt_bytes: usize) {
    let (body, limits) = (request(prompt_bytes), Limits::default());
    bencher.counter(BytesCount::new(body.len())).bench(|| {
        let envelope = openai_chat::look(&body, &limits).unwrap();
        openai_chat::splice(&body, &envelope, "another-model", true)
    });
}

#[divan::bench]
fn usage_of_an_answer(bencher: Bencher<'_, '_>) {
    let answer = answer();
    bencher.bench(|| Metered::look(&answer));
}

/// A stream of a hundred chunks, each of which comes alone.
#[divan::bench]
fn meter_of_a_stream(bencher: Bencher<'_, '_>) {
    let chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini",
        "choices": [{"index": 0, "delta": {"content": " word"}, "finish_reason": null}], "usage": null,
    });
    let chunk = Bytes::from(format!("data: {chunk}\n\n"));
    bencher.bench(|| {
        let mut relay = StreamRelay::new(true, 1, StreamLimits::default());
        let mut out = Vec::new();
        for _ in 0..100 {
            relay.push(chunk.clone(), &mut out).unwrap();
            out.clear();
        }
        relay.end()
    });
}

#[divan::bench]
fn gateway_key_is_read_and_compared(bencher: Bencher<'_, '_>) {
    let digest_key: DigestKey = DataKey::generate().unwrap().digest_key().unwrap();
    let key = gateway_key::generate(KeyKind::Gateway).unwrap();
    let digest = digest_key.digest(key.secret.expose());
    bencher.bench(|| {
        let presented = gateway_key::parse(key.text.expose()).unwrap();
        digest_key.verify(presented.secret, &digest)
    });
}

/// Among so many routes of the tenant's own, none of which fits.
#[divan::bench(args = [0, 10, 100])]
fn route_of_a_model(bencher: Bencher<'_, '_>, routes: usize) {
    let catalog = Catalog::built_in().unwrap();
    let built_in = gateway::live::built_in_routes(&catalog);
    let own: Vec<Route> = (0..routes)
        .map(|number| Route {
            id: format!("route-{number}"),
            scope: Scope::Tenant,
            pattern: Pattern::parse(&format!("team-{number}-*")).unwrap(),
            targets: vec![RouteTarget {
                provider: "groq".to_owned(),
                model: None,
            }],
        })
        .collect();
    bencher.bench(|| {
        let rules = Rules {
            tenant: &own,
            global: &[],
            built_in: &built_in,
            is_provider: &|name| catalog.get(name).is_some(),
        };
        policy::plan("gpt-4o-mini", &rules)
    });
}

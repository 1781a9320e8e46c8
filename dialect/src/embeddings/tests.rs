use serde_json::{Value, json};

use super::*;
use crate::neutral::Losses;
use crate::refusal::Code;
use crate::spec::{Spec, recorded};

fn request(body: &Value) -> Result<(EmbeddingRequest, Option<String>), crate::refusal::Refusal> {
    let mut losses = Losses::new(false);
    let request = openai::read_request(body.to_string().as_bytes(), &mut losses)?;
    Ok((request, losses.header()))
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn a_request_of_openais_becomes_a_batch_of_googles_in_the_same_order() {
    let (read, lost) = request(
        &json!({"model":"m","input":["a","b"],"dimensions":8,"encoding_format":"base64","user":"u","new":1}),
    )
    .unwrap();
    assert_eq!(read.encoding, Encoding::Base64);
    assert_eq!(lost.as_deref(), Some("new"));
    let mut losses = Losses::new(false);
    let written = gemini::write_request(&read, "gemini-embedding-001", &mut losses).unwrap();
    let single = |text: &str| json!({"model":"models/gemini-embedding-001","content":{"parts":[{"text":text}]},"outputDimensionality":8});
    assert_eq!(json_of(&written), json!({"requests":[single("a"), single("b")]}));
    assert_eq!(losses.header().as_deref(), Some("user"));
    if let Some(google) = Spec::google() {
        assert_eq!(
            google.problems("BatchEmbedContentsRequest", &written),
            Vec::<String>::new()
        );
    }
    let again = gemini::read_request(&written, "m", true).unwrap();
    assert_eq!((again.inputs, again.dimensions), (read.inputs.clone(), Some(8)));
    let one = gemini::write_single(&read, 1).unwrap();
    assert_eq!(
        json_of(&one),
        json!({"content":{"parts":[{"text":"b"}]},"outputDimensionality":8})
    );
    assert_eq!(
        gemini::read_request(&one, "m", false).unwrap().inputs,
        [Input::Text("b".to_owned())]
    );
}

#[test]
fn tokens_go_to_their_own_vendor_alone() {
    for input in [json!([1, 2]), json!([[1, 2], [3]])] {
        let (read, _) = request(&json!({"model":"m","input":input})).unwrap();
        let refusal = gemini::write_request(&read, "m", &mut Losses::new(false)).unwrap_err();
        assert_eq!(
            (refusal.code, refusal.named()),
            (Code::CannotTranslate, Some("input"))
        );
        let written = openai::write_request(&read, "m", &mut Losses::new(false)).unwrap();
        assert_eq!(
            openai::read_request(&written, &mut Losses::new(true)).unwrap(),
            read
        );
    }
    for (body, param) in [
        (json!({"model":"m"}), "input"),
        (json!({"input":"a"}), "model"),
        (json!({"model":"m","input":[]}), "input"),
        (json!({"model":"m","input":{}}), "input"),
        (
            json!({"model":"m","input":"a","encoding_format":"hex"}),
            "encoding_format",
        ),
        (json!({"model":"m","input":"a","dimensions":-1}), "dimensions"),
    ] {
        assert_eq!(request(&body).unwrap_err().named(), Some(param), "{body}");
    }
    let many = EmbeddingRequest {
        inputs: vec![Input::Text(String::new()); gemini::BATCH_MAX + 1],
        ..EmbeddingRequest::default()
    };
    let refusal = gemini::write_request(&many, "m", &mut Losses::new(false)).unwrap_err();
    assert_eq!(refusal.code, Code::TooManyValues);
}

#[test]
fn an_answer_of_googles_becomes_one_of_openais_as_numbers_or_as_base64() {
    let mut reply = gemini::read_reply(br#"{"embeddings":[{"values":[0.5,-1]},{"values":[3,4]}]}"#).unwrap();
    assert_eq!(reply.input_tokens, None);
    let floats = json_of(&openai::write_reply(&reply, Encoding::Float, "m"));
    assert_eq!(
        floats["data"][1],
        json!({"object":"embedding","index":1,"embedding":[3.0,4.0]})
    );
    assert_eq!(
        (&floats["object"], &floats["model"]),
        (&json!("list"), &json!("m"))
    );
    for encoding in [Encoding::Float, Encoding::Base64] {
        let written = openai::write_reply(&reply, encoding, "m");
        assert_eq!(openai::read_reply(&written).unwrap().vectors, reply.vectors);
    }
    reply.normalize();
    assert_eq!(reply.vectors[1], [0.6, 0.8]);
    let swapped = br#"{"data":[{"index":1,"embedding":[1]},{"index":0,"embedding":[0]}]}"#;
    assert_eq!(openai::read_reply(swapped).unwrap().vectors, [[0.0], [1.0]]);
    for wrong in [
        r#"{"data":[{"index":1,"embedding":[1]}]}"#,
        r#"{"data":[{"index":0,"embedding":"AAA="}]}"#,
        r#"{"error":{}}"#,
    ] {
        assert!(openai::read_reply(wrong.as_bytes()).is_err(), "{wrong}");
    }
    assert!(gemini::read_reply(b"{}").is_err());
}

#[test]
fn recorded_embeddings_are_read_and_cross_without_loss() {
    for (name, body) in recorded("gemini-embeddings", ".response.json") {
        if name.starts_with("error") {
            assert!(gemini::read_reply(&body).is_err(), "{name}");
            continue;
        }
        let reply = gemini::read_reply(&body).unwrap();
        let crossed = openai::read_reply(&openai::write_reply(&reply, Encoding::Base64, "m")).unwrap();
        assert_eq!(crossed.vectors, reply.vectors, "{name}");
        let again = gemini::read_reply(&gemini::write_reply(&reply, true)).unwrap();
        assert_eq!(
            (again.vectors, again.input_tokens),
            (reply.vectors, reply.input_tokens),
            "{name}"
        );
    }
    for (name, body) in recorded("openai-embeddings", ".response.json") {
        let reply = openai::read_reply(&body);
        assert_eq!(reply.is_err(), name.starts_with("error"), "{name}");
        if let Ok(reply) = reply {
            assert!(reply.input_tokens.is_some(), "{name}");
            let again = gemini::read_reply(&gemini::write_reply(&reply, true)).unwrap();
            assert_eq!(again.vectors, reply.vectors, "{name}");
        }
    }
    for (name, body) in recorded("gemini-embeddings", ".request.json") {
        let read = gemini::read_request(&body, "m", !name.contains("vertex")).unwrap();
        assert!(
            openai::write_request(&read, "m", &mut Losses::new(false)).is_ok(),
            "{name}"
        );
    }
    for (name, body) in recorded("openai-embeddings", ".request.json") {
        let read = openai::read_request(&body, &mut Losses::new(true));
        assert_eq!(read.is_ok(), !name.starts_with("error-400"), "{name}");
    }
}

#[test]
fn vertex_is_asked_as_the_model_wants_it() {
    let written = |model: &str, body: &Value| {
        let (read, _) = request(body).unwrap();
        let form = Form::of_vertex(model, read.inputs.len());
        let written = form.write_request(&read, model, &mut Losses::new(false));
        (form, written.map(|body| json_of(&body)))
    };
    let content = |text: &str| json!({"parts": [{"text": text}]});
    let config = json!({"outputDimensionality": 8});
    let (one, two) = (
        json!({"model": "m", "input": "a", "dimensions": 8}),
        json!({"model": "m", "input": ["a", "b"]}),
    );
    assert_eq!(
        written("gemini-embedding-001", &one),
        (
            Form::VertexOne,
            Ok(json!({"content": content("a"), "embedContentConfig": config}))
        )
    );
    assert_eq!(
        written("gemini-embedding-2", &two),
        (
            Form::VertexMany,
            Ok(json!({"requests": [{"content": content("a")}, {"content": content("b")}]}))
        )
    );
    assert_eq!(
        written("text-embedding-005", &one),
        (
            Form::VertexPredict,
            Ok(json!({"instances": [{"content": "a"}], "parameters": {"outputDimensionality": 8}}))
        )
    );
    let (_, refused) = written("intfloat/multilingual-e5-large-instruct-maas", &two);
    assert_eq!(refused.unwrap_err().code, Code::TooManyValues);
    let (_, refused) = written("text-embedding-005", &json!({"model": "m", "input": [1, 2]}));
    assert_eq!(refused.unwrap_err().named(), Some("input"));
    let task = br#"{"content":{"parts":[{"text":"a"}]},"taskType":"RETRIEVAL_QUERY","title":"t"}"#;
    let read = gemini::read_request(task, "m", false).unwrap();
    let predict = vertex::write_predict(&read, &mut Losses::new(true)).unwrap();
    let instance = json!({"content": "a", "task_type": "RETRIEVAL_QUERY", "title": "t"});
    assert_eq!(json_of(&predict), json!({"instances": [instance]}));
}

#[test]
fn p23_what_vertex_counts_for_each_text_is_counted_together() {
    let predicted = br#"{"predictions":[{"embeddings":{"values":[1.0],"statistics":{"token_count":5,"truncated":false}}},{"embeddings":{"values":[2.0],"statistics":{"truncated":false,"token_count":6}}}],"metadata":{"billableCharacterCount":35}}"#;
    let reply = gemini::read_reply(predicted).unwrap();
    assert_eq!((reply.vectors.len(), reply.input_tokens), (2, Some(11)));
}

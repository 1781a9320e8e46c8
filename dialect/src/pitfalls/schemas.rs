//! Schemas of tools and of answers.

use super::*;

fn format(schema: &Value) -> Value {
    json!({"response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}})
}

fn tool(parameters: &Value) -> Value {
    json!({"type": "function", "function": {"name": "look", "parameters": parameters}})
}

fn narrow() -> Profile {
    Profile {
        full_json_schema: false,
        ..Profile::default()
    }
}

/// The schema of a function, as a Gemini that takes but a subset gets it.
fn cut(parameters: &Value) -> Value {
    let body = request(OpenaiChat, json!({"tools": [tool(parameters)]}));
    let sent = asked_of(OpenaiChat, GeminiGenerate, &narrow(), &body);
    sent["tools"][0]["functionDeclarations"][0]["parameters"].clone()
}

#[test]
fn p31_limits_that_are_refused_are_told_in_words() {
    let schema = json!({"type": "object", "required": ["age"],
        "properties": {"age": {"type": "integer", "minimum": 18}, "names": {"type": "array", "items": {"type": "string"}, "minItems": 3}}});
    let sent = asked(
        OpenaiChat,
        AnthropicMessages,
        &request(OpenaiChat, format(&schema)),
    );
    let schema = &sent["output_config"]["format"]["schema"];
    assert_eq!(schema["additionalProperties"], false);
    let (age, names) = (&schema["properties"]["age"], &schema["properties"]["names"]);
    assert!(
        age.get("minimum").is_none() && names.get("minItems").is_none(),
        "{schema}"
    );
    assert!(age["description"].as_str().unwrap().contains("18"), "{schema}");
    assert!(names["description"].as_str().unwrap().contains('3'), "{schema}");
}

#[test]
fn p32_gemini_is_spared_the_words_that_it_refuses() {
    let parameters = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": false,
        "$defs": {"city": {"type": "string", "examples": ["Rome"]}},
        "properties": {"city": {"$ref": "#/$defs/city"}, "kind": {"const": "rain"}, "days": {"type": ["integer", "null"], "exclusiveMinimum": 0},
            "other": {"oneOf": [{"type": "string"}, {"type": "integer"}]}}});
    let schema = cut(&parameters);
    let text = schema.to_string();
    for word in [
        "$schema",
        "$ref",
        "$defs",
        "additionalProperties",
        "const",
        "\"examples\"",
        "oneOf",
        "\"exclusiveMinimum\"",
    ] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    let properties = &schema["properties"];
    assert_eq!(properties["kind"]["enum"], json!(["rain"]));
    assert_eq!(properties["days"]["nullable"], true);
    assert_eq!(properties["other"]["anyOf"].as_array().unwrap().len(), 2);
    assert!(
        properties["city"]["type"]
            .as_str()
            .unwrap()
            .eq_ignore_ascii_case("string")
    );
    let body = request(OpenaiChat, json!({"tools": [tool(&parameters)]}));
    let sent = asked(OpenaiChat, GeminiGenerate, &body);
    assert_eq!(
        sent["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"],
        parameters
    );
}

#[test]
fn p33_a_tool_becomes_strict_by_nobodys_default() {
    let body = request(
        OpenaiChat,
        json!({"tools": [tool(&json!({"type": "object", "properties": {"a": {"type": "string"}}}))]}),
    );
    let sent = asked(OpenaiChat, OpenaiResponses, &body);
    assert_eq!(sent["tools"][0]["strict"], false);
    let body = request(
        AnthropicMessages,
        json!({"tools": [{"name": "look", "input_schema": {"type": "object", "properties": {}}}]}),
    );
    let sent = asked(AnthropicMessages, OpenaiResponses, &body);
    assert_eq!(sent["tools"][0]["strict"], false);
}

#[test]
fn p34_what_stands_beside_a_reference_is_kept_and_all_of_becomes_one() {
    let schema = cut(&json!({"type": "object", "$defs": {"city": {"type": "string"}},
        "properties": {"city": {"$ref": "#/$defs/city", "description": "Where."},
            "both": {"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}}, {"properties": {"b": {"type": "integer"}}, "required": ["b"]}]}}}));
    assert_eq!(schema["properties"]["city"]["description"], "Where.");
    let both = &schema["properties"]["both"];
    assert_eq!(both["properties"].as_object().unwrap().len(), 2, "{both}");
    assert_eq!(both["required"], json!(["b"]));
    assert!(both.get("allOf").is_none());
}

fn person() -> Value {
    json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": false})
}

#[test]
fn p35_the_tool_that_stands_for_a_schema_is_seen_by_nobody() {
    let profile = Profile {
        json_schema: false,
        ..Profile::default()
    };
    let mut body = request(OpenaiChat, format(&person()));
    body["tools"] = json!([tool(&json!({"type": "object", "properties": {}}))]);
    let (crossing, body) = sent(OpenaiChat, AnthropicMessages, &profile, &body.to_string()).unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    let names: Vec<_> = body["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    let own = names.iter().find(|name| **name != "look").unwrap();
    let called = |name: &str, input: Value| {
        let said = json!([{"type": "tool_use", "id": "call_1", "name": name, "input": input}]);
        let whole = answered_by(&crossing, &answer(AnthropicMessages, said, "tool_use"));
        whole["choices"][0].clone()
    };
    let choice = called(own, json!({"name": "Ann"}));
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(choice["message"]["content"], "{\"name\":\"Ann\"}");
    assert!(choice["message"]["tool_calls"].is_null());
    let choice = called("look", json!({}));
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["name"], "look");
}

#[test]
fn p36_gemini_is_not_asked_for_json_beside_tools_where_it_takes_but_one() {
    let mut body = request(OpenaiChat, format(&person()));
    body["tools"] = json!([tool(&json!({"type": "object", "properties": {}}))]);
    for json_schema_with_tools in [true, false] {
        let profile = Profile {
            json_schema_with_tools,
            ..Profile::default()
        };
        let sent = asked_of(OpenaiChat, GeminiGenerate, &profile, &body);
        let is_native = sent["generationConfig"].get("responseMimeType").is_some();
        assert_eq!(is_native, json_schema_with_tools, "{sent}");
        let functions = sent["tools"][0]["functionDeclarations"].as_array().unwrap();
        assert_eq!(functions.len(), if is_native { 1 } else { 2 }, "{sent}");
    }
}

#[test]
fn p37_properties_stay_in_their_order() {
    let parameters = r#"{"type":"object","properties":{"zeta":{"type":"string"},"alpha":{"type":"string"},"mid":{"type":"string"}}}"#;
    let body = format!(
        r#"{{"model":"asked","messages":[{{"role":"user","content":"Hi"}}],"tools":[{{"type":"function","function":{{"name":"look","parameters":{parameters}}}}}]}}"#
    );
    for provider in ALL {
        for profile in [Profile::default(), narrow()] {
            let (_, sent) = sent(OpenaiChat, provider, &profile, &body).unwrap();
            let places = ["\"zeta\":", "\"alpha\":", "\"mid\":"].map(|name| sent.find(name).unwrap());
            assert!(places.is_sorted(), "{sent}");
        }
    }
    let (_, sent) = sent(OpenaiChat, GeminiGenerate, &narrow(), &body).unwrap();
    assert!(
        sent.contains(r#""propertyOrdering":["zeta","alpha","mid"]"#),
        "{sent}"
    );
}

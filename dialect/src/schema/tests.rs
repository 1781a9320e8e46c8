use serde_json::{Value, json};

use super::*;

fn gemini(schema: &Value) -> (Value, bool) {
    let cut = for_gemini(&schema.to_string()).unwrap();
    (serde_json::from_str(cut.schema.get()).unwrap(), cut.lost)
}

fn anthropic(schema: &Value) -> Option<(Value, bool)> {
    let cut = for_anthropic(&schema.to_string()).unwrap()?;
    Some((serde_json::from_str(cut.schema.get()).unwrap(), cut.lost))
}

#[test]
fn p32_gemini_gets_its_subset() {
    let table = [
        (
            json!({"type": "string", "$schema": "x"}),
            json!({"type": "STRING"}),
            false,
        ),
        (
            json!({"const": "a"}),
            json!({"type": "STRING", "enum": ["a"]}),
            false,
        ),
        (
            json!({"type": ["string", "null"], "description": "d"}),
            json!({"type": "STRING", "description": "d", "nullable": true}),
            false,
        ),
        (
            json!({"oneOf": [{"type": "string"}, {"type": "integer"}], "description": "d"}),
            json!({"anyOf": [{"type": "STRING", "description": "d"}, {"type": "INTEGER", "description": "d"}]}),
            false,
        ),
        (
            json!({"type": ["string", "integer"], "minimum": 3}),
            json!({"anyOf": [{"type": "STRING"}, {"type": "INTEGER", "minimum": 3}]}),
            false,
        ),
        (
            json!({"anyOf": [{"type": "integer", "title": "n"}, {"type": "null"}], "default": null}),
            json!({"type": "INTEGER", "title": "n", "default": null, "nullable": true}),
            false,
        ),
        (
            json!({"type": "integer", "enum": [1, 2], "multipleOf": 2}),
            json!({"type": "INTEGER", "description": "one of: [1,2]; multipleOf: 2"}),
            true,
        ),
        (
            json!({"type": "string", "format": "email", "minLength": 3, "description": "who"}),
            json!({"type": "STRING", "minLength": "3", "description": "who (format: \"email\")"}),
            true,
        ),
        (
            json!({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9}),
            json!({"type": "INTEGER", "minimum": 1, "maximum": 8}),
            false,
        ),
        (
            json!({"type": "array"}),
            json!({"type": "ARRAY", "items": {}}),
            false,
        ),
        (
            json!({"enum": ["a", null]}),
            json!({"type": "STRING", "enum": ["a"], "nullable": true}),
            false,
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "boolean"}, "b": true}, "required": ["a", "x"],
                "additionalProperties": false}),
            json!({"type": "OBJECT", "properties": {"a": {"type": "BOOLEAN"}, "b": {}}, "required": ["a"],
                "propertyOrdering": ["a", "b"]}),
            false,
        ),
    ];
    for (schema, expected, lost) in table {
        assert_eq!(gemini(&schema), (expected, lost), "{schema}");
    }
}

#[test]
fn p34_references_keep_their_siblings_and_all_of_is_joined() {
    let schema = json!({
        "type": "object",
        "properties": {
            "home": {"$ref": "#/$defs/Address", "description": "where to"},
            "both": {"allOf": [
                {"$ref": "#/$defs/Address"},
                {"type": "object", "properties": {"zip": {"type": "string", "minLength": 5}}, "required": ["zip"]}
            ]},
            "clash": {"allOf": [{"type": "string"}, {"type": "integer"}]}
        },
        "$defs": {"Address": {"type": "object", "description": "an address",
            "properties": {"city": {"type": "string"}, "zip": {"type": "string"}}, "required": ["city"]}}
    });
    let (cut, lost) = gemini(&schema);
    assert!(lost, "for the clash");
    assert_eq!(cut["properties"]["home"]["description"], "where to");
    assert_eq!(cut["properties"]["home"]["properties"]["city"]["type"], "STRING");
    let both = &cut["properties"]["both"];
    assert_eq!(both["required"], json!(["city", "zip"]));
    assert_eq!(
        both["properties"]["zip"],
        json!({"type": "STRING", "minLength": "5"})
    );
    assert_eq!(
        cut["properties"]["clash"],
        json!({"type": "STRING", "description": "also: {\"type\":\"integer\"}"})
    );
    let unknown = for_gemini(r##"{"properties":{"a":{"$ref":"#/$defs/b"}}}"##).unwrap_err();
    assert!(unknown.message.contains("#/$defs/b"), "{}", unknown.message);
    assert!(for_gemini(r#"{"$ref":"https://example.com/schema"}"#).is_err());
}

#[test]
fn p32_recursion_ends() {
    let list = json!({"$ref": "#/$defs/List", "$defs": {"List": {"type": "object",
        "properties": {"head": {"type": "string"}, "tail": {"$ref": "#/$defs/List"}}}}});
    let (cut, lost) = gemini(&list);
    assert!(lost);
    let tail = &cut["properties"]["tail"];
    assert_eq!(
        tail,
        &json!({"description": "of the same form as what it stands in"})
    );
    assert!(anthropic(&list).is_none());
    assert!(for_gemini(r##"{"$ref":"#"}"##).unwrap().lost);
    let bomb = |steps: u32| {
        let defs: serde_json::Map<_, _> = (0..steps)
            .map(|step| {
                let next = json!({"$ref": format!("#/$defs/d{}", step + 1)});
                (format!("d{step}"), json!({"properties": {"a": next, "b": next}}))
            })
            .chain([(format!("d{steps}"), json!({"type": "string"}))])
            .collect();
        json!({"$ref": "#/$defs/d0", "$defs": defs})
    };
    assert!(for_gemini(&bomb(4).to_string()).is_ok());
    for steps in [20, 40, 100] {
        assert!(for_gemini(&bomb(steps).to_string()).is_err(), "{steps}");
    }
    assert!(anthropic(&bomb(40)).is_none());
    let any_of = json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}], "allOf": [{"$ref": "#"}]});
    assert!(for_gemini(&any_of.to_string()).is_ok_and(|cut| cut.lost));
    let deep = format!("{}{}{}", r#"{"items":"#.repeat(120), "{}", "}".repeat(120));
    assert!(for_gemini(&deep).is_err());
}

#[test]
fn p31_anthropic_gets_closed_objects_and_limits_in_words() {
    let schema = json!({"type": "object", "properties": {
        "n": {"type": "integer", "minimum": 1, "description": "how many"},
        "list": {"type": "array", "items": {"oneOf": [{"type": "string"}, {"type": "null"}]}, "minItems": 1, "maxItems": 3}
    }, "required": ["n"]});
    let (cut, lost) = anthropic(&schema).unwrap();
    assert!(lost);
    assert_eq!(cut["additionalProperties"], false);
    assert_eq!(
        cut["properties"]["n"],
        json!({"type": "integer", "description": "how many (minimum: 1)"})
    );
    assert_eq!(
        cut["properties"]["list"],
        json!({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "minItems": 1,
            "description": "maxItems: 3"})
    );
    for none in [
        json!({"type": "object"}),
        json!({"type": "object", "properties": {"a": {}}}),
        json!({"type": "object", "properties": {"a": true}}),
        json!({"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {"type": "string"}}}}),
    ] {
        assert!(anthropic(&none).is_none(), "{none}");
    }
}

#[test]
fn p33_a_schema_is_strict_or_it_is_not() {
    let strict = json!({"type": "object", "properties": {"a": {"type": ["string", "null"]},
        "b": {"anyOf": [{"$ref": "#/$defs/c"}, {"type": "null"}]}}, "required": ["a", "b"], "additionalProperties": false,
        "$defs": {"c": {"type": "array", "items": {"type": "string"}}}});
    assert!(is_openai_strict(&strict.to_string()));
    let without = |pointer: &str, value: Value| {
        let mut schema = strict.clone();
        *schema.pointer_mut(pointer).unwrap() = value;
        is_openai_strict(&schema.to_string())
    };
    assert!(!without("/required", json!(["a"])));
    assert!(!without("/additionalProperties", json!(true)));
    assert!(!without("/properties/a", json!({"type": "object"})));
    assert!(!without("/$defs/c", json!({"allOf": []})));
    assert!(!without("/properties/b", json!({})));
}

#[test]
fn p37_members_keep_their_order() {
    let schema = r#"{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"string"},"m":{"type":"string"}}}"#;
    let cut = for_gemini(schema).unwrap();
    let text = cut.schema.get();
    assert!(text.ends_with(r#""propertyOrdering":["z","a","m"]}"#), "{text}");
    let at = |name: &str| text.find(&format!("\"{name}\":{{")).unwrap();
    assert!(at("z") < at("a") && at("a") < at("m"));
}

#[test]
fn parameters_without_members_are_recognised() {
    for schema in [
        r#"{"type":"object","properties":{}}"#,
        "{}",
        r#"{"type":"object","additionalProperties":false}"#,
    ] {
        assert!(is_without_members(schema), "{schema}");
    }
    for schema in [
        r#"{"type":"object","properties":{"a":{}}}"#,
        r#"{"additionalProperties":{}}"#,
        r#"{"anyOf":[]}"#,
    ] {
        assert!(!is_without_members(schema), "{schema}");
    }
}

//! Schemas as Google's `parameters` and `responseSchema` have them, into JSON Schema, which everybody else speaks.
//!
//! Google's kind shouts its types, says `nullable` where JSON Schema lists `null`, and spells bounds as texts.

use serde_json::value::RawValue;

use super::{read_part, wire};
use crate::json::{Members, ObjectWriter, write, write_array};

/// Schemas inside one another; what is deeper stays as it is.
const DEPTH_MAX: usize = 64;

/// The types by the numbers that they have in protocol buffers.
const TYPES: [&str; 8] = [
    "type_unspecified",
    "string",
    "number",
    "integer",
    "boolean",
    "array",
    "object",
    "null",
];

pub(super) fn read(schema: &RawValue) -> Box<RawValue> {
    let mut json = Vec::with_capacity(schema.get().len());
    write_schema(schema.get(), DEPTH_MAX, &mut json);
    read_part::raw_value(json)
}

fn write_schema(schema: &str, depth: usize, out: &mut Vec<u8>) {
    let members = Members::read(schema).filter(|_| depth > 0);
    let Some(members) = members else {
        out.extend_from_slice(schema.as_bytes());
        return;
    };
    let members: Vec<_> = members
        .rest()
        .map(|(name, value)| (plain_name(&name), value))
        .collect();
    let is_nullable = members
        .iter()
        .any(|(name, value)| name == "nullable" && value.get() == "true");
    let mut object = ObjectWriter::new(out);
    for (name, value) in &members {
        write_keyword(name, value, is_nullable, depth, &mut object);
    }
    object.end();
}

/// Names of keywords only; those of properties are the caller's.
fn plain_name(name: &str) -> String {
    if name.starts_with(['$', '_']) {
        name.to_owned()
    } else {
        wire::camel(name)
    }
}

fn write_keyword(
    name: &str,
    value: &RawValue,
    is_nullable: bool,
    depth: usize,
    object: &mut ObjectWriter<'_>,
) {
    match name {
        "nullable" | "propertyOrdering" => {}
        "type" => write_type(value, is_nullable, object),
        "properties" | "$defs" | "defs" => {
            let name = if name == "defs" { "$defs" } else { name };
            write_each_member(value, depth, object.begin(name));
        }
        "items" | "additionalProperties" => write_schema(value.get(), depth - 1, object.begin(name)),
        "anyOf" | "prefixItems" => write_each_item(value, depth, object.begin(name)),
        "example" => {
            write_array([value], object.begin("examples"), |value, out| {
                out.extend_from_slice(value.get().as_bytes());
            });
        }
        "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minLength" | "maxLength" => {
            let bound = serde_json::from_str(value.get())
                .ok()
                .and_then(wire::Number::count);
            match bound {
                Some(bound) => object.member(name, &bound),
                None => object.json(name, value.get()),
            };
        }
        "enum" if is_nullable => {
            let words: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
            write_array(
                words.into_iter().chain([RawValue::NULL]),
                object.begin(name),
                |word, out| {
                    out.extend_from_slice(word.get().as_bytes());
                },
            );
        }
        _ => {
            object.json(name, value.get());
        }
    }
}

fn write_type(value: &RawValue, is_nullable: bool, object: &mut ObjectWriter<'_>) {
    let Ok(word) = serde_json::from_str::<wire::Str<'_>>(value.get()) else {
        object.json("type", value.get());
        return;
    };
    let numbered = word
        .as_str()
        .parse()
        .ok()
        .and_then(|number: usize| TYPES.get(number));
    let word = numbered.map_or_else(|| word.as_str().to_ascii_lowercase(), |word| (*word).to_owned());
    if word == "type_unspecified" {
        return;
    }
    if is_nullable {
        object.member("type", &[word.as_str(), "null"]);
    } else {
        object.member("type", &word);
    }
}

fn write_each_member(value: &RawValue, depth: usize, out: &mut Vec<u8>) {
    let Some(members) = Members::read(value.get()) else {
        out.extend_from_slice(value.get().as_bytes());
        return;
    };
    let mut object = ObjectWriter::new(out);
    for (name, schema) in members.rest() {
        write_schema(schema.get(), depth - 1, object.begin(&name));
    }
    object.end();
}

fn write_each_item(value: &RawValue, depth: usize, out: &mut Vec<u8>) {
    match serde_json::from_str::<Vec<&RawValue>>(value.get()) {
        Ok(schemas) => write_array(schemas, out, |schema, out| {
            write_schema(schema.get(), depth - 1, out)
        }),
        Err(_) => write(value, out),
    }
}

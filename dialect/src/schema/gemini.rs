//! Gemini's subset: OpenAPI 3.0's schema, without references, and with texts alone in an `enum`.

use serde_json::Value;

use super::flat::{DEPTH_MAX, Flattener, joined, too_large};
use super::node::{Members, Node};
use super::{Cut, write};
use crate::refusal::Refusal;

/// How much of a rule that is only described is quoted, in characters.
const NOTE_MAX: usize = 200;

pub(super) fn cut(schema: &Node) -> Result<Cut, Refusal> {
    let mut cutter = Cutter {
        flattener: Flattener::new(schema),
        depth: 0,
        lost: false,
    };
    let cut = cutter.schema(schema)?;
    Ok(write(&cut, cutter.lost))
}

struct Cutter<'a> {
    flattener: Flattener<'a>,
    depth: usize,
    lost: bool,
}

/// A schema that is being written.
#[derive(Default)]
struct Written {
    members: Members,
    /// What could not be said but in words.
    notes: Vec<String>,
    nullable: bool,
}

impl Cutter<'_> {
    fn schema(&mut self, schema: &Node) -> Result<Node, Refusal> {
        let Node::Object(members) = schema else {
            // `true` and `false`: anything, nothing.
            self.lost |= schema.is_false();
            return Ok(Node::Object(Members::default()));
        };
        if self.depth >= DEPTH_MAX {
            return Err(too_large());
        }
        self.depth += 1;
        self.flattener.charge(1)?;
        let open = self.flattener.open();
        let flat = self.flattener.flat(members)?;
        let mut written = Written::default();
        self.lost |= flat.recursive || !flat.clashes.is_empty();
        for clash in &flat.clashes {
            written.notes.push(note("also", clash));
        }
        if flat.recursive {
            written
                .notes
                .push("of the same form as what it stands in".to_owned());
        }
        let node = self.flat(&flat.members, written)?;
        self.flattener.close(open);
        self.depth -= 1;
        Ok(node)
    }

    fn flat(&mut self, schema: &Members, mut written: Written) -> Result<Node, Refusal> {
        let types = types_of(schema);
        written.nullable = types.nullable;
        let (one_of, any_of) = (schema.get("oneOf"), schema.get("anyOf"));
        if let Some(Node::Array(variants)) = any_of.or(one_of) {
            let name = if any_of.is_some() { "anyOf" } else { "oneOf" };
            return self.variants(&schema.without(&[name]), variants, written);
        }
        if let [_, _, ..] = types.names.as_slice() {
            let variant = |name: &&str| of_type(schema, name);
            let variants: Vec<_> = types.names.iter().map(variant).collect();
            let shared = schema.described();
            return self.variants(&shared, &variants, written);
        }
        let kind = types.names.first().copied();
        if let Some(kind) = kind {
            written.members.set("type", Node::text(kind.to_ascii_uppercase()));
        }
        for (name, node) in schema.iter() {
            self.member(kind, name, node, schema, &mut written)?;
        }
        if kind == Some("array") && !written.members.has("items") {
            written.members.set("items", Node::Object(Members::default()));
        }
        Ok(written.end())
    }

    /// Gemini wants nothing beside `anyOf`, so what stands beside it goes into each variant. With a single variant left
    /// there is no choice at all.
    fn variants(
        &mut self,
        beside: &Members,
        variants: &[Node],
        mut written: Written,
    ) -> Result<Node, Refusal> {
        let is_null = |node: &Node| node.as_members().is_some_and(|schema| types_of(schema).is_null());
        written.nullable |= variants.iter().any(is_null);
        let mut schemas = Vec::new();
        for variant in variants.iter().filter(|variant| !is_null(variant)) {
            let Node::Object(variant) = variant else {
                continue;
            };
            let both = joined(variant, beside);
            self.lost |= both.is_none();
            let schema = both.unwrap_or_else(|| variant.clone());
            self.flattener.charge(schema.count())?;
            let mut node = self.schema(&Node::Object(schema))?;
            if let Node::Object(members) = &mut node
                && written.nullable
            {
                members.set("nullable", Node::Leaf(true.into()));
            }
            schemas.push(node);
        }
        if schemas.len() > 1 {
            written.nullable = false;
            written.members.set("anyOf", Node::Array(schemas));
            return Ok(written.end());
        }
        match schemas.pop() {
            Some(Node::Object(members)) => written.members = members,
            // Nothing but null.
            Some(_) | None => written.members.set("type", Node::text("NULL")),
        }
        Ok(written.end())
    }

    /// Writes one member of a schema that has at most one type.
    fn member(
        &mut self,
        kind: Option<&str>,
        name: &str,
        node: &Node,
        schema: &Members,
        written: &mut Written,
    ) -> Result<(), Refusal> {
        match (name, node) {
            ("type" | "nullable" | "propertyOrdering" | "contentEncoding" | "contentMediaType", _) => {}
            ("$schema" | "$id" | "$anchor" | "$comment" | "$defs" | "definitions" | "discriminator", _) => {}
            ("readOnly" | "writeOnly" | "deprecated" | "strict", _) => {}
            ("additionalProperties" | "unevaluatedProperties", node) if node.is_true() || node.is_false() => {
            }
            ("title" | "description" | "pattern", Node::Leaf(Value::String(_)))
            | ("default" | "example", _) => written.members.set(name, node.clone()),
            ("examples", _) => written.notes.push(note(name, node)),
            ("format", Node::Leaf(Value::String(format))) if takes_format(kind, format) => {
                written.members.set(name, node.clone());
            }
            ("minimum" | "maximum", Node::Leaf(Value::Number(_))) => written.members.set(name, node.clone()),
            (
                "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties",
                Node::Leaf(Value::Number(number)),
            ) => written.members.set(name, Node::text(number.to_string())),
            ("enum", Node::Array(items)) => self.one_of(kind, items, written),
            ("const", node) => self.one_of(kind, std::slice::from_ref(node), written),
            ("properties", Node::Object(properties)) => {
                self.properties(properties, schema.get("required"), written)?;
            }
            // Written with the properties; names of others are refused.
            ("required", _) if schema.has("properties") => {}
            ("items", Node::Object(_)) => {
                let items = self.schema(node)?;
                written.members.set(name, items);
            }
            ("items", node) if node.is_true() => {}
            ("exclusiveMinimum" | "exclusiveMaximum", Node::Leaf(Value::Number(number)))
                if kind == Some("integer") && number.is_i64() =>
            {
                let step = if name == "exclusiveMinimum" { 1 } else { -1 };
                let bound = number.as_i64().unwrap_or_default().saturating_add(step);
                let name = if step > 0 { "minimum" } else { "maximum" };
                written.members.set(name, Node::Leaf(bound.into()));
            }
            (name, node) => {
                self.lost = true;
                written.notes.push(note(name, node));
            }
        }
        Ok(())
    }

    fn properties(
        &mut self,
        properties: &Members,
        required: Option<&Node>,
        written: &mut Written,
    ) -> Result<(), Refusal> {
        let mut schemas = Vec::new();
        for (name, node) in properties.iter() {
            schemas.push((name.to_owned(), self.schema(node)?));
        }
        if schemas.is_empty() {
            return Ok(());
        }
        let names = schemas.iter().map(|(name, _)| Node::text(name.as_str()));
        let ordering = (schemas.len() > 1).then(|| Node::Array(names.collect()));
        written
            .members
            .set("properties", Node::Object(schemas.into_iter().collect()));
        let required = required.and_then(Node::as_items).unwrap_or_default();
        let known = |name: &&Node| name.as_text().is_some_and(|name| properties.has(name));
        let required: Vec<_> = required.iter().filter(known).cloned().collect();
        if !required.is_empty() {
            written.members.set("required", Node::Array(required));
        }
        if let Some(ordering) = ordering {
            written.members.set("propertyOrdering", ordering);
        }
        Ok(())
    }

    /// An `enum`, which holds texts alone; other values are described.
    fn one_of(&mut self, kind: Option<&str>, values: &[Node], written: &mut Written) {
        written.nullable |= values.iter().any(Node::is_null);
        let values: Vec<_> = values.iter().filter(|value| !value.is_null()).cloned().collect();
        let are_texts = values
            .iter()
            .all(|value| value.as_text().is_some_and(|text| !text.is_empty()));
        if values.is_empty() {
            return;
        }
        if are_texts && kind == Some("string") {
            written.members.set("enum", Node::Array(values));
        } else {
            self.lost = true;
            written.notes.push(note("one of", &Node::Array(values)));
        }
    }
}

/// Which formats are known, by type.
fn takes_format(kind: Option<&str>, format: &str) -> bool {
    match kind {
        Some("string") => matches!(format, "date-time" | "enum"),
        Some("integer") => matches!(format, "int32" | "int64"),
        Some("number") => matches!(format, "float" | "double"),
        _ => false,
    }
}

struct Types<'a> {
    names: Vec<&'a str>,
    nullable: bool,
}

impl Types<'_> {
    fn is_null(&self) -> bool {
        self.nullable && self.names.is_empty()
    }
}

/// The types that a schema names, or means.
fn types_of(schema: &Members) -> Types<'_> {
    let mut names: Vec<_> = match schema.get("type") {
        Some(Node::Array(names)) => names.iter().filter_map(Node::as_text).collect(),
        Some(name) => name.as_text().into_iter().collect(),
        None => Vec::new(),
    };
    let is_named = !names.is_empty();
    names.retain(|name| *name != "null");
    let only_null = schema.get("const").is_some_and(Node::is_null);
    let nullable = only_null
        || schema.get("nullable").is_some_and(Node::is_true)
        || (is_named && schema.get("type").is_some_and(names_null));
    if !is_named && !only_null {
        names.extend(meant_type(schema));
    }
    Types { names, nullable }
}

fn names_null(types: &Node) -> bool {
    let is_null = |node: &Node| node.as_text() == Some("null");
    is_null(types) || types.as_items().unwrap_or_default().iter().any(is_null)
}

fn meant_type(schema: &Members) -> Option<&'static str> {
    let values = schema.get("const").map(std::slice::from_ref);
    let values = values.or_else(|| schema.get("enum")?.as_items());
    if schema.has("properties") {
        Some("object")
    } else if schema.has("items") || schema.has("prefixItems") {
        Some("array")
    } else {
        type_of_all(values?)
    }
}

fn type_of_all(values: &[Node]) -> Option<&'static str> {
    let type_of = |value: &Node| match value {
        Node::Leaf(Value::String(_)) => Some("string"),
        Node::Leaf(Value::Number(number)) if number.is_f64() => Some("number"),
        Node::Leaf(Value::Number(_)) => Some("integer"),
        Node::Leaf(Value::Bool(_)) => Some("boolean"),
        _ => None,
    };
    let mut types = values.iter().filter(|value| !value.is_null()).map(type_of);
    let first = types.next()??;
    types.all(|other| other == Some(first)).then_some(first)
}

/// The part of a schema with several types that speaks of this one.
fn of_type(schema: &Members, kind: &str) -> Node {
    let speaks = |name: &str, node: &Node| match name {
        "minLength" | "maxLength" | "pattern" | "format" => kind == "string",
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
            matches!(kind, "number" | "integer")
        }
        "items" | "prefixItems" | "minItems" | "maxItems" | "uniqueItems" | "contains" => kind == "array",
        "properties" | "required" | "additionalProperties" | "minProperties" | "maxProperties" => {
            kind == "object"
        }
        "patternProperties" | "propertyNames" | "dependentRequired" => kind == "object",
        "enum" => type_of_all(node.as_items().unwrap_or_default()).is_none_or(|own| own == kind),
        "title" | "description" | "default" | "type" | "examples" => false,
        _ => true,
    };
    let own = schema.iter().filter(|(name, node)| speaks(name, node));
    let own = own.map(|(name, node)| (name.to_owned(), node.clone()));
    Node::Object(
        std::iter::once(("type".to_owned(), Node::text(kind)))
            .chain(own)
            .collect(),
    )
}

fn note(name: &str, node: &Node) -> String {
    let json = serde_json::to_string(node).unwrap_or_default();
    let mut note = format!("{name}: {json}");
    if let Some((at, _)) = note.char_indices().nth(NOTE_MAX) {
        note.truncate(at);
        note.push('\u{2026}');
    }
    note
}

impl Members {
    /// What of a schema holds for all its types.
    fn described(&self) -> Self {
        let described = ["title", "description", "default"];
        let own = described
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.get(name)?.clone())));
        own.collect()
    }
}

impl Written {
    fn end(self) -> Node {
        let Self {
            mut members,
            notes,
            nullable,
        } = self;
        if nullable {
            members.set("nullable", Node::Leaf(true.into()));
        }
        if !notes.is_empty() {
            let notes = notes.join("; ");
            let description = match members.text("description") {
                Some(description) => format!("{description} ({notes})"),
                None => notes,
            };
            members.set("description", Node::text(description));
        }
        Node::Object(members)
    }
}

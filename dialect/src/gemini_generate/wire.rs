//! How Google spells what requests, answers and chunks have in common: contents and their parts.
//!
//! Google takes the names of members in camelCase and in snake_case, and a single object where a list is meant; its own
//! answers are in camelCase. Members that no type here knows are gathered, not dropped.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Members that a type does not know, in their order.
pub(super) type Rest<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// An object of which every member may be missing, with the names under which each is known.
macro_rules! object {
    ($(#[$about:meta])* struct $name:ident<'a> {
        $($field:ident: $type:ty = $camel:literal $(| $snake:literal)*,)*
    }) => {
        $(#[$about])*
        #[derive(Debug, Default)]
        pub(in crate::gemini_generate) struct $name<'a> {
            $(pub(in crate::gemini_generate) $field: Option<$type>,)*
            pub(in crate::gemini_generate) rest: $crate::gemini_generate::wire::Rest<'a>,
        }

        impl<'de: 'a, 'a> serde::Deserialize<'de> for $name<'a> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Found;
                impl<'de> serde::de::Visitor<'de> for Found {
                    type Value = $name<'de>;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        formatter.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name<'de>, A::Error> {
                        let mut found = $name::default();
                        while let Some(name) = map.next_key::<$crate::gemini_generate::wire::Str<'de>>()? {
                            match name.as_str() {
                                $($camel $(| $snake)* => found.$field = map.next_value()?,)*
                                _ => found.rest.push((name.0, map.next_value()?)),
                            }
                        }
                        Ok(found)
                    }
                }
                deserializer.deserialize_map(Found)
            }
        }
    };
}
pub(super) use object;

object! {
    /// A turn.
    struct Content<'a> {
        role: Str<'a> = "role",
        parts: Many<Part<'a>> = "parts",
    }
}

object! {
    struct Part<'a> {
        text: Str<'a> = "text",
        thought: bool = "thought",
        signature: Str<'a> = "thoughtSignature" | "thought_signature",
        inline: Blob<'a> = "inlineData" | "inline_data",
        file: FileData<'a> = "fileData" | "file_data",
        call: FunctionCall<'a> = "functionCall" | "function_call",
        response: FunctionResponse<'a> = "functionResponse" | "function_response",
    }
}

object! {
    struct Blob<'a> {
        media_type: Str<'a> = "mimeType" | "mime_type",
        data: Str<'a> = "data",
        name: Str<'a> = "displayName" | "display_name",
    }
}

object! {
    struct FileData<'a> {
        media_type: Str<'a> = "mimeType" | "mime_type",
        uri: Str<'a> = "fileUri" | "file_uri",
        name: Str<'a> = "displayName" | "display_name",
    }
}

object! {
    struct FunctionCall<'a> {
        id: Str<'a> = "id",
        name: Str<'a> = "name",
        args: &'a RawValue = "args",
        partial: Vec<PartialArg<'a>> = "partialArgs" | "partial_args",
        goes_on: bool = "willContinue" | "will_continue",
    }
}

object! {
    /// A piece of the arguments of a call that Vertex sends bit by bit.
    struct PartialArg<'a> {
        path: Str<'a> = "jsonPath" | "json_path",
        text: Str<'a> = "stringValue" | "string_value",
        number: &'a RawValue = "numberValue" | "number_value",
        boolean: bool = "boolValue" | "bool_value",
        goes_on: bool = "willContinue" | "will_continue",
    }
}

object! {
    struct FunctionResponse<'a> {
        id: Str<'a> = "id",
        name: Str<'a> = "name",
        response: &'a RawValue = "response",
        parts: Many<Part<'a>> = "parts",
    }
}

/// A text, borrowed where it has no escapes. Google also spells its words as numbers when a client asks for that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Str<'a>(pub(super) Cow<'a, str>);

impl Str<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn into_owned(self) -> String {
        self.0.into_owned()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Str<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Str<'de>, E> {
                Ok(Str(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Str<'de>, E> {
                Ok(Str(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Str<'de>, E> {
                Ok(Str(Cow::Owned(text)))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Str<'de>, E> {
                Ok(Str(Cow::Owned(number.to_string())))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// A list, or one item in its place.
#[derive(Debug)]
pub(super) struct Many<T>(pub(super) Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = Many<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Many<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(item) = items.next_element()? {
                    all.push(item);
                }
                Ok(Many(all))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Many<T>, A::Error> {
                Ok(Many(vec![T::deserialize(MapAccessDeserializer::new(map))?]))
            }
        }
        deserializer.deserialize_any(Items(std::marker::PhantomData))
    }
}

/// A whole number, as a number or, as protocol buffers spell long ones, as a text; `40.0` is one too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number(pub(super) f64);

impl Number {
    /// `None` when it is no count.
    pub(super) fn count(self) -> Option<u64> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let is_count = self.0.fract() == 0.0 && (0.0..=EXACT).contains(&self.0);
        // In this range every whole number is exact.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        is_count.then_some(self.0 as u64)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Figure;
        impl Visitor<'_> for Figure {
            type Value = Number;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number")
            }

            fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
                Ok(Number(number))
            }

            #[expect(clippy::cast_precision_loss)]
            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }

            #[expect(clippy::cast_precision_loss)]
            fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
                number.map(Number).ok_or_else(|| E::custom("not a number"))
            }
        }
        deserializer.deserialize_any(Figure)
    }
}

/// A name in camelCase, as it is written to Google.
pub(super) fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut is_next_upper = false;
    for letter in name.chars() {
        if letter == '_' && !camel.is_empty() {
            is_next_upper = true;
        } else if std::mem::take(&mut is_next_upper) {
            camel.push(letter.to_ascii_uppercase());
        } else {
            camel.push(letter);
        }
    }
    camel
}

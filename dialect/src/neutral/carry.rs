//! Seals on their way through a client of another dialect, which gives back what it was given: no state is kept here.
//!
//! Where the client's dialect has an opaque member of its own (`encrypted_content`, `signature`, `thoughtSignature`), a
//! foreign seal stands in it behind a tag; the whole is standard base64, which some clients check. The seal of thoughts
//! may stand beside the call that they led to as well, for clients that keep no thoughts. Where there is no such member,
//! seals stand in the id of a tool call, behind a separator and in letters that every dialect allows in ids.
//!
//! Gemini signs texts, too. No other dialect has a member for that beside a text, so such a seal stands in thoughts of
//! which nothing is shown, behind the text; or before it, where nothing may follow on the text.
//!
//! Whatever comes back may be broken or made up. Then it is taken for what it seems to be: an opaque text, or an id, of
//! the client's own dialect. There is nothing to win by forging one: whoever can send a seal could send it to the
//! vendor directly, who checks it.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::{Part, Reasoning, Role, Seal, Text, Turn};
use crate::Dialect;

/// A seal that travels in the id of a tool call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedSeal {
    pub seal: Seal,
    /// Whether it is of the reasoning before the call, and not the call's own.
    pub is_reasoning: bool,
    /// Whether that reasoning is redacted.
    pub redacted: bool,
}

/// The first bytes of a carried seal, with the version of the form. With the two that follow they make whole groups of
/// base64, so that a seal which is base64 itself stands behind them as it is.
const TAG: &[u8; 4] = b"tlg1";
/// The tag and what follows it, in base64.
const HEAD_BYTES: usize = 8;
/// Between an id and what it carries.
const SEPARATOR: &str = "--tlg1-";

/// Bytes of which some stand wherever a seal is carried: in an id, and at the beginning of any tag.
pub(crate) const MARKS: [&[u8]; 2] = [SEPARATOR.as_bytes(), b"dGxnM"];

/// Bits of the byte before each seal of an id.
const ORIGIN: u8 = 0b0000_0011;
const IS_REASONING: u8 = 0b0000_0100;
const REDACTED: u8 = 0b0000_1000;
const IS_BASE64: u8 = 0b0001_0000;
const CHECKSUM_BYTES: usize = 4;

/// The seal for an opaque member of another dialect: standard base64.
pub fn opaque(seal: &Seal) -> String {
    opaque_thoughts(seal, false)
}

/// The same for the seal of thoughts, which tells whether they are redacted.
pub fn opaque_thoughts(seal: &Seal, redacted: bool) -> String {
    let is_base64 = is_canonical(&seal.data);
    let form = match (is_base64, redacted) {
        (true, false) => b'b',
        (false, false) => b't',
        (true, true) => b'B',
        (false, true) => b'T',
    };
    written(seal, form, is_base64)
}

fn written(seal: &Seal, form: u8, is_base64: bool) -> String {
    let [t, l, g, version] = *TAG;
    let mut text = STANDARD.encode([t, l, g, version, letter_of(seal.origin), form]);
    if is_base64 {
        text.push_str(&seal.data);
    } else {
        STANDARD.encode_string(&seal.data, &mut text);
    }
    text
}

/// Where thoughts stand that carry the seal of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Behind,
    Before,
}

/// The seal of a text as that of thoughts that stand there, for a client of the dialect `own`. `None` for one of that
/// dialect, which none has a place for.
pub fn of_text(seal: &Seal, own: Dialect, place: Place) -> Option<Reasoning> {
    let data = opaque_of_text(seal, place);
    (seal.origin != own).then(|| Reasoning {
        seal: Some(Seal { origin: own, data }),
        redacted: true,
        ..Reasoning::default()
    })
}

fn opaque_of_text(seal: &Seal, place: Place) -> String {
    let is_base64 = is_canonical(&seal.data);
    let form = match (place, is_base64) {
        (Place::Behind, true) => b'x',
        (Place::Behind, false) => b'y',
        (Place::Before, true) => b'v',
        (Place::Before, false) => b'w',
    };
    written(seal, form, is_base64)
}

/// Gives texts back their seals, which stand in thoughts behind them, or before.
pub fn seal_texts(turns: &mut [Turn]) {
    for turn in turns.iter_mut().filter(|turn| turn.role == Role::Assistant) {
        if turn.parts.iter().any(|part| carried_seal(part).is_some()) {
            turn.parts = sealed(std::mem::take(&mut turn.parts));
        }
    }
}

fn sealed(carrying: Vec<Part>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::with_capacity(carrying.len());
    let mut before = Vec::new();
    for part in carrying {
        match carried_seal(&part) {
            None => {
                let is_text = matches!(part, Part::Text(_));
                parts.push(part);
                if is_text {
                    before.drain(..).for_each(|seal| give(&mut parts, seal));
                }
            }
            Some((seal, Place::Before)) => before.push(seal),
            Some((seal, Place::Behind)) => give(&mut parts, seal),
        }
    }
    // Their text was taken away.
    before.into_iter().for_each(|seal| give(&mut parts, seal));
    parts
}

/// Gives the seal to the text that is last, or else to an empty one.
fn give(parts: &mut Vec<Part>, seal: Seal) {
    match parts.last_mut() {
        Some(Part::Text(text)) if text.seal.is_none() => text.seal = Some(seal),
        _ => parts.push(Part::Text(Text {
            seal: Some(seal),
            ..Text::default()
        })),
    }
}

/// The seal of a text that this part carries, which is no thought then.
fn carried_seal(part: &Part) -> Option<(Seal, Place)> {
    let Part::Reasoning(reasoning) = part else {
        return None;
    };
    let (seal, form) = read_tagged(&reasoning.seal.as_ref()?.data)?;
    match form {
        b'x' | b'y' => Some((seal, Place::Behind)),
        b'v' | b'w' => Some((seal, Place::Before)),
        _ => None,
    }
}

/// The seal for an opaque member of the dialect `own`: as it is when it is of that dialect.
pub fn opaque_for(seal: &Seal, own: Dialect) -> Cow<'_, str> {
    if seal.origin == own {
        Cow::Borrowed(&seal.data)
    } else {
        Cow::Owned(opaque(seal))
    }
}

/// The seal that a client of the dialect `own` sent in an opaque member: a carried one, or its own.
pub fn read_opaque(text: &str, own: Dialect) -> Seal {
    read_opaque_thoughts(text).map_or_else(
        || Seal {
            origin: own,
            data: text.to_owned(),
        },
        |(seal, _)| seal,
    )
}

/// The seal of another vendor that an opaque member carries, and whether the thoughts that it seals are redacted.
pub fn read_opaque_thoughts(text: &str) -> Option<(Seal, bool)> {
    let (seal, form) = read_tagged(text)?;
    matches!(form, b'b' | b't' | b'B' | b'T').then(|| (seal, form.is_ascii_uppercase()))
}

/// What an opaque member carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opaque {
    Thoughts,
    /// The seal of a text, which stands in thoughts that nobody thought.
    OfText,
}

/// What this opaque member carries; `None` for a vendor's own.
pub(crate) fn opaque_of(text: &str) -> Option<Opaque> {
    let (_, form) = read_tagged(text)?;
    Some(match form {
        b'b' | b't' | b'B' | b'T' => Opaque::Thoughts,
        _ => Opaque::OfText,
    })
}

/// What stands behind a tag, and in which form.
fn read_tagged(text: &str) -> Option<(Seal, u8)> {
    let (head, data) = text.split_at_checked(HEAD_BYTES)?;
    let head = STANDARD.decode(head).ok()?;
    let [letter, form] = *head.strip_prefix(TAG)?.first_chunk::<2>()?;
    let origin = origin_of(letter)?;
    let data = standard(data);
    let data = match form {
        b'b' | b'B' | b'x' | b'v' if is_canonical(&data) => data,
        b't' | b'T' | b'y' | b'w' => String::from_utf8(STANDARD.decode(data).ok()?).ok()?,
        _ => return None,
    };
    Some((Seal { origin, data }, form))
}

/// Base64 in its usual letters and whole groups. Clients that take the member for bytes write those anew, and may do so in
/// the letters for URLs, or without the end of the last group: Google's own SDK does.
fn standard(base64: &str) -> String {
    let mut standard = base64.replace('-', "+").replace('_', "/");
    while !standard.len().is_multiple_of(4) {
        standard.push('=');
    }
    standard
}

/// An id that carries these seals; the id itself when there are none.
pub fn tool_call_id(id: &str, seals: &[CarriedSeal]) -> String {
    if seals.is_empty() {
        return id.to_owned();
    }
    let mut bytes = Vec::new();
    for carried in seals {
        push(&mut bytes, carried);
    }
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    let mut text = String::with_capacity(id.len() + SEPARATOR.len() + bytes.len() * 4 / 3 + 3);
    text.push_str(id);
    text.push_str(SEPARATOR);
    URL_SAFE_NO_PAD.encode_string(&bytes, &mut text);
    text
}

/// The id that the provider knows, and the seals that the id carried.
pub fn split_tool_call_id(text: &str) -> (String, Vec<CarriedSeal>) {
    let split = text.rsplit_once(SEPARATOR).and_then(|(id, carried)| {
        let bytes = URL_SAFE_NO_PAD.decode(carried).ok()?;
        Some((id.to_owned(), read_all(&bytes)?))
    });
    split.unwrap_or_else(|| (text.to_owned(), Vec::new()))
}

/// Whether a text is exactly what encoding its bytes would give.
fn is_canonical(text: &str) -> bool {
    text.len().is_multiple_of(4) && STANDARD.decode(text).is_ok()
}

/// A byte that says what it is, its length, and the seal: as bytes where it is base64, for an id must not grow twice.
fn push(bytes: &mut Vec<u8>, carried: &CarriedSeal) {
    let data = STANDARD.decode(&carried.seal.data);
    let bit = |is: bool, bit: u8| if is { bit } else { 0 };
    bytes.push(
        number_of(carried.seal.origin)
            | bit(carried.is_reasoning, IS_REASONING)
            | bit(carried.redacted, REDACTED)
            | bit(data.is_ok(), IS_BASE64),
    );
    let data = data.unwrap_or_else(|_| carried.seal.data.clone().into_bytes());
    bytes.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(data);
}

fn read_all(bytes: &[u8]) -> Option<Vec<CarriedSeal>> {
    let (mut rest, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    if crc32fast::hash(rest).to_le_bytes() != *checksum {
        return None;
    }
    let mut seals = Vec::new();
    while !rest.is_empty() {
        let (seal, after) = read_one(rest)?;
        seals.push(seal);
        rest = after;
    }
    Some(seals)
}

fn read_one(bytes: &[u8]) -> Option<(CarriedSeal, &[u8])> {
    let (bits, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (data, rest) = rest.split_at_checked(length)?;
    let data = if bits & IS_BASE64 == 0 {
        String::from_utf8(data.to_vec()).ok()?
    } else {
        STANDARD.encode(data)
    };
    let seal = CarriedSeal {
        seal: Seal {
            origin: numbered(bits & ORIGIN),
            data,
        },
        is_reasoning: bits & IS_REASONING != 0,
        redacted: bits & REDACTED != 0,
    };
    Some((seal, rest))
}

/// Dialects as they are spelled in a carried seal. What is once spelled so stays so: clients keep conversations.
fn letter_of(dialect: Dialect) -> u8 {
    match dialect {
        Dialect::OpenaiChat => b'c',
        Dialect::OpenaiResponses => b'r',
        Dialect::AnthropicMessages => b'a',
        Dialect::GeminiGenerate => b'g',
    }
}

fn origin_of(letter: u8) -> Option<Dialect> {
    (0..=ORIGIN)
        .map(numbered)
        .find(|dialect| letter_of(*dialect) == letter)
}

fn number_of(dialect: Dialect) -> u8 {
    match dialect {
        Dialect::OpenaiChat => 0,
        Dialect::OpenaiResponses => 1,
        Dialect::AnthropicMessages => 2,
        Dialect::GeminiGenerate => 3,
    }
}

fn numbered(number: u8) -> Dialect {
    match number {
        0 => Dialect::OpenaiChat,
        1 => Dialect::OpenaiResponses,
        2 => Dialect::AnthropicMessages,
        _ => Dialect::GeminiGenerate,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_seal() -> impl Strategy<Value = Seal> {
        let data = prop_oneof![
            ".{0,40}",
            proptest::collection::vec(any::<u8>(), 0..90).prop_map(|bytes| STANDARD.encode(bytes)),
        ];
        (0_u8..4, data).prop_map(|(number, data)| Seal {
            origin: numbered(number),
            data,
        })
    }

    fn any_carried() -> impl Strategy<Value = CarriedSeal> {
        (any_seal(), any::<bool>(), any::<bool>()).prop_map(|(seal, is_reasoning, redacted)| CarriedSeal {
            seal,
            is_reasoning,
            redacted,
        })
    }

    proptest! {
        #[test]
        fn p7_a_seal_survives_in_an_opaque_member(seal in any_seal(), redacted in any::<bool>()) {
            let text = opaque(&seal);
            prop_assert!(STANDARD.decode(&text).is_ok(), "{text}");
            prop_assert_eq!(read_opaque(&text, Dialect::OpenaiChat), seal.clone());
            // A client that takes it for bytes may write them anew.
            let anew = URL_SAFE_NO_PAD.encode(STANDARD.decode(&text).unwrap());
            prop_assert_eq!(read_opaque(&anew, Dialect::OpenaiChat), seal.clone());
            let text = opaque_thoughts(&seal, redacted);
            prop_assert_eq!(read_opaque_thoughts(&text), Some((seal, redacted)));
        }

        #[test]
        fn p7_the_seal_of_a_text_comes_back_to_it(seal in any_seal(), is_empty in any::<bool>()) {
            let own = numbered((number_of(seal.origin) + 1) & ORIGIN);
            let behind = of_text(&seal, own, Place::Behind).unwrap();
            let text = Text { text: "said".to_owned(), seal: Some(seal.clone()), ..Text::default() };
            let bare = Part::text("said");
            let before = if is_empty { vec![] } else { vec![bare] };
            let parts = before.iter().cloned().chain([Part::Reasoning(behind)]).collect();
            let mut turns = [Turn::new(Role::Assistant, parts)];
            seal_texts(&mut turns);
            let expected = if is_empty { Text { text: String::new(), ..text } } else { text };
            prop_assert_eq!(&turns[0].parts, &[Part::Text(expected)]);
            prop_assert!(of_text(&seal, seal.origin, Place::Behind).is_none());
        }

        #[test]
        fn p7_the_seals_of_texts_come_back_from_before_them(seals in proptest::collection::vec(any_seal(), 1..3)) {
            let own = Dialect::AnthropicMessages;
            let seals = seals.into_iter().map(|seal| Seal { origin: Dialect::GeminiGenerate, ..seal });
            let seals: Vec<_> = seals.collect();
            let carriers = seals.iter().map(|seal| Part::Reasoning(of_text(seal, own, Place::Before).unwrap()));
            let carriers: Vec<_> = carriers.collect();
            let text = |text: &str, seal: &Seal| Part::Text(Text { seal: Some(seal.clone()), ..Text::new(text) });
            let parts = [vec![Part::text("one")], carriers.clone(), vec![Part::text("two")]].concat();
            let mut turns = [Turn::new(Role::Assistant, parts)];
            seal_texts(&mut turns);
            let mut expected = vec![Part::text("one"), text("two", &seals[0])];
            expected.extend(seals.iter().skip(1).map(|seal| text("", seal)));
            prop_assert_eq!(&turns[0].parts, &expected);
            // The client has taken the text away.
            let mut turns = [Turn::new(Role::Assistant, carriers)];
            seal_texts(&mut turns);
            let expected: Vec<_> = seals.iter().map(|seal| text("", seal)).collect();
            prop_assert_eq!(&turns[0].parts, &expected);
        }

        #[test]
        fn p7_seals_survive_in_an_id(
            id in "[A-Za-z0-9_.:-]{1,40}",
            seals in proptest::collection::vec(any_carried(), 0..4),
        ) {
            let text = tool_call_id(&id, &seals);
            prop_assert!(text[id.len()..].bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
            prop_assert_eq!(split_tool_call_id(&text), (id, seals));
        }

        #[test]
        fn what_is_broken_is_the_clients_own(
            seal in any_carried(),
            at in any::<prop::sample::Index>(),
            letter in "[A-Za-z0-9_=+/\u{e9}-]",
        ) {
            let broken = |text: &str| {
                let at = at.index(text.len());
                text.chars().enumerate().map(|(index, old)| if index == at { letter.clone() } else { old.to_string() }).collect::<String>()
            };
            let id = broken(&tool_call_id("call_1", std::slice::from_ref(&seal)));
            let (_, seals) = split_tool_call_id(&id);
            prop_assert!(seals.is_empty() || seals == [seal.clone()]);
            let text = broken(&opaque(&seal.seal));
            let _ = read_opaque(&text, Dialect::OpenaiResponses);
            let cut = &text[..text.char_indices().nth(at.index(text.len())).map_or(0, |(at, _)| at)];
            let _ = read_opaque(cut, Dialect::OpenaiResponses);
        }
    }

    #[test]
    fn p9_only_foreign_seals_are_wrapped() {
        let seal = Seal {
            origin: Dialect::AnthropicMessages,
            data: "EqQBCgIYAhIM".to_owned(),
        };
        assert_eq!(opaque_for(&seal, Dialect::AnthropicMessages), seal.data);
        let wrapped = opaque_for(&seal, Dialect::GeminiGenerate);
        assert_eq!(wrapped.len(), seal.data.len() + HEAD_BYTES);
        assert_eq!(read_opaque(&wrapped, Dialect::GeminiGenerate), seal);
        for text in ["", "x", "dGxnMQ==", "dGxnMXhi", "dGxnMWFi!", "not base64 at all"] {
            let own = Seal {
                origin: Dialect::GeminiGenerate,
                data: text.to_owned(),
            };
            assert_eq!(read_opaque(text, Dialect::GeminiGenerate), own);
        }
        for id in ["", "call_1", "--tlg1-", "a--tlg1-AAAA", "a--tlg1-!"] {
            assert_eq!(split_tool_call_id(id), (id.to_owned(), Vec::new()));
        }
    }
}

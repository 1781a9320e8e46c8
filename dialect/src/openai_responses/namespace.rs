//! Tools in namespaces, of which no other dialect knows: outside of this one, a namespace stands before the tool's
//! name, behind a separator that no name of OpenAI's can have in it.

const SEPARATOR: &str = "::";

pub(super) fn join(space: Option<&str>, name: String) -> String {
    match space {
        Some(space) => format!("{space}{SEPARATOR}{name}"),
        None => name,
    }
}

/// The namespace, where there is one, and the tool's own name.
pub(super) fn split(name: &str) -> (Option<&str>, &str) {
    match name.split_once(SEPARATOR) {
        Some((space, name)) if !space.is_empty() && !name.is_empty() => (Some(space), name),
        _ => (None, name),
    }
}

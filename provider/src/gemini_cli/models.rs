//! The models that can be asked for by name.
//!
//! The program takes many names, and some of them for others than they say. A name goes on only where the model of that
//! name answers.

/// Those that are told to clients that ask which there are.
pub const MODELS: [&str; 6] = [
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-3.1-flash-lite",
    "gemini-3.5-flash-lite",
    "gemini-3.8-flash",
];

/// Names for which the program takes another model, and which: for the previews where the account has no access to them,
/// which nobody is told of.
const TAKEN_FOR: [(&str, &str); 5] = [
    ("gemini-3-pro-preview", "gemini-2.5-pro"),
    ("gemini-3.1-pro-preview", "gemini-2.5-pro"),
    ("gemini-3.1-pro-preview-customtools", "gemini-2.5-pro"),
    ("gemini-3-flash-preview", "gemini-3-flash"),
    ("gemini-3.5-flash", "gemini-3-flash"),
];
const NAME_LEN_MAX: usize = 64;

/// Whether the program can be told this name.
///
/// # Errors
/// Why not.
pub(super) fn check(model: &str) -> Result<(), String> {
    let is_name = model.len() <= NAME_LEN_MAX
        && model.starts_with("gemini-")
        && model
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte));
    if !is_name {
        return Err("models are called gemini-…, as in gemini-2.5-flash".to_owned());
    }
    match TAKEN_FOR.iter().find(|(name, _)| *name == model) {
        Some((_, other)) => Err(format!("the Gemini CLI would take {other} for it: ask for that")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_mean_what_they_say_go_on() {
        for model in MODELS {
            assert_eq!(check(model), Ok(()));
        }
        for model in [
            "--yolo",
            "auto",
            "flash",
            "gemini-3-pro-preview",
            "gemini-$HOME",
            "gemini-A",
            "",
        ] {
            assert!(check(model).is_err(), "{model}");
        }
    }
}

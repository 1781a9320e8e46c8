//! What holds for every text that is shown as a key: it is read into parts of itself, or not at all.

use vault::gateway_key::parse;

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Some(key) = parse(text) else { return };
    let begin = text.find(key.id).expect("the id");
    assert!(text.get(begin..).is_some_and(|rest| rest.contains(key.secret)));
    // The check letters are there to catch one wrong letter.
    let mut wrong = text.to_owned();
    let last = wrong.pop();
    wrong.push(if last == Some('a') { 'b' } else { 'a' });
    assert!(parse(&wrong).is_none() && parse(&format!("{text} ")).is_none());
}

//! What is said of a test, or a part of one, that cannot be run here.

/// Says why something is skipped. Where everything has to be there (`CI` is set), that is a failure.
#[expect(clippy::print_stdout, reason = "what is skipped has to be said")]
#[expect(clippy::panic, reason = "under CI nothing may be skipped")]
#[track_caller]
pub fn skip(why: &str) {
    if std::env::var_os("CI").is_some() {
        panic!("under CI nothing is skipped: {why}");
    }
    println!("skipped: {why}");
}

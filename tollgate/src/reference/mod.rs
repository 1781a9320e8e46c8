//! The pages of `docs/` that are made from this program, and what README and pages say of it that can be looked up.
//!
//! `TOLLGATE_TEST_BLESS=1 cargo test -p tollgate` writes the generated pages anew.

mod providers;
mod said;
mod verbs;

use std::path::{Path, PathBuf};

const BEGIN: &str =
    "<!-- From here on generated: `TOLLGATE_TEST_BLESS=1 cargo test -p tollgate` writes it anew. -->\n";
const END: &str = "<!-- Up to here. -->\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Holds a page that is generated as a whole.
pub(crate) fn hold(name: &str, page: &str) {
    let path = root().join("docs").join(name);
    if std::env::var_os("TOLLGATE_TEST_BLESS").is_some() {
        std::fs::write(&path, page).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap() == page,
        "docs/{name} is not what is so; TOLLGATE_TEST_BLESS=1 writes it anew"
    );
}

/// Holds what stands between the two marks of a page, the rest of which people write.
fn hold_part(name: &str, part: &str) {
    let page = std::fs::read_to_string(root().join("docs").join(name)).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    hold(name, &[before, BEGIN, part, END, after].concat());
}

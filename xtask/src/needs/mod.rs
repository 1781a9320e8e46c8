//! What the tests need and a fresh machine does not have.

mod debian;
mod packages;
mod postgres;

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

pub(crate) use debian::program;
pub(crate) use packages::{agents, browser, node, python};
pub(crate) use postgres::Postgres;

/// The folder in which what was once fetched is kept: `TOLLGATE_CACHE_DIR`, else one of the user's cache folder.
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(crate) fn open() -> anyhow::Result<Self> {
        let variable = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let folder = variable("TOLLGATE_CACHE_DIR")
            .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("tollgate")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/tollgate")))
            .context("none of TOLLGATE_CACHE_DIR, XDG_CACHE_HOME and HOME is set")?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// A folder of it that is as this text says, which `fill` brings about when it is not. A change of the text, or a
    /// fill that was interrupted, begins anew.
    fn filled(
        &self,
        name: &str,
        text: &str,
        fill: impl FnOnce(&PathBuf) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join(name);
        let done = folder.join("filled-by");
        if fs::read_to_string(&done).is_ok_and(|by| by == text) {
            return Ok(folder);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        fill(&folder)?;
        fs::write(done, text)?;
        Ok(folder)
    }
}

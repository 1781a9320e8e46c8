//! Whoever tidies up when this process is killed: a shell that waits for the end of a pipe that only we hold.
//!
//! Nothing of ours runs any more then. It ends the processes whose groups stand in our folder, with all below them, and
//! removes the folder: prompts and tokens are in it.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};

/// It waits for as long as this lives, and does nothing when this is dropped.
pub(super) struct Warden {
    pipe: ChildStdin,
}

const SHELL: &str = "/bin/sh";
/// In each process's folder, the file with the number of its group.
const GROUP: &str = "group";
/// The first shell ends at once, so that the second is nobody's child. A line in the pipe says that all is tidy. A number
/// may by now be somebody else's, whose folder is another.
const SCRIPT: &str = r#"
exec 3<&0
(
    trap '' HUP INT TERM
    if read -r _ <&3; then exit; fi
    for group in */group; do
        read -r number <"$group" || continue
        case "$(readlink "/proc/$number/cwd")" in
            "" | "$PWD"/*) kill -s KILL -- "-$number" ;;
        esac
    done
    exec rm -rf -- "$PWD"
) &
"#;

impl Warden {
    /// Of this folder, whose path leads past links.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let mut shell = Command::new(SHELL)
            .args(["-c", SCRIPT])
            .current_dir(folder)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            // What the terminal tells us is not for it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = shell.stdin.take();
        if !shell.wait()?.success() {
            return Err(io::Error::other("the shell fails"));
        }
        let pipe = pipe.ok_or_else(|| io::Error::other("the shell has no pipe"))?;
        Ok(Self { pipe })
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        let _gone = self.pipe.write_all(b"tidy\n");
    }
}

/// Notes in the folder of a process that leads a group which.
pub(super) fn note_group(folder: &Path, number: u32) -> io::Result<()> {
    File::create(folder.join(GROUP))?.write_all(format!("{number}\n").as_bytes())
}

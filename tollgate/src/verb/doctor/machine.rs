//! The machine: disk, file system, file descriptors.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use rustix::fs::{StatFs, statfs};
use rustix::process::{Resource, getrlimit};

use super::report::Report;
use crate::settings::Settings;

const DISK_LOW: u64 = 1 << 30;
const DISK_OUT: u64 = 64 << 20;
/// What a process has open besides its clients: the database, listeners, files.
const DESCRIPTORS_BESIDE: u64 = 256;
/// Of the kernel's table of file systems, those that lie on another machine (`NFS`, `SMB`, `SMB2`, `CIFS`, `9P`, `FUSE`
/// being often one): their locks do not always hold.
const REMOTE: [(i64, &str); 6] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xfe53_4d42, "SMB2"),
    (0xff53_4d42, "CIFS"),
    (0x0102_1997, "9P"),
    (0x6573_5546, "FUSE"),
];

/// Whether as many clients can connect as the settings let in, each with a connection to a provider beside it.
pub(super) fn file_descriptors(settings: &Settings, report: &mut Report) {
    let check = "file descriptors";
    let clients = u64::try_from(settings.connections_max).unwrap_or(u64::MAX);
    let needed = clients.saturating_mul(2).saturating_add(DESCRIPTORS_BESIDE);
    // A gateway that starts takes all that it may have.
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    if limit >= needed {
        return report.ok(check, format!("{limit} may be open, {needed} may be needed"));
    }
    let what = format!(
        "{limit} may be open, but TOLLGATE_CONNECTIONS_MAX={clients} may need {needed}: a client and a provider for each"
    );
    let remedy = format!("run `ulimit -n {needed}` before it (systemd: LimitNOFILE), or lower the setting");
    report.warning(check, what, remedy);
}

/// The SQLite file, when that is the database.
pub(super) fn sqlite_file(settings: &Settings) -> Option<PathBuf> {
    let path = settings.database_url.expose().strip_prefix("sqlite:")?;
    let path = path.trim_start_matches("//").split('?').next()?;
    Some(PathBuf::from(&*percent_decode_str(path).decode_utf8().ok()?))
}

/// Whether the file can be written, on what file system it lies, and how much room there is.
pub(super) fn disk(path: &Path, report: &mut Report) {
    if path.exists()
        && let Err(error) = OpenOptions::new().append(true).open(path)
    {
        let what = format!("{} cannot be written: {error}", path.display());
        report.problem(
            "database file",
            what,
            "give it to the user that runs the gateway, with its folder",
        );
    }
    let Some((folder, found)) = nearest(path) else {
        let what = format!("no folder above {} can be looked at", path.display());
        return report.problem("disk", what, "set TOLLGATE_DATA_DIR to a folder of your own");
    };
    let remote = REMOTE.iter().find(|(kind, _)| *kind == kind_of(&found));
    if let Some((_, name)) = remote {
        let what = format!(
            "{} lies on a file system that may be another machine's ({name})",
            folder.display()
        );
        let remedy = "keep SQLite on a disk of this machine, or use Postgres: locks and WAL need one";
        report.warning("database file", what, remedy);
    }
    let free = found
        .f_bavail
        .saturating_mul(u64::try_from(found.f_bsize).unwrap_or(0));
    let what = format!("{} MiB are free in {}", free >> 20, folder.display());
    let remedy = "make room: when the disk is full no call can be booked, and so none is made";
    match free {
        0..DISK_OUT => report.problem("disk", what, remedy),
        DISK_OUT..DISK_LOW => report.warning("disk", what, remedy),
        _ => report.ok("disk", what),
    }
}

/// The folder that is there, and its file system.
fn nearest(path: &Path) -> Option<(PathBuf, StatFs)> {
    path.ancestors().skip(1).find_map(|folder| {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        Some((folder.to_path_buf(), statfs(folder).ok()?))
    })
}

/// The number's width is the platform's.
fn kind_of(found: &StatFs) -> i64 {
    #[allow(clippy::useless_conversion, reason = "not on every platform")]
    i64::from(found.f_type)
}

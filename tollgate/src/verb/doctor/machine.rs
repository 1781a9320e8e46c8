//! The machine: disk, file system, file descriptors.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatFs, access, statfs};
use rustix::io::Errno;
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

/// Whether the SQLite file can be written, and on what file system it lies.
pub(super) fn database_file(path: &Path, report: &mut Report) {
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
    let found = nearest(path);
    let remote = found
        .as_ref()
        .and_then(|(_, found)| REMOTE.iter().find(|(kind, _)| *kind == kind_of(found)));
    if let (Some((folder, _)), Some((_, name))) = (&found, remote) {
        let what = format!(
            "{} lies on a file system that may be another machine's ({name})",
            folder.display()
        );
        let remedy = "keep SQLite on a disk of this machine, or use Postgres: locks and WAL need one";
        report.warning("database file", what, remedy);
    }
    disk(path, report);
}

/// Whether the data folder and the ledger's spool in it can be written, whatever the database is.
pub(super) fn data_folder(folder: &Path, report: &mut Report) {
    let check = "data folder";
    let spool = folder.join("spool");
    let there: Vec<&Path> = [folder, &spool]
        .into_iter()
        .filter(|folder| folder.exists())
        .collect();
    let may = |folder: &Path| access(folder, Access::WRITE_OK | Access::EXEC_OK);
    for folder in &there {
        let refused = if folder.is_dir() {
            may(folder).err()
        } else {
            Some(Errno::NOTDIR)
        };
        if let Some(error) = refused {
            let what = format!("{} cannot be written: {error}", folder.display());
            let remedy = "give it to the user that runs the gateway: without a spool no call can be booked, and so none is made";
            return report.problem(check, what, remedy);
        }
    }
    let above = nearest(folder)
        .map(|(above, _)| above)
        .filter(|_| there.is_empty());
    if let Some(above) = above
        && let Err(error) = may(&above)
    {
        let what = format!(
            "{} cannot be made in {}: {error}",
            folder.display(),
            above.display()
        );
        return report.problem(check, what, "set TOLLGATE_DATA_DIR to a folder of your own");
    }
    report.ok(check, format!("{} can be written", folder.display()));
    disk(&spool, report);
}

/// How much room there is.
fn disk(path: &Path, report: &mut Report) {
    let Some((folder, found)) = nearest(path) else {
        let what = format!("no folder above {} can be looked at", path.display());
        return report.problem("disk", what, "set TOLLGATE_DATA_DIR to a folder of your own");
    };
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

//! The Gemini CLI, where it is switched on: whether it is there, which it is, and whether it does all that is relied on.
//!
//! Google is not asked: a stand-in for it listens on loopback while the program is looked at.

use std::env::temp_dir;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use provider::gemini_cli::{Examined, StandIn, VERSION, examine};

use super::report::Report;
use crate::settings::Settings;
use crate::settings::gemini_cli::version;

const CHECK: &str = "gemini cli";

pub(super) async fn gemini_cli(settings: &Settings, report: &mut Report) {
    let Some(settings) = &settings.gemini_cli else {
        return;
    };
    let (listener, url) = match listener() {
        Ok(found) => found,
        Err(error) => {
            let what = format!("there is no port on loopback for a stand-in for Google: {error}");
            return report.problem(CHECK, what, "see what takes all ports of this machine");
        }
    };
    let google = StandIn::default();
    let answer = {
        let google = google.clone();
        move |request| {
            let google = google.clone();
            async move { google.answer(request).await }
        }
    };
    // Not where a gateway has its processes: nothing of that is to change.
    let folder = temp_dir().join(format!("tollgate-doctor-{}", std::process::id()));
    let examined = tokio::select! {
        examined = examine(settings, &folder, &google, &url) => examined,
        ended = server::serve_loopback(listener, answer) => Err(match ended {
            Ok(()) => "the stand-in for Google has ended".to_owned(),
            Err(error) => format!("the stand-in for Google cannot listen: {error}"),
        }),
    };
    match examined {
        Ok(examined) => {
            let package = version(&settings.program.script).unwrap_or_default();
            tell(&examined, &package, report);
        }
        Err(why) => {
            let what = format!("it does not work: {why}");
            let remedy = "docs/gemini-cli.md says how it is installed; TOLLGATE_GEMINI_CLI and \
                          TOLLGATE_GEMINI_CLI_NODE say where it is";
            report.problem(CHECK, what, remedy);
        }
    }
}

fn listener() -> std::io::Result<(Arc<TcpListener>, String)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((Arc::new(listener), url))
}

/// `package` is the version of the package that the program is in: what settings go by.
fn tell(examined: &Examined, package: &str, report: &mut Report) {
    let what = format!(
        "{} on Node.js {} was ready in {} ms, with {} MiB",
        examined.version,
        examined.node_version,
        examined.ready_in.as_millis(),
        examined.resident_bytes >> 20
    );
    report.ok(CHECK, what);
    if let Some(other) = [package, &examined.version]
        .into_iter()
        .find(|version| *version != VERSION)
    {
        let what = format!("its version is {other}, and Tollgate was tested with {VERSION}");
        let remedy = "install that one: what is known of it may not be true of others";
        report.warning(CHECK, what, remedy);
    }
    for check in &examined.checks {
        match &check.outcome {
            Ok(()) => report.ok(CHECK, check.what),
            Err(why) => {
                let what = format!("not so: {}: {why}", check.what);
                let remedy = format!(
                    "install @google/gemini-cli@{VERSION} afresh, as docs/gemini-cli.md says: that one does this"
                );
                report.problem(CHECK, what, remedy);
            }
        }
    }
    if !examined.is_bound {
        let what = "there is no setpriv: processes end with the gateway only by seeing that it is gone";
        report.warning(CHECK, what, "install util-linux, where setpriv is");
    }
}

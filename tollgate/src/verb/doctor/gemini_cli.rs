//! The Gemini CLI, where it is switched on: whether it is there, which it is, and whether it works.

use std::env::temp_dir;

use provider::gemini_cli::{VERSION, examine};

use super::report::Report;
use crate::settings::Settings;

pub(super) async fn gemini_cli(settings: &Settings, report: &mut Report) {
    let check = "gemini cli";
    let Some(settings) = &settings.gemini_cli else {
        return;
    };
    // Not where a gateway has its processes: nothing of that is to change.
    let folder = temp_dir().join(format!("tollgate-doctor-{}", std::process::id()));
    let examined = match examine(settings, &folder).await {
        Ok(examined) => examined,
        Err(why) => {
            let what = format!("it does not work: {why}");
            let remedy = "docs/gemini-cli.md says how it is installed; TOLLGATE_GEMINI_CLI and \
                          TOLLGATE_GEMINI_CLI_NODE say where it is";
            return report.problem(check, what, remedy);
        }
    };
    let what = format!(
        "{} on Node.js {} was ready in {} ms, with {} MiB",
        examined.version,
        examined.node_version,
        examined.ready_in.as_millis(),
        examined.resident_bytes >> 20
    );
    if examined.version == VERSION {
        report.ok(check, what);
    } else {
        let what = format!("{what}; Tollgate was tested with {VERSION}");
        report.warning(
            check,
            what,
            "install that one: what is known of it may not be true of others",
        );
    }
    if !examined.is_bound {
        let what = "there is no setpriv: processes end with the gateway only by seeing that it is gone";
        report.warning(check, what, "install util-linux, where setpriv is");
    }
}

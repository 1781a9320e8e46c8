//! Starting processes that reach one port and no other, by the kernel's own word (Landlock, Linux 6.7 and later).
//!
//! What a thread has given up is given up for all that it starts. So a thread of its own gives up connecting, and starts
//! processes from then on; it lives as long as anybody can ask it to, since they are told to end when it does.

use std::io;
use std::sync::mpsc::{self, Sender, SyncSender};
use std::thread;

use landlock::{
    ABI, Access as _, AccessNet, CompatLevel, Compatible as _, NetPort, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, Scope,
};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;

/// Whoever starts them.
pub(super) struct Confined {
    asks: Sender<Ask>,
}

struct Ask {
    command: Command,
    started: SyncSender<io::Result<Child>>,
}

/// The newest of the kernel's that is known here. Of what an older one lacks, nothing is given up.
const NEWEST: ABI = ABI::V10;

impl Confined {
    /// Whose processes reach this port alone. None where the kernel has no such thing.
    pub(super) fn to(port: u16, runtime: Handle) -> Option<Self> {
        let (asks, asked) = mpsc::channel::<Ask>();
        let (says, said) = mpsc::sync_channel(1);
        let starting = move || {
            let confined = confine(port);
            let is_confined = confined.is_ok();
            if let Err(error) = confined {
                tracing::warn!(%error, "this kernel does not keep processes of the Gemini CLI from reaching others; they are only told not to");
            }
            if says.send(is_confined).is_err() || !is_confined {
                return;
            }
            let _whose_processes = runtime.enter();
            for Ask { mut command, started } in asked {
                // Whoever has asked waits for it.
                let _waited_for = started.send(command.spawn());
            }
        };
        let builder = thread::Builder::new().name("gemini-cli".to_owned());
        builder.spawn(starting).ok()?;
        said.recv().ok()?.then_some(Self { asks })
    }

    pub(super) fn start(&self, command: Command) -> io::Result<Child> {
        let (started, starts) = mpsc::sync_channel(1);
        let gone = |_| io::Error::other("whoever starts processes is gone");
        self.asks
            .send(Ask { command, started })
            .map_err(|_| gone(mpsc::RecvError))?;
        starts.recv().map_err(gone)?
    }
}

/// Gives up, for this thread, to connect to any port but this one, to listen, and to reach other processes by sockets
/// without a file and by signals. All but the first as far as the kernel can.
fn confine(port: u16) -> Result<(), RulesetError> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessNet::ConnectTcp)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?;
    let ruleset = ruleset
        .create()?
        .add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    ruleset.restrict_self().map(drop)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process::Stdio;

    use super::*;

    /// What a shell can connect to.
    async fn connects(confined: &Confined, port: u16) -> bool {
        let mut command = Command::new("bash");
        command
            .args(["-c", &format!("exec 3<>/dev/tcp/127.0.0.1/{port}")])
            .stderr(Stdio::null());
        confined.start(command).unwrap().wait().await.unwrap().success()
    }

    #[tokio::test]
    async fn what_it_starts_reaches_one_port_and_we_reach_all() {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (ours, other) = (listen(), listen());
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let Some(confined) = Confined::to(port(&ours), Handle::current()) else {
            println!("skipped: this kernel keeps nobody from connecting");
            return;
        };
        assert!(connects(&confined, port(&ours)).await);
        assert!(!connects(&confined, port(&other)).await);
        assert!(std::net::TcpStream::connect(other.local_addr().unwrap()).is_ok());
    }
}

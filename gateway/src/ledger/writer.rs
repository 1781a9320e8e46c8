//! What is done with the ledger beside the calls: their records are logged and watched, and the spool is shipped.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::record::CallRecord;
use super::spool::{Shipper, Spool};
use crate::failpoint::failpoint;
use crate::seeing::Watchers;

/// Does both. Runs on the control runtime.
pub struct LedgerWriter {
    teller: Teller,
    spool: Arc<Spool>,
    shipper: Shipper,
}

/// Tells of calls.
struct Teller {
    waiting: mpsc::Receiver<Box<CallRecord>>,
    logged: Box<dyn Fn() + Send + Sync>,
    watchers: Watchers,
}

/// Records taken from the queue at once.
const BATCH_MAX: usize = 512;
/// How long records gather: long enough that a busy gateway writes its log in few pieces, short enough for a person who
/// looks at it.
const GATHER: Duration = Duration::from_millis(100);

impl LedgerWriter {
    pub(super) fn new(waiting: mpsc::Receiver<Box<CallRecord>>, spool: Arc<Spool>, shipper: Shipper) -> Self {
        let teller = Teller {
            waiting,
            logged: Box::new(|| ()),
            watchers: Watchers::default(),
        };
        Self {
            teller,
            spool,
            shipper,
        }
    }

    /// Has this called each time that the lines of a batch of calls have been logged.
    pub fn when_logged(&mut self, logged: impl Fn() + Send + Sync + 'static) {
        self.teller.logged = Box::new(logged);
    }

    /// Shows each record to these too.
    pub fn show_to(&mut self, watchers: Watchers) {
        self.teller.watchers = watchers;
    }

    /// Goes on until the gateway is gone and everything it left behind is logged and in the database. May be called again
    /// after it has panicked.
    pub async fn run(&mut self) {
        let Self {
            teller,
            spool,
            shipper,
        } = self;
        let telling = async {
            teller.run().await;
            // Nobody is left who could write to it.
            spool.close();
        };
        tokio::join!(telling, shipper.run());
    }
}

impl Teller {
    async fn run(&mut self) {
        let mut records = Vec::with_capacity(BATCH_MAX);
        while self.waiting.recv_many(&mut records, BATCH_MAX).await > 0 {
            for record in records.drain(..) {
                failpoint("log");
                record.log();
                self.watchers.watch(&record);
            }
            (self.logged)();
            if !self.waiting.is_closed() && self.waiting.len() < BATCH_MAX {
                sleep(GATHER).await;
            }
        }
    }
}

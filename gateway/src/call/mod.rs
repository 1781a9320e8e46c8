//! The way of a call.
//!
//! ```text
//! identify  gateway key -> Caller
//! look      body -> Envelope (in `dialect`; no DOM)
//! route     Envelope -> Plan (in `policy`)
//! admit     -> Permit, or refuse
//! attempt   pick a credential, prepare what it is sent, send, judge -> Answer; or the next one
//! relay     Answer -> Reply: pass on and meter
//! settle    at the end, on error, or when the client is gone
//! ```

mod admit;
mod again;
mod attempt;
mod beat;
mod estimate;
mod fault;
mod gemini_cli;
mod heard;
mod identify;
mod leave;
mod limit;
mod prepare;
mod relay;
mod route;
mod settle;
mod stream;
mod way;
mod whole;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dialect::Envelope;
use dialect::refusal::Refusal;
use policy::Plan;

pub use beat::{Beat, KeepAlive};
pub use leave::ClientStream;
pub use relay::{Reply, ReplyBody, ReplyHead};

pub(crate) use identify::{Caller, identify};
pub(crate) use leave::Leaving;
pub(crate) use route::{not_found, route, rules};

use crate::clock::now_ms;
use crate::ledger::{CallRecord, Ledger};
use crate::room::BodyRoom;
use crate::seeing::TraceParent;
use crate::worker::{Request, Worker};
use admit::Permit;
use attempt::Call;
use settle::Settlement;

/// A call that may be sent.
struct Admitted {
    caller: Caller,
    body: RequestBody,
    envelope: Envelope,
    plan: Plan,
    permit: Permit,
    /// How long the client took to send its body.
    body_wait: Duration,
}

/// The body of a request, and the room that it takes.
pub struct RequestBody {
    pub bytes: Bytes,
    pub room: BodyRoom,
}

/// A call that is not admitted yet. Where its client goes away meanwhile, that is logged and counted all the same.
struct Coming<'a> {
    ledger: &'a Ledger,
    request: &'a Request<'a>,
    started_at_ms: i64,
    is_waiting: bool,
}

impl<'a> Coming<'a> {
    fn begin(ledger: &'a Ledger, request: &'a Request<'a>, started_at_ms: i64) -> Self {
        Self {
            ledger,
            request,
            started_at_ms,
            is_waiting: true,
        }
    }

    fn has_come(mut self) {
        self.is_waiting = false;
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        if self.is_waiting {
            let request = self.request;
            let mut record = CallRecord::begin(request.call_id, self.started_at_ms, request.started);
            record.asked(request.asked);
            self.ledger.note_left(Box::new(record));
        }
    }
}

impl Worker {
    /// Serves one call of a model. The body is read only once the caller is known, and into the room that is left for it.
    ///
    /// # Errors
    /// The refusal that the client is to see; it has been logged.
    pub async fn call<F>(
        &self,
        request: &Request<'_>,
        read: impl FnOnce(BodyRoom) -> F,
    ) -> Result<Reply, Refusal>
    where
        F: Future<Output = Result<RequestBody, Refusal>>,
    {
        let mut record = Box::new(CallRecord::begin(request.call_id, now_ms(), request.started));
        record.asked(request.asked);
        if self.gateway.settings().traced {
            record.trace_parent = TraceParent::of(request.headers);
        }
        let coming = Coming::begin(self.gateway.ledger(), request, record.started_at_ms);
        let admitted = self.admitted(request, read, &mut record).await;
        coming.has_come();
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.gateway.ledger().note_refused(record, &refusal);
                return Err(refusal);
            }
        };
        let Admitted {
            caller,
            body,
            envelope,
            plan,
            permit,
            body_wait,
        } = admitted;
        let settlement = Settlement::new(record, permit);
        let call = Call {
            worker: self,
            caller: &caller,
            plan: &plan,
            envelope: &envelope,
            body: &body.bytes,
            request,
            started: request.started + body_wait,
        };
        attempt::attempt(call, settlement).await
    }

    /// The steps before anything is sent.
    async fn admitted<F>(
        &self,
        request: &Request<'_>,
        read: impl FnOnce(BodyRoom) -> F,
        record: &mut CallRecord,
    ) -> Result<Admitted, Refusal>
    where
        F: Future<Output = Result<RequestBody, Refusal>>,
    {
        let directory = self.gateway.directory();
        let caller = identify(directory, request.key, record.started_at_ms).await?;
        record.caller(caller.tenant.id.clone(), caller.key.id.clone());
        let waiting = Instant::now();
        let settings = self.gateway.settings();
        let room = BodyRoom::new(
            settings.room,
            self.gateway.room_taken(),
            &caller.tenant.room_taken,
        );
        let body = read(room).await?;
        let body_wait = waiting.elapsed();
        record.body_wait = body_wait;
        let envelope = request.asked.look(&body.bytes, &settings.body)?;
        record.envelope(&envelope);
        let plan = route(directory, &caller, &envelope.model)?;
        let permit = admit::admit(&self.gateway, &caller.tenant)?;
        if let Some(wanted) = request.stream_wanted {
            let may_wait = envelope.stream && !request.asked.in_path.is_array;
            wanted.store(may_wait, Ordering::Relaxed);
        }
        Ok(Admitted {
            caller,
            body,
            envelope,
            plan,
            permit,
            body_wait,
        })
    }
}

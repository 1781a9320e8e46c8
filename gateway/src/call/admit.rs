//! May this call go out? A permit says yes, and holds what the call will need until it is settled.

use dialect::refusal::{Code, Refusal};

use crate::admission::InFlight;
use crate::gateway::Gateway;
use crate::ledger::{LedgerPlace, NoPlace};
use crate::live::TenantState;
use crate::room::CallRoom;

/// The right to send one call, and its place in the ledger. Without one nothing is sent.
pub(super) struct Permit {
    pub(super) place: LedgerPlace,
    pub(super) in_flight: InFlight,
    pub(super) room: CallRoom,
}

pub(super) const RETRY_S: u64 = 1;

/// Admits one call.
///
/// # Errors
/// 503 while the gateway is draining, when too many calls are under way, of the tenant or of all, and when the ledger cannot be
/// written: a call that could not be booked is not made.
pub(super) fn admit(gateway: &Gateway, tenant: &TenantState) -> Result<Permit, Refusal> {
    let refused = |code, message| Refusal::new(code, message).retry_after(RETRY_S);
    let in_flight = gateway
        .admission()
        .enter()
        .ok_or_else(|| refused(Code::ShuttingDown, "This gateway is shutting down."))?;
    let room = CallRoom::take(&gateway.settings().room, &tenant.room_taken)?;
    let place = gateway.ledger().reserve().map_err(|why| match why {
        NoPlace::Unwritable => refused(
            Code::LedgerUnavailable,
            "The gateway cannot book this call at the moment, so it is not made.",
        ),
        NoPlace::Full => refused(Code::Overloaded, "Too many calls are under way."),
    })?;
    Ok(Permit {
        place,
        in_flight,
        room,
    })
}

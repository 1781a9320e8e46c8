//! Room for what calls hold while they are under way. There is so much for all of them, and less for those of one tenant: it
//! cannot take the room of the others.
//!
//! All of it is atomic numbers: nobody waits for anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dialect::refusal::{Code, Refusal};

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomSettings {
    pub calls_per_tenant_max: usize,
    /// Bodies of requests, of all tenants together.
    pub body_bytes_max: usize,
    pub body_bytes_per_tenant_max: usize,
}

/// What is taken of it: by one tenant, or by all.
#[derive(Debug, Default)]
pub(crate) struct RoomTaken {
    calls: AtomicUsize,
    body_bytes: AtomicUsize,
}

/// One call's place, given back when dropped.
pub(crate) struct CallRoom(Arc<RoomTaken>);

/// The room that one body takes as it comes, given back when dropped.
pub struct BodyRoom {
    settings: RoomSettings,
    of_all: Arc<RoomTaken>,
    of_tenant: Arc<RoomTaken>,
    bytes: usize,
}

const RETRY_S: u64 = 1;

impl Default for RoomSettings {
    /// 16,384 calls, 512 MiB and 128 MiB.
    fn default() -> Self {
        Self {
            calls_per_tenant_max: 16_384,
            body_bytes_max: 512 << 20,
            body_bytes_per_tenant_max: 128 << 20,
        }
    }
}

impl CallRoom {
    /// # Errors
    /// When as many calls of this tenant are under way as may be.
    pub(crate) fn take(settings: &RoomSettings, of_tenant: &Arc<RoomTaken>) -> Result<Self, Refusal> {
        let before = of_tenant.calls.fetch_add(1, Ordering::Relaxed);
        let room = Self(of_tenant.clone());
        if before < settings.calls_per_tenant_max {
            Ok(room)
        } else {
            Err(overloaded("Too many calls of this tenant are under way."))
        }
    }
}

impl Drop for CallRoom {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl BodyRoom {
    pub(crate) fn new(settings: RoomSettings, of_all: &Arc<RoomTaken>, of_tenant: &Arc<RoomTaken>) -> Self {
        Self {
            settings,
            of_all: of_all.clone(),
            of_tenant: of_tenant.clone(),
            bytes: 0,
        }
    }

    /// Whether a body of this length would find room now. Nothing is taken: what does not come needs none.
    ///
    /// # Errors
    /// When it would not.
    pub fn check(&self, bytes: u64) -> Result<(), Refusal> {
        self.fits(
            bytes,
            self.of_all.body_bytes.load(Ordering::Relaxed),
            self.of_tenant.body_bytes.load(Ordering::Relaxed),
        )
    }

    /// Takes room for so many bytes more.
    ///
    /// # Errors
    /// When there is none.
    pub fn take(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes += bytes;
        let of_all = self.of_all.body_bytes.fetch_add(bytes, Ordering::Relaxed);
        let of_tenant = self.of_tenant.body_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.fits(bytes as u64, of_all, of_tenant)
    }

    fn fits(&self, bytes: u64, of_all: usize, of_tenant: usize) -> Result<(), Refusal> {
        let fits = |taken: usize, max: usize| (taken as u64).saturating_add(bytes) <= max as u64;
        if !fits(of_tenant, self.settings.body_bytes_per_tenant_max) {
            return Err(overloaded(
                "The requests of this tenant that are under way hold too many bytes.",
            ));
        }
        if !fits(of_all, self.settings.body_bytes_max) {
            return Err(overloaded("The requests that are under way hold too many bytes."));
        }
        Ok(())
    }
}

impl Drop for BodyRoom {
    fn drop(&mut self) {
        self.of_all.body_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.of_tenant.body_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn overloaded(message: &str) -> Refusal {
    Refusal::new(Code::Overloaded, message).retry_after(RETRY_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: RoomSettings = RoomSettings {
        calls_per_tenant_max: 2,
        body_bytes_max: 150,
        body_bytes_per_tenant_max: 100,
    };

    #[test]
    fn a_tenant_has_so_many_calls_and_the_next_one_has_its_own() {
        let [one, other] = [(); 2].map(|()| Arc::<RoomTaken>::default());
        let take = |tenant| CallRoom::take(&SETTINGS, tenant);
        let held = [take(&one).ok().unwrap(), take(&one).ok().unwrap()];
        assert_eq!(take(&one).err().unwrap().code, Code::Overloaded);
        assert!(take(&other).is_ok());
        drop(held);
        assert!(take(&one).is_ok());
    }

    #[test]
    fn bodies_take_room_of_their_tenant_and_of_all_as_they_come() {
        let all = Arc::<RoomTaken>::default();
        let [one, other] = [(); 2].map(|()| Arc::<RoomTaken>::default());
        let room = |tenant| BodyRoom::new(SETTINGS, &all, tenant);
        let mut held = room(&one);
        assert!(held.check(101).is_err() && held.check(100).is_ok());
        held.take(60).unwrap();
        held.take(40).unwrap();
        assert!(room(&one).check(1).is_err(), "all of the tenant's is taken");
        let mut others = room(&other);
        others.take(50).unwrap();
        assert!(others.take(1).is_err(), "all of all is taken");
        drop((held, others));
        assert_eq!(all.body_bytes.load(Ordering::Relaxed), 0);
        assert!(room(&one).take(100).is_ok());
    }
}

//! Room for what calls hold while they are under way. There is so much for all of them, and less for those of one tenant: it
//! cannot take the room of the others.
//!
//! All of it is atomic numbers: nobody waits for anybody.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use dialect::refusal::{Code, Refusal};

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomSettings {
    pub calls_per_tenant_max: usize,
    /// Bodies of requests, of all tenants together.
    pub body_bytes_max: usize,
    pub body_bytes_per_tenant_max: usize,
    /// Answers that are held to their end before anything of them goes on, of all tenants together.
    pub answer_bytes_max: usize,
    pub answer_bytes_per_tenant_max: usize,
}

/// What is taken of it: by one tenant, or by all.
#[derive(Debug, Default)]
pub(crate) struct RoomTaken {
    calls: AtomicUsize,
    body_bytes: AtomicUsize,
    answer_bytes: AtomicUsize,
}

/// What tenants have taken, by their ids, for as long as anybody holds some of it: a tenant that is loaded anew beside a call
/// that goes on has what that holds.
#[derive(Debug, Default)]
pub(crate) struct Rooms(Mutex<HashMap<Arc<str>, Weak<RoomTaken>>>);

/// One call's place, given back when dropped.
pub(crate) struct CallRoom(Arc<RoomTaken>);

/// The room that one body takes as it comes, given back when dropped.
pub struct BodyRoom {
    of: Bodies,
    settings: RoomSettings,
    of_all: Arc<RoomTaken>,
    of_tenant: Arc<RoomTaken>,
    bytes: usize,
}

/// Whose bodies: each kind has room of its own, so that those who wait for answers do not keep others from asking.
#[derive(Clone, Copy)]
enum Bodies {
    Requests,
    Answers,
}

/// A body, and the room that it takes.
struct Housed {
    body: Bytes,
    _room: BodyRoom,
}

const RETRY_S: u64 = 1;

impl Default for RoomSettings {
    /// 16,384 calls; 512 MiB and 128 MiB of requests, 1 GiB and 256 MiB of answers.
    fn default() -> Self {
        Self {
            calls_per_tenant_max: 16_384,
            body_bytes_max: 512 << 20,
            body_bytes_per_tenant_max: 128 << 20,
            answer_bytes_max: 1 << 30,
            answer_bytes_per_tenant_max: 256 << 20,
        }
    }
}

impl Rooms {
    pub(crate) fn of(&self, tenant_id: &Arc<str>) -> Arc<RoomTaken> {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = rooms.get(tenant_id).and_then(Weak::upgrade) {
            return taken;
        }
        // Those who are gone are left out when there is no room for one more.
        if rooms.len() == rooms.capacity() {
            rooms.retain(|_, taken| taken.strong_count() > 0);
        }
        let taken = Arc::<RoomTaken>::default();
        rooms.insert(tenant_id.clone(), Arc::downgrade(&taken));
        taken
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
    /// For the body of a request.
    pub(crate) fn new(settings: RoomSettings, of_all: &Arc<RoomTaken>, of_tenant: &Arc<RoomTaken>) -> Self {
        Self {
            of: Bodies::Requests,
            settings,
            of_all: of_all.clone(),
            of_tenant: of_tenant.clone(),
            bytes: 0,
        }
    }

    /// For an answer.
    pub(crate) fn of_answer(
        settings: RoomSettings,
        of_all: &Arc<RoomTaken>,
        of_tenant: &Arc<RoomTaken>,
    ) -> Self {
        let mut room = Self::new(settings, of_all, of_tenant);
        room.of = Bodies::Answers;
        room
    }

    /// Whether a body of this length would find room now. Nothing is taken: what does not come needs none.
    ///
    /// # Errors
    /// When it would not.
    pub fn check(&self, bytes: u64) -> Result<(), Refusal> {
        self.fits(
            bytes,
            self.of.taken(&self.of_all).load(Ordering::Relaxed),
            self.of.taken(&self.of_tenant).load(Ordering::Relaxed),
        )
    }

    /// Takes room for so many bytes more.
    ///
    /// # Errors
    /// When there is none.
    pub fn take(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes += bytes;
        let of_all = self.of.taken(&self.of_all).fetch_add(bytes, Ordering::Relaxed);
        let of_tenant = self.of.taken(&self.of_tenant).fetch_add(bytes, Ordering::Relaxed);
        self.fits(bytes as u64, of_all, of_tenant)
    }

    /// Takes room until it is for so many bytes in all.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn take_up_to(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.take(bytes.saturating_sub(self.bytes))
    }

    /// The body whose room this is: it is given back with the last part of it.
    pub(crate) fn house(self, body: Bytes) -> Bytes {
        if self.bytes == 0 {
            return body;
        }
        Bytes::from_owner(Housed { body, _room: self })
    }

    fn fits(&self, bytes: u64, of_all: usize, of_tenant: usize) -> Result<(), Refusal> {
        let fits = |taken: usize, max: usize| (taken as u64).saturating_add(bytes) <= max as u64;
        let (max, per_tenant_max, whose) = match self.of {
            Bodies::Requests => (
                self.settings.body_bytes_max,
                self.settings.body_bytes_per_tenant_max,
                "requests",
            ),
            Bodies::Answers => (
                self.settings.answer_bytes_max,
                self.settings.answer_bytes_per_tenant_max,
                "answers",
            ),
        };
        if !fits(of_tenant, per_tenant_max) {
            let message = format!("The {whose} of this tenant that are under way hold too many bytes.");
            return Err(overloaded(message));
        }
        if !fits(of_all, max) {
            return Err(overloaded(format!(
                "The {whose} that are under way hold too many bytes."
            )));
        }
        Ok(())
    }
}

impl Bodies {
    fn taken(self, taken: &RoomTaken) -> &AtomicUsize {
        match self {
            Self::Requests => &taken.body_bytes,
            Self::Answers => &taken.answer_bytes,
        }
    }
}

impl Drop for BodyRoom {
    fn drop(&mut self) {
        for taken in [&self.of_all, &self.of_tenant] {
            self.of.taken(taken).fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

impl AsRef<[u8]> for Housed {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

fn overloaded(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::Overloaded, message).retry_after(RETRY_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: RoomSettings = RoomSettings {
        calls_per_tenant_max: 2,
        body_bytes_max: 150,
        body_bytes_per_tenant_max: 100,
        answer_bytes_max: 60,
        answer_bytes_per_tenant_max: 40,
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

    #[test]
    fn answers_have_room_of_their_own_until_their_last_part_is_gone() {
        let all = Arc::<RoomTaken>::default();
        let [one, other] = [(); 2].map(|()| Arc::<RoomTaken>::default());
        let room = |tenant| BodyRoom::of_answer(SETTINGS, &all, tenant);
        let mut requests = BodyRoom::new(SETTINGS, &all, &one);
        requests.take(100).unwrap();
        let mut held = room(&one);
        held.take_up_to(30).unwrap();
        held.take_up_to(40).unwrap();
        assert!(room(&one).take(1).is_err(), "all of the tenant's is taken");
        assert!(room(&other).take(21).is_err(), "all of all is taken");
        let body = held.house(Bytes::from(vec![7; 40]));
        let part = body.slice(10..20);
        drop(body);
        assert_eq!(
            (&*part, one.answer_bytes.load(Ordering::Relaxed)),
            (&[7; 10][..], 40)
        );
        drop(part);
        assert_eq!(all.answer_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_tenant_that_comes_back_has_what_its_calls_still_hold() {
        let rooms = Rooms::default();
        let id = Arc::from("tenant");
        let held = CallRoom::take(&SETTINGS, &rooms.of(&id)).ok().unwrap();
        assert_eq!(rooms.of(&id).calls.load(Ordering::Relaxed), 1);
        drop(held);
        assert_eq!(rooms.of(&id).calls.load(Ordering::Relaxed), 0);
        for number in 0..10_000 {
            rooms.of(&Arc::from(format!("tenant-{number}")));
        }
        assert!(rooms.0.lock().unwrap().len() < 100, "who is gone is forgotten");
    }
}

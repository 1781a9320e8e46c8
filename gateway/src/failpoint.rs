//! Places at which a test can make this program fail.
//!
//! They are there only where the feature `failpoints` is, which the tests of the program turn on for themselves: what
//! is built otherwise, every release among it, has none of this. What is to happen where stands in the variable
//! `FAILPOINTS`, such as `answer=2*off->1*panic->off`.

/// Passes such a place.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn failpoint(_name: &str) {}

/// Passes such a place.
#[cfg(feature = "failpoints")]
pub fn failpoint(name: &str) {
    use std::sync::Once;

    static FROM_ENVIRONMENT: Once = Once::new();
    // Dropping it would forget what was set.
    FROM_ENVIRONMENT.call_once(|| std::mem::forget(fail::FailScenario::setup()));
    fail::eval(name, |_| ());
}

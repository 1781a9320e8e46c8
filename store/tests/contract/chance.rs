//! Chance that is seeded.

const SEED: u64 = 0x5eed_1ea5_e5ee_d001;

/// Numbers that are the same in each run (splitmix64).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(part: u64) -> Self {
        Self(SEED.wrapping_add(part.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

//! Keys and values: reproducible, and nothing a compressor or a sorted insert could profit from.

/// Bytes of a key.
pub type Key = [u8; 16];

/// The values are slices of this many random bytes, so that making one costs nothing that is
/// measured, and each is touched by whoever copies it.
const POOL_BYTES: usize = 4 << 20;

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The generator `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// As `new` after so many numbers: it is a counter that is scrambled.
    pub const fn after(seed: u64, numbers: u64) -> Self {
        Self(seed.wrapping_add(STEP.wrapping_mul(numbers)))
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub const fn key(&mut self) -> Key {
        let mut key = [0; 16];
        let (front, back) = key.split_at_mut(8);
        front.copy_from_slice(&self.next().to_be_bytes());
        back.copy_from_slice(&self.next().to_be_bytes());
        key
    }
}

/// So many keys that are the same each time, without keeping them.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    pub seed: u64,
    pub count: u64,
}

impl Keys {
    pub const fn key(self, number: u64) -> Key {
        Random::after(self.seed, 2 * number).key()
    }

    /// Any of them.
    pub const fn any(self, random: &mut Random) -> Key {
        self.key(random.next() % self.count)
    }
}

/// Random bytes that live as long as the process.
#[derive(Clone, Copy, Debug)]
pub struct Pool(&'static [u8]);

impl Pool {
    pub fn new() -> Self {
        let mut random = Random::new(0x006a_6964_6f6b_6121);
        let words = (0..POOL_BYTES / 8).flat_map(|_| random.next().to_le_bytes());
        Self(Vec::leak(words.collect()))
    }

    /// `bytes` of it, somewhere.
    pub fn value(self, random: &mut Random, bytes: usize) -> &'static [u8] {
        let places = self.0.len().saturating_sub(bytes).max(1);
        let start = usize::try_from(random.next()).unwrap_or(0) % places;
        self.0.get(start..start + bytes).unwrap_or(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_again_by_its_number() {
        let keys = Keys { seed: 7, count: 3 };
        let mut random = Random::new(7);
        let drawn = [random.key(), random.key(), random.key()];
        assert_eq!([keys.key(0), keys.key(1), keys.key(2)], drawn);
        assert!(drawn.contains(&keys.any(&mut random)));
    }
}

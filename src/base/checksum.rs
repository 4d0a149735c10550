//! The two checks of the formats: CRC32C over headers, XXH3-64 over payloads and the chain.
//!
//! CRC32C finds what disks do to bytes and costs nanoseconds under the append lock. Payloads get
//! 64 bits because a log holds billions of them, and because the hash is part of the chain that
//! tells two histories apart. Neither protects against a person: see `docs/durability.md`.

/// CRC32C (Castagnoli) of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// CRC32C of `bytes` begun at `seed`, so that bytes moved to another place do not verify.
#[must_use]
pub fn crc32c_seeded(seed: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(seed, bytes)
}

/// XXH3-64 of `bytes` with seed 0.
#[must_use]
pub fn hash64(bytes: &[u8]) -> u64 {
    twox_hash::XxHash3_64::oneshot(bytes)
}

/// XXH3-64 of `bytes` begun at `seed`, so that bytes moved to another place do not verify.
#[must_use]
pub fn hash64_seeded(seed: u64, bytes: &[u8]) -> u64 {
    twox_hash::XxHash3_64::oneshot_with_seed(seed, bytes)
}

/// [`hash64`] of bytes that come piece by piece.
#[derive(Clone)]
pub struct Hash64(twox_hash::XxHash3_64);

impl Hash64 {
    /// Of no bytes yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an empty hash is begun, not a default value")]
    pub fn new() -> Self {
        Self(twox_hash::XxHash3_64::new())
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        std::hash::Hasher::write(&mut self.0, bytes);
    }

    /// The hash of all bytes so far.
    #[must_use]
    pub fn finish(&self) -> u64 {
        std::hash::Hasher::finish(&self.0)
    }
}

impl std::fmt::Debug for Hash64 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Hash64").field(&self.finish()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32c_gives_the_published_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn seeding_equals_checking_the_joined_bytes() {
        assert_eq!(crc32c_seeded(crc32c(b"1234"), b"56789"), 0xe306_9283);
    }

    #[test]
    fn a_hash_in_pieces_is_the_hash_of_the_whole() {
        let bytes: Vec<u8> = (0..2000_u32).map(|byte| byte.to_le_bytes()[0]).collect();
        let mut hash = Hash64::new();
        for piece in bytes.chunks(77) {
            hash.update(piece);
        }
        assert_eq!(hash.finish(), hash64(&bytes));
        assert_ne!(hash64_seeded(1, &bytes), hash64(&bytes));
    }

    #[test]
    fn hash64_gives_the_published_value_of_the_empty_input() {
        assert_eq!(hash64(b""), 0x2d06_8005_38d3_94c2);
    }
}

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
    fn hash64_gives_the_published_value_of_the_empty_input() {
        assert_eq!(hash64(b""), 0x2d06_8005_38d3_94c2);
    }
}

//! Chance without a state: a number is a function of a seed and a counter, so that leaving one
//! out while a failure is reduced does not move the others.

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finishing steps of `SplitMix64`. Source: Steele et al., "Fast Splittable Pseudorandom
/// Number Generators", OOPSLA 2014.
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// The `counter`th random number of `seed`. The seed is mixed first, so that the streams of
/// neighbouring seeds do not overlap.
pub(crate) const fn draw(seed: u64, counter: u64) -> u64 {
    mix(mix(seed.wrapping_add(GAMMA)).wrapping_add(counter.wrapping_mul(GAMMA)))
}

/// Whether the chance `per_256` of 256 comes true for `counter`.
pub(super) fn comes_true(seed: u64, counter: u64, per_256: u8) -> bool {
    draw(seed, counter) & 0xff < u64::from(per_256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chance_is_near_what_was_asked_and_differs_by_seed() {
        let count = |seed| (0..4096).filter(|&number| comes_true(seed, number, 64)).count();
        assert!((900..1150).contains(&count(1)), "{}", count(1));
        assert_ne!(draw(1, 0), draw(2, 0));
        assert_eq!((0..4096).filter(|&number| comes_true(1, number, 0)).count(), 0);
    }
}

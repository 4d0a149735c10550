//! Every byte of a store of 64 KiB damaged in three ways; with `JIDOKA_DAMAGE=everything` every
//! bit, and every sector zeroed, stale and swapped with every other.
#![expect(clippy::disallowed_methods, reason = "the report says how long it took")]

use jidoka::sim::{Consequence, Level, Rest, damage};

#[test]
fn no_damage_to_a_store_at_rest_is_shown_or_takes_anything_with_it() {
    let everything = std::env::var("JIDOKA_DAMAGE").is_ok_and(|value| value == "everything");
    let level = if everything { Level::Everything } else { Level::Bytes };
    for rest in [Rest::Closed, Rest::Idle] {
        let started = std::time::Instant::now();
        let damaged = damage(rest, level, 2).unwrap();
        let seconds = started.elapsed().as_secs_f64();
        let (bytes, segments) = (damaged.bytes, damaged.segments);
        println!("{rest:?}: {bytes} bytes, {segments} segments, {seconds:.1} s");
        for ((what, consequence), count) in &damaged.seen {
            println!("  {what} {consequence:?} {count}");
        }
        assert_eq!(damaged.wrong, [""; 0], "{rest:?}");
        assert!(segments >= 4 && (40 << 10..=64 << 10).contains(&bytes), "{segments}, {bytes}");
        let count = |what| damaged.seen.get(&("byte", what)).copied().unwrap_or(0);
        let (equal, refused) = (count(Consequence::Equal), count(Consequence::Refused));
        // Refused is what is part of the log; equal is what stands behind its end.
        let ways = if everything { 8 } else { 2 };
        assert!(equal + refused >= bytes * ways, "{equal} equal, {refused} refused");
        assert!(refused > bytes * ways / 2, "{equal} equal, {refused} refused");
    }
}

//! The kinds of schedules, how many of each are tried, and how many of them count.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::Runner;
use shuttle::scheduler::{PctScheduler, RandomScheduler};

use crate::{
    asynchronous, closing, conflicts, crashing, faults, following, recovering, rotation, truncating,
};

/// A name, and one schedule of the kind, which says whether it counts: whether the log was
/// rotated, or something failed.
pub(crate) type Kind = (&'static str, fn() -> bool);

pub(crate) const KINDS: &[Kind] = &[
    ("rotation", rotation::committers_that_rotate_the_log_lose_nothing),
    ("mixed durability", rotation::mixed_durability_is_as_durable_as_it_was_asked_to_be),
    ("newcomer", rotation::a_newcomer_who_leads_leaves_the_next_group_its_leader),
    ("sync kept clean", faults::a_sync_that_fails_and_keeps_the_pages),
    ("sync reverted", faults::a_sync_that_fails_and_drops_the_pages),
    ("sync late", faults::a_sync_that_fails_a_call_late),
    ("sync sticky", faults::a_sync_that_fails_from_then_on),
    ("write", faults::a_write_that_fails),
    ("preparation", faults::a_segment_that_cannot_be_prepared),
    ("close", closing::a_close_waits_for_committers_or_refuses_them),
    ("drop", closing::the_last_handle_that_goes_closes_the_store),
    ("follower", following::a_follower_sees_only_what_is_durable),
    ("reader", following::a_reader_sees_a_prefix_that_stays),
    ("conflict", conflicts::a_conflict_is_told_when_what_won_is_durable),
    ("increments", conflicts::increments_are_not_lost),
    ("asynchronous", asynchronous::handles_are_told_beside_committers_and_deadlines),
    ("truncation", truncating::a_truncation_beside_committers_leaves_nobody_waiting),
    ("crash", crashing::a_crash_anywhere_leaves_a_prefix_with_all_that_was_acknowledged),
    ("recovery", recovering::a_log_that_is_read_ahead_is_the_same_log),
];

/// Tries `schedules` orders of one kind, half at random and half with few preemptions, which
/// finds what only a rare order shows. Gives how many counted.
pub(crate) fn run(kind: &Kind, schedules: usize) -> usize {
    let counted = Arc::new(AtomicUsize::new(0));
    let config = || {
        let mut config = shuttle::Config::new();
        config.stack_size = 256 << 10;
        config
    };
    let body = || {
        let (counted, schedule) = (Arc::clone(&counted), kind.1);
        move || {
            counted.fetch_add(usize::from(schedule()), Ordering::Relaxed);
        }
    };
    let half = schedules.div_ceil(2);
    Runner::new(RandomScheduler::new(half), config()).run(body());
    Runner::new(PctScheduler::new(3, half), config()).run(body());
    counted.load(Ordering::Relaxed)
}

#[cfg(not(feature = "planted-bugs"))]
mod tests {
    use super::*;

    fn schedules() -> usize {
        let asked = std::env::var("JIDOKA_SCHEDULES").ok().and_then(|text| text.parse().ok());
        asked.unwrap_or(200)
    }

    /// A test for each kind, so that they run beside each other.
    macro_rules! each_kind {
        ($($test:ident = $name:literal,)+) => {
            $(#[test]
            fn $test() {
                let kind = KINDS.iter().find(|kind| kind.0 == $name).unwrap();
                let counted = run(kind, schedules());
                println!("{:18} {counted} of {} schedules count", $name, schedules());
                assert!(counted >= schedules() / 4, "too few schedules of {} count", $name);
            })+

            #[test]
            fn every_kind_has_its_test() {
                let tested = [$($name),+];
                let kinds: Vec<_> = KINDS.iter().map(|kind| kind.0).collect();
                assert_eq!(kinds, tested);
            }
        };
    }

    each_kind! {
        rotation = "rotation",
        mixed_durability = "mixed durability",
        newcomer = "newcomer",
        sync_kept_clean = "sync kept clean",
        sync_reverted = "sync reverted",
        sync_late = "sync late",
        sync_sticky = "sync sticky",
        failing_write = "write",
        failing_preparation = "preparation",
        close = "close",
        dropped_handles = "drop",
        follower = "follower",
        reader = "reader",
        conflict = "conflict",
        increments = "increments",
        asynchronous = "asynchronous",
        truncation = "truncation",
        crash = "crash",
        recovery = "recovery",
    }
}

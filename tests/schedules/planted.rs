//! Testing the schedules: which of the planted bugs they find.
//!
//! Plants are global to the process, so they are planted one after the other in one test.

use std::panic::catch_unwind;

use jidoka::base::plant::{Plant, choose};
use jidoka::wal::rehearsal::{Rehearsed, rehearse};

use crate::kinds::{KINDS, run};

/// Schedules of one kind that a plant is looked for with.
const HUNT: usize = 4000;

/// Not a kind of schedules, but every order of events without threads. What takes four threads in
/// one order of millions, as the story of the newcomer, is found there at once.
const REHEARSAL: &str = "rehearsal";

/// The plants that schedules must find, with the kind that finds each first or best. Those that
/// need threads come first; the others show that the schedules check content too.
const HUNTS: &[(Plant, &str)] = &[
    (Plant::LeaderNotByGroup, REHEARSAL),
    (Plant::NextLeaderNotWoken, "rotation"),
    (Plant::FollowersLeftBehind, "write"),
    (Plant::FailedPreparationNotTold, "preparation"),
    (Plant::ClosingNotSeen, "close"),
    (Plant::ConditionBeforeRoom, "increments"),
    (Plant::KeeperNotTold, "close"),
    (Plant::ConflictToldEarly, "conflict"),
    (Plant::HandleNotWoken, "asynchronous"),
    (Plant::LogNotSynced, "rotation"),
    (Plant::AnsweredBeforeSync, "crash"),
    (Plant::VisibleTooEarly, "reader"),
    (Plant::OnlyLastSegmentSynced, "rotation"),
    (Plant::FailureForgotten, "sync kept clean"),
    (Plant::FailedSyncIgnored, "sync reverted"),
    (Plant::FailedSyncRetried, "sync kept clean"),
    (Plant::ClaimTooEarly, "follower"),
    (Plant::PageNotCarried, "mixed durability"),
    (Plant::SegmentNameNotSynced, "rotation"),
];

fn rehearsed(seed: usize) -> Rehearsed {
    let mut random = u64::try_from(seed).unwrap().wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    rehearse(150, &mut |bound| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 33).unwrap() % bound
    })
}

fn finds(kind: &str) -> bool {
    if kind == REHEARSAL {
        return catch_unwind(|| (0..HUNT).map(rehearsed).count()).is_err();
    }
    let kind = KINDS.iter().find(|one| one.0 == kind).unwrap();
    catch_unwind(|| run(kind, HUNT)).is_err()
}

#[test]
fn every_planted_bug_of_threads_is_found_by_a_schedule() {
    let unlisted: Vec<_> = Plant::ALL
        .iter()
        .filter(|plant| plant.needs_threads() && HUNTS.iter().all(|hunt| hunt.0 != **plant))
        .collect();
    assert!(unlisted.is_empty(), "{unlisted:?} need threads, and no schedule looks for them");
    assert!(
        !finds(REHEARSAL) && KINDS.iter().all(|kind| !finds(kind.0)),
        "a kind fails without a plant"
    );
    let mut missed = Vec::new();
    for (plant, kind) in HUNTS {
        choose(Some(*plant));
        let kinds = if std::env::var_os("JIDOKA_EVERY_KIND").is_some() {
            KINDS.iter().map(|kind| kind.0).chain([REHEARSAL]).collect()
        } else {
            vec![*kind]
        };
        let found: Vec<_> = kinds.into_iter().filter(|kind| finds(kind)).collect();
        println!("{:28} {}", plant.name(), found.join(", "));
        if found.is_empty() {
            missed.push(*plant);
        }
    }
    choose(None);
    assert_eq!(missed, [], "the schedules do not see these");
}

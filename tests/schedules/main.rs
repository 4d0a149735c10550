//! The shipped commit protocol under a scheduler that tries orders of its threads.
//!
//! Each schedule runs three or more committers on the in-memory disk, and counts only with a
//! rotation or a fault in it. It checks what was acknowledged against what is there afterwards,
//! after power cuts in the middle too. A lost wake-up shows as a deadlock, which the scheduler
//! reports with the schedule that replays it. `JIDOKA_SCHEDULES` says how many schedules each kind
//! tries. With the feature `planted-bugs` the schedules themselves are tested instead.
#![expect(clippy::unwrap_used, reason = "a schedule that cannot go on panics")]

mod asynchronous;
mod closing;
mod committers;
mod conflicts;
mod crashing;
mod faults;
mod following;
mod kinds;
#[cfg(feature = "planted-bugs")]
mod planted;
mod recovering;
mod rotation;
mod truncating;

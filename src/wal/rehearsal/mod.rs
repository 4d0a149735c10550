//! The commit protocol without threads and without a disk: every order of its events.
//!
//! What the threads of `commit` and `keeper` do between two moments at which they let go of the
//! append lock is one event here: append, take a group, write a piece, sync a segment, finish,
//! wake. [`rehearse`] plays the shipped `group`, `turn` and `keeper` decisions in any order that
//! its caller chooses, from a seed or from the bytes of a fuzzer, and asserts after each event:
//!
//! - nobody is answered before the write, or the sync, that the answer stands for, and never out
//!   of order (C1, C2, G1);
//! - the same place is never written with other bytes (G2), and a claim names only what a sync had
//!   returned for (G3);
//! - after a failure nothing completes any more, and everybody is told what they should be (G4);
//!   beside a panic only the group in the kernel does;
//! - when nothing more can happen, nobody waits, and no asynchronous commit is left (T1, T2).
//!
//! Left to the schedules of threads: the locks, the condition variables, and the conditions.

mod alone;
mod disk;
mod people;
mod play;

pub use people::Rehearsed;
pub use play::rehearse;

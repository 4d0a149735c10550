//! Locks, condition variables and atomics: the one place that names their implementation.
//!
//! `parking_lot` because a panic under a lock must not turn into a second error everywhere else:
//! a broken invariant poisons the log by its own rule, not by the lock's.

pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
pub use std::sync::atomic;

//! Locks, condition variables and atomics: the one place that names their implementation.
//!
//! `parking_lot` because a panic under a lock must not turn into a second error everywhere else:
//! a broken invariant poisons the log by its own rule, not by the lock's. With the feature
//! `shuttle` the same code runs under a scheduler that tries orders of threads, and with `loom`
//! its atomics under a model of memory that tries every order of loads and stores.

#[cfg(not(feature = "shuttle"))]
pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(not(any(feature = "shuttle", feature = "loom")))]
pub use std::sync::atomic;

#[cfg(feature = "shuttle")]
pub use super::scheduled::{Condvar, Mutex, MutexGuard, RwLock, Waited};
#[cfg(all(feature = "loom", not(feature = "shuttle")))]
pub use loom::sync::atomic;
#[cfg(feature = "shuttle")]
pub use shuttle::sync::atomic;

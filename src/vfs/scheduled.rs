//! The locks of [`super::sync`] on a scheduler that decides every order, with the same signatures.
//!
//! A thread that panics ends the schedule, so a poisoned lock is only ever seen on the way out.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::time::Duration;

use shuttle::rand::RngCore;
use shuttle::sync as inner;

/// A lock.
#[derive(Default)]
pub struct Mutex<T>(inner::Mutex<T>);

impl<T> Mutex<T> {
    /// A lock over `value`.
    pub const fn new(value: T) -> Self {
        Self(inner::Mutex::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        MutexGuard { lock: self, held: Some(held) }
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

/// A held lock.
pub struct MutexGuard<'a, T> {
    lock: &'a Mutex<T>,
    /// `None` only while the lock is lent out.
    held: Option<inner::MutexGuard<'a, T>>,
}

impl<T> MutexGuard<'_, T> {
    /// Runs `body` with the lock released.
    pub fn unlocked<U>(guard: &mut Self, body: impl FnOnce() -> U) -> U {
        guard.held = None;
        let done = body();
        guard.held = Some(guard.lock.0.lock().unwrap_or_else(PoisonError::into_inner));
        done
    }

    const fn held(&self) -> &inner::MutexGuard<'_, T> {
        match &self.held {
            Some(held) => held,
            None => unreachable!(),
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.held {
            Some(held) => held,
            None => unreachable!(),
        }
    }
}

impl<T> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MutexGuard")
    }
}

/// How a timed wait ended.
#[derive(Clone, Copy, Debug)]
pub struct Waited {
    over: bool,
}

impl Waited {
    /// Whether the time was over first.
    #[must_use]
    pub const fn timed_out(self) -> bool {
        self.over
    }
}

/// Whether the time of a timed wait is over first: one time in two.
pub(super) fn time_is_over() -> bool {
    shuttle::rand::thread_rng().next_u64() & 1 == 1
}

/// A condition variable.
#[derive(Default)]
pub struct Condvar(inner::Condvar);

impl Condvar {
    /// With nobody waiting.
    #[must_use]
    pub const fn new() -> Self {
        Self(inner::Condvar::new())
    }

    /// Waits until told.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        if let Some(held) = guard.held.take() {
            guard.held = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Waits until told or until the time is over, which the schedule decides. One time in two it
    /// never is, so that whoever counts on being told is found out.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _time: Duration) -> Waited {
        let over = time_is_over();
        if over {
            MutexGuard::unlocked(guard, shuttle::thread::yield_now);
        } else {
            self.wait(guard);
        }
        Waited { over }
    }

    /// Wakes one.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar")
    }
}

/// A lock that many may read under.
#[derive(Default)]
pub struct RwLock<T>(inner::RwLock<T>);

impl<T> RwLock<T> {
    /// A lock over `value`.
    pub const fn new(value: T) -> Self {
        Self(inner::RwLock::new(value))
    }

    /// Waits until nobody writes.
    pub fn read(&self) -> inner::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody reads or writes.
    pub fn write(&self) -> inner::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RwLock")
    }
}

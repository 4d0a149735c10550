//! Threads: the one place that starts them.
#![expect(clippy::disallowed_methods, reason = "the one place that may start threads")]

use std::io;
use std::thread::{Builder as OsBuilder, Scope, ScopedJoinHandle};
use std::time::Duration;

#[cfg(not(feature = "shuttle"))]
use OsBuilder as Builder;
#[cfg(feature = "shuttle")]
use shuttle::thread::Builder;

/// A started thread.
#[cfg(feature = "shuttle")]
pub type JoinHandle<T> = shuttle::thread::JoinHandle<T>;
/// A started thread.
#[cfg(not(feature = "shuttle"))]
pub type JoinHandle<T> = std::thread::JoinHandle<T>;

/// Which thread.
#[cfg(feature = "shuttle")]
pub type ThreadId = shuttle::thread::ThreadId;
/// Which thread.
#[cfg(not(feature = "shuttle"))]
pub type ThreadId = std::thread::ThreadId;

/// The caller's thread.
#[must_use]
pub fn current_id() -> ThreadId {
    #[cfg(feature = "shuttle")]
    return shuttle::thread::current().id();
    #[cfg(not(feature = "shuttle"))]
    std::thread::current().id()
}

/// Starts a thread called `name`.
///
/// # Errors
/// When the operating system refuses another thread.
pub fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.to_owned()).spawn(body)
}

/// Starts a thread called `name` that ends before `scope` does.
///
/// # Errors
/// When the operating system refuses another thread.
pub fn spawn_scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    body: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    OsBuilder::new().name(name.to_owned()).spawn_scoped(scope, body)
}

/// Whether the caller's thread is being unwound by a panic.
#[must_use]
pub fn is_panicking() -> bool {
    std::thread::panicking()
}

/// Waits; for the shells of programs and tests, never for the engine.
pub fn sleep(time: Duration) {
    std::thread::sleep(time);
}

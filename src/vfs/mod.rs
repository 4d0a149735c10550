//! The one seam (L7): files, time, randomness, threads and locks are reached only through here.
//!
//! [`Vfs`] and [`File`] state the durability contract of every call; [`os`] is the operating
//! system's answer to it, and `memory` (feature `sim`) a disk that can lose what no sync made
//! durable. [`Runtime`] bundles the disk with a clock, a source of randomness and the choice
//! between background threads and steps. [`sync`] and [`thread`] name the locks and threads.
//!
//! Nothing above this floor names `std::fs`, a clock, a thread or a lock of `std`.

mod fs;
mod aligned;
#[cfg(any(test, target_os = "linux"))]
mod counters;
pub mod gate;
#[cfg(any(test, feature = "sim"))]
pub mod memory;
#[cfg(any(test, target_os = "linux"))]
mod mounts;
pub mod os;
mod replace;
mod runtime;
#[cfg(feature = "shuttle")]
mod scheduled;
pub mod sync;
pub mod thread;

pub use fs::{DirEntry, File, FileExt, Lock, OpenMode, Reading, Vfs};
pub use replace::replace_file;
pub use runtime::{Background, Clock, Rng, Runtime};

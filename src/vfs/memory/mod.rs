//! A disk in memory that can lose what no sync made durable, fail as told, and be looked at.
//!
//! # Live, durable, pending
//! Every file and directory has a *live* state, which calls see, and a *durable* state, which a
//! power cut leaves. Between them lie the *pending* changes, each a [`Unit`] with a number: one
//! per 512-byte sector a write touches, one per change of a size, one per change of a name. A
//! sync of a file makes its sectors and size durable and never its name; a sync of a directory
//! makes the names in it durable and never what they name.
//!
//! # Crashes
//! A power cut keeps *any* subset of the pending units, and that is what
//! [`MemoryVfs::crash`] builds: a new disk holding the durable state and the units that the
//! caller lets survive. [`CrashMode`] names the subsets that find most ordering bugs. The end of
//! a process without a power cut is [`MemoryVfs::kill`]: live and pending stay what they are.
//! Rules for units that survive without an earlier one they were built on:
//!
//! - A sector shows its newest surviving version. A version is the whole sector, so it carries
//!   the earlier changes of that sector with it.
//! - The size is the newest surviving one; sectors beyond it are cut and missing ones are zero.
//!   A surviving truncation also cuts what the versions before it wrote.
//! - A surviving creation takes its name even if the removal of an earlier file of that name did
//!   not survive. A rename that does not find its file under the old name is skipped.
//!
//! Zeros written over zeros make no unit: nothing a crash could leave tells them apart.
//!
//! # Faults
//! A [`Fault`] is data: which operation, what happens, once or from then on. The four ways in
//! which a sync is known to fail are [`SyncFailure`].
//!
//! # Cost
//! Sectors are shared between a disk and its crash images, in chunks of 64, and so are the files
//! and directories without pending changes: an image costs a pointer per file and the chunks that
//! pending units touch, never a copy of the bytes. Everything is ordered and seeded, so a run
//! that asks the same questions gets the same answers.

mod chance;
mod crash;
mod directory;
mod disk;
mod fault;
mod handle;
mod inode;
mod observer;
mod sectors;
mod simulated;
#[cfg(test)]
mod support;
mod tree;
mod view;

#[cfg(feature = "sim")]
pub(crate) use chance::draw;
pub use crash::{CrashMode, Unit, UnitKind};
pub use disk::MemoryVfs;
pub use fault::{Fault, FaultKind, Selector, SyncFailure};
pub use observer::{Observer, Operation, OperationKind};
pub use simulated::{SimClock, SimRng, runtime};

//! Looking after a store: what operators do with its files and documents.
//!
//! Each file is one job, as a function that the command line, a server or an embedder calls:
//! [`import()`] brings documents in from files and folders, [`export()`] writes them out, and
//! [`verify()`] reads every byte and checks everything that is written down, without opening the
//! store and without changing it; [`salvage()`] cuts a damaged log where its damage begins.
//! [`inspect()`] says what one file is, and [`mod@bench`] what the store costs beside the disk.
//!
//! An import is repeatable: what is there already is counted as present, what is there with other
//! content is refused and never overwritten, and each chunk of documents is in or not.

pub mod bench;
mod export;
mod import;
mod inspect;
mod salvage;
mod verify;

pub use crate::wal::{Damage, Loss, SalvageReport};
pub use export::{Format, export};
pub use import::{ImportOptions, ImportReport, Refused, import, import_files};
pub use inspect::{Inspected, inspect};
pub use salvage::salvage;
pub use verify::{VerifyReport, verify};

//! Looking after a store: what an operator does to it from outside.
//!
//! [`verify()`] reads every byte and checks everything that is written down, without opening the
//! store and without changing it.

mod verify;

pub use crate::wal::Damage;
pub use verify::{VerifyReport, verify};

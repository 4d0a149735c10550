//! The command line: what scripts, other programs and people call.
//!
//! [`main`] reads the arguments (`args`), runs one of the `commands`, and turns what came of it
//! into an exit code (`run`). A command is a file with its arguments and one function, which gets
//! a `Context`: where the store is, who acts, and where results go. `output` is the only file
//! that knows standard output and standard error; `time` is the only one that spells times.
//!
//! Names, fields and exit codes are a contract with programs that nobody here knows: adding is
//! free, changing needs a decision. Only results go to standard output; a reader that closes it
//! ends the command quietly.

mod args;
mod commands;
mod context;
mod files;
#[cfg(feature = "sim")]
mod lab;
mod output;
mod run;
mod size;
mod time;

#[cfg(feature = "sim")]
pub use lab::{Lab, LabReport, LabRequest};
pub use run::main;
#[cfg(feature = "sim")]
pub use run::main_with_lab;

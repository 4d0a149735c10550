//! The crash lab: attacks the whole store on a disk that can lose everything no sync made durable.
//!
//! A [`Case`] is data: a configuration, a list of operations, faults. It comes from a seed, or
//! from a file to replay. [`run_case`] plays it on the in-memory disk; after *every* operation of
//! the disk it takes crash images, reopens each, and has the oracle compare what is there with
//! what was submitted and answered; recoveries are crashed again at each of *their* operations. A
//! failure carries its rule, its place and its case, and is reduced to a smaller case of the same
//! class by [`shrink`].
//!
//! Nothing here is random by itself: every choice is a function of the seed and of the operation
//! it belongs to, so that leaving an operation out does not move the others, and the same case
//! always gives the same trace.
//!
//! `sim` sees every floor, and no floor sees it: the program hands [`lab`] to the command line.

mod alone;
mod atlas;
mod attack;
mod case;
mod copies;
mod damage;
mod generate;
#[cfg(feature = "planted-bugs")]
mod hunt;
mod image;
#[cfg(feature = "cli")]
mod lab;
mod legal;
mod lives;
mod misplaced;
mod model;
mod oracle;
mod report;
mod rest;
mod run;
mod shrink;
mod submit;
mod sweep;
mod tables;
mod tell;
mod write;

pub use atlas::{Atlas, Consequence, SectorFault, Zone, allowed, atlas, atlas_page};
pub use attack::{AttackSettings, attack, attack_seed};
pub use case::{Action, Case, Config, FaultSpec, Part, PartKind, Step, TableConfig};
pub use damage::{Damaged, Level, damage};
pub use generate::{generate, long_walk};
#[cfg(feature = "planted-bugs")]
pub use hunt::{Found, Hunt};
#[cfg(feature = "cli")]
pub use lab::lab;
pub use oracle::{Failure, Rule};
pub use report::{Counts, marks_missing};
pub use rest::Rest;
pub use run::{run_case, trace_case};
pub use shrink::shrink;

//! Salvage: cutting a damaged log where its damage begins, on request only.
//!
//! Opening refuses damage, for whoever reads on would miss commits without knowing it (L4). When
//! there is no copy to restore, an operator may prefer what is before the damage to nothing. This
//! is the only code that takes something acknowledged out of a log, so it goes in this order:
//!
//! 1. `find` reads the log and says what would be kept and lost, and `behind` which commits before
//!    the damage were taken back behind it; without leave it ends here;
//! 2. `quarantine` copies everything that will go, durable under its name;
//! 3. the [`plan`] is put into the log's directory: from here on opening refuses the log as one
//!    whose salvage did not end (case @P);
//! 4. `steps` replaces the segment of the cut by what is kept of it, removes those behind it, and
//!    raises the term;
//! 5. the plan goes, and the log ends like one that a crash ended. Opening it does the rest.
//!
//! `!` A crash before 3 leaves the damaged log; one after it leaves a log that is refused until a
//! salvage carried out the same plan again, each step of which may be repeated.
//!
//! The term is raised because LSNs that were lost are given again: a copy that holds the lost
//! commits meets another chain there and says that the history diverged.

mod behind;
mod find;
pub mod plan;
mod quarantine;
mod steps;

pub use find::Loss;
pub(super) use find::refuse_another_version;
pub use quarantine::QUARANTINE;
pub use steps::{SalvageReport, salvage_log, salvage_log_if};

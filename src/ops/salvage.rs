//! Salvage: what is before the damage of a store, when there is no copy to restore.

use std::path::Path;

use crate::base::Result;
use crate::store::Store;
use crate::vfs::Runtime;
use crate::wal::{SalvageReport, salvage_log};

/// Cuts the damaged log of the store in `dir` where the damage begins, keeps what it takes out in
/// `quarantine/`, and opens and closes the store; unless `carry_out`, only says what it would do.
///
/// # Durability
/// As [`salvage_log`]: a crash never leaves a store that opens with less than what is here or in
/// quarantine.
///
/// # Errors
/// As [`salvage_log`], and as [`StoreBuilder::open`](crate::store::StoreBuilder::open) when the
/// store still cannot be opened: `Corrupt` is then for another salvage.
///
/// # Cost
/// Reads the log three times.
pub fn salvage(dir: &Path, runtime: &Runtime, carry_out: bool) -> Result<SalvageReport> {
    let report = salvage_log(dir, runtime, carry_out)?;
    if report.done {
        let builder = Store::builder(dir).create(false).runtime(runtime.clone());
        builder.open()?.close()?;
    }
    Ok(report)
}

//! Salvage: what is before the damage of a store, when there is no copy to restore.

use std::path::Path;

use crate::base::{Error, ErrorKind, Result};
use crate::manifest::{Checkpoint, ManifestRead};
use crate::store::Store;
use crate::vfs::Runtime;
use crate::wal::segment::parse_file_name;
use crate::wal::{SalvageReport, salvage_log_if};

/// Cuts the damaged log of the store in `dir` where the damage begins, keeps what it takes out in
/// `quarantine/`, and opens and closes the store; unless `carry_out`, only says what it would do.
///
/// A log is never cut before the checkpoint of the manifest: what is left of it would have a hole
/// between the tables and the commits to come. Nothing else of the store is touched.
///
/// # Durability
/// As [`salvage_log_if`]: a crash never leaves a store that opens with less than what is here or in
/// quarantine.
///
/// # Errors
/// As [`salvage_log_if`], and as [`StoreBuilder::open`](crate::store::StoreBuilder::open) when the
/// store still cannot be opened: `Corrupt` is then for another salvage. `Corrupt` before anything
/// is changed when the manifest is damaged, or the damage is before its checkpoint.
///
/// # Cost
/// Reads the log three times.
pub fn salvage(dir: &Path, runtime: &Runtime, carry_out: bool) -> Result<SalvageReport> {
    let report = salvage_log_if(dir, runtime, carry_out, &mut |identity, report| {
        let read = ManifestRead::open(dir, runtime, identity.store_id)?;
        refuse_before(read.state().checkpoint(), report)
    })?;
    if report.done {
        let builder = Store::builder(dir).create(false).runtime(runtime.clone());
        builder.open()?.close()?;
    }
    Ok(report)
}

/// Refuses to end the log before `checkpoint`, and says what to do instead.
fn refuse_before(checkpoint: &Checkpoint, report: &SalvageReport) -> Result<()> {
    let (kept, lsn) = (report.kept, checkpoint.position.lsn);
    let Some(damage) = report.damage.as_ref().filter(|_| kept < lsn) else { return Ok(()) };
    let name = damage.path.file_name().unwrap_or_default().to_string_lossy();
    let is_unneeded = parse_file_name(&name).is_some_and(|number| number < checkpoint.segment);
    let advice = if is_unneeded {
        "the store opens without this part of the log, and `checkpoint --log-kept needed` lets go \
         of it"
    } else {
        "a log that ends before them would leave a hole; restore a copy"
    };
    let what = format!(
        "{}; tables hold every commit up to {lsn}, and the log would be cut after {kept}: {advice}",
        damage.what
    );
    let error = Error::new(ErrorKind::Corrupt, what).at_path(&damage.path);
    Err(error.at_offset(damage.offset.unwrap_or_default()).at_lsn(kept.next()))
}

//! Back in time: the store is checked, copied, and rebuilt as it was before the crash.

use std::path::Path;

use crate::archive::{RestoreRequest, Target, backup, restore};
use crate::base::{Error, ErrorKind, Lsn, Result};
use crate::cli::context::Context;
use crate::doc::Sha256;
use crate::ops::verify;

/// A commit, and the digest of everything as it was then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) lsn: Lsn,
    pub(super) digest: Sha256,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past {
    /// Records that were checked.
    pub(super) records: u64,
    pub(super) copied_bytes: u64,
    pub(super) copied_to: Lsn,
}

/// The store's content now.
pub(super) fn moment(context: &mut Context) -> Result<Moment> {
    context.with_store(|_, documents| {
        let (digest, _) = documents.digest()?;
        Ok(Moment { lsn: documents.store().visible(), digest })
    })
}

/// Verifies the store, copies it, and rebuilds `then` from the copy, in directories below `dir`.
pub(super) fn go_back(context: &mut Context, dir: &Path, then: Moment) -> Result<Past> {
    let checked = verify(&context.store, &context.runtime, false)?;
    if let Some(damage) = checked.damage.first() {
        return Err(Error::new(ErrorKind::Corrupt, damage.what.clone()).at_path(&damage.path));
    }
    let records = checked.checked.iter().find(|(name, _)| *name == "records");
    let copy = dir.join("copy");
    let copied = backup(&context.store, &copy, &context.runtime)?;
    let request = RestoreRequest {
        from: copy,
        to: dir.join("then"),
        target: Target::Lsn(then.lsn),
        exclusive: false,
        dry_run: false,
    };
    restore(&request, &context.runtime)?;
    let now = std::mem::replace(&mut context.store, request.to);
    let rebuilt = moment(context)?;
    context.store = now;
    if rebuilt.digest != then.digest {
        let what = "the store rebuilt from its copy is not what it was; report this";
        return Err(Error::new(ErrorKind::Bug, what).at_lsn(then.lsn));
    }
    Ok(Past {
        records: records.map_or(0, |(_, count)| *count),
        copied_bytes: copied.bytes_copied,
        copied_to: copied.to_lsn,
    })
}

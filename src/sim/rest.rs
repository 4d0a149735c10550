//! Stores at rest, closed or idle, and what damage to one may come to.

use std::path::Path;

use crate::base::{Error, ErrorKind, Lsn};
use crate::doc::Documents;
use crate::vfs::memory::{Fault, MemoryVfs, draw};

use super::atlas::Consequence;
use super::case::{Action, Case, Config, STORE};
use super::image::{Stop, open};
use super::model::{Model, observe};
use super::oracle::{Failure, Rule};
use super::report::Counts;

/// How the store of a sweep over damaged bytes comes to rest.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It is closed.
    Closed,
    /// Its process ends after its background work is done.
    Idle,
}

/// Every so many bytes of a store at rest one is damaged in three ways: the content, or an error
/// with a place.
pub(super) fn corruption(
    seed: u64,
    rest: Rest,
    stride: u64,
    counts: &mut Counts,
) -> Option<(Case, Failure)> {
    let mut case = super::generate(seed, 30);
    case.steps.retain(|step| {
        use Action::{Checkpoint, Compact, Sync, Write};
        matches!(step.action, Write { .. } | Sync | Checkpoint | Compact)
    });
    case.faults.clear();
    let (disk, content) = match store_at_rest(&case, rest, &MemoryVfs::new(), None) {
        Ok(found) => found,
        Err(failure) => return Some((case, failure)),
    };
    for (path, size) in disk.files() {
        if path.ends_with("LOCK") {
            continue;
        }
        for offset in (seed % stride.max(1)..size).step_by(usize::try_from(stride).unwrap_or(1)) {
            for mask in [1 << (draw(seed, offset) % 8), 0xff, 0x5a] {
                let damaged = disk.kill();
                if damaged.flip(&path, offset, mask).is_err() {
                    continue;
                }
                counts.damaged += 1;
                let site = format!("{} byte {offset} mask {mask:#x}", path.display());
                let came = consequence(&damaged, &case.config, content).and_then(|came| {
                    let is_refused = came == Consequence::Refused && mask == 0xff;
                    if !is_refused {
                        Ok(())
                    } else {
                        mended(&damaged, (&path, offset), &disk, &case, content)
                    }
                });
                if let Err(detail) = came {
                    return Some((case, Failure::new(Rule::R8, site, detail)));
                }
            }
        }
    }
    None
}

/// Opens a damaged store that held `content`: whether it was refused with a place, or shows all of
/// it; anything else is told.
pub(super) fn consequence(
    damaged: &MemoryVfs,
    config: &Config,
    content: (Lsn, u64),
) -> Result<Consequence, String> {
    let opened = open(damaged, 7, config);
    let seen = match opened {
        Ok(docs) => match observe(&docs) {
            Ok(shown) if shown == content => Ok(Consequence::Equal),
            Ok(shown) => Err(format!("showed {shown:?} instead of {content:?}")),
            // Of a table little is read before it is asked for.
            Err(error) => refused(&error),
        },
        Err(Stop::Error(error)) => refused(&error),
        Err(Stop::Panic(what)) => Err(what),
    };
    damaged.halt();
    seen
}

/// Damage is told with its place.
fn refused(error: &Error) -> Result<Consequence, String> {
    let told = error.place().path.is_some() && error.place().offset.is_some();
    let kind = error.kind();
    if told && matches!(kind, ErrorKind::Corrupt | ErrorKind::Unsupported) {
        return Ok(Consequence::Refused);
    }
    Err(format!("{kind} without a place: {error}"))
}

/// Puts a byte back of what is beside the log: a store that was refused for it has lost nothing.
fn mended(
    refused: &MemoryVfs,
    (path, offset): (&Path, u64),
    whole: &MemoryVfs,
    case: &Case,
    content: (Lsn, u64),
) -> Result<(), String> {
    let byte = |disk: &MemoryVfs| {
        let bytes = disk.read_file(path).ok()?;
        bytes.get(usize::try_from(offset).ok()?).copied()
    };
    let mended = refused.kill();
    let in_the_log = path.starts_with(Path::new(STORE).join("wal"));
    if let (Some(is), Some(was), false) = (byte(&mended), byte(whole), in_the_log) {
        mended.flip(path, offset, is ^ was).map_err(|error| error.to_string())?;
        let came = consequence(&mended, &case.config, content)?;
        if came != Consequence::Equal {
            return Err("refused also when the byte was put back".to_owned());
        }
    }
    Ok(())
}

/// Makes the store of a case and leaves it at rest, with `fault` from its opening on; gives its
/// disk and what it shows.
pub(super) fn store_at_rest(
    case: &Case,
    rest: Rest,
    disk: &MemoryVfs,
    fault: Option<Fault>,
) -> Result<(MemoryVfs, (Lsn, u64)), Failure> {
    let fail = |detail: String| Failure::new(Rule::R11, "corruption sweep", detail);
    let docs = open(disk, case.seed, &case.config).map_err(|stop| fail(stop.to_string()))?;
    fault.into_iter().for_each(|fault| disk.plan(fault));
    let mut model = Model::default();
    for step in &case.steps {
        if let Action::Write { parts, .. } = &step.action
            && let Ok(next) = model.after(step.id, parts)
        {
            let operations = model.operations(step.id, parts);
            docs.apply(&operations, &crate::doc::WriteOptions::default())
                .map_err(|error| fail(error.to_string()))?;
            model = next;
        }
        let done = match &step.action {
            Action::Checkpoint => docs.store().checkpoint(),
            Action::Compact => docs.store().compact(),
            _ => Ok(()),
        };
        done.map_err(|error| fail(error.to_string()))?;
    }
    leave(&docs, rest, disk).map_err(|error| fail(error.to_string()))
}

/// Leaves a store at rest; gives its disk and what it shows.
pub(super) fn leave(
    docs: &Documents,
    rest: Rest,
    disk: &MemoryVfs,
) -> crate::base::Result<(MemoryVfs, (Lsn, u64))> {
    let shown = observe(docs)?;
    if rest == Rest::Closed {
        docs.store().close()?;
    } else {
        while docs.store().step()? {}
    }
    let left = disk.kill();
    disk.halt();
    debug_assert!(left.files().iter().any(|(path, _)| path.starts_with(STORE)));
    Ok((left, shown))
}

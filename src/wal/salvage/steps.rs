//! Carrying a salvage out. Each step may be done again by the next attempt.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::codec::{to_u64, to_usize};
use crate::base::limits::PAGE;
use crate::base::{Error, ErrorKind, Lsn, Result, SegmentNumber, Term};
use crate::vfs::{File, FileExt, Lock, OpenMode, Runtime, replace_file};
use crate::wal::create::publish_identity;
use crate::wal::first::First;
use crate::wal::identity::Identity;
use crate::wal::open::{existing_identity, take_lock};
use crate::wal::overlaid::Overlaid;
use crate::wal::present::{SALVAGE_BEGUN, segments_present};
use crate::wal::saved::SavedTail;
use crate::wal::segment::{DIR_NAME, SegmentDir, cannot_read, file_name, shown_path};
use crate::wal::survey::Damage;

use super::find::{Found, Loss, begun, find};
use super::plan::{FILE_NAME, Plan};
use super::quarantine;

/// What a salvage did, or would do.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SalvageReport {
    /// What is wrong with the log; `None` when nothing is for a salvage to mend.
    pub damage: Option<Damage>,
    /// The last commit that is kept.
    pub kept: Lsn,
    /// What is not.
    pub loss: Loss,
    /// Where that was kept, relative to the store, once it was.
    pub quarantine: Option<PathBuf>,
    /// The era that the store writes in from then on.
    pub term: Term,
    /// Whether it was carried out.
    pub done: bool,
}

impl SalvageReport {
    fn new(damage: Damage, plan: &Plan) -> Self {
        let quarantine = (plan.quarantine > 0).then(|| quarantine::shown(plan.quarantine));
        let (kept, term, loss) = (plan.kept, plan.term, Loss::from(plan));
        Self { damage: Some(damage), kept, loss, quarantine, term, done: false }
    }
}

/// Cuts the log of the store in `dir` where its damage begins, if there is damage; unless
/// `carry_out`, only says what would be done. What is taken out is copied to `quarantine/` first.
///
/// The log then ends as after a crash, and the next open ends it legally. It writes in a new term,
/// so that a copy which holds the lost commits is never taken for one of the same history.
///
/// # Durability
/// After `Ok` the copies and the cut survive a power cut. A crash in the middle leaves the damaged
/// log, or one that is refused until a salvage was carried out again; never a shorter log that
/// opens while what it lost is not in quarantine.
///
/// # Errors
/// - `NotFound`: there is no store. `Locked`: a writer holds it.
/// - `Corrupt`: the identity file is damaged or missing, or a name of the store's is no file.
/// - `Full`, `ReadOnly`, `Io`, `Unsupported`. Nothing is lost, and it can be carried out again.
///
/// # Cost
/// Reads the log twice; writes what it takes out once, and one segment.
pub fn salvage_log(dir: &Path, runtime: &Runtime, carry_out: bool) -> Result<SalvageReport> {
    salvage_log_if(dir, runtime, carry_out, &mut |_, _| Ok(()))
}

/// [`salvage_log`], which asks `permit` before anything is changed, with who the store is and what
/// would be done: for who knows what the log must keep.
///
/// # Errors
/// As [`salvage_log`], and what `permit` says: then nothing was changed.
pub fn salvage_log_if(
    dir: &Path,
    runtime: &Runtime,
    carry_out: bool,
    permit: &mut dyn FnMut(&Identity, &SalvageReport) -> Result<()>,
) -> Result<SalvageReport> {
    let identity = existing_identity(dir, runtime)?;
    let _lock = keep_writers_away(dir, runtime, carry_out)?;
    let segments = SegmentDir::of_store(dir, runtime, &identity);
    let (damage, plan) = match begun(&segments)? {
        Some(plan) => {
            permit(&identity, &SalvageReport::new(interrupted(), &plan))?;
            (interrupted(), plan)
        }
        None => match find(dir, &segments, &identity)? {
            None => return Ok(SalvageReport::default()),
            Some(Found { damage, mut plan, files }) => {
                permit(&identity, &SalvageReport::new(damage.clone(), &plan))?;
                if !carry_out {
                    return Ok(SalvageReport::new(damage, &plan));
                }
                plan.quarantine = quarantine::keep(dir, runtime, &files)?;
                replace_file(runtime.vfs.as_ref(), &segments.path, FILE_NAME, &plan.encode())
                    .map_err(|error| Error::io("begin the salvage with", &shown_plan(), error))?;
                (damage, plan)
            }
        },
    };
    let mut report = SalvageReport::new(damage, &plan);
    if carry_out {
        let salvage = Salvage { dir, segments: &segments, plan: &plan };
        salvage.carry_out(identity)?;
        report.done = true;
    }
    Ok(report)
}

/// Who only looks may look at a directory that cannot be written.
fn keep_writers_away(
    dir: &Path,
    runtime: &Runtime,
    carry_out: bool,
) -> Result<Option<Box<dyn Lock>>> {
    match take_lock(dir, runtime) {
        Err(error) if error.kind() == ErrorKind::ReadOnly && !carry_out => Ok(None),
        lock => lock.map(Some),
    }
}

fn shown_plan() -> PathBuf {
    Path::new(DIR_NAME).join(FILE_NAME)
}

fn interrupted() -> Damage {
    let (path, offset) = (shown_plan(), Some(0));
    Damage { path, offset, lsn: None, what: SALVAGE_BEGUN.to_owned() }
}

struct Salvage<'a> {
    dir: &'a Path,
    segments: &'a SegmentDir,
    plan: &'a Plan,
}

impl Salvage<'_> {
    /// Steps 4 and 5 of the floor's page.
    fn carry_out(&self, identity: Identity) -> Result<()> {
        let vfs = self.segments.runtime.vfs.as_ref();
        let fail = |error| Error::io("cut the log in", Path::new(DIR_NAME), error);
        if !self.has_ended()? {
            let saved = Arc::new(SavedTail::load(self.segments)?);
            self.cut(&saved)?;
            if !self.plan.keeps_behind {
                self.write_saved(&saved)?;
                self.remove_behind()?;
                // It would lay what was cut over the segment again.
                SavedTail::remove(self.segments)?;
            }
            vfs.sync_dir(&self.segments.path).map_err(fail)?;
        }
        if identity.term < self.plan.term {
            let identity = Identity { term: self.plan.term, ..identity };
            publish_identity(self.dir, &self.segments.runtime, &identity)?;
        }
        vfs.remove(&self.segments.path.join(FILE_NAME)).map_err(fail)?;
        vfs.sync_dir(&self.segments.path).map_err(fail)
    }

    /// Whether the log went on after the cut. Then an earlier attempt came to its end, all but for
    /// the sync that takes its plan away, and a crash has brought the plan back: what is behind the
    /// cut was committed since.
    fn has_ended(&self) -> Result<bool> {
        let number = self.plan.segment.max(SegmentNumber(1));
        let fail = |error| cannot_read("read", &shown_path(number), error);
        let open = |path: PathBuf| match self.segments.runtime.vfs.open(&path, OpenMode::Read) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fail(error)),
        };
        let Some(now) = open(self.segments.file_path(number))? else { return Ok(false) };
        let kept = self.dir.join(quarantine::shown(self.plan.quarantine)).join(file_name(number));
        if let Some(kept) = open(kept)?
            && quarantine::is_kept(kept.as_ref(), now.as_ref()).map_err(fail)?
        {
            return Ok(false);
        }
        if self.plan.keeps_behind {
            return Ok(true);
        }
        let bytes = self.whole(now.as_ref()).map_err(fail)?;
        let from = to_usize(self.plan.keep_bytes.max(to_u64(PAGE)));
        Ok(bytes.get(from..).unwrap_or_default().iter().any(|byte| *byte != 0))
    }

    /// Replaces the segment of the cut by what is kept of it, with zeroes behind; without one,
    /// makes the first segment anew.
    fn cut(&self, saved: &Arc<SavedTail>) -> Result<()> {
        let number = self.plan.segment;
        if number == SegmentNumber(0) {
            First::forget(self.segments)?;
            return self.segments.prepare(SegmentNumber(1)).map(drop);
        }
        let mut bytes = self.read(number, saved)?;
        bytes.truncate(to_usize(self.plan.keep_bytes));
        bytes.resize(to_usize(self.segments.segment_bytes), 0);
        self.replace(number, &bytes)
    }

    /// Puts what a recovery had saved into the segments before the cut: it goes with the cut.
    fn write_saved(&self, saved: &Arc<SavedTail>) -> Result<()> {
        let before = saved.segments().filter(|number| *number < self.plan.segment);
        for number in before {
            let bytes = self.read(number, saved)?;
            self.replace(number, &bytes)?;
        }
        Ok(())
    }

    /// The bytes of a segment as the log says them.
    fn read(&self, number: SegmentNumber, saved: &Arc<SavedTail>) -> Result<Vec<u8>> {
        let fail = |error| cannot_read("read", &shown_path(number), error);
        let mut bytes = Vec::new();
        let opened = Overlaid::open(self.segments, number, OpenMode::Read, saved, &mut bytes);
        let file = opened.map_err(fail)?;
        file.read(0, &mut bytes, to_usize(file.size)).map_err(fail)?;
        Ok(bytes)
    }

    /// The bytes of a segment's file, no more than segments have.
    fn whole(&self, file: &dyn File) -> io::Result<Vec<u8>> {
        let size = file.size()?.min(self.segments.segment_bytes);
        let mut bytes = vec![0; to_usize(size)];
        let count = file.read_up_to(&mut bytes, 0)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    fn replace(&self, number: SegmentNumber, bytes: &[u8]) -> Result<()> {
        let vfs = self.segments.runtime.vfs.as_ref();
        replace_file(vfs, &self.segments.path, &file_name(number), bytes)
            .map_err(|error| Error::io("replace", &shown_path(number), error))
    }

    /// Removes every segment behind the one of the cut.
    fn remove_behind(&self) -> Result<()> {
        let last = self.plan.segment.max(SegmentNumber(1));
        for number in segments_present(self.segments)?.into_iter().filter(|one| *one > last) {
            let removed = self.segments.runtime.vfs.remove(&self.segments.file_path(number));
            removed.map_err(|error| Error::io("remove", &shown_path(number), error))?;
        }
        Ok(())
    }
}

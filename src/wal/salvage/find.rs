//! Finding out what a salvage keeps and what it loses. Reads only.

use std::path::{Path, PathBuf};

use crate::base::codec::{len_without_zeroes, to_u64};
use crate::base::limits::PAGE;
use crate::base::{Error, ErrorKind, Lsn, Result, SegmentNumber, Term};
use crate::vfs::{File, FileExt, OpenMode};
use crate::wal::first::{self, First};
use crate::wal::format::Kind;
use crate::wal::header::HeaderFault;
use crate::wal::identity::{self, Identity};
use crate::wal::open::observation;
use crate::wal::present::segments_present;
use crate::wal::recovery::{ChainSeen, Decision, FilesSeen, decide};
use crate::wal::saved;
use crate::wal::scan::Position;
use crate::wal::segment::{DIR_NAME, SegmentDir, cannot_read, parse_file_name, shown_path};
use crate::wal::survey::{Damage, survey_log};
use crate::wal::walk::{Walked, walk};

use super::behind::Behind;
use super::plan::Plan;

/// What a salvage takes out of a log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// The first commit that is lost, and the last that is known to be; `None` when none is known.
    pub commits: Option<(Lsn, Lsn)>,
    /// How many of them are intact in the quarantine.
    pub intact: u64,
    /// Bytes of log.
    pub bytes: u64,
}

impl From<&Plan> for Loss {
    fn from(plan: &Plan) -> Self {
        let commits = (plan.lost > plan.kept).then(|| (plan.kept.next(), plan.lost));
        Self { commits, intact: plan.lost_commits, bytes: plan.lost_bytes }
    }
}

/// What is to be done about a damaged log.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) damage: Damage,
    /// Without the number of its quarantine.
    pub(super) plan: Plan,
    /// What goes to quarantine, relative to the store.
    pub(super) files: Vec<PathBuf>,
}

/// Looks for damage in the log; `None` when opening it is all it needs.
///
/// # Errors
/// `Io`, `Unsupported`, `Corrupt` for a name that is no file: none of it is for a salvage.
pub(super) fn find(
    store: &Path,
    segments: &SegmentDir,
    identity: &Identity,
) -> Result<Option<Found>> {
    let mut ended_at = None;
    let walked = walk(segments, false, None, &mut |record| {
        ended_at = (record.header.kind == Kind::SegmentEnd).then_some(record.offset);
        Ok(())
    })?;
    walked.refuse_to_write()?;
    let (_, decision) = decide(&observation(FilesSeen::Records, &walked));
    let Some(told) = walked.damage.as_ref().filter(|_| decision == Decision::Damage) else {
        return Ok(None);
    };
    let damage = Damage {
        path: told.path.clone(),
        offset: Some(told.offset),
        lsn: Some(walked.position.lsn.next()),
        what: told.what.clone(),
    };
    let behind = look_behind(store, segments, &walked)?;
    let (segment, keep_bytes) = cut_of(&walked, ended_at, segments.segment_bytes);
    let cut = Cut { segment, keep_bytes, position: walked.position };
    let keeps_behind = walked.chain == ChainSeen::FileLong;
    let cut = if keeps_behind { cut } else { without_taken_back(segments, cut, &behind.records)? };
    let Cut { segment, keep_bytes, position } = cut;
    let lost = behind.records.last(position.lsn);
    let (kept, lost_commits) = if keeps_behind {
        (lost, 0)
    } else {
        (position.lsn, behind.records.commits_after(position.lsn))
    };
    let mut plan = Plan {
        store_id: segments.store_id,
        quarantine: 0,
        segment,
        keep_bytes,
        keeps_behind,
        // The era after every era there is; the last number is no legal one.
        term: Term(identity.term.max(behind.term).0.saturating_add(1).min(u64::MAX - 1)),
        kept,
        lost,
        lost_commits,
        lost_bytes: 0,
    };
    let files = count_bytes(segments, &mut plan)?;
    Ok(Some(Found { damage, plan, files }))
}

/// The last segment of which something is kept, and how much.
fn cut_of(walked: &Walked, ended_at: Option<u64>, segment_bytes: u64) -> (SegmentNumber, u64) {
    let tail = walked.kept.back();
    match walked.chain {
        ChainSeen::Whole | ChainSeen::TailShort => {
            tail.map_or_else(Default::default, |tail| (tail.segment.number, tail.end))
        }
        // Only what is too much goes.
        ChainSeen::FileLong => {
            let name = walked.damage.as_ref().and_then(|damage| damage.path.file_name());
            let number = name.and_then(|name| parse_file_name(&name.to_string_lossy()));
            (number.unwrap_or_default(), segment_bytes)
        }
        // The last end names what is lost: the log is ended anew in its place.
        _ => match (tail, ended_at) {
            (Some(tail), Some(offset)) => (tail.segment.number, offset),
            _ => Default::default(),
        },
    }
}

/// What is intact behind the damage, and the latest era of the log.
struct Seen {
    records: Behind,
    term: Term,
}

fn look_behind(store: &Path, segments: &SegmentDir, walked: &Walked) -> Result<Seen> {
    let mut seen = Seen { records: Behind::new(&walked.position), term: walked.position.term };
    survey_log(store, &segments.runtime, &mut |record| {
        seen.term = seen.term.max(record.header.term);
        seen.records.take(&record.header);
        Ok(())
    })?;
    Ok(seen)
}

/// Where the log is cut, and what is the last before it.
#[derive(Clone, Copy, Debug)]
struct Cut {
    segment: SegmentNumber,
    keep_bytes: u64,
    position: Position,
}

/// The same cut, or an earlier one where commits before it were taken back since.
fn without_taken_back(segments: &SegmentDir, mut cut: Cut, behind: &Behind) -> Result<Cut> {
    let mut floor = behind.floor();
    if floor < cut.position.lsn {
        cut = cut_after(segments, floor)?;
    }
    if let Some(furthest) = behind.contradicts(&cut.position) {
        floor = furthest;
        cut = cut_after(segments, floor)?;
    }
    Ok(cut)
}

/// Cuts where the log last stood at the commit `lsn`, or at one before it.
fn cut_after(segments: &SegmentDir, lsn: Lsn) -> Result<Cut> {
    let mut number = First::load(segments)?.segment;
    let mut cut = Cut { segment: SegmentNumber(0), keep_bytes: 0, position: Position::ORIGIN };
    walk(segments, false, None, &mut |record| {
        if record.header.kind == Kind::SegmentEnd {
            // It names what is lost: the log is ended anew in its place.
            number = number.next();
        } else if record.header.lsn <= lsn {
            let keep_bytes = record.offset + record.header.record_len();
            let position = Position::resume_after(&record.header);
            cut = Cut { segment: number, keep_bytes, position };
        }
        Ok(())
    })?;
    Ok(cut)
}

/// What goes to quarantine: the segment of the cut, all behind it that hold anything, what a
/// recovery had saved, and the identity, whose term is raised.
fn count_bytes(segments: &SegmentDir, plan: &mut Plan) -> Result<Vec<PathBuf>> {
    let mut files = vec![PathBuf::from(identity::FILE_NAME)];
    for number in segments_present(segments)? {
        let is_cut = number == plan.segment;
        if number < plan.segment || (plan.keeps_behind && !is_cut) {
            continue;
        }
        let fail = |error| cannot_read("read", &shown_path(number), error);
        let path = segments.file_path(number);
        let file = segments.runtime.vfs.open(&path, OpenMode::Read).map_err(fail)?;
        let end = content_end(file.as_ref()).map_err(fail)?;
        // A segment that was prepared and never used holds its header page and nothing else.
        if is_cut {
            plan.lost_bytes += end.saturating_sub(plan.keep_bytes);
        } else if end > to_u64(PAGE) {
            plan.lost_bytes += end;
        } else {
            continue;
        }
        files.push(shown_path(number));
    }
    let names = segments.runtime.vfs.list(&segments.path);
    let names = names.map_err(|error| cannot_read("list", Path::new(DIR_NAME), error))?;
    if names.iter().any(|entry| entry.name == saved::FILE_NAME) {
        files.push(Path::new(DIR_NAME).join(saved::FILE_NAME));
    }
    // What is made anew begins at segment 1, whatever the log began with.
    if plan.segment == SegmentNumber(0) && names.iter().any(|entry| entry.name == first::FILE_NAME)
    {
        files.push(Path::new(DIR_NAME).join(first::FILE_NAME));
    }
    Ok(files)
}

/// Bytes read at once.
pub(super) const CHUNK: usize = 1 << 20;

/// Where the last byte of a file ends that is not zero.
fn content_end(file: &dyn File) -> std::io::Result<u64> {
    let (mut chunk, mut offset, mut end) = (vec![0; CHUNK], 0, 0);
    loop {
        let count = file.read_up_to(&mut chunk, offset)?;
        if count == 0 {
            return Ok(end);
        }
        let used = len_without_zeroes(chunk.get(..count).unwrap_or_default());
        if used > 0 {
            end = offset + to_u64(used);
        }
        offset += to_u64(count);
    }
}

/// Refuses a salvage that another version began, which is that one's to end.
///
/// # Errors
/// `Unsupported`; what else is wrong with the plan is for whoever carries it out.
pub(in super::super) fn refuse_another_version(segments: &SegmentDir) -> Result<()> {
    match begun(segments) {
        Err(error) if error.kind() == ErrorKind::Unsupported => Err(error),
        _ => Ok(()),
    }
}

/// The plan of a salvage that was begun and did not end.
///
/// # Errors
/// `Io`; `Unsupported` when another version began it; `Corrupt` when it cannot be read.
pub(super) fn begun(segments: &SegmentDir) -> Result<Option<Plan>> {
    let shown = Path::new(DIR_NAME).join(super::plan::FILE_NAME);
    let path = segments.path.join(super::plan::FILE_NAME);
    // A newer version's may be longer, and must be told from a damaged one.
    let bytes = match segments.runtime.vfs.open(&path, OpenMode::Read) {
        Ok(file) => file.read_whole(to_u64(PAGE)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => Err(error),
    };
    let plan = match bytes {
        Ok(bytes) => match Plan::decode(&bytes) {
            Ok(plan) => Some(plan).filter(|plan| plan.store_id == segments.store_id),
            Err(HeaderFault::Damaged(_)) => None,
            Err(HeaderFault::Unsupported(what)) => {
                return Err(Error::new(ErrorKind::Unsupported, what).at_path(shown).at_offset(8));
            }
        },
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => None,
        Err(error) => return Err(cannot_read("read", &shown, error)),
    };
    plan.map(Some).ok_or_else(|| {
        let what = "the plan of a salvage that did not end cannot be read; put the files of the \
                    newest directory in quarantine back, remove it, and salvage again";
        Error::new(ErrorKind::Corrupt, what).at_path(shown).at_offset(0)
    })
}

//! The log against the manifest: it passes the checkpoint, and names edits that are there.

use std::path::Path;

use crate::base::{Lsn, Result, SegmentNumber};
use crate::manifest::{Checkpoint, EditId, ManifestRead};
use crate::wal::format::{Kind, decode_neighbour};
use crate::wal::scan::{Position, Record};
use crate::wal::{CheckpointMark, Survey};

use super::told::Told;

/// Follows the log past the checkpoint.
#[derive(Debug, Default)]
pub(super) struct Passing {
    /// The segment that is being read.
    segment: SegmentNumber,
    /// What the newest checkpoint's mark said.
    mark: Option<CheckpointMark>,
    /// The last record is that of a close in order.
    is_clean: bool,
    faults: Vec<(Lsn, &'static str)>,
}

impl Passing {
    pub(super) fn note(&mut self, record: &Record<'_>, checkpoint: &Checkpoint) {
        let header = &record.header;
        self.is_clean = header.kind == Kind::CleanClose;
        match header.kind {
            Kind::SegmentStart => {
                let before = decode_neighbour(record.payload);
                self.segment = before.map_or(self.segment, |(number, _)| number.next());
            }
            Kind::Checkpoint => self.mark = CheckpointMark::decode(record.payload),
            _ => {}
        }
        let Checkpoint { position, segment } = checkpoint;
        if position.lsn == Lsn::ZERO {
            return;
        }
        let is_there = header.seq == position.seq && header.kind != Kind::TruncateAfter;
        if is_there && Position::resume_after(header) != *position {
            let what = "the log is of another history than the manifest: it has another record \
                        where the checkpoint is";
            self.faults.push((header.lsn, what));
        }
        let is_behind = header.seq == position.seq.next();
        if (is_there && self.segment > *segment) || (is_behind && self.segment < *segment) {
            let what = "the checkpoint names another segment than the one that was written there";
            self.faults.push((header.lsn, what));
        }
    }

    /// Behind the last record.
    ///
    /// # Errors
    /// None of the manifest's: they are told.
    pub(super) fn finish(
        self,
        read: &ManifestRead,
        survey: &Survey,
        told: &mut Told,
    ) -> Result<()> {
        let wal = Path::new("wal");
        for (lsn, what) in self.faults {
            told.wrong(wal, (None, Some(lsn)), what);
        }
        let checkpoint = read.state().checkpoint().position.lsn;
        if checkpoint < survey.before {
            let before = survey.before;
            let what =
                format!("the log begins after commit {before}, and the checkpoint is before");
            told.wrong(&wal.join("FIRST"), (Some(0), Some(checkpoint)), what);
        }
        if checkpoint > survey.last {
            let last = survey.last;
            let what = format!("the log ends with commit {last}, and the checkpoint is behind it");
            told.wrong(wal, (None, Some(checkpoint)), what);
        }
        if let Some(mark) = self.mark {
            if mark.lsn > checkpoint {
                let what = "the log marks a later checkpoint than the manifest has";
                told.wrong(wal, (None, Some(mark.lsn)), what);
            }
            told.sound(read.expect(EditId { number: mark.edit, hash: mark.edit_hash }))?;
        }
        if self.is_clean && survey.torn_bytes == 0 {
            told.sound(read.expect_clean())?;
        }
        Ok(())
    }
}

//! The only writes and syncs of the commit path.

use crate::base::codec::to_u64;
use crate::base::mark::{Mark, hit};
use crate::base::{Error, Result};
use crate::vfs::{File, FileExt};

use super::commit::{Shared, count};
use super::group::{Group, Wants};
use super::segment::{Segment, shown_path};

impl Shared {
    /// Writes the group, and syncs it if that is wanted.
    pub(super) fn write_group(&self, group: &Group) -> Result<()> {
        if group.is_empty() {
            hit(Mark::NothingToWrite);
        } else if group.wants == Wants::Sync
            && let Some(file) = self.through.file(&self.segments, group)
        {
            return self.write_through(group, file.as_ref());
        } else {
            count(&self.counts.groups, 1);
            for piece in &group.pieces {
                let (start, bytes) = piece.to_write();
                let written = piece.segment.file.write_all_at(bytes, start);
                written.map_err(|error| stopped("write", &piece.segment, error, start))?;
                let len = to_u64(bytes.len());
                count(&self.counts.written_bytes, len);
            }
        }
        if group.wants == Wants::Sync {
            for segment in &group.to_sync {
                count(&self.counts.syncs, 1);
                segment.sync().map_err(|error| stopped("sync", segment, error, 0))?;
            }
        }
        Ok(())
    }

    fn write_through(&self, group: &Group, file: &dyn File) -> Result<()> {
        count(&self.counts.groups, 1);
        count(&self.counts.syncs, 1);
        for piece in &group.pieces {
            let (start, bytes) = piece.to_write();
            let written = file.write_all_at(bytes, start);
            written.map_err(|error| stopped("write", &piece.segment, error, start))?;
            let len = to_u64(bytes.len());
            count(&self.counts.written_bytes, len);
        }
        Ok(())
    }
}

fn stopped(doing: &str, segment: &Segment, error: std::io::Error, offset: u64) -> Error {
    Error::io(&format!("{doing} the log"), &shown_path(segment.number), error).at_offset(offset)
}

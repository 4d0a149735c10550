//! A file that takes only whole pages from memory that begins at a page, for whoever has others.

use std::io;
use std::sync::Arc;

use super::fs::File;
use super::sync::Mutex;
use crate::base::limits::PAGE;

/// Memory that is kept between writes, at most.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// Writes through a copy that begins where a page does.
#[derive(Debug)]
pub(super) struct Aligned {
    file: Arc<dyn File>,
    room: Mutex<Vec<u8>>,
}

impl Aligned {
    pub(super) fn new(file: Arc<dyn File>) -> Self {
        Self { file, room: Mutex::default() }
    }
}

impl File for Aligned {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut room = self.room.lock();
        let wanted = bytes.len() + PAGE;
        if room.len() < wanted {
            room.resize(wanted, 0);
        }
        let start = room.as_ptr().align_offset(PAGE);
        let there = room.get_mut(start..).and_then(|room| room.get_mut(..bytes.len()));
        let Some(there) = there else { return Err(io::ErrorKind::OutOfMemory.into()) };
        there.copy_from_slice(bytes);
        let taken = self.file.write_at(there, offset);
        if room.len() > KEPT_BYTES_MAX {
            *room = Vec::new();
        }
        taken
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

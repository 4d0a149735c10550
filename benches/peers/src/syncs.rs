//! Counting the syncs of a process from outside of it, in what `strace` wrote.
//!
//! Counted is what returned success between the two marks: `fsync`, `fdatasync`, `sync`, `syncfs`,
//! `msync` with `MS_SYNC`, a write to a descriptor opened with `O_DSYNC` or `O_SYNC`, and a write
//! that asks for the same itself (`RWF_DSYNC`). Not counted is `sync_file_range`, which makes
//! nothing durable. A process with an `io_uring` can sync without any such call: no count then.
//! The calls are filtered in the kernel (`--seccomp-bpf`), and the traced round times nothing.
//!
//! Rejected: a preloaded library, which sees only what goes through the C library; the disk's own
//! count of flushes, which is everybody's, and one of which may serve several syncs; tracepoints
//! and eBPF, which want rights over the whole machine; what engines say of themselves, which is
//! what is to be checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use crate::paired::PAIRED;

/// The calls to trace.
pub const CALLS: &str = "trace=fsync,fdatasync,sync,syncfs,msync,openat,open,creat,close,write,\
                         writev,pwrite64,pwritev,pwritev2,io_uring_setup";

const BEGINS: &str = "measured-begins";
const ENDS: &str = "measured-ends";

/// The first of the two marks: an attempt to open what is not there.
pub fn mark_begin(dir: &Path) {
    drop(File::open(dir.join(BEGINS)));
}

/// The second.
pub fn mark_end(dir: &Path) {
    drop(File::open(dir.join(ENDS)));
}

/// What the trace shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counted {
    Syncs(u64),
    /// Why there is no count.
    Unknown(&'static str),
}

#[derive(Default)]
struct Reader {
    /// Calls that had not returned when another thread's line was written, by thread.
    unfinished: BTreeMap<String, String>,
    /// Descriptors whose every write is synced.
    synced_writes: BTreeSet<u64>,
    measured: bool,
    marks: u8,
    syncs: u64,
    rings: bool,
}

/// Counts the syncs in the text of a trace, whose lines begin with the thread (`strace -f -o`).
pub fn count(trace: &str) -> Counted {
    let mut reader = Reader::default();
    for line in trace.lines() {
        let Some((thread, rest)) = line.trim_start().split_once(' ') else { continue };
        if let Some(whole) = reader.whole(thread, rest.trim_start()) {
            reader.call(&whole);
        }
    }
    match (reader.rings, reader.marks) {
        (true, _) => Counted::Unknown("it uses io_uring"),
        (false, 2) => Counted::Syncs(reader.syncs),
        (false, _) => Counted::Unknown("the trace is not whole"),
    }
}

impl Reader {
    /// A call with its answer, put together again where it was interrupted.
    fn whole(&mut self, thread: &str, text: &str) -> Option<String> {
        if let Some(front) = text.strip_suffix(" <unfinished ...>") {
            self.unfinished.insert(thread.to_owned(), front.to_owned());
            return None;
        }
        let Some(resumed) = text.strip_prefix("<... ") else { return Some(text.to_owned()) };
        let (_, back) = resumed.split_once(" resumed>")?;
        self.unfinished.remove(thread).map(|front| front + back)
    }

    fn call(&mut self, text: &str) {
        let Some((name, arguments)) = text.split_once('(') else { return };
        let answer = text.rsplit_once(" = ").and_then(|(_, answer)| leading_number(answer));
        match (name, answer) {
            ("open" | "openat" | "creat", answer) => self.opened(arguments, answer),
            ("io_uring_setup", Some(_)) => self.rings = true,
            ("close", Some(0)) => {
                leading_number(arguments).map(|number| self.synced_writes.remove(&number));
            }
            (_, Some(_)) if self.measured && !arguments.contains(PAIRED) => {
                self.syncs += u64::from(self.is_sync(name, arguments));
            }
            _ => {}
        }
    }

    fn opened(&mut self, arguments: &str, answer: Option<u64>) {
        for (mark, measured) in [(BEGINS, true), (ENDS, false)] {
            if arguments.contains(mark) {
                self.measured = measured;
                self.marks += 1;
            }
        }
        let Some(number) = answer else { return };
        if arguments.contains("O_DSYNC") || arguments.contains("O_SYNC") {
            self.synced_writes.insert(number);
        } else {
            self.synced_writes.remove(&number);
        }
    }

    /// Whether a call that succeeded made something durable.
    fn is_sync(&self, name: &str, arguments: &str) -> bool {
        match name {
            "fsync" | "fdatasync" | "sync" | "syncfs" => true,
            "msync" => arguments.contains("MS_SYNC"),
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" => {
                arguments.contains("RWF_DSYNC")
                    || arguments.contains("RWF_SYNC")
                    || leading_number(arguments).is_some_and(|n| self.synced_writes.contains(&n))
            }
            _ => false,
        }
    }
}

/// The digits that `text` begins with; none in `-1 ENOENT`.
fn leading_number(text: &str) -> Option<u64> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between_marks(lines: &str) -> Counted {
        count(&format!(
            "7  fdatasync(3</d/a>) = 0\n\
             7  openat(AT_FDCWD</d>, \"/d/measured-begins\", O_RDONLY) = -1 ENOENT (No such file)\n\
             {lines}\n\
             7  openat(AT_FDCWD</d>, \"/d/measured-ends\", O_RDONLY) = -1 ENOENT (No such file)\n\
             7  fsync(3</d/a>) = 0\n"
        ))
    }

    #[test]
    fn syncs_that_succeeded_between_the_marks_are_counted() {
        let lines = "7  fdatasync(3</d/a>) = 0\n\
                     8  fsync(4</d/b>) = -1 EIO (Input/output error)\n\
                     7  msync(0x7f00, 4096, MS_SYNC) = 0\n\
                     7  msync(0x7f00, 4096, MS_ASYNC) = 0\n\
                     7  sync_file_range(3</d/a>, 0, 0, SYNC_FILE_RANGE_WRITE) = 0\n\
                     7  pwrite64(3</d/a>, \"\"..., 4096, 0) = 4096\n\
                     7  pwritev2(3</d/a>, [{iov_base=\"\"..., iov_len=1}], 1, 0, RWF_DSYNC) = 1\n\
                     7  fdatasync(5</d/paired-raw>) = 0";
        assert_eq!(between_marks(lines), Counted::Syncs(3));
    }

    #[test]
    fn a_call_that_another_thread_interrupts_is_counted_once_it_returns() {
        let lines = "7  fdatasync(3</d/a> <unfinished ...>\n\
                     8  fdatasync(3</d/a> <unfinished ...>\n\
                     7  <... fdatasync resumed>)   = 0\n\
                     8  <... fdatasync resumed>)   = -1 EIO (Input/output error)";
        assert_eq!(between_marks(lines), Counted::Syncs(1));
    }

    #[test]
    fn writes_to_a_descriptor_opened_for_synced_writes_are_counted_until_it_is_closed() {
        let lines = "7  openat(AT_FDCWD</d>, \"/d/a\", O_WRONLY|O_DSYNC|O_CLOEXEC) = 9</d/a>\n\
                     7  pwrite64(9</d/a>, \"\"..., 4096, 0) = 4096\n\
                     7  write(1</d/out>, \"\"..., 4) = 4\n\
                     7  close(9</d/a>) = 0\n\
                     7  pwrite64(9</d/a>, \"\"..., 4096, 0) = 4096\n\
                     7  openat(AT_FDCWD</d>, \"/d/b\", O_WRONLY|O_CLOEXEC) = 9</d/b>\n\
                     7  pwrite64(9</d/b>, \"\"..., 4096, 0) = 4096";
        assert_eq!(between_marks(lines), Counted::Syncs(1));
    }

    #[test]
    fn there_is_no_count_with_a_ring_or_without_both_marks() {
        let ring = between_marks("7  io_uring_setup(8, {flags=0}) = 4");
        assert!(matches!(ring, Counted::Unknown(_)));
        assert!(matches!(count("7  fdatasync(3</d/a>) = 0"), Counted::Unknown(_)));
    }
}

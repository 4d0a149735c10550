//! What the disk itself has counted, whoever asked it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The counts of a disk since the machine started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub written_bytes: u64,
    pub flushes: u64,
}

impl Counts {
    /// Of the disk that `dir` is on; `None` where there is no such disk or it does not count.
    pub fn of(dir: &Path) -> Option<Self> {
        let device = fs::metadata(dir).ok()?.dev();
        let major = (device >> 8) & 0xfff;
        let minor = (device & 0xff) | ((device >> 12) & 0xf_ff00);
        parse(&fs::read_to_string("/proc/diskstats").ok()?, major, minor)
    }

    pub const fn since(&self, before: &Self) -> Self {
        Self {
            written_bytes: self.written_bytes.saturating_sub(before.written_bytes),
            flushes: self.flushes.saturating_sub(before.flushes),
        }
    }
}

/// Bytes that this process had the kernel write, as the kernel counts them: pages made dirty, and
/// what went past the page cache.
pub fn own_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/io").ok()?;
    text.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}

/// Bytes of the disk that all files in `dir` take.
///
/// # Errors
/// Those of the file system, but for files that go meanwhile.
pub fn taken_below(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(meta) if meta.is_dir() => taken_below(&entry.path())?,
            Ok(meta) => meta.blocks() * 512,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(bytes)
}

/// The line of one device; the fields are those of `iostats.rst` of the kernel, after the name.
fn parse(text: &str, major: u64, minor: u64) -> Option<Counts> {
    let is_ours = |line: &&str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        numbers.next() == Some(Ok(major)) && numbers.next() == Some(Ok(minor))
    };
    let line = text.lines().find(is_ours)?;
    let field = |number: usize| line.split_whitespace().nth(2 + number)?.parse::<u64>().ok();
    Some(Counts { written_bytes: field(7)? * 512, flushes: field(16)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_of_the_device_with_both_numbers() {
        let text = " 254 1 vdb 1 2 3 4 5 6 70 8 9 10 11 12 13 14 15 160 17\n \
                    254 0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n \
                    7 0 loop0 1 2 3 4 5 6 7 8 9 10 11\n";
        let expected = Counts { written_bytes: 7 * 512, flushes: 16 };
        assert_eq!(parse(text, 254, 0), Some(expected));
        assert_eq!(parse(text, 7, 0), None, "a kernel that does not count flushes");
        assert_eq!(parse(text, 8, 0), None);
    }
}

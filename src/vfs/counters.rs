//! What a disk has counted, whoever asked it, as Linux tells it in `/proc/diskstats`.
//!
//! Pure. What a process wrote is no measure of what reached the disk: the page cache, what the
//! file system writes of its own and zeroes written ahead lie between.
//! Source: the kernel's `Documentation/admin-guide/iostats.rst`.

/// Bytes of the sectors that the table counts, whatever the disk's own are.
const SECTOR: u64 = 512;
/// Fields of a line before the first count: the two numbers of the device, and its name.
const BEFORE: usize = 3;
/// Of the counts, the one of sectors written, from 0.
const SECTORS_WRITTEN: usize = 6;

/// Bytes written to the disk of the device number `device` since the machine started; `None` when
/// the table has no such disk.
pub(super) fn written_bytes(table: &str, device: u64) -> Option<u64> {
    let major = (device >> 8) & 0xfff;
    let minor = (device & 0xff) | ((device >> 12) & 0xf_ff00);
    let is_it = |line: &&str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        numbers.next() == Some(Ok(major)) && numbers.next() == Some(Ok(minor))
    };
    let line = table.lines().find(is_it)?;
    let sectors = line.split_whitespace().nth(BEFORE + SECTORS_WRITTEN)?.parse::<u64>().ok()?;
    sectors.checked_mul(SECTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = " 254 1 vdb 1 2 3 4 5 6 70 8 9 10 11 12 13 14 15 160 17\n \
                         254 0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n \
                         259 300 nvme 1 2 3 4 5 6 9 8 9 10 11\n 8 0 sda 1 2 3\n";

    #[test]
    fn the_count_is_that_of_the_device_with_both_numbers() {
        assert_eq!(written_bytes(TABLE, 254 << 8), Some(7 * 512));
        assert_eq!(written_bytes(TABLE, (254 << 8) + 1), Some(70 * 512));
        // A minor number above 255 is in two parts.
        assert_eq!(written_bytes(TABLE, (259 << 8) + (300 & 0xff) + (1 << 20)), Some(9 * 512));
        assert_eq!(written_bytes(TABLE, (254 << 8) + 2), None);
        assert_eq!(written_bytes(TABLE, 8 << 8), None, "a line that is too short");
    }
}

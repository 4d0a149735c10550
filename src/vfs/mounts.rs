//! Which file system a directory is on, as Linux tells it in `/proc/self/mountinfo`.
//!
//! Pure. The table is read instead of asking with `statfs`, because that needs a call the
//! standard library does not have; it also says what lies below an overlay.
//! Source: proc(5), `/proc/pid/mountinfo`.

use std::path::{Path, PathBuf};

/// File systems that give every write a new place: zeroes written ahead reserve nothing there,
/// and a file that is used again is no better than a new one.
const COPY_ON_WRITE: [&str; 4] = ["btrfs", "zfs", "bcachefs", "nilfs2"];

/// Overlays that lie on overlays, at most.
const DEPTH_MAX: u32 = 4;

/// Whether the file system of the absolute `path` writes where the file's bytes are already; one
/// that is not known is believed to.
pub(super) fn overwrites_in_place(table: &str, path: &Path) -> bool {
    let mut path = path.to_owned();
    for _ in 0..DEPTH_MAX {
        let Some(mount) = mount_of(table, &path) else { return true };
        if mount.kind != "overlay" {
            return !COPY_ON_WRITE.contains(&mount.kind);
        }
        match mount.upper {
            Some(upper) => path = upper,
            None => return true,
        }
    }
    true
}

struct Mount<'a> {
    point: PathBuf,
    kind: &'a str,
    /// Where an overlay writes to.
    upper: Option<PathBuf>,
}

/// The mount that `path` is on: the deepest, and of those in one place the last.
fn mount_of<'a>(table: &'a str, path: &Path) -> Option<Mount<'a>> {
    let mounts = table.lines().filter_map(mount);
    let holding = mounts.filter(|mount| path.starts_with(&mount.point));
    holding.max_by_key(|mount| mount.point.components().count())
}

fn mount(line: &str) -> Option<Mount<'_>> {
    let (place, system) = line.split_once(" - ")?;
    let point = unescaped(place.split(' ').nth(4)?);
    let mut fields = system.split(' ');
    let kind = fields.next()?;
    let options = fields.nth(1).unwrap_or_default();
    let upper = options.split(',').find_map(|option| option.strip_prefix("upperdir="));
    Some(Mount { point: point.into(), kind, upper: upper.map(|path| unescaped(path).into()) })
}

/// A path as the table writes it: spaces and the like are octal numbers behind a backslash.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (code, part.get(3..)) {
            (Some(code), Some(rest)) if code.is_ascii() => {
                plain.push(char::from(code));
                plain.push_str(rest);
            }
            _ => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:30 /@data /data rw - btrfs /dev/sdb rw,compress=zstd:3
24 23 8:2 / /data/fast\\040disk rw - xfs /dev/sdc rw
25 22 0:40 / /merged rw - overlay overlay rw,lowerdir=/l,upperdir=/data/up,workdir=/data/work
26 22 0:41 / /plain rw shared:4 propagate_from:2 - overlay overlay rw,upperdir=/srv/up
27 22 0:42 / /hidden rw - ext4 /dev/sdd rw
28 22 0:43 / /hidden rw - zfs pool/hidden rw
29 22 0:44 / /loop rw - overlay overlay rw,upperdir=/loop/up
30 22 0:45 / /lost rw - overlay overlay rw,lowerdir=/l
a line that is none of these";

    #[test]
    fn the_file_system_is_that_of_the_deepest_mount_and_of_the_last_one_there() {
        for (path, expected) in [
            ("/", true),
            ("/var/lib", true),
            ("/data/user/data", false),
            ("/dataset", true),
            ("/data/fast disk/data", true),
            ("/data/fast", false),
            ("/hidden/data", false),
        ] {
            assert_eq!(overwrites_in_place(TABLE, Path::new(path)), expected, "{path}");
        }
        assert!(overwrites_in_place("", Path::new("/data")), "not known");
    }

    #[test]
    fn an_overlay_is_what_it_writes_to() {
        for (path, expected) in
            [("/merged/data", false), ("/plain/data", true), ("/loop", true), ("/lost", true)]
        {
            assert_eq!(overwrites_in_place(TABLE, Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn escapes_are_read_and_what_is_none_stays() {
        assert_eq!(unescaped("a\\040b\\134c"), "a b\\c");
        assert_eq!(unescaped("\\9z"), "\\9z");
        assert_eq!(unescaped("\\377x"), "\\377x");
    }
}

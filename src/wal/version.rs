//! Which versions of a file this build reads: one rule for every file of a store and of a copy.
//!
//! Pure. `docs/format/wal.md` says who reads what, under "Who reads what".

use super::header::HeaderFault;

/// What is said of an intact file that a later build wrote.
pub const NEWER: &str = "the file was written by a newer version of jidoka; upgrade to open it";
/// What is said of an intact file from before the first release.
pub const UNRELEASED: &str = "the file is of format version 0, which no release wrote or reads; \
                              export with the build that wrote it, and import into a new store";
/// What a writer is told of a log with a feature that only readers may ignore.
pub const READ_ONLY: &str = "the file needs a newer version of jidoka to be written to; upgrade, \
                             or open the store read-only";

/// Whether a build whose newest is `newest` reads a file of `version`.
///
/// # Errors
/// `Unsupported` with [`NEWER`] or [`UNRELEASED`].
pub const fn check(version: u32, newest: u32) -> Result<(), HeaderFault> {
    match version {
        0 => Err(HeaderFault::Unsupported(UNRELEASED)),
        _ if version > newest => Err(HeaderFault::Unsupported(NEWER)),
        _ => Ok(()),
    }
}

/// Whether this build, which knows no feature, reads a file with these.
///
/// # Errors
/// `Unsupported` with [`NEWER`].
pub const fn check_features(incompatible: u32) -> Result<(), HeaderFault> {
    if incompatible == 0 { Ok(()) } else { Err(HeaderFault::Unsupported(NEWER)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_since_the_first_is_read_and_no_other() {
        assert_eq!(check(0, 3), Err(HeaderFault::Unsupported(UNRELEASED)));
        for version in 1..=3 {
            assert_eq!(check(version, 3), Ok(()), "{version}");
        }
        for version in [4, u32::MAX] {
            assert_eq!(check(version, 3), Err(HeaderFault::Unsupported(NEWER)), "{version}");
        }
    }

    #[test]
    fn no_feature_is_known() {
        assert_eq!(check_features(0), Ok(()));
        for bit in 0..32 {
            let told = check_features(1 << bit);
            assert_eq!(told, Err(HeaderFault::Unsupported(NEWER)), "bit {bit}");
        }
    }
}

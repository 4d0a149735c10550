//! The one error type: what the caller can do (`kind`), and where a person can look (`place`).
//!
//! Opaque on purpose. Callers branch on [`ErrorKind`], which is named by what the caller should
//! do, not by what the engine was doing; people read the message, which names what, where and
//! the next step. Fields can be added without breaking anyone. The rejected alternative, an enum
//! per operation, is in `docs/decisions/0001-one-error-type.md`.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lsn::Lsn;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, named by what the caller can do about it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Means: an argument, a setting or a document breaks a stated rule. Do: fix it. Retry: no.
    Invalid,
    /// Means: the named thing is not there. Do: create it or check the name. Retry: no.
    NotFound,
    /// Means: another writer won, or a condition of the write does not hold. Do: read again and
    /// decide again. Retry: yes, from the read.
    Conflict,
    /// Means: a rule of the domain forbids the write. Do: meet the rule. Retry: no.
    Refused,
    /// Means: another process or handle holds the store. Do: stop it or wait. Retry: later.
    Locked,
    /// Means: the store, its directory or its file system may only be read. Do: open a writable
    /// one. Retry: no.
    ReadOnly,
    /// Means: the store was closed. Do: open it again. Retry: no.
    Closed,
    /// Means: the operating system refused, and nothing is in doubt. Do: look at the disk and the
    /// permissions. Retry: yes.
    Io,
    /// Means: a stated limit is reached, such as the space of the disk. Do: make room. Retry: yes.
    Full,
    /// Means: this write or sync failed midway, or did not end by its deadline, so the write may or
    /// may not survive. Do: reopen and read back, or repeat with the same request id. Retry: no.
    OutcomeUnknown,
    /// Means: an earlier write or sync of the log failed; nothing of this call was written. Do:
    /// close and reopen, recovery decides. Retry: no, and never sync again.
    Poisoned,
    /// Means: stored bytes are not what was written. Do: run `verify`, restore a copy. Retry: no.
    Corrupt,
    /// Means: the files are of a newer format or need a feature this build lacks. Do: upgrade.
    /// Retry: no.
    Unsupported,
    /// Means: the copy cannot be restored to the asked commit or time. Do: ask for one in the
    /// range the message names. Retry: no.
    Unreachable,
    /// Means: the log or copy no longer holds, or never held, the asked commits. Do: start from a
    /// newer position or another copy. Retry: no.
    Expired,
    /// Means: the two histories are not one: another store's, or the same store's after a fork.
    /// Do: use the copy that belongs to this store. Retry: no.
    Diverged,
    /// Means: an invariant of jidoka failed, and it stopped before doing harm. Do: report it.
    /// Retry: no.
    Bug,
}

impl ErrorKind {
    /// The stable name used by the command line and in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Locked => "locked",
            Self::ReadOnly => "read_only",
            Self::Closed => "closed",
            Self::Io => "io",
            Self::Full => "full",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Poisoned => "poisoned",
            Self::Corrupt => "corrupt",
            Self::Unsupported => "unsupported",
            Self::Unreachable => "unreachable",
            Self::Expired => "expired",
            Self::Diverged => "diverged",
            Self::Bug => "bug",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a person can look: every part is known or absent.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file or directory; files of a store are relative to it.
    pub path: Option<PathBuf>,
    /// The byte inside the file.
    pub offset: Option<u64>,
    /// The commit.
    pub lsn: Option<Lsn>,
}

impl Place {
    const fn is_known(&self) -> bool {
        self.path.is_some() || self.offset.is_some() || self.lsn.is_some()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(path) = &self.path {
            write!(f, "path {}", path.display())?;
            separator = ", ";
        }
        if let Some(offset) = self.offset {
            write!(f, "{separator}offset {offset}")?;
            separator = ", ";
        }
        if let Some(lsn) = self.lsn {
            write!(f, "{separator}lsn {lsn}")?;
        }
        Ok(())
    }
}

/// Any failure of this crate. One word wide; cloning it is cheap, because one failed sync is told
/// to every committer of its group.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    what: Cow<'static, str>,
    place: Place,
    source: Option<Arc<io::Error>>,
}

impl Error {
    /// An error of `kind`; `what` is a lower-case sentence that says what is wrong and what to do.
    #[must_use]
    pub fn new(kind: ErrorKind, what: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner { kind, what: what.into(), place: Place::default(), source: None }))
    }

    /// The operating system's refusal to do `doing` to `path`.
    ///
    /// A full disk becomes [`ErrorKind::Full`], missing permission [`ErrorKind::ReadOnly`].
    #[must_use]
    pub fn io(doing: &str, path: &Path, source: io::Error) -> Self {
        let (kind, advice) = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                (ErrorKind::Full, "; make room on its file system and try again")
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                (ErrorKind::ReadOnly, "; give this user permission to write there")
            }
            _ => (ErrorKind::Io, ""),
        };
        let mut error = Self::new(kind, format!("cannot {doing}: {source}{advice}")).at_path(path);
        error.inner().source = Some(Arc::new(source));
        error
    }

    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }

    /// This error, at `path`.
    #[must_use]
    pub fn at_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.inner().place.path = Some(path.into());
        self
    }

    /// This error, at byte `offset` of its file.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.inner().place.offset = Some(offset);
        self
    }

    /// This error, at commit `lsn`.
    #[must_use]
    pub fn at_lsn(mut self, lsn: Lsn) -> Self {
        self.inner().place.lsn = Some(lsn);
        self
    }

    /// This error with `context` and a colon before its message.
    #[must_use]
    pub fn within(mut self, context: &str) -> Self {
        let what = format!("{context}: {}", self.0.what);
        self.inner().what = what.into();
        self
    }

    /// This error told as another kind, for callers to whom it means something else.
    #[must_use]
    pub fn as_kind(mut self, kind: ErrorKind) -> Self {
        self.inner().kind = kind;
        self
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where a person can look.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// The message without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.what
    }

    /// Whether the same call can succeed later without anyone repairing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind(), ErrorKind::Conflict | ErrorKind::Full | ErrorKind::Io)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.what)?;
        if self.0.place.is_known() { write!(f, " ({})", self.0.place) } else { Ok(()) }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_ends_with_the_place() {
        let error = Error::new(ErrorKind::Corrupt, "the record checksum does not match")
            .at_path("wal/1.wal")
            .at_offset(4096)
            .at_lsn(Lsn(7));
        assert_eq!(
            error.to_string(),
            "the record checksum does not match (path wal/1.wal, offset 4096, lsn 7)"
        );
        assert_eq!(error.within("cannot open").message().split(':').next(), Some("cannot open"));
    }

    #[test]
    fn a_full_disk_is_told_apart_from_a_broken_one() {
        let full = Error::io("write", Path::new("x"), io::ErrorKind::StorageFull.into());
        let broken = Error::io("write", Path::new("x"), io::Error::other("broken"));
        assert_eq!((full.kind(), full.is_retryable()), (ErrorKind::Full, true));
        assert_eq!(broken.kind(), ErrorKind::Io);
    }

    #[test]
    fn an_error_is_one_word_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        use ErrorKind as Kind;
        let kinds = [
            (Kind::Invalid, "invalid"),
            (Kind::NotFound, "not_found"),
            (Kind::Conflict, "conflict"),
            (Kind::Refused, "refused"),
            (Kind::Locked, "locked"),
            (Kind::ReadOnly, "read_only"),
            (Kind::Closed, "closed"),
            (Kind::Io, "io"),
            (Kind::Full, "full"),
            (Kind::OutcomeUnknown, "outcome_unknown"),
            (Kind::Poisoned, "poisoned"),
            (Kind::Corrupt, "corrupt"),
            (Kind::Unsupported, "unsupported"),
            (Kind::Unreachable, "unreachable"),
            (Kind::Expired, "expired"),
            (Kind::Diverged, "diverged"),
            (Kind::Bug, "bug"),
        ];
        for (kind, name) in kinds {
            assert_eq!((kind.as_str(), kind.to_string()), (name, name.to_owned()));
        }
    }
}

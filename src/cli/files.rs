//! The user's own files: what comes in through standard input or a file, what goes out to one.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::base::codec::to_u64;
use crate::base::{Error, ErrorKind, Result};
use crate::doc::json;
use crate::vfs::{File, FileExt, OpenMode, Vfs};

/// No document can be larger: it would not fit into the largest segment.
const INPUT_BYTES_MAX: u64 = 1 << 30;
/// The path that errors of standard input show.
const STDIN: &str = "standard input";

/// The JSON value in the file `path`, or in standard input.
///
/// # Errors
/// `NotFound`, `Io`, and `Invalid` with file, line and column for what is no document.
pub(super) fn read_json(vfs: &dyn Vfs, path: Option<&Path>) -> Result<Value> {
    let text = read_bytes(vfs, path)?;
    json::parse(&text).map_err(|error| error.at_path(path.unwrap_or(Path::new(STDIN))))
}

/// The bytes of the file `path`, or of standard input.
///
/// # Errors
/// `NotFound`, `Io`, and `Invalid` for more than a document could have.
pub(super) fn read_bytes(vfs: &dyn Vfs, path: Option<&Path>) -> Result<Vec<u8>> {
    let shown = path.unwrap_or(Path::new(STDIN));
    let read = match path {
        Some(path) => {
            vfs.open(path, OpenMode::Read).and_then(|file| file.read_whole(INPUT_BYTES_MAX))
        }
        None => read_stdin(),
    };
    read.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let what = "there is no such file; check the path";
            Error::new(ErrorKind::NotFound, what).at_path(shown)
        }
        io::ErrorKind::IsADirectory => {
            let what = "this is a directory; name a file";
            Error::new(ErrorKind::Invalid, what).at_path(shown)
        }
        io::ErrorKind::NotSeekable => {
            let what = "this is a pipe or a device; name a file, or give standard input";
            Error::new(ErrorKind::Invalid, what).at_path(shown)
        }
        io::ErrorKind::FileTooLarge => {
            let what = "the input is larger than 1 GiB, and no document can be; split it";
            Error::new(ErrorKind::Invalid, what).at_path(shown)
        }
        _ => Error::io("read the document", shown, error),
    })
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    io::stdin().lock().take(INPUT_BYTES_MAX + 1).read_to_end(&mut text)?;
    if to_u64(text.len()) > INPUT_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

/// Bytes gathered before they are written.
const BUFFER: usize = 64 << 10;

/// A file being written beside its name, which it takes when it is complete.
#[derive(Debug)]
pub(super) struct NewFile<'a> {
    vfs: &'a dyn Vfs,
    file: Arc<dyn File>,
    beside: PathBuf,
    name: PathBuf,
    buffer: Vec<u8>,
    offset: u64,
}

impl<'a> NewFile<'a> {
    /// Begins the file `name`.
    ///
    /// # Errors
    /// `Invalid` when the name is taken and `replace` is not set; `Full`, `ReadOnly`, `Io`.
    pub(super) fn create(vfs: &'a dyn Vfs, name: &Path, replace: bool) -> Result<Self> {
        match name.symlink_metadata() {
            // To replace a device would break it for everyone.
            Ok(metadata) if !metadata.is_file() => {
                let what = "this is not a regular file; name another, or none for standard output";
                return Err(Error::new(ErrorKind::Invalid, what).at_path(name));
            }
            Ok(_) if !replace => {
                let what = "the file exists and would be replaced; give --yes to do that";
                return Err(Error::new(ErrorKind::Invalid, what).at_path(name));
            }
            _ => {}
        }
        // A name that is taken may be someone's file, or of another export that runs now.
        let mut tries = 0_u32;
        let (beside, file) = loop {
            tries += 1;
            let mut beside = name.as_os_str().to_owned();
            beside.push(format!(".{tries}.tmp"));
            let beside = PathBuf::from(beside);
            match vfs.open(&beside, OpenMode::CreateNew) {
                Ok(file) => break (beside, file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < 100 => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let what = "there is no such directory to write to; check the path";
                    return Err(Error::new(ErrorKind::NotFound, what).at_path(name));
                }
                Err(error) => return Err(Error::io("create the file", &beside, error)),
            }
        };
        Ok(Self { vfs, file, beside, name: name.to_owned(), buffer: Vec::new(), offset: 0 })
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < BUFFER { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.file.write_all_at(&self.buffer, self.offset);
        written.map_err(|error| Error::io("write the file", &self.beside, error))?;
        self.offset += to_u64(self.buffer.len());
        self.buffer.clear();
        Ok(())
    }

    /// Gives the complete file its name.
    ///
    /// # Durability
    /// The content is on stable storage before the name is.
    pub(super) fn finish(mut self) -> Result<()> {
        self.flush()?;
        let parent = self.name.parent().unwrap_or(Path::new(""));
        let named = self.file.sync_all().and_then(|()| {
            self.vfs.rename(&self.beside, &self.name)?;
            self.vfs.sync_dir(parent)
        });
        named.map_err(|error| Error::io("finish the file", &self.name, error))
    }
}

/// Refuses to write to a place in a directory that is not for it, however the two are spelled.
///
/// # Errors
/// `Invalid` when `place`, which may be missing, is `dir` or in it.
pub(super) fn refuse_inside(place: &Path, dir: &Path, what: &'static str) -> Result<()> {
    let Ok(dir) = dir.canonicalize() else { return Ok(()) };
    let above = place.ancestors().map(|above| match above.as_os_str().is_empty() {
        true => Path::new("."),
        false => above,
    });
    // The parts that are missing cannot lead out again.
    match above.filter_map(|above| above.canonicalize().ok()).next() {
        Some(above) if above.starts_with(&dir) => {
            Err(Error::new(ErrorKind::Invalid, what).at_path(place))
        }
        _ => Ok(()),
    }
}

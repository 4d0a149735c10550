//! Where results and messages go: the one file that knows the standard streams.

use std::io::{self, BufWriter, Stdout, Write};
use std::path::Path;

use crate::base::{Error, Result};
use crate::doc::Line;

/// The path that errors of standard output show.
const STDOUT: &str = "standard output";

/// Standard output: results and nothing else.
#[derive(Debug)]
pub(super) struct Output(BufWriter<Stdout>);

impl Output {
    pub(super) fn new() -> Self {
        Self(BufWriter::new(io::stdout()))
    }

    /// Writes bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.write_all(bytes).map_err(failed)
    }

    /// Writes a line.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<()> {
        self.bytes(line)?;
        self.bytes(b"\n")
    }

    /// Writes text for people, at once.
    pub(super) fn text(&mut self, text: &str) -> Result<()> {
        self.bytes(text.as_bytes())?;
        self.flush()
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.0.flush().map_err(failed)
    }
}

fn failed(error: io::Error) -> Error {
    Error::io("write the result", Path::new(STDOUT), error)
}

/// Whether nobody reads standard output any more.
pub(super) fn is_closed_pipe(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    let source = source.and_then(|source| source.downcast_ref::<io::Error>());
    error.place().path.as_deref() == Some(Path::new(STDOUT))
        && source.is_some_and(|source| source.kind() == io::ErrorKind::BrokenPipe)
}

/// Says something to the person at the terminal.
pub(super) fn note(text: &str) {
    // A message that cannot be shown has nowhere else to go.
    let _unheard = writeln!(io::stderr().lock(), "{text}");
}

/// Tells of a failure: a sentence for people, and with `json` an object for programs.
pub(super) fn report(error: &Error, json: bool) {
    note(&format!("jidoka: {error}"));
    if json {
        let mut out = Output::new();
        let _unheard = out.line(&error_line(error)).and_then(|()| out.flush());
    }
}

fn error_line(error: &Error) -> Vec<u8> {
    let place = error.place();
    let path = place.path.as_ref().map(|path| path.to_string_lossy().into_owned());
    let told = error_object(error)
        .value("path", &path.into())
        .value("offset", &place.offset.into())
        .value("lsn", &place.lsn.map(|lsn| lsn.0).into());
    Line::new().object("error", told).finish()
}

/// The kind and the message of an error, for programs.
pub(super) fn error_object(error: &Error) -> Line {
    Line::new().text("kind", error.kind().as_str()).text("message", error.message())
}

//! Runs the program as scripts do, and reads what it says.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// Standard output as JSON Lines.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let [line] = self.lines().try_into().unwrap_or_else(|_| panic!("{self:?}"));
        line
    }

    /// The result of a run that must have succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// The error object of a run with `--json` that must have failed like this.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, kind: &str) -> Value {
        assert_eq!(self.code, code, "{self:?}");
        let error = self.lines().pop().unwrap()["error"].clone();
        assert_eq!(error["kind"], kind, "{error}");
        for name in ["path", "offset", "lsn"] {
            assert!(error.get(name).is_some(), "{name} is missing in {error}");
        }
        let message = error["message"].as_str().unwrap();
        assert!(self.stderr.contains(message) && self.stderr.starts_with("jidoka: "), "{self:?}");
        error
    }
}

/// The program, on the store in `store`, with standard streams as pipes.
pub(crate) fn program(store: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jidoka"));
    command.env("JIDOKA_STORE", store).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `command` to its end with `input` on standard input.
pub(crate) fn finish(mut command: Command, input: &[u8]) -> Done {
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // The program may stop reading, or end, before it has everything.
        scope.spawn(move || pipe.write_all(input).is_ok());
        child.wait_with_output().unwrap()
    });
    Done {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the program on the store in `store`.
pub(crate) fn run(store: &Path, arguments: &[&str], input: &str) -> Done {
    let mut command = program(store);
    command.args(arguments);
    finish(command, input.as_bytes())
}

/// A directory that goes when the test ends, and the place of a store in it.
pub(crate) fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    (dir, store)
}

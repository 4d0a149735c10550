//! A child process that uses a store, and what it says.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::child::{Said, hear};
use crate::place::Place;
use crate::promise::Heard;

/// Tells the children which bug is planted in the store.
pub(crate) const PLANT: &str = "JIDOKA_POWER_PLANT";

/// A running child; killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    said: Receiver<Said>,
    pub(crate) complaint: Option<String>,
}

impl Process {
    pub(crate) fn start(
        place: &Place,
        arguments: &[String],
        plant: Option<&str>,
        heard: Heard,
    ) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = place.inside(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        if let Some(plant) = plant {
            command.env(PLANT, plant);
        }
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let output = child.stdout.take().ok_or("a child without output")?;
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                match hear(&line, &heard) {
                    Said::Promise => {}
                    // Nobody waits any more for a process that was killed.
                    other => drop(sender.send(other)),
                }
            }
        });
        Ok(Self { child, said, complaint: None })
    }

    fn signal(&self, signal: Signal) {
        // A process that has ended gets no signals, and needs none.
        if let Ok(id) = i32::try_from(self.child.id()) {
            kill(Pid::from_raw(id), signal).ok();
        }
    }

    pub(crate) fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kills it, and waits until everything that it said was heard.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.end(Duration::from_secs(30));
    }

    /// Whether it has complained so far.
    pub(crate) fn complains(&mut self) -> bool {
        while let Ok(said) = self.said.try_recv() {
            self.note(said);
        }
        self.complaint.is_some()
    }

    /// Waits for its end; true if it said that it had done everything.
    pub(crate) fn end(&mut self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut done = false;
        loop {
            match self.said.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Said::Done) => done = true,
                Ok(said) => self.note(said),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.note(Said::Wrong(format!("R11: not done after {patience:?}")));
                    self.signal(Signal::SIGKILL);
                    return false;
                }
            }
        }
        self.child.wait().is_ok() && done && self.complaint.is_none()
    }

    fn note(&mut self, said: Said) {
        let what = match said {
            Said::Promise | Said::Done => return,
            Said::Refused(what) => format!("R7: {what}"),
            Said::Wrong(what) => what,
            Said::Nonsense(line) => format!("nonsense: {line}"),
        };
        self.complaint.get_or_insert(what);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

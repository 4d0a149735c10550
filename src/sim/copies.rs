//! Copies in a case: taken beside the store, restored aside, and compared (R12).

use std::path::PathBuf;

use crate::archive::{RestoreRequest, Target, backup, restore};
use crate::base::{ErrorKind, Lsn};
use crate::doc::Documents;
use crate::store::Store;
use crate::vfs::memory::{draw, runtime};

use super::case::STORE;
use super::model::observe;
use super::oracle::Rule;
use super::run::{Outcome, Player};

const COPY: &str = "/copy";

impl Player<'_> {
    pub(super) fn backup(&mut self) -> Outcome {
        let store = self.store()?;
        match backup(STORE.as_ref(), COPY.as_ref(), &self.runtime()) {
            Ok(report) => {
                let durable = store.durable();
                if report.to_lsn > durable {
                    let detail = format!("copied {}, durable {durable}", report.to_lsn);
                    return Err(self.fail(Rule::R12, detail));
                }
                self.copied = report.to_lsn;
                let mut scene = self.scene.lock();
                scene.view.durable = scene.view.durable.max(report.to_lsn);
                Ok(())
            }
            // What was released before it was copied is in no log any more.
            Err(error) if error.kind() == ErrorKind::Expired && self.releases() => Ok(()),
            // A copy that lost its end in a power cut may lag, but never lead.
            Err(error) if self.faulty => {
                if matches!(error.kind(), ErrorKind::Diverged | ErrorKind::Corrupt) {
                    return Err(self.fail(Rule::R12, error.to_string()));
                }
                Ok(())
            }
            Err(error) => Err(self.fail(Rule::R12, error.to_string())),
        }
    }

    /// Restores the copy on a disk of its own and compares it with what was.
    pub(super) fn restore(&mut self, step: u64, permille: u64) -> Outcome {
        if self.copied == Lsn::ZERO {
            return Ok(());
        }
        let asked = Lsn(self.copied.0 * permille / 1000);
        let other = self.disk.kill();
        let request = RestoreRequest {
            from: COPY.into(),
            to: PathBuf::from("/restored"),
            target: Target::Lsn(asked),
            exclusive: false,
            dry_run: false,
        };
        let aside = runtime(&other, draw(self.case.seed, step));
        let restored = restore(&request, &aside);
        let report = match restored {
            Ok(report) => report,
            Err(error) if error.kind() == ErrorKind::Unreachable && asked > self.copied => {
                return Ok(());
            }
            Err(error) => return Err(self.fail(Rule::R12, error.to_string())),
        };
        let store = Store::builder(&request.to).runtime(aside).open();
        let docs = store.map(Documents::over);
        let shown = docs.and_then(|docs| observe(&docs));
        let (_, content) = shown.map_err(|error| self.fail(Rule::R12, error.to_string()))?;
        other.halt();
        let was = self.models.range(..=asked).next_back().map(|(_, m)| m.hash);
        if was == Some(content) {
            return Ok(());
        }
        let detail = format!("restored to {asked}, reached {}", report.reached.lsn);
        Err(self.fail(Rule::R12, detail))
    }
}

//! The lab as a command: a request in, a report out.

use serde_json::{Map, Value, json};

use crate::base::Result;
use crate::cli::{LabReport, LabRequest};
use crate::vfs::Runtime;

use super::attack::{AttackSettings, Broken, attack_and_tell};
use super::case::Case;
use super::report::{Counts, marks_missing};
use super::run::trace_case;
use super::tell::{Origin, found};

/// Attacks the store, or replays a case.
///
/// # Errors
/// `Invalid` or `Unsupported` for a case that cannot be read, `Io` when a thread cannot be started.
pub fn lab(request: &LabRequest) -> Result<LabReport> {
    #[cfg(feature = "planted-bugs")]
    plant_from_environment()?;
    let runtime = Runtime::default();
    let started = runtime.clock.monotonic();
    let (counts, failures, notes) = match &request.replay {
        Some(text) => replay(text)?,
        None => {
            let settings = AttackSettings {
                seed: request.seed,
                runs: request.runs,
                seconds: request.seconds,
                exhaustive: request.exhaustive,
                threads: request.threads,
            };
            let (counts, failures) = attack_and_tell(&settings, request.tell)?;
            (counts, failures, Vec::new())
        }
    };
    let seconds = runtime.clock.monotonic().saturating_sub(started).as_secs_f64();
    let json = report(&counts, &failures, seconds);
    Ok(LabReport { json: json.to_string().into_bytes(), notes, failed: !failures.is_empty() })
}

/// Plants the bug that `JIDOKA_PLANT` names, so that the lab can be watched finding it.
#[cfg(feature = "planted-bugs")]
fn plant_from_environment() -> Result<()> {
    let Ok(name) = std::env::var("JIDOKA_PLANT") else { return Ok(()) };
    let unknown = |what: String| crate::base::Error::new(crate::base::ErrorKind::Invalid, what);
    crate::base::plant::choose(Some(name.parse().map_err(unknown)?));
    Ok(())
}

type Played = (Counts, Vec<Broken>, Vec<String>);

fn replay(text: &[u8]) -> Result<Played> {
    let case = Case::read(text)?;
    let (counts, failure, mut notes) = trace_case(&case);
    notes.extend(failure.iter().map(|failure| found(Origin::Case, &case, failure)));
    let broken = failure.map(|failure| Broken { origin: Origin::Case, case, failure });
    Ok((counts, broken.into_iter().collect(), notes))
}

fn report(counts: &Counts, failures: &[Broken], seconds: f64) -> Value {
    let failures: Vec<Value> = failures
        .iter()
        .map(|Broken { origin, failure, .. }| {
            let seed = match origin {
                Origin::Seed(seed) => Some(seed),
                Origin::Case => None,
            };
            json!({"seed": seed, "rule": failure.rule.to_string(), "site": failure.site})
        })
        .collect();
    let faults: Map<String, Value> =
        counts.faults.iter().map(|(name, count)| (name.clone(), json!(count))).collect();
    json!({
        "runs": counts.runs,
        "images": counts.images,
        "recovery_images": counts.recovery_images,
        "repeated_images": counts.repeated,
        "damaged": counts.damaged,
        "crash_points": counts.crash_points,
        "truncations": counts.truncations,
        "seconds": seconds,
        "failures": failures,
        "faults": faults,
        "marks_missing": marks_missing(),
    })
}

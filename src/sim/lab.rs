//! The lab as a command: a request in, a report out.

use serde_json::{Map, Value, json};

use crate::base::Result;
use crate::cli::{LabReport, LabRequest};
use crate::vfs::Runtime;

use super::attack::{AttackSettings, attack};
use super::case::Case;
use super::oracle::Failure;
use super::report::{Counts, marks_missing};
use super::run::trace_case;

/// Attacks the store, or replays a case.
///
/// # Errors
/// `Invalid` or `Unsupported` for a case that cannot be read, `Io` when a thread cannot be started.
pub fn lab(request: &LabRequest) -> Result<LabReport> {
    #[cfg(feature = "planted-bugs")]
    plant_from_environment()?;
    let runtime = Runtime::default();
    let started = runtime.clock.monotonic();
    let (counts, failures, mut notes) = match &request.replay {
        Some(text) => replay(text)?,
        None => {
            let settings = AttackSettings {
                seed: request.seed,
                runs: request.runs,
                seconds: request.seconds,
                exhaustive: request.exhaustive,
                threads: request.threads,
            };
            let (counts, failures) = attack(&settings)?;
            (counts, failures, Vec::new())
        }
    };
    for (case, failure) in &failures {
        let seed = case.seed;
        notes.push(format!("{} {}: {}", failure.rule, failure.site, failure.detail));
        notes.push(format!("  replay: jidoka simulate --seed {seed} --runs 1"));
        let smallest = serde_json::to_string(case).unwrap_or_default();
        notes.push(format!("  smallest case, for --replay FILE: {smallest}"));
    }
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

type Played = (Counts, Vec<(Case, Failure)>, Vec<String>);

fn replay(text: &[u8]) -> Result<Played> {
    let case = Case::read(text)?;
    let (counts, failure, trace) = trace_case(&case);
    Ok((counts, failure.map(|failure| (case, failure)).into_iter().collect(), trace))
}

fn report(counts: &Counts, failures: &[(Case, Failure)], seconds: f64) -> Value {
    let failures: Vec<Value> = failures
        .iter()
        .map(|(case, failure)| {
            let rule = failure.rule.to_string();
            json!({"seed": case.seed, "rule": rule, "site": failure.site})
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
        "seconds": seconds,
        "failures": failures,
        "faults": faults,
        "marks_missing": marks_missing(),
    })
}

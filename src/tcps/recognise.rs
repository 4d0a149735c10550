//! Which kind of TCPS document a value is, told by its members alone.

use serde_json::{Map, Value};

const RECEIPTS: &str = "receipts";
const ANDON_EVENTS: &str = "andon_events";
const WORK_ORDERS: &str = "work_orders";
const DEMAND_SIGNALS: &str = "demand_signals";

/// A way in which one kind of document is written.
struct Shape {
    collection: &'static str,
    /// Members that must be there and not null.
    has: &'static [&'static str],
    /// Members that belong to another kind, and must not be there.
    lacks: &'static [&'static str],
    /// A member that must be one of these words, in any letter case.
    word: Option<(&'static str, &'static [&'static str])>,
}

const fn shape(collection: &'static str, has: &'static [&'static str]) -> Shape {
    Shape { collection, has, lacks: &[], word: None }
}

/// Events in the life of a work order, each of which leaves a receipt.
const LIFECYCLE: &[&str] = &[
    "work_order_created",
    "work_order_started",
    "stage_completed",
    "work_order_completed",
    "work_order_cancelled",
];

/// What improvement receipts are about.
const IMPROVEMENT: &[&str] = &[
    "work_order",
    "sku_generated",
    "sku_published",
    "andon_event",
    "test_run",
    "improvement_applied",
];

/// The six buckets of work orders and the aliases in use for them.
const BUCKETS: &[&str] = &[
    "reliability",
    "security",
    "cost",
    "cost-reduction",
    "compliance",
    "features",
    "new-feature",
    "technical_debt",
    "debt",
];

/// What can pull a work order from outside. Signals between two stages (`CAPACITY_AVAILABLE`
/// and the like) are something else and not in this list.
const SIGNALS: &[&str] = &[
    "github_issue",
    "github_pr",
    "cve",
    "marketplace_install",
    "marketplace_refund",
    "internal_request",
];

/// Every shape; the first that fits decides. Receipts come first because they name the order,
/// the andon or the stage that they are about, and so look like those too.
const SHAPES: &[Shape] = &[
    // Quality gates, build tools, andon, resolution and root cause receipts say what they are.
    shape(RECEIPTS, &["receipt_type", "timestamp"]),
    // Receipts with a version: of stages, and of the builds that a git commit went through.
    shape(RECEIPTS, &["receipt_version", "timestamp"]),
    // The verifier's minimum. An andon may name the receipt that raised it, but then has these.
    Shape {
        lacks: &["event_id", "failure_type", "severity", "triggered_at"],
        ..shape(RECEIPTS, &["receipt_id", "stage", "timestamp"])
    },
    // The life of a work order. A created one has a bucket and a priority, as the order itself.
    Shape { word: Some(("type", LIFECYCLE)), ..shape(RECEIPTS, &["work_order_id", "timestamp"]) },
    // A stage as the persistence layer keeps it: evidence is what makes it a receipt.
    shape(RECEIPTS, &["sku_id", "stage", "status", "timestamp", "evidence"]),
    // Improvement work counts successes.
    Shape {
        word: Some(("type", IMPROVEMENT)),
        ..shape(RECEIPTS, &["stage", "timestamp", "success"])
    },
    // The generated record type.
    shape(RECEIPTS, &["stage_id", "work_order_id", "timestamp", "success"]),
    // The short form of test fixtures: a stage of an order and its result.
    shape(RECEIPTS, &["work_order_id", "stage", "result", "timestamp"]),
    // Andon events under their own name, in both letter styles.
    shape(ANDON_EVENTS, &["andon_id", "status"]),
    shape(ANDON_EVENTS, &["andonId", "severity"]),
    // Andon events by what failed, and where or how badly.
    shape(ANDON_EVENTS, &["failure_type", "stage", "status"]),
    shape(ANDON_EVENTS, &["failure_type", "severity", "status"]),
    shape(ANDON_EVENTS, &["failureReason", "affectedSKU"]),
    // Only an andon is triggered and has a severity.
    shape(ANDON_EVENTS, &["triggered_at", "severity", "status"]),
    // As the persistence layer keeps it: the cause has a place before it is known.
    Shape {
        lacks: &["bucket"],
        ..shape(ANDON_EVENTS, &["sku_id", "severity", "status", "created_at"])
    },
    // The generated record type: a lamp with a colour that someone resolves.
    shape(ANDON_EVENTS, &["severity", "color", "message", "resolved"]),
    // A bucket and a priority make a work order, when the bucket is one of ours.
    Shape { word: Some(("bucket", BUCKETS)), ..shape(WORK_ORDERS, &["priority"]) },
    // An order that says what pulled it.
    shape(WORK_ORDERS, &["pull_signal", "status"]),
    shape(WORK_ORDERS, &["workOrderId", "demandSignal"]),
    shape(WORK_ORDERS, &["requestedSKU", "demandSource"]),
    // Signals that say what they are.
    Shape { word: Some(("type", SIGNALS)), ..shape(DEMAND_SIGNALS, &["source", "description"]) },
    // Security advisories.
    shape(DEMAND_SIGNALS, &["cve_id", "severity", "description"]),
    // Issues and pull requests.
    shape(DEMAND_SIGNALS, &["repo", "number", "title"]),
];

/// The collection of a TCPS document, or nothing for any other value.
#[must_use]
pub fn recognise(document: &Value) -> Option<&'static str> {
    let members = document.as_object()?;
    SHAPES.iter().find(|shape| shape.fits(members)).map(|shape| shape.collection)
}

impl Shape {
    fn fits(&self, members: &Map<String, Value>) -> bool {
        let has = |name: &&str| members.get(*name).is_some_and(|member| !member.is_null());
        self.has.iter().all(has)
            && !self.lacks.iter().any(has)
            && self.word.is_none_or(|(name, words)| {
                let word = members.get(name).and_then(Value::as_str);
                word.is_some_and(|word| words.iter().any(|one| one.eq_ignore_ascii_case(word)))
            })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;
    use crate::doc::import::split;
    use crate::doc::json::parse;

    fn assert_all(collection: Option<&str>, documents: impl IntoIterator<Item = Value>) {
        for document in documents {
            assert_eq!(recognise(&document), collection, "{document}");
        }
    }

    #[test]
    fn every_variant_of_a_receipt_is_recognised() {
        assert_all(
            Some("receipts"),
            [
                json!({"sku_id": "s", "stage": "compilation", "timestamp": "2026-01-01T00:00:00Z",
                    "status": "pass", "evidence": "log"}),
                json!({"receipt_id": "r", "receipt_version": "1.0.0", "stage": "tests",
                    "timestamp": "t", "work_order_id": "w", "status": "completed", "inputs": {}}),
                json!({"receipt_id": "r", "receipt_type": "quality_gate", "sku_id": "s",
                    "gate": "coverage", "timestamp": 1, "details": {}}),
                json!({"receipt_id": "r", "andon_event_id": "a", "timestamp": 1,
                    "failure_type": "test_failure", "sku_id": "s", "stage": "testing",
                    "status": "open", "receipt_type": "andon_event"}),
                json!({"id": "l", "type": "work_order_created", "work_order_id": "w",
                    "timestamp": 1, "bucket": "cost", "priority": 5}),
                json!({"receipt_type": "root_cause_analysis", "analysis_id": "x",
                    "andon_event_id": "a", "timestamp": 1, "status": "finalized"}),
                json!({"id": "k", "type": "andon_event", "timestamp": 1, "stage": "test",
                    "success": false}),
                json!({"id": "g", "stage_id": "build", "work_order_id": "w", "timestamp": 1,
                    "success": true}),
                json!({"id": "f", "work_order_id": "w", "stage": "shacl", "result": "valid",
                    "timestamp": 1}),
                json!({"receipt_id": "r", "timestamp": 1, "sku_id": "s", "stage": "xref",
                    "status": "pass"}),
            ],
        );
    }

    #[test]
    fn every_form_of_an_andon_event_is_recognised() {
        assert_all(
            Some("andon_events"),
            [
                json!({"event_id": "a", "failure_type": "test_failure", "sku_id": "s",
                    "stage": "testing", "timestamp": 1, "details": {}, "status": "open"}),
                json!({"id": "a", "sku_id": "s", "severity": "high", "status": "open",
                    "created_at": "t", "root_cause": {}}),
                json!({"andonId": "a", "skuId": "s", "severity": "high", "status": "OPEN"}),
                json!({"andon_id": "a", "work_order_id": "w", "status": "open"}),
                json!({"failureReason": "a test failed", "affectedSKU": ["s"]}),
                json!({"id": "a", "severity": "warning", "color": "yellow", "message": "m",
                    "resolved": false}),
                json!({"id": "a", "receipt_id": "r", "failure_type": "missing_receipt",
                    "stage": "testing", "timestamp": 1, "severity": "low", "status": "open"}),
            ],
        );
    }

    #[test]
    fn work_orders_and_demand_signals_are_recognised() {
        assert_all(
            Some("work_orders"),
            [
                json!({"id": "w", "bucket": "Technical_Debt", "priority": 3}),
                json!({"id": "w", "status": "queued", "pull_signal": {"type": "cve"}}),
                json!({"requestedSKU": "s", "dueDate": "t", "demandSource": "d"}),
            ],
        );
        assert_all(
            Some("demand_signals"),
            [
                json!({"type": "cve", "source": "feed", "description": "d"}),
                json!({"cve_id": "c", "severity": "high", "description": "d"}),
                json!({"repo": "o/r", "number": 1, "title": "t"}),
            ],
        );
    }

    #[test]
    fn what_is_none_of_the_four_is_left_alone() {
        assert_all(
            None,
            [
                json!(null),
                json!([{"receipt_type": "test", "timestamp": 1}]),
                json!({}),
                json!({"bucket": "photos", "priority": 1}),
                json!({"bucket": "cost", "priority": null}),
                json!({"severity": "high", "status": "open"}),
                // A stock keeping unit, a root cause analysis and a signal between stages.
                json!({"id": "s", "work_order_id": "w", "current_stage": "compilation",
                    "status": "active", "created_at": 1, "receipts": []}),
                json!({"analysis_id": "x", "andon_event_id": "a", "problem": "p", "why_1": "q"}),
                json!({"type": "CAPACITY_AVAILABLE", "source": "test", "description": "d"}),
                // A file that holds receipts is not one.
                json!({"receipts": [{"receipt_type": "test", "timestamp": 1}]}),
            ],
        );
    }

    /// Where the real documents of the domain are, on machines that have them.
    fn real_documents() -> PathBuf {
        let shared = std::env::var_os("JIDOKA_SHARED").map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"),
            PathBuf::from,
        );
        shared.join("data/tcps")
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "reads files that no store owns")]
    fn real_files_are_split_and_recognised_to_the_last_document() {
        let root = real_documents();
        if !root.is_dir() {
            println!("skipped: no folder {}", root.display());
            return;
        }
        let mut counts = BTreeMap::new();
        for dir in [root.clone(), root.join("quality")] {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|extension| extension != "json") {
                    continue;
                }
                let value = parse(&std::fs::read(&path).unwrap()).unwrap();
                let stem = path.file_stem().unwrap().to_str().unwrap();
                for one in split(value, stem, None, &recognise) {
                    let one = one.unwrap();
                    *counts.entry(one.collection).or_insert(0) += 1;
                    assert_ne!(one.id.len(), 32, "{} was given an id by its hash", one.id);
                }
            }
        }
        let expected = [
            ("andon_events", 7),
            ("demand_signals", 11),
            ("imports", 3),
            ("receipts", 13),
            ("work_orders", 11),
        ];
        assert_eq!(counts, BTreeMap::from(expected.map(|(name, count)| (name.to_owned(), count))));
    }
}

//! The bundled sample documents: one day of a small factory, told in its `README.md`.

/// The files of `docs/examples/factory`: name and content.
pub const FACTORY: &[(&str, &str)] = &[
    ("andon_events.json", include_str!("../../docs/examples/factory/andon_events.json")),
    ("demand_signals.json", include_str!("../../docs/examples/factory/demand_signals.json")),
    ("lifecycle.jsonl", include_str!("../../docs/examples/factory/lifecycle.jsonl")),
    ("receipts.json", include_str!("../../docs/examples/factory/receipts.json")),
    ("work_orders.json", include_str!("../../docs/examples/factory/work_orders.json")),
];

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::super::recognise;
    use super::*;
    use crate::doc::import::{Candidate, single, split};
    use crate::doc::json::{Form, form, parse, parse_lines};

    fn documents() -> Vec<Candidate> {
        let mut documents = Vec::new();
        for (name, text) in FACTORY {
            let text = text.as_bytes();
            let (stem, _) = name.split_once('.').unwrap();
            if form(text) == Form::Lines {
                documents.extend(
                    parse_lines(text)
                        .map(|(_, doc)| single(doc.unwrap(), None, &recognise).unwrap()),
                );
            } else {
                let found = split(parse(text).unwrap(), stem, None, &recognise);
                documents.extend(found.into_iter().map(|one| one.unwrap()));
            }
        }
        documents
    }

    fn text<'a>(one: &'a Candidate, member: &str) -> Option<&'a str> {
        one.doc.get(member).and_then(Value::as_str)
    }

    #[test]
    fn every_sample_is_recognised_and_has_an_id_of_its_own() {
        let documents = documents();
        let mut counts = BTreeMap::new();
        for one in &documents {
            *counts.entry(one.collection.as_str()).or_insert(0) += 1;
        }
        let expected =
            [("andon_events", 3), ("demand_signals", 4), ("receipts", 27), ("work_orders", 4)];
        assert_eq!(counts, BTreeMap::from(expected));
        let ids: BTreeSet<_> = documents.iter().map(|one| (&one.collection, &one.id)).collect();
        assert_eq!(ids.len(), documents.len());
    }

    #[test]
    fn the_samples_refer_only_to_each_other() {
        let documents = documents();
        let ids: BTreeSet<_> = documents.iter().map(|one| one.id.as_str()).collect();
        for one in &documents {
            for referred in [
                text(one, "work_order_id"),
                one.doc.pointer("/pull_signal/source").and_then(Value::as_str),
                one.doc.pointer("/details/receipt").and_then(Value::as_str),
                one.doc.pointer("/dependencies/0").and_then(Value::as_str),
            ] {
                assert!(referred.is_none_or(|id| ids.contains(id)), "{}: {referred:?}", one.id);
            }
        }
    }

    #[test]
    fn no_version_moves_on_while_an_andon_stops_it() {
        let documents = documents();
        let (andons, others): (Vec<_>, Vec<_>) =
            documents.iter().partition(|one| one.collection == "andon_events");
        for andon in andons {
            let resolved = text(andon, "resolved_at").unwrap_or("until further notice");
            let moved = others.iter().find(|one| {
                text(one, "sku_id") == text(andon, "sku_id")
                    && text(one, "timestamp_iso") > text(andon, "triggered_at")
                    && text(one, "timestamp_iso") < Some(resolved)
            });
            assert_eq!(moved, None, "{}", andon.id);
        }
    }
}

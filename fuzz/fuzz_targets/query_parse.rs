//! Input: lines. The first is a condition, the second a sort, the third begins with the limit and
//! the others are documents.
//!
//! Oracle: no panic; what is printed is read back as the same; a limit gives the beginning of
//! what no limit gives; a condition and its negation divide the documents.
#![no_main]

use jidoka::doc::{Field, Filter, Query, Sort, json};
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let (condition, order, limit) = (next(), next(), next());
    if let Ok(field) = Field::parse(condition) {
        assert_eq!(Field::parse(&field.to_string()).expect("a printed field"), field);
    }
    let filter = Filter::parse(condition).ok();
    if let Some(filter) = &filter {
        let again = Filter::parse(&filter.to_string());
        assert_eq!(again.as_ref().ok(), Some(filter), "printed as {filter}");
    }
    let sort = Sort::parse(order).ok();
    if let Some(sort) = &sort {
        assert_eq!(Sort::parse(&sort.to_string()).expect("a printed sort"), *sort);
    }
    let rows: Vec<(String, Value)> = lines
        .take(32)
        .filter_map(|line| json::parse(line.as_bytes()).ok())
        .enumerate()
        .map(|(number, doc)| (format!("{number:02}"), doc))
        .collect();
    let limit = limit.len() % 8;
    let query = Query { filters: filter.iter().cloned().collect(), sort, limit: None };
    let run = |query: &Query| -> Vec<(String, Value)> {
        query.run(rows.iter().cloned().map(Ok)).map(|row| row.expect("a good row")).collect()
    };
    let all = run(&query);
    let some = run(&Query { limit: Some(limit), ..query.clone() });
    assert_eq!(some, all[..limit.min(all.len())]);
    assert!(all.iter().all(|(_, doc)| query.matches(doc)));
    assert_eq!(all.len(), rows.iter().filter(|(_, doc)| query.matches(doc)).count());
    if let Some(sort) = &query.sort {
        let order = |pair: &[(String, Value)]| {
            sort.compare((&pair[0].0, &pair[0].1), (&pair[1].0, &pair[1].1)).is_lt()
        };
        assert!(all.windows(2).all(order), "the results are in order");
    }
    let _plan = query.explain("documents");
});

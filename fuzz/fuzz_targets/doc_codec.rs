//! Any bytes as a document: no panic, and the canonical form is a fixed point.
#![no_main]

use jidoka::doc::{Canonical, Filter, Sort, json};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = json::parse(bytes) {
        let canonical = Canonical::of(&value).expect("a parsed document has a canonical form");
        let again = json::parse(&canonical.bytes).expect("the canonical form is a document");
        assert_eq!(Canonical::of(&again).expect("it was canonical"), canonical);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(filter) = Filter::parse(text) {
            assert_eq!(Filter::parse(&filter.to_string()).expect("a printed filter"), filter);
        }
        if let Ok(sort) = Sort::parse(text) {
            assert_eq!(Sort::parse(&sort.to_string()).expect("a printed sort"), sort);
        }
    }
});

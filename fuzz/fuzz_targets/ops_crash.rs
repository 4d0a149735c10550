//! Input: a case of the crash lab with faults and crash images, from the bytes (`cases.rs`).
//!
//! Oracle: the lab's own, R1 to R12. The message of a failure holds the case to replay.
#![no_main]

use jidoka::sim::run_case;
use jidoka_fuzz::cases::{Harm, case_of};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let case = case_of(bytes, Harm::Crashes);
    let (_, failure) = run_case(&case);
    if let Some(failure) = failure {
        panic!("{failure:?}\n{}", serde_json::to_string(&case).unwrap_or_default());
    }
});

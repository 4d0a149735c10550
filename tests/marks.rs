//! What an attack of a few seconds must reach, or it attacks too little.

use jidoka::sim::{AttackSettings, attack, marks_missing};

/// Marks that the lab cannot hit: what they are for, and where they are tested instead.
const ELSEWHERE: &[(&str, &str)] = &[];

#[test]
fn a_short_attack_reaches_every_mark() {
    let settings =
        AttackSettings { seed: 1, runs: Some(64), seconds: None, exhaustive: 2, threads: 2 };
    let t = std::time::Instant::now();
    let (counts, failures) = attack(&settings).unwrap();
    println!("{:?} {counts:?}", t.elapsed());
    println!("{:#?}", marks_missing());
    assert_eq!(failures, []);
    assert!(marks_missing().is_empty() || ELSEWHERE.is_empty());
}

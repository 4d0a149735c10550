//! What an attack of a few seconds must reach, or it attacks too little.

use jidoka::sim::{AttackSettings, attack, marks_missing};

/// Marks that a short attack does not reach, and why.
const ELSEWHERE: [(&str, &str); 11] = [
    ("disk: an interrupted call", "its sweep is that of seed 65"),
    ("recovery @C: identity missing", "no crash takes a name that was made durable"),
    ("recovery @D: not a store", "the directory of the lab is nobody else's"),
    ("recovery @F: first segment missing", "no crash takes a name that was made durable"),
    ("recovery @G: successor missing", "no crash takes a name that was made durable"),
    ("recovery @M: tail cut short", "no crash takes a size that was made durable"),
    ("recovery @N: header of another", "no crash gives a file another's name"),
    ("recovery @O: file too long", "no crash makes a file longer"),
    ("recovery @P: salvage begun", "nobody salvages in the lab"),
    ("clock: suspect", "a leap of the clock is rare in a few seeds"),
    ("store: a conflict was retried", "takes two threads"),
];

#[test]
fn a_short_attack_reaches_every_mark() {
    let settings =
        AttackSettings { seed: 1, runs: Some(34), seconds: None, exhaustive: 1, threads: 2 };
    let (counts, failures) = attack(&settings).unwrap();
    assert_eq!(failures, []);
    assert!(counts.images > 1000, "{counts:?}");
    let elsewhere = |name: &&str| ELSEWHERE.iter().any(|(other, _)| other == name);
    let missing: Vec<_> = marks_missing().into_iter().filter(|name| !elsewhere(name)).collect();
    assert_eq!(missing, [""; 0]);
}

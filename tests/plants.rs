//! Testing the tester: every planted bug is found by the crash lab, within so many seeds.
#![expect(clippy::print_stdout, reason = "the table of what was found is the report")]

use std::time::Instant;

use jidoka::base::plant::{Plant, choose};
use jidoka::sim::attack_seed;

/// Seeds within which a plant must be found: about twice what it takes today.
const SEEDS: &[(Plant, u64)] = &[];

#[test]
fn every_planted_bug_is_found() {
    let only = std::env::var("PLANT").ok();
    let mut missed = Vec::new();
    for plant in Plant::ALL {
        if std::env::var("FROM").is_ok_and(|from| *plant < from.parse().unwrap()) {
            continue;
        }
        if only.as_ref().is_some_and(|only| !only.split(',').any(|o| o == plant.name())) {
            continue;
        }
        choose(Some(*plant));
        let t = Instant::now();
        let mut found = None;
        let first: u64 = std::env::var("FIRST").map_or(1, |s| s.parse().unwrap());
        let step: usize = std::env::var("STEP").map_or(1, |s| s.parse().unwrap());
        for seed in (first..=1000).step_by(step) {
            if t.elapsed().as_secs() > 12 {
                println!("gave up at seed {seed}");
                break;
            }
            if let (_, Some((_, failure))) = attack_seed(seed) {
                found = Some((seed, failure));
                break;
            }
        }
        match found {
            Some((seed, f)) => println!(
                "{:28} seed {seed:4} {:6.2}s {} {} | {}",
                plant.name(),
                t.elapsed().as_secs_f64(),
                f.rule,
                f.site,
                f.detail.chars().take(150).collect::<String>()
            ),
            None => {
                println!("{:28} MISSED {:6.2}s", plant.name(), t.elapsed().as_secs_f64());
                missed.push(*plant);
            }
        }
    }
    choose(None);
    assert!(missed.is_empty(), "{missed:?} {SEEDS:?}");
}
#[test]
fn clean() {
    if std::env::var("CLEAN").is_err() {
        return;
    }
    let t = Instant::now();
    for seed in 1..=std::env::var("CLEAN").unwrap().parse().unwrap() {
        let s = Instant::now();
        if let (_, Some((_, f))) = attack_seed(seed) {
            println!("FALSE ALARM {seed} {f:?}");
        }
        if seed < 20 {
            println!("{seed} {:?}", s.elapsed());
        }
    }
    println!("{:?}", t.elapsed());
}

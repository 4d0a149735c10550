//! Cuts the power of real ext4 file systems with a store on them.
//!
//! A disk is a file of a FUSE file system served by this process, so every write and every flush
//! that the kernel makes of the store's calls is seen; ext4 lies on it through a loop device. A
//! power cut is a copy: what the last completed flush covers, and of the writes after it any
//! choice the seed makes. The copy is mounted, which replays what ext4 keeps for that, the store
//! on it is opened, and what it shows is compared with what was answered before the cut.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "outside the engine: real files, clocks, threads and locks"
)]

mod child;
mod content;
mod dice;
mod disk;
mod place;
mod process;
mod promise;
mod serve;
mod session;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use dice::Dice;
use place::Place;
use session::{Figures, Run, Stop};

const USAGE: &str = "usage: jidoka-power [--cuts N] [--seed N] [--seconds N] [--plant NAME]

Cuts the power N times (50), or until N seconds (600) are over. With --plant a bug is in the store
(feature planted-bugs), and it is a failure if no cut finds it.";

struct Settings {
    cuts: u64,
    seed: u64,
    seconds: u64,
    plant: Option<String>,
}

fn settings(arguments: &[String]) -> Option<Settings> {
    let mut settings = Settings { cuts: 50, seed: 1, seconds: 600, plant: None };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return None };
        match name.as_str() {
            "--cuts" => settings.cuts = value.parse().ok()?,
            "--seed" => settings.seed = value.parse().ok()?,
            "--seconds" => settings.seconds = value.parse().ok()?,
            "--plant" => settings.plant = Some(value.clone()),
            _ => return None,
        }
    }
    Some(settings)
}

/// Puts the bug called `name` into the store of this process.
fn plant(name: &str) -> Result<(), String> {
    let plant: jidoka::base::plant::Plant = name.parse()?;
    #[cfg(feature = "planted-bugs")]
    jidoka::base::plant::choose(Some(plant));
    if jidoka::base::plant::is_planted(plant) {
        return Ok(());
    }
    Err("without the feature planted-bugs there are none".to_owned())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if matches!(arguments.first().map(String::as_str), Some("look" | "work")) {
        place::end_with_the_parent();
        if let Ok(name) = std::env::var(process::PLANT)
            && let Err(what) = plant(&name)
        {
            eprintln!("{what}");
            return ExitCode::from(2);
        }
        child::run(&arguments);
        return ExitCode::SUCCESS;
    }
    if arguments.first().is_some_and(|word| word == "hold") {
        return place::hold().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let Some(settings) = settings(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if let Some(Err(what)) = settings.plant.as_deref().map(plant) {
        eprintln!("{what}");
        return ExitCode::from(2);
    }
    let prepared = Place::new().and_then(|place| {
        let blank = place.blank()?;
        std::fs::write(place.path("image"), &blank).map_err(|error| error.to_string())?;
        drop(place.mount(&place.path("image"), "look")?);
        Ok((place, blank))
    });
    match prepared {
        Ok((place, blank)) => cut(&settings, &place, blank),
        Err(what) => {
            println!("not possible here: {what}");
            ExitCode::SUCCESS
        }
    }
}

fn cut(settings: &Settings, place: &Place, blank: Vec<u8>) -> ExitCode {
    let started = Instant::now();
    let mut run = Run {
        place,
        blank,
        dice: Dice::new(settings.seed),
        plant: settings.plant.clone(),
        figures: Figures::default(),
        cuts: settings.cuts,
        until: started + Duration::from_secs(settings.seconds),
    };
    let ended = run.run();
    report(&run.figures, started.elapsed());
    match (ended, &settings.plant) {
        (Ok(()), None) => {
            println!("every promise was kept");
            ExitCode::SUCCESS
        }
        (Ok(()), Some(name)) => {
            println!("the planted bug {name} was not found");
            ExitCode::FAILURE
        }
        (Err(Stop::Broken { what, .. }), Some(name)) => {
            println!("the planted bug {name} was found: {what}");
            ExitCode::SUCCESS
        }
        (Err(Stop::Broken { what, image }), None) => {
            println!("broken, seed {}: {what}", settings.seed);
            keep(settings.seed, &image);
            ExitCode::FAILURE
        }
        (Err(Stop::Around(what)), _) => {
            println!("the cuts had to stop: {what}");
            ExitCode::FAILURE
        }
    }
}

fn report(figures: &Figures, took: Duration) {
    let Figures { images, of_recoveries, disks, kills, answers, .. } = figures;
    let Figures { pending, by_pending, writes, flushes, by_choice, .. } = figures;
    println!(
        "{images} power cuts, {of_recoveries} of them after a recovery began, on {disks} disks, \
         in {:.1} s; {kills} kills, {answers} commits answered",
        took.as_secs_f64()
    );
    println!(
        "{writes} writes and {flushes} flushes; {pending} writes were pending at cuts, so many at \
         so many cuts: {by_pending:?}; {by_choice:?}"
    );
}

/// Keeps the image of a failure where a person can mount it.
fn keep(seed: u64, image: &[u8]) {
    let file = std::env::temp_dir().join(format!("jidoka-power-seed-{seed}.img"));
    match std::fs::write(&file, image) {
        Ok(()) => println!("the disk as it was then: {}", file.display()),
        Err(error) => println!("the disk could not be kept: {error}"),
    }
}

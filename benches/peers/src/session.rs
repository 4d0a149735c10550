//! Rounds: every engine in turn, each in a process of its own.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::arguments::Settings;
use crate::child::{Figures, Order, Part};
use crate::engine::{Kind, UNSYNCED};
use crate::summary::{Row, Syncs};
use crate::syncs::{self, Counted};
use crate::table;
use crate::work::{Manner, Work};

/// How long a process may take beyond its own bounds, to fill what it measures for example.
const PATIENCE: Duration = Duration::from_secs(600);

/// A directory that goes with this value.
struct Place(PathBuf);

impl Place {
    fn make(settings: &Settings) -> Outcome<Self> {
        let beside_target = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        let parent = settings.dir.clone().unwrap_or_else(beside_target);
        let dir = parent.join(format!(".jidoka-peers-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("jidoka-peers: {} is left: {error}", self.0.display());
        }
    }
}

/// Compares what is asked for, and prints each work when it is through.
pub fn run(settings: &Settings) -> Outcome<()> {
    let place = Place::make(settings)?;
    for work in &settings.works {
        let mut rows: Vec<Row> = settings
            .engines
            .iter()
            .filter(|kind| kind.can(work))
            .map(|kind| Row::new(kind, *work))
            .collect();
        for round in 0..settings.rounds {
            let first = usize::try_from(round)? * 5 % rows.len().max(1);
            rows.rotate_left(first);
            for row in &mut rows {
                note(settings, row, &format!("round {}", round + 1));
                let figures = measure(settings, &place, row, round);
                row.add(figures);
            }
            rows.rotate_right(first);
        }
        trace_all(settings, &place, *work, &mut rows);
        let printed =
            if settings.json { table::json(&rows) } else { table::markdown(*work, &rows) };
        println!("{printed}");
    }
    Ok(())
}

fn note(settings: &Settings, row: &Row, what: &str) {
    if !settings.json {
        eprintln!("{} {what}: {}", row.work.name, row.kind.name);
    }
}

fn order(settings: &Settings, place: &Place, row: &Row, round: u64) -> Order {
    Order {
        engine: row.kind.name.to_owned(),
        work: row.work.name.to_owned(),
        part: Part::Measure,
        dir: place.0.join("engine"),
        time: settings.time,
        bytes: settings.bytes,
        block: settings.block,
        seed: 0x6a69_646f_6b61_2100 + round,
    }
}

/// One round of one engine.
fn measure(settings: &Settings, place: &Place, row: &Row, round: u64) -> Outcome<Figures> {
    let order = order(settings, place, row, round);
    fresh(&order.dir)?;
    if row.work.manner == Manner::Reopen {
        let fill = Order { part: Part::Fill, ..order.clone() };
        // It kills itself; one that ends otherwise has said why.
        let status = run_child(Command::new(std::env::current_exe()?), &fill)?;
        if status.code().is_some() {
            return Err(format!("it was not filled: {status}").into());
        }
    }
    let mut figures = figures_of(Command::new(std::env::current_exe()?), &order);
    if row.work.manner == Manner::Ingest {
        let again = Order { part: Part::Again, ..order.clone() };
        let figures = figures.as_mut().map_err(|error| error.to_string())?;
        figures.extend(figures_of(Command::new(std::env::current_exe()?), &again)?);
    }
    fresh(&order.dir)?;
    figures
}

/// An empty directory, whatever was there.
fn fresh(dir: &Path) -> Outcome<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(fs::create_dir_all(dir)?),
    }
}

fn figures_of(program: Command, order: &Order) -> Outcome<Figures> {
    let status = run_child(program, order)?;
    if !status.success() {
        return Err(format!("it ended with {status}").into());
    }
    Ok(serde_json::from_slice(&fs::read(order.figures_path())?)?)
}

/// Runs a process to its end, which is made to come if it takes too long.
fn run_child(mut program: Command, order: &Order) -> Outcome<ExitStatus> {
    program.args(["--child", &order.to_json()]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = program.spawn()?;
    let until = Instant::now() + order.time * 4 + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            return Err("it took too long and was ended".into());
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The round that counts syncs, with the negative control.
fn trace_all(settings: &Settings, place: &Place, work: Work, rows: &mut Vec<Row>) {
    if settings.traced.is_zero() || !work.is_traced() {
        return;
    }
    rows.extend(Kind::named(UNSYNCED).map(|control| Row::new(control, work)));
    for row in rows {
        note(settings, row, "traced");
        row.syncs = trace(settings, place, row).unwrap_or_else(|error| {
            eprintln!("{} {}: not traced: {error}", work.name, row.kind.name);
            Syncs::NotCounted("it could not be traced")
        });
    }
}

fn trace(settings: &Settings, place: &Place, row: &Row) -> Outcome<Syncs> {
    let order = Order { time: settings.traced, ..order(settings, place, row, settings.rounds) };
    fresh(&order.dir)?;
    let path = place.0.join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-qq", "-y", "-s", "0", "-e", syncs::CALLS, "-o"]);
    strace.arg(&path).arg(std::env::current_exe()?);
    let figures = figures_of(strace, &order)?;
    let counted = syncs::count(&fs::read_to_string(&path)?);
    fs::remove_file(&path)?;
    fresh(&order.dir)?;
    let commits = *figures.get("commits").ok_or("no commits in the figures")?;
    Ok(match counted {
        Counted::Syncs(syncs) => Syncs::judge(commits, syncs, row.work.threads),
        Counted::Unknown(why) => Syncs::NotCounted(why),
    })
}

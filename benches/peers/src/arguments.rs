//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::Outcome;
use crate::engine::{self, Kind};
use crate::work::{self, Work};

const USAGE: &str = "usage: jidoka-peers [--work A,B] [--engines A,B] [--rounds 3] [--seconds 3]
       [--bytes 256MiB] [--block 200] [--count-syncs SECONDS] [--dir DIR] [--json]

Each engine runs each work for so many seconds, or until so many bytes are committed, once a round.
--block is how many commits a lone committer makes before it is raw's turn. --count-syncs 0 leaves
the traced round out. With --json, a line of JSON for each row of the table instead of the table.";

/// What to compare, and how.
#[derive(Clone)]
pub struct Settings {
    pub works: Vec<Work>,
    pub engines: Vec<&'static Kind>,
    pub rounds: u64,
    pub time: Duration,
    pub bytes: u64,
    pub block: u64,
    /// How long each engine is traced; zero for not at all.
    pub traced: Duration,
    pub dir: Option<PathBuf>,
    pub json: bool,
}

impl Settings {
    pub fn from(arguments: &[String]) -> Outcome<Self> {
        let mut settings = Self {
            works: work::ALL.to_vec(),
            engines: engine::all().filter(|kind| kind.usual).collect(),
            rounds: 3,
            time: Duration::from_secs(3),
            bytes: 256 << 20,
            block: 200,
            traced: Duration::from_secs(1),
            dir: None,
            json: false,
        };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            if name == "--json" {
                settings.json = true;
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{name} of what?\n\n{USAGE}"))?;
            settings.set(name, value)?;
        }
        Ok(settings)
    }

    fn set(&mut self, name: &str, value: &str) -> Outcome<()> {
        match name {
            "--work" => self.works = value.split(',').map(Work::named).collect::<Outcome<_>>()?,
            "--engines" => {
                self.engines = value.split(',').map(Kind::named).collect::<Outcome<_>>()?;
            }
            "--rounds" => self.rounds = value.parse()?,
            "--seconds" => self.time = Duration::try_from_secs_f64(value.parse()?)?,
            "--bytes" => self.bytes = bytes(value)?,
            "--block" => self.block = value.parse()?,
            "--count-syncs" => self.traced = Duration::try_from_secs_f64(value.parse()?)?,
            "--dir" => self.dir = Some(value.into()),
            _ => return Err(format!("there is no {name}\n\n{USAGE}").into()),
        }
        Ok(())
    }
}

/// What `--help` prints.
pub fn help() -> String {
    let works: Vec<_> = work::ALL.iter().map(|work| work.name).collect();
    let engines: Vec<_> = engine::all().map(|kind| kind.name).collect();
    format!("{USAGE}\n\nworks: {}\nengines: {}", works.join(", "), engines.join(", "))
}

/// `256MiB`, `1GiB`, or a number of bytes.
fn bytes(text: &str) -> Outcome<u64> {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("", 0)];
    let found = units.iter().find_map(|(unit, shift)| {
        text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(1 << shift)
    });
    Ok(found.ok_or_else(|| format!("{text:?} is not a number of bytes, such as 256MiB"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        assert_eq!(bytes("1GiB").ok(), Some(1 << 30));
        assert_eq!(bytes("4096").ok(), Some(4096));
        assert!(bytes("1 GB").is_err());
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let from =
            |text: &str| Settings::from(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert!(from("--work group-64 --engines jidoka,raw --json").is_ok());
        assert!(from("--work group-65").is_err());
        assert!(from("--engines oracle").is_err());
        assert!(from("--rounds").is_err());
    }
}

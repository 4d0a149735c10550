//! The life of a disk: it is worked on, its power is cut again and again, and what each cut left
//! is mounted, opened and compared with what was promised.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::disk::{Choice, Cut, Disk};
use crate::place::{Mounted, Place};
use crate::process::Process;
use crate::promise::{Heard, Promises};

/// How long to wait for a cut that was armed.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long a child may take for a store of a few hundred kilobytes.
const CHILD_PATIENCE: Duration = Duration::from_secs(30);
/// Cuts of one disk.
const CUTS_OF_A_DISK: u64 = 40;
/// With so many commits the log may soon fill the disk.
const COMMITS_OF_A_DISK: usize = 4000;

/// What was done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) disks: u64,
    pub(crate) images: u64,
    pub(crate) of_recoveries: u64,
    pub(crate) kills: u64,
    pub(crate) answers: u64,
    pub(crate) pending: u64,
    /// Cuts by how many writes were pending; 9 are 9 or more.
    pub(crate) by_pending: BTreeMap<usize, u64>,
    pub(crate) writes: u64,
    pub(crate) flushes: u64,
    pub(crate) by_choice: BTreeMap<Choice, u64>,
}

/// Why the work stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A rule was broken, by this image.
    Broken { what: String, image: Vec<u8> },
    /// Something around the store does not work.
    Around(String),
}

impl From<String> for Stop {
    fn from(what: String) -> Self {
        Self::Around(what)
    }
}

/// One run.
pub(crate) struct Run<'a> {
    pub(crate) place: &'a Place,
    pub(crate) blank: Vec<u8>,
    pub(crate) dice: Dice,
    pub(crate) plant: Option<String>,
    pub(crate) figures: Figures,
    pub(crate) cuts: u64,
    pub(crate) until: Instant,
}

impl<'a> Run<'a> {
    fn is_over(&self) -> bool {
        self.figures.images >= self.cuts || Instant::now() >= self.until
    }

    pub(crate) fn run(&mut self) -> Result<(), Stop> {
        while !self.is_over() {
            self.figures.disks += 1;
            // The root of the file system of disks is file 1.
            self.live(self.figures.disks * 1000)?;
        }
        Ok(())
    }

    /// Starts a child on the store in a directory of the place.
    fn child(&mut self, words: [&str; 4], heard: &Heard) -> Result<Process, String> {
        let [word, dir, lives, commits] = words;
        let store = self.place.path(dir).join("store").to_string_lossy().into_owned();
        let seed = self.dice.below(u64::MAX).to_string();
        let arguments = [word, &store, lives, commits, &seed].map(str::to_owned);
        Process::start(self.place, &arguments, self.plant.as_deref(), heard.clone())
    }

    /// How many writes a cut waits for: a lone commit is one, but a cut among many shows more.
    fn least(&mut self) -> usize {
        [1, 1, 1, 2, 3, 4][usize::try_from(self.dice.below(6)).unwrap_or(0)]
    }

    /// Works on one disk without a break, while copies of it lose their power.
    fn live(&mut self, number: u64) -> Result<(), Stop> {
        let heard = Heard::default();
        let disk = Arc::new(Disk::new(self.blank.clone(), heard.clone()));
        let file = self.place.path("disks").join(self.place.shelf.add(number, disk.clone()));
        let mounted = self.place.mount(&file, "live")?;
        // The first cut falls into the making of the store.
        disk.arm(self.dice.below(60), self.least());
        let mut worker = self.child(["work", "live", "1000000", "40"], &heard)?;
        for at in 1..=CUTS_OF_A_DISK {
            let cut = disk.cut(PATIENCE).ok_or_else(|| "no cut".to_owned())?;
            worker.pause();
            self.examine(&cut, &heard.promises(), number + at)?;
            if worker.complains() {
                break;
            }
            if self.is_over() || heard.count() > COMMITS_OF_A_DISK {
                break;
            }
            worker.go_on();
            if self.dice.one_in(6) {
                self.figures.kills += 1;
                worker.kill();
                worker = self.child(["work", "live", "1000000", "40"], &heard)?;
            }
            let far = [10, 50, 300][usize::try_from(self.dice.below(3)).unwrap_or(0)];
            disk.arm(self.dice.below(far), self.least());
        }
        worker.kill();
        if let Some(what) = worker.complaint.take() {
            return Err(Stop::Broken { what: format!("in use: {what}"), image: Vec::new() });
        }
        drop(worker);
        drop(mounted);
        self.place.shelf.remove(number);
        let (writes, flushes) = disk.requests();
        self.figures.writes += writes;
        self.figures.flushes += flushes;
        self.figures.answers += heard.count() as u64;
        Ok(())
    }

    /// Makes an image of a cut, and checks it; sometimes its recovery is cut again.
    fn examine(&mut self, cut: &Cut, history: &Promises, number: u64) -> Result<(), Stop> {
        let image = self.image(cut);
        if !self.dice.one_in(4) {
            return self.look(image, &cut.promises, history);
        }
        let heard = Heard::new(cut.promises.clone().after_a_cut());
        let disk = Arc::new(Disk::new(image.clone(), heard.clone()));
        let file = self.place.path("disks").join(self.place.shelf.add(number, disk.clone()));
        disk.arm(self.dice.below(80), self.least());
        let mounted = self.mount(&file, "again", &image)?;
        let mut worker = self.child(["work", "again", "2", "8"], &heard)?;
        let done = worker.end(CHILD_PATIENCE);
        drop(mounted);
        let second = disk.cut(Duration::ZERO).ok_or_else(|| "no cut".to_owned())?;
        self.place.shelf.remove(number);
        let complaint = worker.complaint.take();
        if let Some(what) = complaint.or_else(|| (!done).then(|| "it ended early".to_owned())) {
            return Err(Stop::Broken { what: format!("recovery: {what}"), image });
        }
        let after = heard.promises();
        let first = after.shown.get(cut.promises.shown.len()).copied().unwrap_or_default();
        if let Err(broken) = cut.promises.check(history, first) {
            return Err(Stop::Broken { what: format!("{}: {}", broken.rule, broken.what), image });
        }
        self.figures.of_recoveries += 1;
        let image = self.image(&second);
        self.look(image, &second.promises, &after)
    }

    fn image(&mut self, cut: &Cut) -> Vec<u8> {
        let choice = Choice::draw(&mut self.dice);
        self.figures.images += 1;
        self.figures.pending += cut.pending() as u64;
        *self.figures.by_pending.entry(cut.pending().min(9)).or_default() += 1;
        *self.figures.by_choice.entry(choice).or_default() += 1;
        cut.image(choice, &mut self.dice)
    }

    /// Mounts what a power cut has left. That ext4 can is what we rest on.
    fn mount(&self, file: &Path, dir: &str, image: &[u8]) -> Result<Mounted<'a>, Stop> {
        let broken = |what| Stop::Broken { what: format!("ext4: {what}"), image: image.to_vec() };
        self.place.mount(file, dir).map_err(broken)
    }

    /// Mounts an image, opens the store on it, and compares.
    fn look(&mut self, image: Vec<u8>, before: &Promises, history: &Promises) -> Result<(), Stop> {
        let file = self.place.path("image");
        std::fs::write(&file, &image).map_err(|error| error.to_string())?;
        let mounted = self.mount(&file, "look", &image)?;
        let heard = Heard::default();
        let mut child = self.child(["look", "look", "0", "0"], &heard)?;
        let done = child.end(CHILD_PATIENCE);
        drop(mounted);
        if let Some(what) = child.complaint.take() {
            return Err(Stop::Broken { what, image });
        }
        let shown = heard.promises().shown.first().copied();
        let Some(shown) = shown.filter(|_| done) else {
            return Err(Stop::Broken { what: "R11: it ended early".to_owned(), image });
        };
        let broken = before.check(history, shown).err();
        broken.map_or(Ok(()), |broken| {
            Err(Stop::Broken { what: format!("{}: {}", broken.rule, broken.what), image })
        })
    }
}

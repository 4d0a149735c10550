//! How busy everybody else keeps the processors: what a figure on a shared machine is worth.

use std::fs;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use crate::Outcome;
use crate::numbers::{float, ratio};

/// A tick of `/proc/stat`: `USER_HZ` is 100 on every Linux of today.
const TICK: Duration = Duration::from_millis(10);

/// Processor time up to a moment.
#[derive(Clone, Copy, Debug)]
pub struct Processors {
    moment: Instant,
    ours: Duration,
    /// Of all processes, on so many processors; nothing where that is not told.
    all: Option<(Duration, u32)>,
}

/// CPU time of this process, all threads.
pub fn cpu_time() -> Outcome<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?))
}

impl Processors {
    pub fn now() -> Outcome<Self> {
        let all = fs::read_to_string("/proc/stat").ok().and_then(|text| parse(&text));
        Ok(Self { moment: Instant::now(), ours: cpu_time()?, all })
    }

    /// The part of all processors' time that others took since `before`, in percent.
    pub fn others_since(&self, before: &Self) -> Option<f64> {
        let ((all, processors), (all_before, _)) = (self.all?, before.all?);
        let busy = all.saturating_sub(all_before);
        let others = busy.saturating_sub(self.ours.saturating_sub(before.ours));
        let whole = (self.moment - before.moment).as_secs_f64() * f64::from(processors);
        Some(100.0 * ratio(others.as_secs_f64(), whole))
    }
}

/// The time all processors were busy, and their number.
fn parse(text: &str) -> Option<(Duration, u32)> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
    let idle: u64 = ticks.get(3..5)?.iter().sum();
    let busy = ticks.iter().take(8).sum::<u64>().checked_sub(idle)?;
    let is_one = |line: &&str| line.starts_with("cpu") && !line.starts_with("cpu ");
    let processors = u32::try_from(text.lines().filter(is_one).count()).ok()?;
    Some((Duration::from_secs_f64(TICK.as_secs_f64() * float(busy)), processors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_what_is_neither_idle_nor_waiting_for_a_disk() {
        let text = "cpu  10 20 30 400 50 1 2 3 7 8\ncpu0 1 2\ncpu1 1 2\nintr 5\n";
        assert_eq!(parse(text), Some((Duration::from_millis(660), 2)));
        assert_eq!(parse("intr 5\n"), None);
    }

    #[test]
    fn what_this_process_takes_is_not_the_others() {
        let moment = Instant::now();
        let at = |seconds, ours, all| Processors {
            moment: moment + Duration::from_secs(seconds),
            ours: Duration::from_secs(ours),
            all: Some((Duration::from_secs(all), 2)),
        };
        assert_eq!(at(10, 5, 10).others_since(&at(0, 0, 0)), Some(25.0));
    }
}

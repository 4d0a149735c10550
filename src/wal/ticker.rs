//! Commit times: strictly increasing, and not misled by a clock that leaps ahead.

use std::time::Duration;

use crate::base::Timestamp;
use crate::base::mark::{Mark, hit};
use crate::base::plant::{Plant, is_planted};
use crate::vfs::Clock;

/// A step this far ahead of the monotonic clock is not believed: one wild reading would push
/// the time of every later commit, on every copy, into the future for good.
const STEP_MAX_MICROS: u64 = 5 * 60 * 1_000_000;

/// The last microsecond of the year 9999, which RFC 3339 can still write. What a clock says beyond
/// is not believed, because the commits of this life, and of every later one, must find later
/// times, and the numbers for them end.
const CLOCK_MAX: Timestamp = Timestamp(253_402_300_799_999_999);

/// Gives each commit its time.
#[derive(Debug)]
pub(super) struct Ticker {
    /// Wall and monotonic time when the log was opened.
    anchor: (Timestamp, Duration),
    /// The wall clock was found far ahead; reported until the store is reopened. Written when the
    /// log is opened, and under the ticker's lock.
    pub(super) suspect: bool,
    /// The last reading of the monotonic clock.
    pub(super) read: Duration,
}

impl Ticker {
    /// Starts at the present, but not before the log's latest time.
    pub(super) fn new(clock: &dyn Clock, latest: Timestamp) -> Self {
        let now = clock.now();
        let suspect = now > CLOCK_MAX;
        if suspect {
            hit(Mark::ClockSuspect);
        }
        let believed = if suspect { Timestamp::ZERO } else { now };
        let read = clock.monotonic();
        Self { anchor: (believed.max(latest), read), suspect, read }
    }

    /// The time of a commit after `latest`.
    pub(super) fn next(&mut self, clock: &dyn Clock, latest: Timestamp) -> Timestamp {
        let now = self.now(clock);
        if now <= latest {
            hit(Mark::ClockWentBack);
        }
        if is_planted(Plant::TimeGoesBack) { now } else { now.max(latest.next()) }
    }

    fn now(&mut self, clock: &dyn Clock) -> Timestamp {
        let (wall, monotonic) = self.anchor;
        self.read = clock.monotonic();
        let elapsed = self.read.saturating_sub(monotonic).as_micros();
        let expected = wall.plus_micros(u64::try_from(elapsed).unwrap_or(u64::MAX));
        let now = clock.now();
        if now > expected.plus_micros(STEP_MAX_MICROS) {
            hit(Mark::ClockSuspect);
            self.suspect = true;
            return expected;
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::sync::Mutex;

    #[derive(Debug)]
    struct Hands(Mutex<(u64, u64)>);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.lock().0)
        }
        fn monotonic(&self) -> Duration {
            Duration::from_micros(self.0.lock().1)
        }
    }

    #[test]
    fn time_increases_when_the_clock_stands_still_or_goes_back() {
        let hands = Hands(Mutex::new((1000, 0)));
        let mut ticker = Ticker::new(&hands, Timestamp(0));
        let first = ticker.next(&hands, Timestamp(0));
        *hands.0.lock() = (10, 1);
        let second = ticker.next(&hands, first);
        assert_eq!((first, second), (Timestamp(1000), Timestamp(1001)));
        assert!(!ticker.suspect);
    }

    #[test]
    fn a_leap_of_more_than_five_minutes_is_not_believed_and_is_reported() {
        let minute = 60_000_000;
        let hands = Hands(Mutex::new((0, 0)));
        let mut ticker = Ticker::new(&hands, Timestamp(0));
        *hands.0.lock() = (5 * minute, 0);
        assert_eq!(ticker.next(&hands, Timestamp(0)), Timestamp(5 * minute));
        assert!(!ticker.suspect);
        *hands.0.lock() = (60 * minute, minute);
        assert_eq!(ticker.next(&hands, Timestamp(5 * minute)), Timestamp(5 * minute + 1));
        assert!(ticker.suspect);
    }

    #[test]
    fn a_clock_beyond_the_year_9999_is_not_believed_from_the_start() {
        for (wall, suspect) in [(CLOCK_MAX.0, false), (CLOCK_MAX.0 + 1, true), (u64::MAX, true)] {
            let hands = Hands(Mutex::new((wall, 0)));
            let mut ticker = Ticker::new(&hands, Timestamp(70));
            let time = ticker.next(&hands, Timestamp(70));
            assert_eq!(time, if suspect { Timestamp(71) } else { CLOCK_MAX }, "{wall}");
            assert_eq!(ticker.suspect, suspect, "{wall}");
        }
    }
}

//! The events of a rehearsal, and what must hold after each.

use crate::base::{Error, ErrorKind, Lsn, Result, Seq, Term};

use super::super::commit::Durability;
use super::super::draft::{Draft, Payload, Writer};
use super::super::filler::FILLER_BYTES_MAX;
use super::super::format::{Kind, RECORDS_START};
use super::super::group::{State, Wants};
use super::super::keeper::{Seen, Task};
use super::super::mend::Mended;
use super::super::scan::Position;
use super::super::turn::Turn;
use super::alone::Alone;
use super::disk::{Disk, SEGMENT_BYTES};
use super::people::{Asked, Doing, Event, Kernel, Person, Rehearsed};

/// Threads that commit.
const PEOPLE: usize = 5;
/// Bytes of a commit; several of the largest do not fit in a segment.
const SIZES: [usize; 4] = [1, 300, 900, 2500];
const DURABILITIES: [Durability; 4] =
    [Durability::Sync, Durability::Buffered, Durability::Memory, Durability::Sync];
/// One operation of the disk in so many fails.
const FAILING: usize = 160;
/// One commit in so many panics while it is appended.
const PANICKING: usize = 300;
/// One in so many who could leave at a deadline does.
const LEAVING: usize = 12;

pub(super) struct Play<'a> {
    pub(super) choose: &'a mut dyn FnMut(usize) -> usize,
    pub(super) state: State,
    pub(super) disk: Disk,
    pub(super) people: [Person; PEOPLE],
    pub(super) kernel: Option<Kernel>,
    /// Asynchronous commits, and those whose committers left at their deadlines.
    pub(super) alone: Vec<Alone>,
    pub(super) seen: Option<Seen>,
    /// The keeper was woken and has not looked since.
    pub(super) keeper_told: bool,
    pub(super) shown: Lsn,
    /// Nothing new begins and nothing fails any more.
    pub(super) ending: bool,
    pub(super) told: Rehearsed,
}

/// Plays `events` events, each chosen by `choose`, which gives a number below the one it is asked
/// with; then lets what has begun come to its end.
///
/// # Panics
/// When a rule of the protocol is broken.
pub fn rehearse(events: usize, choose: &mut dyn FnMut(usize) -> usize) -> Rehearsed {
    let mut disk = Disk::new();
    let tail = Mended {
        segment: disk.add(),
        offset: RECORDS_START,
        page: Vec::new(),
        position: Position::ORIGIN,
        start_after: Some(None),
        clean: false,
    };
    let nobody = Person { doing: Doing::Nothing, asked: Asked::Sync(Lsn::ZERO), group: 0 };
    let mut play = Play {
        choose,
        state: State::new(tail, false),
        disk,
        people: [nobody; PEOPLE],
        kernel: None,
        alone: Vec::new(),
        seen: None,
        keeper_told: false,
        shown: Lsn::ZERO,
        ending: false,
        told: Rehearsed::default(),
    };
    (0..events).for_each(|_| play.one_of(&play.possible()));
    play.ending = true;
    loop {
        let possible = play.possible();
        if possible.is_empty() {
            break;
        }
        play.one_of(&possible);
    }
    for person in &play.people {
        assert!(person.doing == Doing::Nothing, "{person:?} waits, and nobody will wake it");
    }
    assert!(play.alone.is_empty(), "{:?} wait, and nobody leads for them", play.alone);
    play.told
}

impl Play<'_> {
    fn possible(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for (who, person) in self.people.iter().enumerate() {
            match person.doing {
                Doing::Nothing if !self.ending => events.push(Event::Begin(who)),
                Doing::Awake | Doing::AwakeToLead => events.push(Event::Run(who)),
                _ => {}
            }
            let waits = !matches!(person.doing, Doing::Nothing | Doing::Leading);
            if waits && !self.ending && matches!(person.asked, Asked::Commit(..)) {
                events.push(Event::Leave(who));
            }
        }
        if self.kernel.is_some() {
            events.push(Event::Kernel);
        }
        let may_look = !self.ending || self.keeper_told;
        if may_look && self.kernel.as_ref().is_none_or(|kernel| kernel.who.is_some()) {
            events.push(Event::Look);
        }
        events
    }

    fn one_of(&mut self, events: &[Event]) {
        let chosen = (self.choose)(events.len());
        match events.get(chosen) {
            Some(Event::Begin(who)) => self.begin(*who),
            Some(Event::Run(who)) => self.run(*who),
            Some(Event::Leave(who)) if (self.choose)(LEAVING) == 0 => self.leave(*who),
            Some(Event::Leave(_)) => {}
            Some(Event::Kernel) => self.kernel(),
            Some(Event::Look) => self.look(),
            None => {}
        }
        assert!(self.state.durable.seq <= self.disk.synced().seq, "called durable, and is not");
    }

    fn pick<T: Copy>(&mut self, from: &[T], else_this: T) -> T {
        from.get((self.choose)(from.len())).copied().unwrap_or(else_this)
    }

    fn make_room(&mut self, len: u64) {
        while !self.state.has_room(len, SEGMENT_BYTES) {
            let spare = self.state.spares.pop_front().unwrap_or_else(|| self.disk.add());
            self.state.rotate(spare);
            self.told.rotations += 1;
        }
    }

    fn begin(&mut self, who: usize) {
        self.state.stop_after_panic();
        if let Err(error) = self.state.refuse_if_stopped() {
            let allowed = matches!(error.kind(), ErrorKind::Poisoned | ErrorKind::Closed);
            assert!(allowed, "{error:?}");
            self.told.refused += 1;
            return;
        }
        let asked = match (self.choose)(120) {
            0 => self.close(),
            1..10 => self.sync(),
            _ => self.commit(),
        };
        if let Some(asked) = asked
            && let Some(person) = self.people.get_mut(who)
        {
            *person = Person { doing: Doing::Awake, asked, group: self.state.filling.id };
        }
    }

    fn commit(&mut self) -> Option<Asked> {
        let payload = Payload::new(vec![7; self.pick(&SIZES, 1)]);
        let durability = self.pick(&DURABILITIES, Durability::Sync);
        self.make_room(payload.record_len());
        let (writer, time) = (Writer { term: Term(0), leader: 0 }, self.state.position.time.next());
        self.state.append(&Draft { kind: Kind::Commit, writer, time, payload: &payload });
        if (self.choose)(PANICKING) == PANICKING - 1 {
            self.state.appending = true;
            self.told.panics += 1;
            return None;
        }
        if self.state.join(durability) {
            self.show(self.state.position.lsn);
            self.told.acknowledged += 1;
            return None;
        }
        let seq = self.state.position.seq;
        if durability == Durability::Sync && (self.choose)(5) == 0 {
            self.leave_alone(self.state.filling.id, seq);
            return None;
        }
        Some(Asked::Commit(durability, seq))
    }

    pub(super) fn wake_followers(&mut self, all: bool, group: u64) {
        for person in &mut self.people {
            let same = person.group % 2 == group % 2;
            if person.doing == Doing::Following && (all || same) {
                person.doing = Doing::Awake;
            }
        }
    }

    fn sync(&mut self) -> Option<Asked> {
        let lsn = self.state.position.lsn;
        (self.state.durable.lsn < lsn).then(|| {
            self.state.filling.wants = Wants::Sync;
            Asked::Sync(lsn)
        })
    }

    /// As `Wal::close`: what is there, once more, and then the record that says so.
    fn close(&mut self) -> Option<Asked> {
        if self.state.clean {
            return None;
        }
        self.make_room(Payload::new(Vec::new()).record_len() + FILLER_BYTES_MAX);
        self.state.closing = true;
        self.state.put_filler();
        self.state.filling.wants = Wants::Sync;
        Some(Asked::Close(0))
    }

    fn show(&mut self, lsn: Lsn) {
        assert!(lsn >= self.shown, "what was visible goes back");
        self.shown = lsn;
    }

    pub(super) fn run(&mut self, who: usize) {
        let Some(person) = self.people.get(who).copied() else { return };
        if person.doing == Doing::AwakeToLead {
            self.state.woken_to_lead(person.group);
        }
        let failed = self.state.failure.as_ref().map(|failure| failure.group);
        let in_kernel = self.state.leading == Some(person.group);
        let doing = match self.state.turn(person.group) {
            Turn::Done => {
                // Group 0: a panic, beside which the group in the kernel goes on.
                let before = failed.is_none_or(|failed| failed == 0 || person.group < failed);
                assert!(before, "a group is complete after a failure, G4");
                self.answer(who, person);
                return;
            }
            Turn::Failed(error) => {
                let seq = match person.asked {
                    Asked::Commit(_, seq) => Some(seq),
                    _ => None,
                };
                self.refuse(&error, failed == Some(person.group) || in_kernel, seq);
                self.wake_followers(true, person.group);
                self.tell_handles();
                Doing::Nothing
            }
            Turn::Lead => {
                self.lead(Some(who));
                Doing::Leading
            }
            Turn::WaitToLead => Doing::WaitingToLead,
            Turn::Follow => Doing::Following,
        };
        self.set(who, Person { doing, ..person });
    }

    pub(super) fn set(&mut self, who: usize, person: Person) {
        if let Some(there) = self.people.get_mut(who) {
            *there = person;
        }
    }

    pub(super) fn refuse(&mut self, error: &Error, own: bool, seq: Option<Seq>) {
        let written = seq.is_some_and(|seq| seq <= self.disk.written().seq);
        assert!(own || !written, "told that nothing of {seq:?} was written, and it was");
        let expected = if own { ErrorKind::OutcomeUnknown } else { ErrorKind::Poisoned };
        assert!(error.kind() == expected, "told {error:?}, where {expected:?} is the truth");
        self.told.unknown += u64::from(own);
        self.told.refused += u64::from(!own);
    }

    /// Somebody's group is complete.
    fn answer(&mut self, who: usize, person: Person) {
        let mut after = Person { doing: Doing::Nothing, ..person };
        match person.asked {
            Asked::Commit(durability, seq) => {
                let synced = durability == Durability::Sync;
                let there = if synced { self.disk.synced() } else { self.disk.written() };
                assert!(there.seq >= seq, "{seq} is answered {durability:?}: {there:?}, C1");
                assert!(self.shown.0 > 0, "answered, and nothing is visible, C2");
                self.told.acknowledged += 1;
            }
            Asked::Sync(lsn) => assert!(self.disk.synced().lsn >= lsn, "{lsn} is not synced"),
            Asked::Close(2) => {
                assert!(self.disk.synced() == self.state.position, "closed, and not all is synced");
                self.state.closed = true;
                self.told.closed = true;
            }
            Asked::Close(done) => {
                if done == 0 {
                    self.state.confirm_active();
                } else {
                    self.state.put(Kind::CleanClose, &Payload::new(Vec::new()));
                    self.state.filling.wants = Wants::Sync;
                }
                let (asked, group) = (Asked::Close(done + 1), self.state.filling.id);
                after = Person { doing: Doing::Awake, asked, group };
            }
        }
        self.set(who, after);
    }

    fn lead(&mut self, who: Option<usize>) {
        let group = self.state.take_group();
        assert!(self.kernel.is_none(), "two leaders");
        self.kernel = Some(Kernel { group, who, written: 0, synced: 0 });
    }

    /// The next call of the leader: a write, a sync, or none.
    fn kernel(&mut self) {
        let fails = !self.ending && (self.choose)(FAILING) == FAILING - 1;
        let torn = if fails { (self.choose)(8192) } else { usize::MAX };
        let failed = || Err(Error::new(ErrorKind::Io, "the rehearsed disk fails"));
        let Some(kernel) = &mut self.kernel else { return };
        let outcome = if !kernel.group.is_empty()
            && let Some(piece) = kernel.group.pieces.get(kernel.written)
        {
            kernel.written += 1;
            self.disk.write(piece, torn);
            if fails { failed() } else { return }
        } else if kernel.group.wants == Wants::Sync
            && let Some(segment) = kernel.group.to_sync.get(kernel.synced)
        {
            kernel.synced += 1;
            if fails {
                failed()
            } else {
                self.disk.sync(segment);
                return;
            }
        } else {
            Ok(())
        };
        self.finish(outcome);
    }

    /// As `Shared::lead`, after its write and sync.
    fn finish(&mut self, outcome: Result<()>) {
        let Some(Kernel { group, who, .. }) = self.kernel.take() else { return };
        self.state.stop_after_panic();
        self.state.finish_group(&group, outcome);
        if self.state.completed == group.id {
            self.show(group.end.lsn);
            self.told.groups += 1;
        }
        let wakes = self.state.wakes();
        if wakes.next_leader {
            self.wake_a_leader();
        }
        self.wake_followers(wakes.all, group.id);
        self.keeper_told |= self.state.wants_keeper();
        self.tell_handles();
        if let Some(leader) = who.and_then(|who| self.people.get_mut(who)) {
            leader.doing = Doing::Awake;
        }
    }

    /// Wakes one of those who wait to lead; which, is not promised.
    fn wake_a_leader(&mut self) {
        let waits = |person: &Person| person.doing == Doing::WaitingToLead;
        let count = self.people.iter().filter(|person| waits(person)).count();
        if count == 0 {
            return;
        }
        let chosen = (self.choose)(count);
        if let Some(one) = self.people.iter_mut().filter(|person| waits(person)).nth(chosen) {
            one.doing = Doing::AwakeToLead;
            self.told.handed_on += 1;
        }
    }

    /// One look of the keeper, as `Shared::keep` and `Shared::perform`.
    fn look(&mut self) {
        self.state.stop_after_panic();
        self.keeper_told = false;
        self.tell_handles();
        let before = self.seen.take();
        match self.state.task(SEGMENT_BYTES, before) {
            None => self.seen = Some(self.state.seen()),
            Some(Task::Lead) => self.lead(None),
            Some(Task::Prepare) => self.state.spares.push_back(self.disk.add()),
            // Nothing here makes the demand grow.
            Some(Task::DropSpare) => {}
            Some(Task::Sync) => {
                self.state.filling.wants = Wants::Sync;
                if self.state.leading.is_none() {
                    self.lead(None);
                }
            }
            Some(Task::Claim) => {
                self.make_room(Payload::new(Vec::new()).record_len() + FILLER_BYTES_MAX);
                self.state.put_claiming_mark(self.state.position.time.next());
                self.told.claims += 1;
                self.lead(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeded(seed: u64, events: usize) -> Rehearsed {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        rehearse(events, &mut |bound| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random >> 33).unwrap() % bound
        })
    }

    #[test]
    fn every_order_of_events_keeps_the_rules_and_leaves_nobody_behind() {
        let mut sums = [0; 11];
        for seed in 0..8000 {
            let told = seeded(seed, 150);
            let counts = [
                told.acknowledged,
                told.unknown,
                told.refused,
                told.handles,
                told.left,
                told.panics,
                told.groups,
                told.rotations,
                told.handed_on,
                told.claims,
                u64::from(told.closed),
            ];
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        assert!(sums.iter().all(|sum| *sum > 100), "something is hardly rehearsed: {sums:?}");
    }

    #[test]
    fn the_same_choices_give_the_same_rehearsal() {
        assert_eq!(seeded(7, 400), seeded(7, 400));
        assert_eq!(rehearse(0, &mut |_| 0), Rehearsed::default());
    }
}

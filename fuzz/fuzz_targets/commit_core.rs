//! Input: the order of events of the commit protocol, one choice after the other: who appends
//! what, who runs, which write or sync comes next, whether it fails, when the keeper looks.
//!
//! Oracle: the rules of `wal::rehearsal`, after every event and when nothing more can happen.
#![no_main]

use jidoka::wal::rehearsal::rehearse;
use jidoka_fuzz::input::Input;

/// An event takes two bytes or a little more.
const BYTES_OF_AN_EVENT: usize = 2;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let told = rehearse(bytes.len() / BYTES_OF_AN_EVENT, &mut |bound| input.below(bound));
    assert!(
        told.handed_on <= told.groups + 1,
        "more leaders were woken than groups ended: {told:?}"
    );
});

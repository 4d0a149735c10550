//! Input: choices from which a store is made, then damage of every kind to the files of its
//! directory, their names included; in half of the inputs every checksum is made right again, and
//! in a quarter the chain too.
//!
//! Oracle: opening ends with `Ok` or a typed error with a place: no panic, no hang, no allocation
//! beyond the files. The same files always give the same answer. What an open showed is there
//! after a power cut and after the next open. Verification finds no less than opening does.
#![no_main]

use std::path::Path;

use jidoka::base::{Error, ErrorKind, Lsn};
use jidoka::doc::{Condition, Documents};
use jidoka::ops::verify;
use jidoka::vfs::memory::{CrashMode, MemoryVfs, runtime};
use jidoka_fuzz::damage::damage;
use jidoka_fuzz::input::Input;
use jidoka_fuzz::oracle::is_typed;
use jidoka_fuzz::seal::{level, seal};
use jidoka_fuzz::shop::{STORE, Shop, Shown, disk_of, observe, open};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let level = level(&mut input);
    let times = 1 + input.below(6);
    let shop = Shop::build(&mut input, false);
    let mut files = shop.files.clone();
    for _ in 0..times {
        damage(&mut files, &shop.old, &mut input);
    }
    seal(&mut files, level);
    let disk = disk_of(&files);
    let verified = verify(Path::new(STORE), &runtime(&disk.kill(), 1), false);
    if let Err(error) = &verified {
        is_typed(error);
    }
    let twin = disk.kill();
    let first = open(&disk, 9);
    match (&first, open(&twin, 9)) {
        (Ok(_), Ok(_)) => {}
        (Err(error), Err(again)) => assert_eq!(error.to_string(), again.to_string()),
        (first, again) => panic!("{:?}, then {:?}", first.as_ref().err(), again.err()),
    }
    match first {
        Ok(docs) => opened(&disk, docs),
        Err(error) => {
            is_typed(&error);
            refused(&error, &disk, verified.is_ok_and(|report| report.is_ok()));
        }
    }
});

fn refused(error: &Error, disk: &MemoryVfs, found_nothing: bool) {
    if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported) {
        assert!(error.place().path.is_some() || error.place().lsn.is_some(), "{error:?}");
        assert!(!found_nothing, "verified, and refused: {error:?}");
    }
    // Refusing changes nothing: the next open says the same.
    let again = open(&disk.crash_with(CrashMode::Everything), 11).map(|_| ()).expect_err("refused");
    assert_eq!(again.to_string(), error.to_string());
}

/// What an open store shows, or how reading it is refused: a forged log can hold anything.
fn look(docs: &Documents) -> Result<Shown, String> {
    if let Ok(mut changes) = docs.changes(Lsn::ZERO) {
        while let Ok(Some(_)) = changes.next_change() {}
    }
    observe(docs).map_err(|error| {
        is_typed(&error);
        error.to_string()
    })
}

fn opened(disk: &MemoryVfs, docs: Documents) {
    let shown = look(&docs);
    let cut = disk.crash_with(CrashMode::Nothing);
    let after = open(&cut, 12).expect("what was opened can be opened after a power cut");
    assert_eq!(look(&after), shown, "after a power cut");
    drop(after);
    let written = docs.put("after", "a", &serde_json::json!("still alive"), Condition::None);
    if let Err(error) = &written {
        is_typed(error);
    }
    docs.store().close().expect("a close on a healthy disk");
    let then = look(&docs);
    drop(docs);
    let docs = open(disk, 13).expect("what was closed can be opened");
    assert_eq!(look(&docs), then, "after a close");
    if let Ok(written) = written {
        let found = docs.get("after", "a").expect("what was written can be read");
        assert_eq!(found.map(|found| found.rev), Some(written.rev));
    }
}

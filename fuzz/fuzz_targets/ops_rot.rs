//! Input: as for `wal_roundtrip_mutate`, with copies, and damage of every kind: flipped bits,
//! stale sectors and stale files from an earlier moment, misdirected sectors, files cut, swapped,
//! duplicated, renamed and gone, in the store and in its copy.
//!
//! Oracle: R8. The store as for `wal_roundtrip_mutate`; the copy restores what was, at the LSN it
//! says, or refuses.
#![no_main]

use std::path::PathBuf;

use jidoka::archive::{RestoreRequest, Target, restore};
use jidoka::doc::Documents;
use jidoka::store::Store;
use jidoka::vfs::memory::runtime;
use jidoka_fuzz::damage::damage;
use jidoka_fuzz::input::Input;
use jidoka_fuzz::oracle::{is_typed, judge};
use jidoka_fuzz::shop::{COPY, Files, Shop, disk_of, observe};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let times = 1 + input.below(6);
    let mut shop = Shop::build(&mut input, true);
    let mut files = shop.files.clone();
    for _ in 0..times {
        damage(&mut files, &shop.old, &mut input);
    }
    let is_copy = |path: &str| path.starts_with(COPY);
    restored(&shop, &files.iter().filter(|(p, _)| is_copy(p)).map(own).collect());
    files.retain(|path, _| !is_copy(path));
    shop.files.retain(|path, _| !is_copy(path));
    judge(&shop, &files);
});

fn own((path, bytes): (&String, &Vec<u8>)) -> (String, Vec<u8>) {
    (path.clone(), bytes.clone())
}

fn restored(shop: &Shop, files: &Files) {
    let disk = disk_of(files);
    let to = PathBuf::from("/restored");
    let (from, target) = (COPY.into(), Target::Latest);
    let request = RestoreRequest { from, to, target, exclusive: false, dry_run: false };
    let report = match restore(&request, &runtime(&disk, 4)) {
        Ok(report) => report,
        Err(error) => return is_typed(&error),
    };
    let store = Store::builder(&request.to).runtime(runtime(&disk, 6)).open().expect("restored");
    let (_, content) = observe(&Documents::over(store)).expect("a restored store can be read");
    let lsn = report.reached.lsn;
    assert_eq!(Some(content), shop.content_at(lsn), "restored to LSN {lsn}");
}

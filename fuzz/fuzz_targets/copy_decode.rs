//! Input: choices from which a store and a copy are made, damage to the copy's files, in half of
//! the inputs checksums that are right again, and a target; also any bytes as the copy's formats.
//!
//! Oracle: a restore gives what the source was at the commit it reached, or refuses and leaves
//! nothing that opens. With forged checksums, the restored store opens and a backup goes on or
//! refuses.
#![no_main]

use std::path::PathBuf;

use jidoka::archive::format::{End, RangeHeader, put_record, take_record};
use jidoka::archive::{RestoreRequest, Target, backup, restore};
use jidoka::base::codec::Cursor;
use jidoka::base::{Lsn, Timestamp};
use jidoka::doc::Documents;
use jidoka::store::Store;
use jidoka::vfs::memory::{MemoryVfs, runtime};
use jidoka_fuzz::damage::damage;
use jidoka_fuzz::input::Input;
use jidoka_fuzz::oracle::is_typed;
use jidoka_fuzz::seal::{Level, level, seal};
use jidoka_fuzz::shop::{COPY, STORE, Shop, disk_of, observe};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    formats(bytes);
    let mut input = Input::new(bytes);
    let level = level(&mut input);
    let times = input.below(6);
    let target = match input.below(3) {
        0 => Target::Latest,
        1 => Target::Lsn(Lsn(u64::from(input.byte()))),
        _ => Target::Time(Timestamp(input.u64())),
    };
    let exclusive = input.flag();
    let shop = Shop::build(&mut input, true);
    let mut files = shop.files.clone();
    let mut old = shop.old.clone();
    let store: Vec<_> = files.extract_if(.., |path, _| path.starts_with(STORE)).collect();
    old.retain(|path, _| path.starts_with(COPY));
    for _ in 0..times {
        damage(&mut files, &old, &mut input);
    }
    seal(&mut files, level);
    files.extend(store);
    let disk = disk_of(&files);
    let to = PathBuf::from("/restored");
    let request = RestoreRequest { from: COPY.into(), to, target, exclusive, dry_run: false };
    match restore(&request, &runtime(&disk, 4)) {
        Ok(report) => {
            let builder = Store::builder(&request.to).create(false).runtime(runtime(&disk, 6));
            let docs = Documents::over(builder.open().expect("a restored store opens"));
            let shown = observe(&docs);
            if level == Level::None {
                let (lsn, (_, content)) = (report.reached.lsn, shown.expect("whole records"));
                assert_eq!(Some(content), shop.content_at(lsn), "restored to LSN {lsn}");
            }
        }
        Err(error) => {
            is_typed(&error);
            let left = Store::builder(&request.to).create(false).runtime(runtime(&disk, 6)).open();
            assert!(left.is_err(), "refused, and left a store: {error:?}");
        }
    }
    goes_on(&disk);
});

fn goes_on(disk: &MemoryVfs) {
    if let Err(error) = backup(STORE.as_ref(), COPY.as_ref(), &runtime(disk, 8)) {
        is_typed(&error);
    }
}

fn formats(bytes: &[u8]) {
    if let Ok(end) = End::decode(bytes) {
        assert_eq!(end.encode(), bytes);
    }
    if let Ok(header) = RangeHeader::decode(bytes) {
        assert_eq!(Some(header.encode().as_slice()), bytes.get(..76));
    }
    let mut cursor = Cursor::new(bytes);
    if let Ok(record) = take_record(&mut cursor) {
        let mut again = Vec::new();
        put_record(&record, &mut again);
        assert_eq!(Some(again.as_slice()), bytes.get(..cursor.offset()));
    }
}

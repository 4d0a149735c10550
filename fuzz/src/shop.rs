//! A store made from the input, with its content after every commit.

use std::collections::BTreeMap;
use std::path::Path;

use jidoka::archive::backup;
use jidoka::base::checksum::hash64;
use jidoka::base::{Lsn, Result};
use jidoka::doc::{Condition, Documents, Operation, WriteOptions};
use jidoka::store::Store;
use jidoka::vfs::memory::{CrashMode, MemoryVfs, runtime};
use jidoka::vfs::{FileExt, OpenMode, Vfs};
use jidoka::wal::Durability;
use serde_json::json;

use crate::input::Input;

pub const STORE: &str = "/store";
pub const COPY: &str = "/copy";

/// Every file of a disk by its path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What is there at one moment: the last commit, and a hash of every document and value.
pub type Shown = (Lsn, u64);

/// A store, as its files, with what it was.
#[derive(Debug, Default)]
pub struct Shop {
    /// The content after each commit; at 0 nothing.
    pub history: BTreeMap<Lsn, u64>,
    /// The files at the end.
    pub files: Files,
    /// The files at some moment before.
    pub old: Files,
    pub was_closed: bool,
}

/// Opens the store of `disk`.
pub fn open(disk: &MemoryVfs, seed: u64) -> Result<Documents> {
    let builder = Store::builder(STORE).segment_bytes(8192).runtime(runtime(disk, seed));
    builder.open().map(Documents::over)
}

/// What an open store shows.
pub fn observe(docs: &Documents) -> Result<Shown> {
    let mut hash = 0_u64;
    docs.dump(&mut |line| {
        hash = hash.wrapping_add(hash64(line));
        Ok(())
    })?;
    Ok((docs.store().visible(), hash))
}

/// The files of a disk.
pub fn files_of(disk: &MemoryVfs) -> Files {
    let read = |path: &Path| disk.read_file(path).expect("a file that is there");
    let files = disk.files().into_iter();
    files.map(|(path, _)| (path.to_string_lossy().into_owned(), read(&path))).collect()
}

/// A disk with these files, all durable. A name that a file cannot have is left out.
pub fn disk_of(files: &Files) -> MemoryVfs {
    let disk = MemoryVfs::new();
    for (path, bytes) in files {
        let path = Path::new(path);
        for dir in path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            let _taken = disk.create_dir(dir);
        }
        if let Ok(file) = disk.open(path, OpenMode::CreateNew) {
            file.write_all_at(bytes, 0).expect("a healthy disk");
        }
    }
    disk.crash_with(CrashMode::Everything)
}

/// What one operation of the input does.
fn operation(input: &mut Input<'_>, number: u64) -> Operation {
    let kind = input.below(8);
    let at = input.byte();
    let (name, key) = (at & 1, at >> 1 & 7);
    let len = input.below(2048) >> (input.byte() % 8);
    let (collection, id) = (format!("c{name}"), format!("d{key}"));
    let condition = Condition::None;
    match kind {
        5 => Operation::Delete { collection, id, condition },
        6 => Operation::Patch { collection, id, patch: json!({"patched": number}), condition },
        7 => Operation::KeyDelete { keyspace: format!("k{name}"), key: vec![key] },
        3 | 4 => {
            let mut value = number.to_le_bytes().to_vec();
            value.resize(8 + len, 0xa5);
            Operation::KeyPut { keyspace: format!("k{name}"), key: vec![key], value }
        }
        _ => {
            let doc = json!({"number": number, "text": "kaizen ".repeat(len / 7)});
            Operation::Put { collection, id: Some(id), doc, condition }
        }
    }
}

impl Shop {
    /// Makes a store as the input says, with a copy of it if `with_copy`.
    pub fn build(input: &mut Input<'_>, with_copy: bool) -> Self {
        let disk = MemoryVfs::new();
        let mut shop = Self { history: [(Lsn::ZERO, 0)].into(), ..Self::default() };
        let mut docs = open(&disk, 1).expect("a new store");
        for number in 0..2 + u64::from(input.byte() % 24) {
            match input.below(12) {
                0 => while docs.store().step().expect("background work on a healthy disk") {},
                1 => {
                    docs.store().close().expect("a close on a healthy disk");
                    drop(docs);
                    docs = open(&disk, 2 + number).expect("a store that was closed");
                }
                2 => shop.old = files_of(&disk),
                3 if with_copy => shop.back_up(&disk),
                choice => {
                    let operations: Vec<_> =
                        (0..=input.below(3)).map(|_| operation(input, number)).collect();
                    let durability = match choice {
                        4 => Durability::Buffered,
                        5 => Durability::Memory,
                        _ => Durability::Sync,
                    };
                    let request = (choice == 6).then(|| format!("r{number}"));
                    let options = WriteOptions { durability, request, ..WriteOptions::default() };
                    if let Ok(applied) = docs.apply(&operations, &options) {
                        let latest = docs.store().visible();
                        assert_eq!(applied.lsn, latest, "a commit that was answered is visible");
                    }
                    let (lsn, content) = observe(&docs).expect("a healthy store");
                    shop.history.insert(lsn, content);
                }
            }
        }
        shop.was_closed = input.byte() % 4 != 0;
        if shop.was_closed {
            docs.store().close().expect("a close on a healthy disk");
        }
        if with_copy {
            shop.back_up(&disk);
        }
        // What was only in the writer's memory is gone with it.
        let left = disk.kill();
        disk.halt();
        drop(docs);
        shop.files = files_of(&left);
        shop.files.retain(|path, _| !path.ends_with("LOCK"));
        shop
    }

    fn back_up(&self, disk: &MemoryVfs) {
        let _report = backup(STORE.as_ref(), COPY.as_ref(), &runtime(disk, 3));
    }

    /// The content at `lsn`: that of the last commit at or before it.
    pub fn content_at(&self, lsn: Lsn) -> Option<u64> {
        self.history.range(..=lsn).next_back().map(|(_, content)| *content)
    }
}

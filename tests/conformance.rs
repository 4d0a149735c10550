//! The contract of [`Vfs`], checked in the same words on the disk in memory and on the real one:
//! what the engine is tested on must behave like what it runs on.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it where they stand")]

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jidoka::vfs::memory::MemoryVfs;
use jidoka::vfs::os::OsVfs;
use jidoka::vfs::{File, FileExt, OpenMode, Vfs, replace_file};

/// One file system and an empty directory on it.
struct Place<'a> {
    vfs: &'a dyn Vfs,
    dir: PathBuf,
}

impl Place<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn open(&self, name: &str, mode: OpenMode) -> std::io::Result<Arc<dyn File>> {
        self.vfs.open(&self.path(name), mode)
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Arc<dyn File> {
        let file = self.open(name, OpenMode::CreateNew).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file
    }

    fn rename(&self, from: &str, to: &str) -> std::io::Result<()> {
        self.vfs.rename(&self.path(from), &self.path(to))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.open(name, OpenMode::Read).unwrap().read_whole(1 << 20).unwrap()
    }

    fn error_of_open(&self, name: &str, mode: OpenMode) -> ErrorKind {
        self.open(name, mode).unwrap_err().kind()
    }
}

/// Runs `check` on both file systems.
fn on_both(check: impl Fn(&Place<'_>)) {
    let memory = MemoryVfs::new();
    memory.create_dir(Path::new("/work")).unwrap();
    check(&Place { vfs: &memory, dir: PathBuf::from("/work") });
    let dir = tempfile::tempdir().unwrap();
    check(&Place { vfs: &OsVfs, dir: dir.path().to_owned() });
}

#[test]
fn what_was_written_is_read_and_a_read_ends_at_the_end() {
    on_both(|place| {
        let file = place.create("a", b"0123456789");
        let mut buffer = [b'x'; 8];
        assert_eq!(file.read_at(&mut buffer, 6).unwrap(), 4);
        assert_eq!(&buffer, b"6789xxxx");
        assert_eq!(file.read_at(&mut buffer, 10).unwrap(), 0);
        assert_eq!(file.read_at(&mut buffer, 1000).unwrap(), 0);
        assert_eq!(file.read_at(&mut [], 0).unwrap(), 0);
        file.write_all_at(b"ab", 3).unwrap();
        assert_eq!(place.bytes("a"), b"012ab56789");
        file.sync_data().unwrap();
        file.sync_all().unwrap();
        assert_eq!(file.size().unwrap(), 10);
    });
}

#[test]
fn whole_pages_that_are_written_through_are_read_from_wherever_they_came() {
    on_both(|place| {
        let cached = place.create("a", &[0; 16_384]);
        cached.sync_all().unwrap();
        let Ok(file) = place.vfs.open_write_through(&place.path("a")) else {
            println!("not here: this file system cannot write past the page cache");
            return;
        };
        // Neither begins where a page of memory does.
        let bytes: Vec<u8> = (0..12_289).map(|at| u8::try_from(at % 251).unwrap()).collect();
        file.write_all_at(&bytes[1..8193], 4096).unwrap();
        file.write_all_at(&bytes[3..4099], 0).unwrap();
        let expected = [&bytes[3..4099], &bytes[1..8193], &[0; 4096]].concat();
        assert_eq!(place.bytes("a"), expected);
        cached.write_all_at(b"cached", 8000).unwrap();
        file.write_all_at(&bytes[1..4097], 4096).unwrap();
        assert_eq!(place.bytes("a")[8000..8006], bytes[3905..3911], "the later write is read");
        assert!(file.write_all_at(&bytes[..100], 0).is_err(), "less than a page");
    });
}

#[test]
fn writes_across_many_sectors_are_read_back_at_any_offset() {
    on_both(|place| {
        let bytes: Vec<u8> = (0..100_000_u32).map(|at| at.to_le_bytes()[0] ^ 0x5a).collect();
        let file = place.create("a", b"");
        for (at, part) in (0..).zip(bytes.chunks(777)) {
            assert_eq!(file.write_at(part, at * 777).unwrap(), part.len());
        }
        for offset in [0, 1, 511, 512, 32_767, 32_768, 99_000] {
            let mut buffer = vec![0; 5000];
            let count = file.read_up_to(&mut buffer, u64::try_from(offset).unwrap()).unwrap();
            assert_eq!(buffer[..count], bytes[offset..bytes.len().min(offset + 5000)]);
        }
    });
}

#[test]
fn a_write_beyond_the_end_leaves_zeros_and_an_empty_one_leaves_nothing() {
    on_both(|place| {
        let file = place.create("a", b"abc");
        assert_eq!(file.write_at(b"", 9000).unwrap(), 0);
        assert_eq!(file.size().unwrap(), 3);
        file.write_all_at(b"z", 2000).unwrap();
        let bytes = place.bytes("a");
        assert_eq!((bytes.len(), &bytes[..3], bytes[2000]), (2001, &b"abc"[..], b'z'));
        assert!(bytes[3..2000].iter().all(|&byte| byte == 0));
    });
}

#[test]
fn a_file_shrinks_and_grows_again_with_zeros() {
    on_both(|place| {
        let file = place.create("a", &[7; 3000]);
        file.set_len(700).unwrap();
        assert_eq!(place.bytes("a"), [7; 700]);
        file.set_len(2000).unwrap();
        assert_eq!(place.bytes("a"), [&[7; 700][..], &[0; 1300]].concat());
        file.set_len(0).unwrap();
        file.write_all_at(b"x", 1).unwrap();
        assert_eq!(place.bytes("a"), b"\0x");
    });
}

#[test]
fn a_file_opens_when_it_is_there_and_is_created_when_it_is_not() {
    on_both(|place| {
        assert_eq!(place.error_of_open("a", OpenMode::Read), ErrorKind::NotFound);
        assert_eq!(place.error_of_open("a", OpenMode::ReadWrite), ErrorKind::NotFound);
        assert_eq!(place.error_of_open("d/a", OpenMode::CreateNew), ErrorKind::NotFound);
        place.create("a", b"abc");
        assert_eq!(place.error_of_open("a", OpenMode::CreateNew), ErrorKind::AlreadyExists);
        assert_eq!(place.error_of_open("a/b", OpenMode::Read), ErrorKind::NotADirectory);
        place.open("a", OpenMode::ReadWrite).unwrap().write_all_at(b"x", 0).unwrap();
        assert_eq!(place.bytes("a"), b"xbc");
    });
}

#[test]
fn a_handle_to_read_refuses_to_change_the_file() {
    on_both(|place| {
        place.create("a", b"abc");
        let file = place.open("a", OpenMode::Read).unwrap();
        file.write_at(b"x", 0).unwrap_err();
        file.set_len(0).unwrap_err();
        file.sync_all().unwrap();
        assert_eq!(place.bytes("a"), b"abc");
    });
}

#[test]
fn a_rename_replaces_what_had_the_name() {
    on_both(|place| {
        let old = place.create("a", b"old");
        place.create("b", b"new");
        place.rename("b", "a").unwrap();
        assert_eq!(place.bytes("a"), b"new");
        assert_eq!(place.error_of_open("b", OpenMode::Read), ErrorKind::NotFound);
        assert_eq!(old.read_whole(10).unwrap(), b"old", "an open file outlives its name");
        place.rename("a", "a").unwrap();
        assert_eq!(place.bytes("a"), b"new");
        assert_eq!(place.rename("missing", "a").unwrap_err().kind(), ErrorKind::NotFound);
        place.vfs.sync_dir(&place.dir).unwrap();
    });
}

#[test]
fn a_rename_does_not_mix_files_and_directories() {
    on_both(|place| {
        place.create("file", b"");
        for name in ["empty", "full", "other"] {
            place.vfs.create_dir(&place.path(name)).unwrap();
        }
        place.create("full/a", b"abc");
        assert_eq!(place.rename("file", "empty").unwrap_err().kind(), ErrorKind::IsADirectory);
        assert_eq!(place.rename("empty", "file").unwrap_err().kind(), ErrorKind::NotADirectory);
        let not_empty = place.rename("empty", "full").unwrap_err();
        assert_eq!(not_empty.kind(), ErrorKind::DirectoryNotEmpty);
        place.rename("full", "other").unwrap();
        assert_eq!(place.bytes("other/a"), b"abc");
    });
}

#[test]
fn a_linked_file_has_two_names_and_keeps_its_bytes_until_both_are_gone() {
    on_both(|place| {
        let file = place.create("a", b"bytes");
        place.vfs.create_dir(&place.path("d")).unwrap();
        let link = |from, to| place.vfs.link(&place.path(from), &place.path(to));
        let kind = |from, to| link(from, to).unwrap_err().kind();
        link("a", "d/b").unwrap();
        assert_eq!(file.names().unwrap(), 2);
        assert_eq!(kind("a", "d/b"), ErrorKind::AlreadyExists);
        assert_eq!(kind("x", "c"), ErrorKind::NotFound);
        assert_eq!(kind("a", "x/c"), ErrorKind::NotFound);
        assert!(link("d", "e").is_err(), "a directory has one name");
        file.write_all_at(b"B", 0).unwrap();
        place.vfs.remove(&place.path("a")).unwrap();
        assert_eq!((place.bytes("d/b"), file.names().unwrap()), (b"Bytes".to_vec(), 1));
        assert_eq!(place.error_of_open("a", OpenMode::Read), ErrorKind::NotFound);
    });
}

#[test]
fn a_removed_file_stays_usable_while_open() {
    on_both(|place| {
        let file = place.create("a", b"abc");
        place.vfs.remove(&place.path("a")).unwrap();
        place.vfs.sync_dir(&place.dir).unwrap();
        file.write_all_at(b"d", 3).unwrap();
        file.sync_all().unwrap();
        assert_eq!(file.read_whole(10).unwrap(), b"abcd");
        assert_eq!(place.error_of_open("a", OpenMode::Read), ErrorKind::NotFound);
        let again = place.vfs.remove(&place.path("a")).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::NotFound);
        place.create("a", b"another");
        assert_eq!(file.read_whole(10).unwrap(), b"abcd");
    });
}

#[test]
fn a_directory_lists_its_names_in_order() {
    on_both(|place| {
        assert_eq!(place.vfs.list(&place.dir).unwrap(), []);
        place.create("b", b"");
        place.create("a", b"");
        place.vfs.create_dir(&place.path("c")).unwrap();
        place.create("c/inside", b"");
        place.create("B", b"");
        let names = place.vfs.list(&place.dir).unwrap();
        let names: Vec<_> = names.iter().map(|entry| (entry.name.as_str(), entry.is_dir)).collect();
        assert_eq!(names, [("B", false), ("a", false), ("b", false), ("c", true)]);
        let missing = place.vfs.list(&place.path("missing")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert_eq!(place.vfs.list(&place.path("a")).unwrap_err().kind(), ErrorKind::NotADirectory);
    });
}

#[test]
fn a_directory_needs_a_free_name_and_a_parent() {
    on_both(|place| {
        place.vfs.create_dir(&place.path("d")).unwrap();
        place.create("file", b"");
        let error = |name| place.vfs.create_dir(&place.path(name)).unwrap_err().kind();
        assert_eq!(error("d"), ErrorKind::AlreadyExists);
        assert_eq!(error("file"), ErrorKind::AlreadyExists);
        assert_eq!(error("missing/d"), ErrorKind::NotFound);
        assert_eq!(error("file/d"), ErrorKind::NotADirectory);
        assert_eq!(place.error_of_open("d", OpenMode::ReadWrite), ErrorKind::IsADirectory);
        place.vfs.remove(&place.path("d")).unwrap_err();
        let missing = place.vfs.sync_dir(&place.path("missing")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_lock_keeps_a_second_one_out_until_it_is_dropped() {
    on_both(|place| {
        let path = place.path("lock");
        let lock = place.vfs.lock(&path).unwrap();
        assert_eq!(place.vfs.lock(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(place.vfs.lock(&place.path("other")).unwrap());
        drop(lock);
        drop(place.vfs.lock(&path).unwrap());
        let names = place.vfs.list(&place.dir).unwrap();
        assert_eq!(names.len(), 2, "a lock creates its file and leaves it");
        let nowhere = place.vfs.lock(&place.path("missing/lock")).unwrap_err();
        assert_eq!(nowhere.kind(), ErrorKind::NotFound);
    });
}

/// Locks of POSIX go when the process closes *any* descriptor of the file, such as the one by which
/// somebody looked who holds it.
#[test]
fn a_look_at_a_lock_does_not_let_go_of_it() {
    on_both(|place| {
        let path = place.path("lock");
        let lock = place.vfs.lock(&path).unwrap();
        for mode in [OpenMode::Read, OpenMode::ReadWrite] {
            drop(place.open("lock", mode).unwrap().read_whole(64).unwrap());
            assert_eq!(place.vfs.lock(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
        drop(lock);
        drop(place.vfs.lock(&path).unwrap());
    });
}

#[test]
fn a_replaced_file_holds_the_new_bytes_and_leaves_nothing_beside_it() {
    on_both(|place| {
        place.create("a.tmp", b"left over by a crash");
        for bytes in [&b"first and longer"[..], b"second"] {
            replace_file(place.vfs, &place.dir, "a", bytes).unwrap();
            assert_eq!(place.bytes("a"), bytes);
        }
        assert_eq!(place.vfs.list(&place.dir).unwrap().len(), 1);
    });
}

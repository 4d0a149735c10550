//! Recovery that reads ahead with threads of its own.

use jidoka::vfs::memory::{CrashMode, MemoryVfs};
use jidoka::vfs::{Background, Reading, Vfs};
use jidoka::wal::Durability;

use crate::committers::{LARGE, Told, below, one_of, open, rotated};

/// Threads read and check what one thread takes; a flipped byte ends it early, one time in two.
pub(crate) fn a_log_that_is_read_ahead_is_the_same_log() -> bool {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Stepped);
    let told = Told::default();
    for number in 0..8 {
        told.commit(&store, [number, 0], LARGE, Durability::Sync).unwrap();
    }
    let rotated = rotated(&store);
    let image = disk.crash_with(CrashMode::Everything);
    image.set_reading(Reading { threads: one_of(&[2, 3]), piece: 8192 });
    if below(2) == 0 {
        let path = std::path::Path::new("/store/wal/0000000000000002.wal");
        let file = image.open(path, jidoka::vfs::OpenMode::ReadWrite).unwrap();
        file.write_at(&[0xff; 8], 4200).unwrap();
        drop(file);
        let runtime = jidoka::vfs::memory::runtime(&image, 1);
        let refused = jidoka::store::Store::builder("/store").runtime(runtime).open();
        assert_eq!(refused.unwrap_err().kind(), jidoka::base::ErrorKind::Corrupt);
    } else {
        assert_eq!(open(&image, Background::Stepped).visible(), store.visible());
    }
    rotated
}

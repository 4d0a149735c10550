//! The time to open what a killed writer left.

use std::path::Path;
use std::time::Duration;

use crate::base::codec::to_u64;
use crate::base::{Error, ErrorKind, Result};
use crate::store::Store;
use crate::vfs::{File, FileExt, OpenMode, Vfs};
use crate::wal::Durability;
use crate::wal::identity::FILE_NAME as IDENTITY_NAME;
use crate::wal::segment::{DIR_NAME, parse_file_name};

use super::numbers::{Measurement, Recovered, Times, median, ratio, real};
use super::session::{Event, Session};
use super::writer::Writer;

/// Bytes of a value unless others are asked for.
const VALUE_BYTES: u32 = 256;
/// Bytes copied, or read, at once.
const CHUNK: usize = 1 << 20;
/// Commits between looks at the time and the size.
const LOOK: u64 = 256;

pub(super) fn run(session: &mut Session<'_>) -> Result<()> {
    let value_bytes = session.request.value_bytes.unwrap_or(VALUE_BYTES);
    (session.tell)(Event::Going("writing a log to recover"))?;
    let killed = session.dir.join("killed");
    let first = fill_and_kill(session, value_bytes, &killed)?;
    (session.tell)(Event::Going("measuring recovery"))?;
    let raw = read_all(session, &killed.join(DIR_NAME))?;
    let started = session.now();
    let store = Store::builder(&killed).create(false).runtime(session.runtime.clone()).open()?;
    let opened = session.now().saturating_sub(started);
    let (keyspace, key) = first;
    let found = store.get(&keyspace, &key)?;
    let answered = session.now().saturating_sub(started);
    if found.is_none() {
        return Err(Error::new(ErrorKind::Bug, "a synced commit is gone after recovery"));
    }
    let report = store.recovery().clone();
    session.discard(&store)?;
    let mut times = Times::default();
    times.add(opened);
    let said = times.measurement(1, value_bytes.into());
    let rate = |time: Duration| ratio(real(report.records), time.as_secs_f64()).round();
    let mut raw_times = Times::default();
    raw_times.add(raw);
    let raw = super::numbers::Raw { ops_per_s: rate(raw), ..raw_times.raw() };
    let measured = Measurement {
        bench: "recover",
        ops: report.records,
        ops_per_s: rate(opened),
        ratio: median(vec![ratio(rate(opened), raw.ops_per_s)]),
        raw,
        recovered: Some(Recovered {
            log_bytes: report.bytes,
            bytes_per_s: ratio(real(report.bytes), opened.as_secs_f64()).round(),
            first_get_ms: (answered.as_secs_f64() * 1e6).round() / 1e3,
        }),
        ..said
    };
    (session.tell)(Event::Measured(&measured))
}

/// Writes a log and puts into `killed` what would be left of it if its writer were killed now.
fn fill_and_kill(
    session: &mut Session<'_>,
    value_bytes: u32,
    killed: &Path,
) -> Result<(crate::store::Keyspace, Vec<u8>)> {
    let store = session.store("store")?;
    let mut writer = Writer::new(&store, value_bytes, (0, 1))?.with_new_keys();
    let first = writer.first_key();
    let deadline = session.now() + session.request.time;
    let mut commits: u64 = 0;
    loop {
        writer.commit(Durability::Memory)?;
        commits += 1;
        if commits.is_multiple_of(LOOK) {
            let log = store.log_stats().active_segment * store.identity().segment_bytes;
            if log > session.request.log_bytes || session.now() >= deadline {
                break;
            }
            (session.tell)(Event::Going("writing a log to recover"))?;
        }
    }
    store.sync()?;
    drop(writer);
    copy_store(session, store.path(), killed)?;
    session.discard(&store)?;
    Ok(first)
}

/// Copies the files of a store whose writer is idle: what the next process finds after a kill.
fn copy_store(session: &Session<'_>, from: &Path, to: &Path) -> Result<()> {
    let vfs = session.runtime.vfs.as_ref();
    let fail = |error| Error::io("copy the log to recover to", to, error);
    vfs.create_dir(to).map_err(fail)?;
    vfs.create_dir(&to.join(DIR_NAME)).map_err(fail)?;
    copy_file(vfs, &from.join(IDENTITY_NAME), &to.join(IDENTITY_NAME))?;
    for entry in vfs.list(&from.join(DIR_NAME)).map_err(fail)? {
        if parse_file_name(&entry.name).is_some() {
            let name = Path::new(DIR_NAME).join(&entry.name);
            copy_file(vfs, &from.join(&name), &to.join(&name))?;
        }
    }
    Ok(())
}

fn copy_file(vfs: &dyn Vfs, from: &Path, to: &Path) -> Result<()> {
    let fail = |error| Error::io("copy the log to recover to", to, error);
    let source = vfs.open(from, OpenMode::Read).map_err(fail)?;
    let target = vfs.open(to, OpenMode::CreateNew).map_err(fail)?;
    each_chunk(source.as_ref(), &mut |bytes, offset| target.write_all_at(bytes, offset))
        .and_then(|()| target.sync_all())
        .map_err(fail)
}

/// Time to read every segment once, as recovery does; both find the files in the page cache.
fn read_all(session: &Session<'_>, dir: &Path) -> Result<Duration> {
    let fail = |error| Error::io("read the log of", dir, error);
    let vfs = session.runtime.vfs.as_ref();
    let entries = vfs.list(dir).map_err(fail)?;
    let started = session.now();
    for entry in entries {
        let file = vfs.open(&dir.join(&entry.name), OpenMode::Read).map_err(fail)?;
        each_chunk(file.as_ref(), &mut |_, _| Ok(())).map_err(fail)?;
    }
    Ok(session.now().saturating_sub(started))
}

fn each_chunk(
    file: &dyn File,
    body: &mut dyn FnMut(&[u8], u64) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let (mut buffer, mut offset) = (vec![0; CHUNK], 0);
    loop {
        let count = file.read_up_to(&mut buffer, offset)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        body(bytes, offset)?;
        offset += to_u64(count);
    }
}

//! surrealkv: `Durability::Immediate`, with and without its zeroes written ahead.
//!
//! It is asynchronous: committers are tasks. One of them runs on a runtime of the current thread,
//! else each commit would pay a switch of threads; but where what it does behind large commits is
//! measured as well, that has threads to run on.

use std::sync::Arc;

use ::surrealkv::{CompactRangeOptions, LSMIterator, Mode, Options, Tree, TreeBuilder};
use tokio::runtime::{Builder, Runtime};

use crate::Outcome;
use crate::committer::Committer;
use crate::engine::{CACHE_BYTES, Engine, Entry, Reader, Setup, Shown, touch};
use crate::random::Key;
use crate::work::{Durability, Manner};

struct Surrealkv {
    /// Shared, and not cloned: the first clone of a tree that is dropped closes it for all.
    tree: Arc<Tree>,
    runtime: Runtime,
}

fn open_tree(setup: &Setup<'_>, prefilled: bool) -> Outcome<Arc<dyn Engine>> {
    let is_asked_for_each_commit = matches!(setup.work.manner, Manner::Lone | Manner::Together);
    let runtime = match setup.threads() {
        1 if is_asked_for_each_commit => Builder::new_current_thread().enable_all().build()?,
        _ => Builder::new_multi_thread().enable_all().build()?,
    };
    let options = Options::new()
        .with_path(setup.dir.join("surrealkv"))
        .with_block_cache_capacity(u64::try_from(CACHE_BYTES)?)
        .without_compression()
        .with_wal_preallocation(prefilled)
        .with_max_memtable_size(usize::try_from(setup.beyond(100 << 20))?);
    let inside = runtime.enter();
    let tree = TreeBuilder::with_options(options).build()?;
    drop(inside);
    Ok(Arc::new(Surrealkv { tree: Arc::new(tree), runtime }))
}

pub fn open(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    open_tree(setup, false)
}

pub fn open_prefilled(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    open_tree(setup, true)
}

async fn put(tree: &Tree, entries: &[Entry], durability: Durability) -> Outcome<()> {
    let durability = match durability {
        Durability::Sync => ::surrealkv::Durability::Immediate,
        Durability::Relaxed => ::surrealkv::Durability::Eventual,
    };
    let mut transaction = tree.begin_with_mode(Mode::WriteOnly)?;
    transaction.set_durability(durability);
    for entry in entries {
        transaction.set(entry.key.as_slice(), entry.value)?;
    }
    Ok(transaction.commit().await?)
}

async fn run(tree: Arc<Tree>, mut committer: Committer) -> Outcome<Committer> {
    let durability = committer.durability();
    loop {
        let turn = committer.turn();
        if turn == 0 {
            return Ok(committer);
        }
        let started = std::time::Instant::now();
        for _ in 0..turn {
            put(&tree, committer.next(), durability).await?;
        }
        committer.took(started, turn);
    }
}

impl Engine for Surrealkv {
    fn commit(&self, entries: &[Entry], durability: Durability) -> Outcome<()> {
        self.runtime.block_on(put(&self.tree, entries, durability))
    }

    fn shown(&self, key: &Key) -> Outcome<Shown> {
        let transaction = self.tree.begin_with_mode(Mode::ReadOnly)?;
        Ok(Shown::Key(transaction.get(key.as_slice())?.is_some()))
    }

    fn reader(&self) -> Outcome<Reader<'_>> {
        let transaction = self.tree.begin_with_mode(Mode::ReadOnly)?;
        Ok(Box::new(move |key| {
            let found = transaction.get(key.as_slice())?;
            Ok(found.inspect(|value| touch(value)).is_some())
        }))
    }

    fn scan(&self) -> Outcome<u64> {
        let transaction = self.tree.begin_with_mode(Mode::ReadOnly)?;
        let mut found = transaction.iter()?;
        let mut count = 0;
        let mut is_there = found.seek_first()?;
        while is_there {
            touch(&found.value_ref()?);
            count += 1;
            is_there = found.next()?;
        }
        Ok(count)
    }

    fn compact(&self) -> Outcome<bool> {
        let _inside = self.runtime.enter();
        self.tree.compact_range(None, None, &CompactRangeOptions::default())?;
        Ok(true)
    }

    fn close(&self) -> Outcome<()> {
        Ok(self.runtime.block_on(self.tree.close())?)
    }

    fn drive(self: Arc<Self>, mut committers: Vec<Committer>) -> Outcome<Vec<Committer>> {
        self.runtime.block_on(async {
            if committers.len() == 1
                && let Some(only) = committers.pop()
            {
                return Ok(vec![run(Arc::clone(&self.tree), only).await?]);
            }
            let tasks: Vec<_> = committers
                .into_iter()
                .map(|one| tokio::spawn(run(Arc::clone(&self.tree), one)))
                .collect();
            let mut through = Vec::new();
            for task in tasks {
                through.push(task.await??);
            }
            Ok(through)
        })
    }
}

//! What every command gets: where the store is, who acts, and where results go.

use std::path::{Path, PathBuf};

use crate::base::{Error, ErrorKind, Result};
use crate::doc::{Documents, DocumentsAt, WriteOptions};
use crate::store::{LogKept, Origin, ReadOnlyStore, Store, StoreBuilder};
use crate::vfs::Runtime;
use crate::wal::identity::FILE_NAME as IDENTITY_NAME;
use crate::wal::segment::DIR_NAME;
use crate::wal::{Durability, LOCK_NAME};

use clap::Args;

use super::args::Global;
use super::output::{self, Output};

/// How a command that only reads opens the store.
#[derive(Args, Debug)]
pub(super) struct Reading {
    /// Write nothing, and show what can be read: also of a damaged store, on a disk that may only
    /// be read, or beside a writer, of which what is proven durable is shown. Exits 13 after
    /// showing what is before a damage
    #[arg(long)]
    pub(super) read_only: bool,
}

/// The surroundings of a command.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) store: PathBuf,
    pub(super) json: bool,
    pub(super) quiet: bool,
    pub(super) origin: Origin,
    pub(super) runtime: Runtime,
    pub(super) out: Output,
    memory_limit: usize,
    log_kept: LogKept,
}

impl Context {
    pub(super) fn new(global: Global) -> Self {
        let Global { store, json, quiet, actor, session, reason, memory_limit, log_kept } = global;
        Self {
            store,
            json,
            quiet,
            origin: Origin { actor, session, reason },
            runtime: Runtime::default(),
            out: Output::new(),
            memory_limit,
            log_kept: log_kept.into(),
        }
    }

    /// How the store in `dir` is opened, with the settings that were given.
    fn builder(&self, dir: &Path) -> StoreBuilder {
        let builder = Store::builder(dir).runtime(self.runtime.clone());
        builder.memory_limit(self.memory_limit).log_kept(self.log_kept)
    }

    /// Lets `body` work on the store, which must exist, and closes it.
    pub(super) fn with_store<T>(
        &mut self,
        body: impl FnOnce(&mut Self, &Documents) -> Result<T>,
    ) -> Result<T> {
        self.open_and_close(false, body)
    }

    /// Lets `body` work on the store, which is created if it is missing, and closes it.
    pub(super) fn with_store_or_new<T>(
        &mut self,
        body: impl FnOnce(&mut Self, &Documents) -> Result<T>,
    ) -> Result<T> {
        self.open_and_close(true, body)
    }

    /// Lets `body` read the store, which must exist, in the way that was asked for.
    pub(super) fn with_documents<T>(
        &mut self,
        reading: &Reading,
        body: impl FnOnce(&mut Self, &DocumentsAt) -> Result<T>,
    ) -> Result<T> {
        if reading.read_only {
            return self
                .looking(|context, store| body(context, &DocumentsAt::over(store.snapshot())));
        }
        self.with_store(|context, documents| body(context, &documents.now()))
    }

    /// Lets `body` read what can be read of the store without writing; then tells what could not.
    ///
    /// # Errors
    /// What `body` says; the damage, unless that failed on something else than not finding what
    /// may be behind it.
    pub(super) fn looking<T>(
        &mut self,
        body: impl FnOnce(&mut Self, &ReadOnlyStore) -> Result<T>,
    ) -> Result<T> {
        let store = self.builder(self.existing_store()?).open_read_only()?;
        if store.is_beside_writer() {
            let lsn = store.visible();
            self.note(&format!("a writer may hold the store; this is what it proved, up to {lsn}"));
        }
        let done = body(self, &store);
        match (done, store.damage()) {
            (Err(error), Some(_)) if error.kind() != ErrorKind::NotFound => Err(error),
            (_, Some(damage)) => {
                Err(damage.clone().within(&format!("only up to commit {}", store.visible())))
            }
            (done, None) => done,
        }
    }

    fn open_and_close<T>(
        &mut self,
        create: bool,
        body: impl FnOnce(&mut Self, &Documents) -> Result<T>,
    ) -> Result<T> {
        let builder = self.builder(&self.store).create(create);
        let documents = Documents::over(builder.open()?);
        let done = body(self, &documents);
        // Close in any case; what the command itself failed on is the better story.
        let closed = documents.store().close();
        let done = done?;
        closed?;
        Ok(done)
    }

    /// How this command writes.
    pub(super) fn write_options(&self, durability: Durability) -> WriteOptions {
        WriteOptions { durability, origin: self.origin.clone(), request: None }
    }

    /// The store's directory for a command that only follows the log, beside a writer or not.
    ///
    /// # Errors
    /// `NotFound` when nothing is there, `Invalid` when something else is.
    pub(super) fn existing_store(&self) -> Result<&Path> {
        let entries = match self.runtime.vfs.list(&self.store) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(self.no_store());
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                return Err(self.not_a_store("it is not a directory"));
            }
            Err(error) => {
                return Err(Error::io("list the store's directory", &self.store, error));
            }
        };
        // A store that lost its identity file is still one, and damaged.
        let ours = [IDENTITY_NAME, DIR_NAME];
        if entries.iter().any(|entry| ours.contains(&entry.name.as_str())) {
            return Ok(&self.store);
        }
        match entries.iter().find(|entry| entry.name != LOCK_NAME) {
            Some(foreign) => Err(self.not_a_store(&format!("it holds {:?}", foreign.name))),
            None => Err(self.no_store()),
        }
    }

    fn no_store(&self) -> Error {
        let what = "there is no store here; create one by writing to it";
        Error::new(ErrorKind::NotFound, what).at_path(&self.store)
    }

    fn not_a_store(&self, why: &str) -> Error {
        let what =
            format!("this is not a store and was not touched: {why}; name another directory");
        Error::new(ErrorKind::Invalid, what).at_path(&self.store)
    }

    /// Says something that is no result, unless nobody wants to hear it.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            output::note(text);
        }
    }
}

//! Import: documents from files and folders, as often as wanted and never over others.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::codec::to_usize;
use crate::base::{Error, ErrorKind, Result};
use crate::doc::import::{Candidate, single, split};
use crate::doc::json::{self, Form};
use crate::doc::{Canonical, Condition, Documents, Operation, Sha256, WriteOptions};
use crate::store::Origin;
use crate::tcps::recognise;
use crate::vfs::{FileExt, OpenMode, Vfs};

/// No file is read that is larger: a text and its documents are in memory together.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Documents stored by one commit.
const CHUNK_DOCUMENTS: usize = 512;
/// Bytes of documents stored by one commit, unless the store's segments are small.
const CHUNK_BYTES: usize = 2 << 20;

/// What an import does with what it reads.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Where every document goes, instead of where it seems to belong.
    pub collection: Option<String>,
    /// Who imports, and why.
    pub origin: Origin,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Documents stored.
    pub imported: u64,
    /// Documents that were there already, with the same content.
    pub present: u64,
    /// What was not stored.
    pub refused: Vec<Refused>,
}

/// A document, or a text, that was not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The file it is in.
    pub file: PathBuf,
    /// The line, where one is known.
    pub line: Option<usize>,
    /// Its collection and id, where they are known.
    pub address: Option<(String, String)>,
    /// Why: `differs` when another document has its id, else a sentence.
    pub reason: String,
}

/// A document with the place it was read at.
struct Read {
    file: PathBuf,
    line: Option<usize>,
    candidate: Candidate,
    canonical: Canonical,
}

/// The files that `paths` stand for: files, or folders whose `.json`, `.jsonl` and `.ndjson` files
/// are meant in the order of their names, with everything below.
///
/// # Errors
/// `NotFound` for a path that does not exist, `Io`.
pub fn import_files(vfs: &dyn Vfs, paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        find_files(vfs, path, &mut files)?;
    }
    Ok(files)
}

/// Stores the documents of `files`; see [`import_files`].
///
/// # Durability
/// Every document that is counted is durable. Documents are stored in chunks: after a crash, a
/// second import stores the rest and finds the others present.
///
/// # Errors
/// `Io` for a file that cannot be read; whatever the store says to a commit. A text or document
/// that cannot be stored is no error but refused.
pub fn import(
    documents: &Documents,
    vfs: &dyn Vfs,
    files: &[PathBuf],
    options: &ImportOptions,
) -> Result<ImportReport> {
    let segment_bytes = to_usize(documents.store().identity().segment_bytes);
    let mut importer = Importer {
        documents,
        options,
        chunk: Vec::new(),
        bytes: 0,
        chunk_bytes: CHUNK_BYTES.min(segment_bytes / 8),
        report: ImportReport::default(),
    };
    for file in files {
        importer.file(vfs, file)?;
    }
    importer.store_chunk()?;
    Ok(importer.report)
}

/// The file `path`, or the files to read below the folder `path`.
fn find_files(vfs: &dyn Vfs, path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = match vfs.list(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            files.push(path.to_owned());
            return Ok(());
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = "there is no such file or folder to import; check the path";
            return Err(Error::new(ErrorKind::NotFound, what).at_path(path));
        }
        Err(error) => return Err(Error::io("list the folder", path, error)),
    };
    for entry in entries {
        let inner = path.join(&entry.name);
        if entry.is_dir {
            find_files(vfs, &inner, files)?;
        } else if is_one_of(&inner, &["json", "jsonl", "ndjson"]) {
            files.push(inner);
        }
    }
    Ok(())
}

fn is_one_of(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().unwrap_or_default();
    extensions.iter().any(|one| extension.eq_ignore_ascii_case(one))
}

struct Importer<'a> {
    documents: &'a Documents,
    options: &'a ImportOptions,
    /// Read and not stored yet.
    chunk: Vec<Read>,
    bytes: usize,
    chunk_bytes: usize,
    report: ImportReport,
}

impl Importer<'_> {
    fn file(&mut self, vfs: &dyn Vfs, path: &Path) -> Result<()> {
        let opened = vfs.open(path, OpenMode::Read);
        let text = match opened.and_then(|file| file.read_whole(FILE_BYTES_MAX)) {
            Ok(text) => text,
            Err(error) => {
                self.refuse(path, None, &Error::io("read the file", path, error));
                return Ok(());
            }
        };
        let collection = self.options.collection.as_deref();
        if is_one_of(path, &["jsonl", "ndjson"]) || json::form(&text) == Form::Lines {
            for (line, value) in json::parse_lines(&text) {
                let candidate = value.and_then(|value| single(value, collection, &recognise));
                self.take(path, Some(line), candidate)?;
            }
            return Ok(());
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        match json::parse(&text) {
            Ok(value) => {
                for candidate in split(value, &stem, collection, &recognise) {
                    self.take(path, None, candidate)?;
                }
            }
            Err(error) => self.refuse(path, None, &error),
        }
        Ok(())
    }

    /// Takes a document that was read, or refuses what could not be.
    fn take(
        &mut self,
        file: &Path,
        line: Option<usize>,
        candidate: Result<Candidate>,
    ) -> Result<()> {
        let read = candidate.and_then(|candidate| {
            let canonical = Canonical::of(&candidate.doc)?;
            Ok(Read { file: file.to_owned(), line, candidate, canonical })
        });
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                self.refuse(file, line, &error);
                return Ok(());
            }
        };
        // A document too large to share a commit goes alone, and is refused alone.
        let bytes = read.canonical.bytes.len() + read.candidate.id.len();
        if self.bytes + bytes > self.chunk_bytes || self.chunk.len() >= CHUNK_DOCUMENTS {
            self.store_chunk()?;
        }
        self.bytes += bytes;
        self.chunk.push(read);
        Ok(())
    }

    fn refuse(&mut self, file: &Path, line: Option<usize>, error: &Error) {
        let line = line.or_else(|| json::line_of(error));
        let reason = error.message().to_owned();
        self.report.refused.push(Refused { file: file.to_owned(), line, address: None, reason });
    }

    fn store_chunk(&mut self) -> Result<()> {
        self.bytes = 0;
        let chunk = std::mem::take(&mut self.chunk);
        self.store(&chunk)
    }

    /// Stores what is new of `chunk` in one commit.
    fn store(&mut self, chunk: &[Read]) -> Result<()> {
        loop {
            let mut sorted = ImportReport::default();
            let new = self.sort_out(chunk, &mut sorted)?;
            if !new.is_empty() {
                let operations: Vec<Operation> = new.iter().map(|read| operation(read)).collect();
                let origin = self.options.origin.clone();
                let options = WriteOptions { origin, ..WriteOptions::default() };
                match self.documents.apply(&operations, &options) {
                    Ok(_) => {}
                    // Another writer stored one of them meanwhile, durably: look again.
                    Err(error) if error.kind() == ErrorKind::Conflict => continue,
                    Err(error) if error.kind() == ErrorKind::Invalid => {
                        return self.store_one_by_one(chunk, &error);
                    }
                    Err(error) => return Err(error),
                }
            }
            self.report.imported += sorted.imported;
            self.report.present += sorted.present;
            self.report.refused.append(&mut sorted.refused);
            return Ok(());
        }
    }

    /// Finds the document that breaks a rule of the store: it must not keep the others out.
    fn store_one_by_one(&mut self, chunk: &[Read], error: &Error) -> Result<()> {
        match chunk {
            [read] => {
                self.report.refused.push(refused(read, error.message()));
                Ok(())
            }
            _ => chunk.chunks(1).try_for_each(|one| self.store(one)),
        }
    }

    /// Counts what is there already, in the store or earlier in the chunk; gives what is not.
    fn sort_out<'c>(&self, chunk: &'c [Read], sorted: &mut ImportReport) -> Result<Vec<&'c Read>> {
        let mut seen: BTreeMap<(&str, &str), Sha256> = BTreeMap::new();
        let mut new = Vec::new();
        for read in chunk {
            let Candidate { collection, id, .. } = &read.candidate;
            let sha256 = read.canonical.sha256;
            let address = (collection.as_str(), id.as_str());
            let other = match seen.get(&address) {
                Some(other) => Some(*other),
                None => self.documents.get(collection, id)?.map(|document| document.sha256),
            };
            match other {
                None => {
                    seen.insert(address, sha256);
                    sorted.imported += 1;
                    new.push(read);
                }
                Some(other) if other == sha256 => sorted.present += 1,
                Some(_) => sorted.refused.push(refused(read, "differs")),
            }
        }
        Ok(new)
    }
}

fn operation(read: &Read) -> Operation {
    let Candidate { collection, id, doc } = read.candidate.clone();
    Operation::Put { collection, id: Some(id), doc, condition: Condition::Absent }
}

fn refused(read: &Read, reason: &str) -> Refused {
    let Candidate { collection, id, .. } = &read.candidate;
    Refused {
        file: read.file.clone(),
        line: read.line,
        address: Some((collection.clone(), id.clone())),
        reason: reason.to_owned(),
    }
}

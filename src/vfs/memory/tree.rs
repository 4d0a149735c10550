//! All files and directories, and the way from a path to them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::crash::{Fate, Unit};
use super::directory::{Change, Directory, Entry};
use super::inode::Inode;
use crate::base::codec::to_u64;

/// The number of the root directory, which always exists.
const ROOT: u64 = 0;

/// Files and directories by number; numbers are never used twice.
#[derive(Debug)]
pub(super) struct Tree {
    files: BTreeMap<u64, Arc<Inode>>,
    directories: BTreeMap<u64, Arc<Directory>>,
    next: u64,
    /// Files that no crash can bring back but that are still open.
    orphans: BTreeMap<u64, Arc<Inode>>,
    /// Per opened file, what each of its handles holds a share of.
    holds: BTreeMap<u64, Arc<()>>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            files: BTreeMap::new(),
            directories: BTreeMap::from([(ROOT, Arc::default())]),
            next: ROOT + 1,
            orphans: BTreeMap::new(),
            holds: BTreeMap::new(),
        }
    }
}

/// The names of a path from the root on. A relative path starts there too.
fn names(path: &Path) -> impl Iterator<Item = io::Result<&OsStr>> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(Ok(name)),
        Component::ParentDir => Some(Err(ErrorKind::InvalidInput.into())),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    })
}

impl Tree {
    /// What `path` names, if its directory exists.
    fn find(&self, path: &Path) -> io::Result<Option<Entry>> {
        let mut found = Some(Entry::Directory(ROOT));
        for name in names(path) {
            let name = name?;
            found = match found {
                Some(Entry::Directory(number)) => self.directory(number)?.get(name),
                Some(Entry::File(_)) => return Err(ErrorKind::NotADirectory.into()),
                None => return Err(ErrorKind::NotFound.into()),
            };
        }
        Ok(found)
    }

    pub(super) fn find_file(&self, path: &Path) -> io::Result<u64> {
        match self.find(path)? {
            Some(Entry::File(number)) => Ok(number),
            Some(Entry::Directory(_)) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn find_directory(&self, path: &Path) -> io::Result<u64> {
        match self.find(path)? {
            Some(Entry::Directory(number)) => Ok(number),
            Some(Entry::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    /// The directory that holds the last name of `path`, and that name.
    fn split<'a>(&self, path: &'a Path) -> io::Result<(u64, &'a OsStr)> {
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok((self.find_directory(parent)?, name))
    }

    fn directory(&self, number: u64) -> io::Result<&Directory> {
        self.directories.get(&number).map(Arc::as_ref).ok_or(ErrorKind::NotFound.into())
    }

    fn directory_mut(&mut self, number: u64) -> io::Result<&mut Directory> {
        let found = self.directories.get_mut(&number).map(Arc::make_mut);
        found.ok_or(ErrorKind::NotFound.into())
    }

    pub(super) fn file(&self, number: u64) -> io::Result<&Inode> {
        let found = self.files.get(&number).or_else(|| self.orphans.get(&number));
        found.map(Arc::as_ref).ok_or(ErrorKind::NotFound.into())
    }

    pub(super) fn file_mut(&mut self, number: u64) -> io::Result<&mut Inode> {
        let found = self.files.get_mut(&number).or_else(|| self.orphans.get_mut(&number));
        found.map(Arc::make_mut).ok_or(ErrorKind::NotFound.into())
    }

    /// Keeps the file usable while the handle lives, even without a name.
    pub(super) fn hold(&mut self, number: u64) -> Arc<()> {
        Arc::clone(self.holds.entry(number).or_default())
    }

    pub(super) fn create_file(&mut self, path: &Path, units: &mut u64) -> io::Result<u64> {
        let number = self.create(path, Entry::File, units)?;
        self.files.insert(number, Arc::default());
        Ok(number)
    }

    pub(super) fn create_directory(&mut self, path: &Path, units: &mut u64) -> io::Result<()> {
        let number = self.create(path, Entry::Directory, units)?;
        self.directories.insert(number, Arc::default());
        Ok(())
    }

    fn create(&mut self, path: &Path, entry: fn(u64) -> Entry, units: &mut u64) -> io::Result<u64> {
        if self.find(path)?.is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let (parent, name) = self.split(path)?;
        let number = self.next;
        let change = Change::Create { name: name.to_owned(), entry: entry(number) };
        self.directory_mut(parent)?.change(change, units);
        self.next += 1;
        Ok(number)
    }

    /// Gives a file one more name.
    pub(super) fn link(&mut self, from: &Path, to: &Path, units: &mut u64) -> io::Result<()> {
        let entry = Entry::File(self.find_file(from)?);
        if self.find(to)?.is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let (parent, name) = self.split(to)?;
        let change = Change::Create { name: name.to_owned(), entry };
        self.directory_mut(parent)?.change(change, units);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path, units: &mut u64) -> io::Result<()> {
        self.find_file(path)?;
        let (parent, name) = self.split(path)?;
        self.directory_mut(parent)?.change(Change::Remove { name: name.to_owned() }, units);
        Ok(())
    }

    /// Renames within one directory; says whether a file moved that has pending changes.
    pub(super) fn rename(&mut self, from: &Path, to: &Path, units: &mut u64) -> io::Result<bool> {
        let (parent, old) = self.split(from)?;
        let (other, new) = self.split(to)?;
        if parent != other {
            return Err(ErrorKind::InvalidInput.into());
        }
        let directory = self.directory(parent)?;
        let entry = directory.get(old).ok_or(ErrorKind::NotFound)?;
        match (entry, directory.get(new)) {
            (_, Some(target)) if target == entry => return Ok(false),
            (Entry::File(_), Some(Entry::Directory(_))) => {
                return Err(ErrorKind::IsADirectory.into());
            }
            (Entry::Directory(_), Some(Entry::File(_))) => {
                return Err(ErrorKind::NotADirectory.into());
            }
            (Entry::Directory(_), Some(Entry::Directory(target)))
                if !self.directory(target)?.names().is_empty() =>
            {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
            _ => {}
        }
        let change = Change::Rename { from: old.to_owned(), to: new.to_owned(), entry };
        self.directory_mut(parent)?.change(change, units);
        match entry {
            Entry::File(number) => Ok(self.file(number)?.has_pending()),
            Entry::Directory(_) => Ok(false),
        }
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<(String, bool)>> {
        let directory = self.directory(self.find_directory(path)?)?;
        let names = directory.names().iter().map(|(name, entry)| {
            (name.to_string_lossy().into_owned(), matches!(entry, Entry::Directory(_)))
        });
        Ok(names.collect())
    }

    pub(super) fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        let number = self.find_directory(path)?;
        if !self.directory(number)?.is_settled() {
            self.directory_mut(number)?.sync();
            self.prune();
        }
        Ok(())
    }

    /// Every live file with its size, in the order of the paths.
    pub(super) fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut found = Vec::new();
        let mut open = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, number)) = open.pop() {
            let Some(directory) = self.directories.get(&number) else { continue };
            for (name, entry) in directory.names() {
                match *entry {
                    Entry::File(file) => {
                        let size = self.files.get(&file).map_or(0, |file| file.size());
                        found.push((path.join(name), size));
                    }
                    Entry::Directory(inner) => open.push((path.join(name), inner)),
                }
            }
        }
        found.sort();
        found
    }

    /// How many live names a file has.
    pub(super) fn names_of(&self, number: u64) -> u64 {
        to_u64(self.named_files().filter(|named| *named == number).count())
    }

    /// What the live names name, as often as they do.
    fn named_files(&self) -> impl Iterator<Item = u64> {
        let names = self.directories.values().flat_map(|directory| directory.names().values());
        names.filter_map(|entry| match entry {
            Entry::File(number) => Some(*number),
            Entry::Directory(_) => None,
        })
    }

    /// Bytes of all files that have a name; a file with several counts once.
    pub(super) fn named_bytes(&self) -> u64 {
        let files: BTreeSet<u64> = self.named_files().collect();
        files.iter().filter_map(|number| self.files.get(number)).map(|file| file.size()).sum()
    }

    /// Every pending unit, in order.
    pub(super) fn units(&self) -> Vec<Unit> {
        let of_files = self.files.values().flat_map(|file| file.units());
        let of_names = self.directories.values().flat_map(|directory| directory.units());
        let mut units: Vec<Unit> = of_files.chain(of_names).collect();
        units.sort_unstable();
        units
    }

    /// The sectors of the newest pending write of any file.
    pub(super) fn last_write(&self) -> Vec<u64> {
        let writes = self.files.values().map(|file| file.last_write());
        writes.max_by_key(|sectors| sectors.last().copied()).unwrap_or_default()
    }

    /// The same files and directories without what belongs to this process.
    pub(super) fn branch(&self) -> Self {
        Self {
            files: self.files.clone(),
            directories: self.directories.clone(),
            next: self.next,
            orphans: BTreeMap::new(),
            holds: BTreeMap::new(),
        }
    }

    /// Turns the tree into what a crash leaves of it. What is settled already is shared.
    pub(super) fn settle(&mut self, fate: &mut dyn FnMut(u64) -> Fate) {
        for file in self.files.values_mut().filter(|file| !file.is_settled()) {
            *file = Arc::new(file.crashed(fate));
        }
        let mut names_changed = false;
        for directory in self.directories.values_mut().filter(|directory| !directory.is_settled()) {
            *directory = Arc::new(directory.crashed(fate));
            names_changed = true;
        }
        if names_changed {
            self.prune();
        }
    }

    /// Files that are open.
    pub(super) fn held(&self) -> usize {
        self.holds.values().filter(|hold| Arc::strong_count(hold) > 1).count()
    }

    /// Forgets the failures of syncs.
    pub(super) fn heal(&mut self) {
        for file in self.files.values_mut().filter(|file| !file.is_sound()) {
            *file = Arc::new(file.healed());
        }
    }

    /// Drops what neither a handle nor any crash can reach any more.
    fn prune(&mut self) {
        let mut files = BTreeSet::new();
        let mut directories = BTreeSet::new();
        let mut open = vec![ROOT];
        while let Some(number) = open.pop() {
            if !directories.insert(number) {
                continue;
            }
            for entry in self.directories.get(&number).iter().flat_map(|found| found.reachable()) {
                match entry {
                    Entry::File(number) => {
                        files.insert(number);
                    }
                    Entry::Directory(number) => open.push(number),
                }
            }
        }
        self.directories.retain(|number, _| directories.contains(number));
        self.holds.retain(|_, hold| Arc::strong_count(hold) > 1);
        let unreachable = self.files.extract_if(.., |number, _| !files.contains(number));
        self.orphans.extend(unreachable);
        self.orphans.retain(|number, _| self.holds.contains_key(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (Tree, u64) {
        let (mut tree, mut units) = (Tree::default(), 0);
        tree.create_file(Path::new("/a"), &mut units).unwrap();
        tree.create_file(Path::new("/b"), &mut units).unwrap();
        tree.sync_directory(Path::new("/")).unwrap();
        (tree, units)
    }

    #[test]
    fn what_no_crash_and_no_handle_can_reach_is_dropped() {
        let (mut tree, mut units) = tree();
        let hold = tree.hold(tree.find_file(Path::new("/a")).unwrap());
        tree.remove(Path::new("/a"), &mut units).unwrap();
        tree.remove(Path::new("/b"), &mut units).unwrap();
        assert_eq!((tree.files.len(), tree.orphans.len()), (2, 0), "a crash can reach both");
        tree.sync_directory(Path::new("/")).unwrap();
        assert_eq!((tree.files.len(), tree.orphans.len()), (0, 1), "a handle can reach one");
        drop(hold);
        tree.create_file(Path::new("/c"), &mut units).unwrap();
        tree.sync_directory(Path::new("/")).unwrap();
        assert_eq!((tree.files.len(), tree.orphans.len(), tree.holds.len()), (1, 0, 0));
    }

    #[test]
    fn an_image_shares_every_file_that_has_nothing_pending() {
        let (mut tree, mut units) = tree();
        let a = tree.find_file(Path::new("/a")).unwrap();
        let b = tree.find_file(Path::new("/b")).unwrap();
        tree.file_mut(b).unwrap().write(b"x", 0, &mut units).unwrap();
        let mut image = tree.branch();
        image.settle(&mut |_| Fate::Survives);
        assert!(Arc::ptr_eq(&image.files[&a], &tree.files[&a]));
        assert!(!Arc::ptr_eq(&image.files[&b], &tree.files[&b]));
        assert!(Arc::ptr_eq(&image.directories[&ROOT], &tree.directories[&ROOT]));
    }

    #[test]
    fn a_file_with_two_names_is_one_file_and_lives_until_the_last_of_them_goes() {
        let (mut tree, mut units) = tree();
        let (a, c) = (Path::new("/a"), Path::new("/c"));
        let number = tree.find_file(a).unwrap();
        tree.file_mut(number).unwrap().write(b"xyz", 0, &mut units).unwrap();
        tree.link(a, c, &mut units).unwrap();
        assert_eq!(tree.find_file(c).unwrap(), number);
        assert_eq!(tree.named_bytes(), 3, "counted once");
        let taken = tree.link(a, Path::new("/b"), &mut units).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
        let mut lost = tree.branch();
        lost.settle(&mut |_| Fate::Lost);
        assert!(lost.find_file(c).is_err(), "a name that no sync made durable");
        tree.remove(a, &mut units).unwrap();
        tree.sync_directory(Path::new("/")).unwrap();
        assert!(tree.find_file(a).is_err());
        assert_eq!(tree.file(tree.find_file(c).unwrap()).unwrap().size(), 3);
        tree.remove(c, &mut units).unwrap();
        tree.sync_directory(Path::new("/")).unwrap();
        assert_eq!((tree.files.len(), tree.named_bytes()), (1, 0));
    }

    #[test]
    fn an_image_has_no_room_for_files_whose_names_were_lost() {
        let (mut tree, mut units) = tree();
        tree.create_file(Path::new("/c"), &mut units).unwrap();
        let mut image = tree.branch();
        image.settle(&mut |_| Fate::Lost);
        assert_eq!((tree.files.len(), image.files.len()), (3, 2));
    }

    #[test]
    fn a_file_in_the_place_of_a_directory_is_told_apart_from_nothing() {
        let (mut tree, mut units) = tree();
        let kind = |error: io::Error| error.kind();
        assert_eq!(kind(tree.find_file(Path::new("/")).unwrap_err()), ErrorKind::IsADirectory);
        assert_eq!(kind(tree.list(Path::new("/a")).unwrap_err()), ErrorKind::NotADirectory);
        assert_eq!(kind(tree.list(Path::new("/x")).unwrap_err()), ErrorKind::NotFound);
        let nowhere = tree.create_file(Path::new("/x/y"), &mut units).unwrap_err();
        assert_eq!(kind(nowhere), ErrorKind::NotFound);
    }
}

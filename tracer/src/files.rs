//! One record per path: what the job did to it, and what it was before.
//!
//! A record holds two kinds of facts. Those of the *name*: was there something under it before
//! the job, what did it look like, what was its content. And those of the *content* now under
//! the name: who wrote it, where it came from. A rename moves the second and leaves the first.

use crate::hash::QuickMap;
use crate::names::Known;
use crate::paths::Path;
use crate::preimage::{self, Keeping};
use crate::stat::{Kind, Stat};
use std::collections::BTreeMap;

pub type FileId = u32;

const MOST_ASKED: usize = 4;

/// Facts of the content now under a name.
#[derive(Clone, Default, Debug)]
pub struct Content {
    /// It was read before the job changed it.
    pub read: bool,
    /// It was read after the job had made or changed it.
    pub read_back: bool,
    pub written: bool,
    pub executed: bool,
    pub listed: bool,
    pub created: bool,
    pub truncated: bool,
    pub appended: bool,
    pub opens: u64,
    /// The name it had before the job, when the job renamed it.
    pub renamed_from: Option<Path>,
    /// The name it also has, when the job linked it.
    pub linked_from: Option<Path>,
    /// The record of that earlier name, which keeps the digest of the content before the job.
    pub origin: Option<FileId>,
}

#[derive(Debug)]
pub struct Record {
    pub path: Path,
    pub kind: Kind,
    /// Changes when names that led here may lead elsewhere.
    pub generation: u32,
    /// In this epoch of `names` an open by the path itself led here.
    pub reached: Option<u64>,
    pub existed: bool,
    /// The content is still the one from before the job (perhaps changed in place).
    pub original: bool,
    /// Nothing is under this name now.
    pub removed: bool,
    /// A descriptor the command was started with led here.
    pub inherited: bool,
    pub before: Option<Stat>,
    pub before_hash: Option<blake3::Hash>,
    pub before_unknown: Option<&'static str>,
    /// Where a copy of the content before the job is, once that was about to change.
    pub kept: Option<Option<Box<[u8]>>>,
    pub content: Content,
    pub asked: Vec<Box<[u8]>>,
    pub link_target: Option<Box<[u8]>>,
}

impl Record {
    fn new(path: Path, stat: Option<Stat>) -> Record {
        Record {
            path,
            kind: stat.map_or(Kind::File, |stat| stat.kind()),
            generation: 0,
            reached: None,
            existed: stat.is_some(),
            original: stat.is_some(),
            removed: false,
            inherited: false,
            before: stat,
            before_hash: None,
            before_unknown: None,
            kept: None,
            content: Content::default(),
            asked: Vec::new(),
            link_target: None,
        }
    }

    fn is_to_be_kept(&self) -> bool {
        self.existed
            && self.kept.is_none()
            && self.before.is_some_and(|stat| stat.kind() == Kind::File && stat.size > 0)
    }

    /// Whether anything happened that is worth a line.
    pub fn has_facts(&self) -> bool {
        let c = &self.content;
        let touched = c.read || c.read_back || c.written || c.executed || c.listed || c.created;
        touched || c.opens > 0 || c.renamed_from.is_some() || (self.removed && self.existed)
    }

    /// Whether nothing that the job did by this name can have changed what is there.
    pub fn is_untouched(&self) -> bool {
        self.existed && self.original && !self.removed && !self.content.written
    }
}

pub struct Files {
    records: Vec<Option<Record>>,
    free: Vec<(FileId, u32)>,
    by_path: QuickMap<Path, FileId>,
    /// The same in the order of paths, as far as a directory's content has been asked for,
    in_order: BTreeMap<Path, FileId>,
    /// and the records made since.
    not_in_order: Vec<FileId>,
    /// Files that the job made and removed again.
    pub temporaries: u64,
    /// Directories from before the job under their present names, and those from before.
    pub(crate) moved: Vec<(Path, Path)>,
    hash_limit: u64,
    pub keeping: Option<Keeping>,
}

impl Files {
    pub fn new(hash_limit: u64) -> Files {
        Files {
            records: Vec::new(),
            free: Vec::new(),
            by_path: QuickMap::default(),
            in_order: BTreeMap::new(),
            not_in_order: Vec::new(),
            temporaries: 0,
            moved: Vec::new(),
            hash_limit,
            keeping: None,
        }
    }

    pub fn get(&self, id: FileId) -> Option<&Record> {
        self.records.get(id as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, id: FileId) -> Option<&mut Record> {
        self.records.get_mut(id as usize)?.as_mut()
    }

    pub fn find(&self, path: &[u8]) -> Option<FileId> {
        self.by_path.get(path).copied()
    }

    /// Every record, by path.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        let mut all: Vec<&Record> = self.records.iter().flatten().collect();
        all.sort_unstable_by(|one, two| one.path.cmp(&two.path));
        all.into_iter()
    }

    /// The records below a directory.
    pub fn below(&mut self, directory: &[u8]) -> Vec<FileId> {
        self.put_in_order();
        let mut first = directory.to_vec();
        first.push(b'/');
        self.in_order
            .range::<[u8], _>((std::ops::Bound::Included(&first[..]), std::ops::Bound::Unbounded))
            .take_while(|(path, _)| path.starts_with(&first))
            .map(|(_, &id)| id)
            .collect()
    }

    fn put_in_order(&mut self) {
        for id in std::mem::take(&mut self.not_in_order) {
            if let Some(record) = self.get(id) {
                let path = record.path.clone();
                self.in_order.insert(path, id);
            }
        }
    }

    /// The record of a path; `stat` is what was there just before this first touch.
    pub fn touch(&mut self, path: &Path, stat: Option<Stat>) -> FileId {
        self.find(path).unwrap_or_else(|| self.add(path, stat))
    }

    /// A record of a path that has none.
    pub(crate) fn add(&mut self, path: &Path, stat: Option<Stat>) -> FileId {
        self.insert(Record::new(path.clone(), stat))
    }

    fn insert(&mut self, mut record: Record) -> FileId {
        let path = record.path.clone();
        let id = match self.free.pop() {
            Some((id, generation)) => {
                record.generation = generation;
                self.records[id as usize] = Some(record);
                id
            }
            None => {
                self.records.push(Some(record));
                (self.records.len() - 1) as FileId
            }
        };
        self.by_path.insert(path, id);
        self.not_in_order.push(id);
        if self.not_in_order.len() > self.records.len() {
            // Most of these are gone: temporaries without end must not grow the list.
            self.put_in_order();
        }
        id
    }

    pub fn drop_record(&mut self, id: FileId) {
        if let Some(record) = self.records.get_mut(id as usize).and_then(Option::take) {
            self.by_path.remove(&record.path);
            self.in_order.remove(&record.path);
            self.free.push((id, record.generation.wrapping_add(1)));
        }
    }

    /// Whether a name that was seen to lead to a record still does.
    pub fn still_leads_to(&self, known: Known) -> bool {
        self.get(known.file).is_some_and(|record| record.generation == known.generation && !record.removed)
    }

    /// Keeps a name that led here through a symbolic link.
    pub fn asked_as(&mut self, id: FileId, name: &[u8]) {
        if let Some(record) = self.get_mut(id) {
            let new = &*record.path != name && !record.asked.iter().any(|known| &**known == name);
            if new && record.asked.len() < MOST_ASKED {
                record.asked.push(name.into());
            }
        }
    }

    /// An open that can read.
    pub fn note_read(&mut self, id: FileId) {
        let Some(record) = self.get_mut(id) else { return };
        let content = &mut record.content;
        match (record.kind, record.original) {
            (Kind::Directory, _) => content.listed = true,
            (_, true) => content.read = true,
            (_, false) => {
                content.read_back = true;
                // It was there before the job, under another name.
                if let Some(origin) = content.origin.and_then(|origin| self.get_mut(origin)) {
                    origin.content.read = true;
                }
            }
        }
    }

    /// To be called while the process still waits to make its change: keeps the digest of the
    /// content before the job, where that content has been or may yet be read.
    ///
    /// `keeps_content` says whether the change leaves some of it readable (no O_TRUNC).
    pub fn before_change(&mut self, id: FileId, keeps_content: bool) {
        let Some(record) = self.get(id) else { return };
        let current = record.path.clone();
        let owner = if record.original { Some(id) } else { record.content.origin };
        let limit = self.hash_limit;
        let Some(record) = owner.and_then(|owner| self.records.get_mut(owner as usize)?.as_mut()) else { return };
        let Some(before) = record.before else { return };
        if let Some(keeping) = self.keeping.as_mut().filter(|_| record.is_to_be_kept()) {
            record.kept = Some(keeping.copy(&current));
        }
        let done = record.before_hash.is_some() || record.before_unknown.is_some();
        let wanted = record.existed && (record.content.read || record.content.executed || keeps_content);
        if done || !wanted || before.kind() != Kind::File || before.size == 0 {
            return;
        }
        match preimage::digest(&current, limit) {
            Ok(hash) => record.before_hash = Some(hash),
            Err(reason) => record.before_unknown = Some(reason),
        }
    }
}

impl Record {
    /// Whoever opens a name that led here may get something else from now on.
    pub fn lost_names(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.reached = None;
    }

    /// The content now under the name is no longer that of before the job.
    pub fn replaced(&mut self) {
        self.original = false;
    }
}

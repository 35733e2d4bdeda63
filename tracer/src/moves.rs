//! Changes of names: rename, link, unlink, and what they do to the records.

use crate::files::{Content, FileId, Files};
use crate::paths::{is_within, Path};
use crate::stat::{Kind, Stat};

/// More renamed directories than this are not remembered: files found below them later are
/// then taken to have been there all the time.
const MOST_MOVED: usize = 1024;

/// A name taking part in a change, and what was there just before.
#[derive(Clone, Debug)]
pub struct Place {
    pub path: Path,
    pub stat: Option<Stat>,
}

impl Files {
    /// Something new stands under this name, made by the job (open with O_CREAT, mkdir, mknod).
    pub fn made(&mut self, place: &Place, kind: Kind) -> FileId {
        let id = self.touch(&place.path, place.stat);
        if let Some(record) = self.get_mut(id) {
            record.kind = kind;
            record.removed = false;
            record.replaced();
            record.content.created = true;
            record.content.written = true;
        }
        id
    }

    /// The name is gone. What the job had made itself leaves no record, only a count.
    pub fn unlinked(&mut self, place: &Place) {
        let id = self.touch(&place.path, place.stat);
        let Some(record) = self.get_mut(id) else { return };
        record.lost_names();
        if !record.existed {
            self.drop_record(id);
            self.temporaries += 1;
            return;
        }
        record.removed = true;
        record.replaced();
        record.content = kept_after_removal(&record.content);
    }

    /// The record of a file that is there now. If it came along with a directory from before the
    /// job, unnoticed until now, it is caught up with.
    pub fn arrive(&mut self, path: &Path, stat: Option<Stat>) -> FileId {
        let known = self.find(path);
        if let Some(id) = known {
            if self.get(id).is_some_and(|record| !record.removed) {
                return id;
            }
        }
        if stat.is_some() && self.came_with_directory(path, stat) {
            return self.touch(path, stat);
        }
        known.unwrap_or_else(|| self.add(path, stat))
    }

    fn came_with_directory(&mut self, path: &Path, stat: Option<Stat>) -> bool {
        let came = self.moved.iter().rev().find(|(now, _)| is_within(path, now));
        let Some((now, before)) = came.filter(|(now, _)| now.len() < path.len()) else { return false };
        let from: Path = [before, &path[now.len()..]].concat().into();
        if self.find(&from).is_some() {
            return false;
        }
        self.move_one(&Place { path: from, stat }, &Place { path: path.clone(), stat: None });
        true
    }

    fn note_moved_directory(&mut self, old: &Place, new: &Place) {
        if !old.stat.is_some_and(|stat| stat.kind() == Kind::Directory) {
            return;
        }
        let made_by_job = self.find(&old.path).and_then(|id| self.get(id)).is_some_and(|record| !record.existed);
        for (now, _) in &mut self.moved {
            if is_within(now, &old.path) {
                *now = [&new.path, &now[old.path.len()..]].concat().into();
            }
        }
        if !made_by_job && self.moved.len() < MOST_MOVED {
            self.moved.push((new.path.clone(), old.path.clone()));
        }
    }

    /// `old` became `new`, with everything below it.
    pub fn renamed(&mut self, old: &Place, new: &Place) {
        self.note_moved_directory(old, new);
        self.move_one(old, new);
        if old.stat.is_some_and(|stat| stat.kind() != Kind::Directory) {
            return;
        }
        for id in self.below(&old.path) {
            let Some(record) = self.get(id).filter(|record| !record.removed) else { continue };
            let from = Place { path: record.path.clone(), stat: record.before };
            let tail = &record.path[old.path.len()..];
            let path = [&new.path[..], tail].concat().into();
            self.move_one(&from, &Place { path, stat: None });
        }
    }

    /// `one` and `two` changed places (RENAME_EXCHANGE).
    pub fn exchanged(&mut self, one: &Place, two: &Place) {
        // A name that no program can have: it lies below nothing.
        let aside = Place { path: b"//aside"[..].into(), stat: None };
        self.renamed(one, &aside);
        self.renamed(two, &Place { path: one.path.clone(), stat: one.stat });
        self.renamed(&aside, &Place { path: two.path.clone(), stat: two.stat });
    }

    fn move_one(&mut self, old: &Place, new: &Place) {
        let source_id = self.touch(&old.path, old.stat);
        let Some(source) = self.get_mut(source_id) else { return };
        source.lost_names();
        let (kind, asked) = (source.kind, source.link_target.clone());
        let mut content = source.content.clone();
        if source.existed {
            source.content = kept_after_removal(&content);
            source.removed = true;
            if source.original {
                content.renamed_from = Some(old.path.clone());
                content.origin = Some(source_id);
            }
            source.original = false;
        } else {
            self.drop_record(source_id);
        }
        let target_id = self.touch(&new.path, new.stat);
        let Some(target) = self.get_mut(target_id) else { return };
        target.lost_names();
        if target.existed {
            // What was read under this name before it was replaced stays an input.
            content.read = target.content.read;
            content.executed |= target.content.executed;
        }
        content.written = true;
        content.created = true;
        if content.renamed_from.as_ref() == Some(&new.path) {
            content.renamed_from = None;
            content.origin = None;
            target.original = true;
        } else {
            target.original = false;
        }
        target.content = content;
        target.kind = kind;
        target.link_target = asked;
        target.removed = false;
    }

    /// `new` is one more name of the file at `old`.
    pub fn linked(&mut self, old: &Place, new: &Place) {
        let source_id = self.touch(&old.path, old.stat);
        self.note_read(source_id);
        let Some(source) = self.get_mut(source_id) else { return };
        let kind = source.kind;
        let origin = if source.original { Some(source_id) } else { source.content.origin };
        let id = self.made(new, kind);
        if let Some(record) = self.get_mut(id) {
            record.content.origin = origin;
            record.content.linked_from = origin.map(|_| old.path.clone());
        }
    }
}

/// What stays true of a name when its content is gone or moved on.
fn kept_after_removal(content: &Content) -> Content {
    Content {
        read: content.read,
        executed: content.executed,
        listed: content.listed,
        opens: content.opens,
        ..Content::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Known;

    fn stat(ino: u64) -> Stat {
        Stat { dev: 1, ino, size: 5, mtime_ns: 1, ctime_ns: 1, mode: libc::S_IFREG | 0o644, nlink: 1, uid: 0 }
    }

    fn place(path: &str, stat: Option<Stat>) -> Place {
        Place { path: path.as_bytes().into(), stat }
    }

    fn paths(files: &Files) -> Vec<String> {
        files.iter().map(|r| String::from_utf8_lossy(&r.path).into_owned()).collect()
    }

    #[test]
    fn the_final_name_carries_the_output() {
        let mut files = Files::new(0);
        files.made(&place("/w/x.tmp", None), Kind::File);
        files.renamed(&place("/w/x.tmp", Some(stat(1))), &place("/w/x", None));
        assert_eq!(paths(&files), ["/w/x"]);
        let record = files.iter().next().unwrap();
        assert!(record.content.written && record.content.created && !record.existed);
        assert_eq!(record.content.renamed_from, None);
        assert_eq!(files.temporaries, 0);
    }

    #[test]
    fn a_renamed_input_has_two_lines() {
        let mut files = Files::new(0);
        let id = files.touch(&place("/w/in", None).path, Some(stat(1)));
        files.note_read(id);
        files.renamed(&place("/w/in", Some(stat(1))), &place("/w/out", None));
        let old = files.get(files.find(b"/w/in").unwrap()).unwrap();
        assert!(old.existed && old.removed && old.content.read);
        let new = files.get(files.find(b"/w/out").unwrap()).unwrap();
        assert!(!new.existed && new.content.written);
        assert_eq!(new.content.renamed_from.as_deref(), Some(&b"/w/in"[..]));
    }

    #[test]
    fn reads_of_own_content_are_no_inputs() {
        let mut files = Files::new(0);
        files.made(&place("/w/t", None), Kind::File);
        files.renamed(&place("/w/t", Some(stat(2))), &place("/w/data", Some(stat(1))));
        let id = files.find(b"/w/data").unwrap();
        files.note_read(id);
        let record = files.get(id).unwrap();
        assert!(record.existed && !record.content.read && record.content.read_back);
    }

    #[test]
    fn a_directory_takes_its_files_along() {
        let mut files = Files::new(0);
        files.made(&place("/w/d", None), Kind::Directory);
        files.made(&place("/w/d/a", None), Kind::File);
        files.made(&place("/w/d.x", None), Kind::File);
        let directory = Stat { mode: libc::S_IFDIR | 0o755, ..stat(1) };
        files.renamed(&place("/w/d", Some(directory)), &place("/w/e", None));
        assert_eq!(paths(&files), ["/w/d.x", "/w/e", "/w/e/a"]);
    }

    #[test]
    fn temporaries_are_counted_not_kept() {
        let mut files = Files::new(0);
        files.made(&place("/w/t", None), Kind::File);
        files.unlinked(&place("/w/t", Some(stat(1))));
        assert_eq!(files.temporaries, 1);
        assert!(paths(&files).is_empty());
        files.unlinked(&place("/w/old", Some(stat(2))));
        assert_eq!(paths(&files), ["/w/old"]);
        assert!(files.iter().next().unwrap().has_facts());
    }

    #[test]
    fn files_that_came_with_a_directory_are_inputs_under_their_old_names() {
        let mut files = Files::new(0);
        let directory = Stat { mode: libc::S_IFDIR | 0o755, ..stat(9) };
        files.renamed(&place("/w/d", Some(directory)), &place("/w/e", None));
        files.renamed(&place("/w/e", Some(directory)), &place("/w/f", None));
        let id = files.arrive(&place("/w/f/in", None).path, Some(stat(1)));
        files.note_read(id);
        assert_eq!(paths(&files), ["/w/d", "/w/d/in", "/w/f", "/w/f/in"]);
        let old = files.get(files.find(b"/w/d/in").unwrap()).unwrap();
        assert!(old.existed && old.removed && old.content.read);
        assert_eq!(files.get(id).unwrap().content.renamed_from.as_deref(), Some(&b"/w/d/in"[..]));
    }

    #[test]
    fn exchange_swaps_contents_not_names() {
        let mut files = Files::new(0);
        files.made(&place("/w/new", None), Kind::File);
        files.exchanged(&place("/w/new", Some(stat(1))), &place("/w/old", Some(stat(2))));
        assert_eq!(paths(&files), ["/w/new", "/w/old"]);
        let new = files.get(files.find(b"/w/new").unwrap()).unwrap();
        assert_eq!(new.content.renamed_from.as_deref(), Some(&b"/w/old"[..]));
        let old = files.get(files.find(b"/w/old").unwrap()).unwrap();
        assert!(old.existed && old.content.written && old.content.renamed_from.is_none());
    }

    #[test]
    fn back_and_forth_is_the_original_again() {
        let mut files = Files::new(0);
        files.renamed(&place("/w/a", Some(stat(1))), &place("/w/b", None));
        files.renamed(&place("/w/b", Some(stat(1))), &place("/w/a", None));
        let record = files.get(files.find(b"/w/a").unwrap()).unwrap();
        assert!(record.existed && record.original && !record.removed);
        assert_eq!(paths(&files), ["/w/a"]);
    }

    #[test]
    fn a_record_that_was_dropped_is_not_recalled() {
        let mut files = Files::new(0);
        let id = files.made(&place("/w/t", None), Kind::File);
        let known = Known { file: id, generation: files.get(id).unwrap().generation };
        assert!(files.still_leads_to(known));
        files.unlinked(&place("/w/t", None));
        let again = files.made(&place("/w/u", None), Kind::File);
        assert_eq!(id, again);
        assert!(!files.still_leads_to(known));
    }
}

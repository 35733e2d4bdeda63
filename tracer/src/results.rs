//! A traced call is done: what it did.

use crate::calls::Pending;
use crate::files::FileId;
use crate::foreign;
use crate::memory;
use crate::mounts;
use crate::moves::Place;
use crate::names::link;
use crate::observer::{Observer, Who};
use crate::stat::{Kind, Stat};
use crate::tree::{Directory, View};

/// The kernel will make the call again after a signal: nothing has happened yet.
fn is_restart(result: i64) -> bool {
    (-516..=-512).contains(&result)
}

fn is_link_or_directory(place: &Place) -> bool {
    place.stat.is_some_and(|stat| matches!(stat.kind(), Kind::Symlink | Kind::Directory))
}

impl Observer {
    pub fn leave(&mut self, tid: i32, pending: Pending, result: i64) {
        let Some(who) = self.who(tid) else { return };
        if let Pending::Clone3 { address, flags } = pending {
            let _ = memory::write_memory(tid, address, &flags.to_ne_bytes());
            return;
        }
        if is_restart(result) {
            return;
        }
        match pending {
            Pending::Open { name, .. } if result < 0 => {
                if let Some(name) = name {
                    self.look_failed(&name, -result as i32);
                }
            }
            _ if result < 0 => {}
            Pending::Listener => {
                self.blind(who, "own_listener");
            }
            Pending::Open { name, flags, before } => {
                self.opened(who, result as i32, name, flags, before.ok().map(|f| (f.path, f.stat)))
            }
            Pending::Rename { old, new, exchange } => {
                if is_link_or_directory(&old) || is_link_or_directory(&new) {
                    self.names_changed();
                }
                self.rename_done(&old, &new, exchange);
            }
            Pending::Link { old: Some(old), new } => self.files.linked(&old, &new),
            Pending::Link { old: None, new } => {
                let kind = Stat::of_name(&new.path).map_or(Kind::File, |stat| stat.kind());
                self.files.made(&new, kind);
            }
            Pending::Symlink { target, new } => {
                if self.directory_removed {
                    self.names_changed();
                }
                let id = self.files.made(&new, Kind::Symlink);
                if let Some(record) = self.files.get_mut(id) {
                    record.link_target = Some(target.into());
                }
            }
            Pending::Remove(place) => {
                match place.stat.map(|stat| stat.kind()) {
                    Some(Kind::Symlink) => self.names_changed(),
                    Some(Kind::Directory) => {
                        self.directory_removed = true;
                        self.names.let_go();
                    }
                    _ => {}
                }
                self.files.unlinked(&place);
            }
            Pending::Make(place, kind) => {
                self.files.made(&place, kind);
            }
            Pending::Truncate(place, length) => self.truncated(&place, length),
            Pending::ChangeDirectory => self.directory_changed(who),
            Pending::BecomeForeign => self.became_foreign(who),
            Pending::Clone3 { .. } => {}
            Pending::Mount => {
                self.names_changed();
            }
        }
    }

    fn rename_done(&mut self, old: &Place, new: &Place, exchange: bool) {
        let same = old.stat.zip(new.stat).is_some_and(|(old, new)| old.same_file(&new));
        if old.path == new.path || same {
            // Two names of one file: the kernel does nothing and says it has.
        } else if exchange {
            self.files.exchanged(old, new);
        } else {
            self.files.renamed(old, new);
        }
    }

    fn truncated(&mut self, place: &Place, length: u64) {
        let id = self.files.touch(&place.path, place.stat);
        if let Some(record) = self.files.get_mut(id) {
            record.content.written = true;
            record.content.truncated = true;
            if length == 0 {
                record.replaced();
            }
        }
    }

    /// A descriptor was opened: the kernel now says which file it is.
    fn opened(
        &mut self,
        who: Who,
        fd: i32,
        name: Option<Vec<u8>>,
        flags: u32,
        before: Option<(crate::paths::Path, Stat)>,
    ) {
        let magic = format!("/proc/{}/fd/{fd}", who.tid);
        let path = match link(&magic) {
            Ok(path) => path,
            Err(errno) => {
                // It was killed, or may not be looked at (a program we may not read).
                if errno != libc::ENOENT {
                    self.blinds.add("path_unreadable", name.as_deref().unwrap_or_default());
                }
                return;
            }
        };
        let now_stat = || Stat::of_target(magic.as_bytes());
        let path = match who.view {
            View::Same => path.into(),
            View::Foreign => match now_stat() {
                Ok(stat) => {
                    let mount = mounts::mount_of(&who.tid.to_string(), fd);
                    foreign::outside(who.tid, path, &stat, mount, &mut self.blinds)
                }
                Err(_) => path.into(),
            },
        };
        let has = |bit: i32| flags & bit as u32 != 0;
        let could_create = has(libc::O_CREAT);
        let stat_before = match before {
            Some((was, stat)) if was == path => Some(stat),
            // Looked at under another path, or not at all: it was there unless we just made it.
            Some(_) => now_stat().ok(),
            None if could_create => None,
            None => now_stat().ok(),
        };
        if path.ends_with(b" (deleted)") && now_stat().is_ok_and(|stat| stat.nlink == 0) {
            return;
        }
        let Some(id) = self.record(name.as_deref(), &path, stat_before) else { return };
        let created = could_create && stat_before.is_none();
        let kind = now_stat().map(|stat| stat.kind());
        if let Some(record) = self.files.get_mut(id) {
            record.content.opens += 1;
            record.removed = false;
            if let (true, Ok(kind)) = (created, kind) {
                record.kind = kind;
            }
        }
        self.note_open(id, flags, created);
    }

    fn directory_changed(&mut self, who: Who) {
        if let Some(process) = self.tree.processes.get_mut(&who.process) {
            if !matches!(process.directory, Directory::AskAlways) {
                process.directory = Directory::Unknown;
            }
        }
    }

    fn became_foreign(&mut self, who: Who) {
        if let Some(process) = self.tree.processes.get_mut(&who.process) {
            process.view = View::Foreign;
            process.other_rights = true;
        }
        self.directory_changed(who);
    }

    /// What an open with these flags did to a file, and may do through the descriptor.
    pub fn note_open(&mut self, id: FileId, flags: u32, created: bool) {
        let has = |bit: i32| flags & bit as u32 != 0;
        let access = flags & libc::O_ACCMODE as u32;
        let writes = access != libc::O_RDONLY as u32;
        let Some(record) = self.files.get_mut(id) else { return };
        let truncates = has(libc::O_TRUNC) && record.kind == Kind::File;
        if created {
            record.content.created = true;
            record.replaced();
        }
        if truncates {
            record.content.truncated = true;
            record.content.origin = None;
            record.replaced();
        }
        record.content.written |= writes || created || truncates;
        record.content.appended |= writes && has(libc::O_APPEND);
        if access != libc::O_WRONLY as u32 {
            self.files.note_read(id);
        }
    }
}

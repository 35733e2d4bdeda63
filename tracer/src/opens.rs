//! An open is about to be made: known by name, looked up now, or to be asked for its result.

use crate::bpf::{Reads, CHANGING_FLAGS, O_TMPFILE_BIT};
use crate::calls::{Next, Pending};
use crate::files::FileId;
use crate::lookup::may_read;
use crate::memory;
use crate::names::{Found, Known};
use crate::observer::{Observer, Who};
use crate::rights::may_read_as;
use crate::stat::Kind;
use crate::tree::View;

/// The flags of an i386 or x86_64 open are the same; aarch64 has others but only one table.
fn has(flags: u32, bit: i32) -> bool {
    flags & bit as u32 != 0
}

/// In doubt it is.
fn is_readable(who: Who, path: &[u8]) -> bool {
    let by_them = if who.other_rights { may_read_as(who.tid, path) } else { None };
    by_them.unwrap_or_else(|| who.other_rights || may_read(path))
}

impl Observer {
    pub fn open(&mut self, who: Who, dirfd: i32, address: u64, flags: u32) -> Next {
        if has(flags, libc::O_PATH) {
            return Next::Go;
        }
        self.opens += 1;
        let Some(name) = self.string(who, address) else { return Next::Go };
        if name.is_empty() {
            return Next::Go;
        }
        let Some(name) = self.absolute(who, dirfd, name) else {
            // A removed working directory, a descriptor that is no directory: the result tells.
            return Next::AwaitResult(Pending::Open { name: None, flags, before: Err(0) });
        };
        if flags & CHANGING_FLAGS == 0 {
            self.open_to_read(who, name, flags)
        } else {
            self.open_to_change(who, name, flags)
        }
    }

    pub fn openat2(&mut self, who: Who, dirfd: i32, address: u64, how: u64) -> Next {
        let mut words = [0; 24];
        if memory::read_memory(who.tid, how, &mut words) != Ok(24) {
            return Next::Go;
        }
        let mut flags = [0; 4];
        flags.copy_from_slice(&words[..4]);
        let flags = u32::from_le_bytes(flags);
        let is_restricted = words[16..].iter().any(|&byte| byte != 0);
        if !is_restricted || has(flags, libc::O_PATH) {
            return self.open(who, dirfd, address, flags);
        }
        // RESOLVE_IN_ROOT and its relatives make names mean something else: ask for the result.
        self.opens += 1;
        let name = self.string(who, address).and_then(|name| {
            let inner = name.strip_prefix(b"/").unwrap_or(&name).to_vec();
            self.absolute(who, dirfd, inner)
        });
        match name {
            Some(name) if flags & CHANGING_FLAGS != 0 => self.open_to_change(who, name, flags),
            name => Next::AwaitResult(Pending::Open { name, flags, before: Err(0) }),
        }
    }

    /// An open that changes nothing, by a name that was seen before or is looked up now. Its
    /// result is awaited only where that does not tell.
    fn open_to_read(&mut self, who: Who, name: Vec<u8>, flags: u32) -> Next {
        let follow = !has(flags, libc::O_NOFOLLOW);
        let cached = who.view == View::Same && follow;
        if cached {
            if let Some(id) = self.known(&name) {
                self.note_opened_to_read(id);
                return Next::Go;
            }
        }
        let found = match self.look(who, &name, follow) {
            Ok(found) => found,
            // A kernel that cannot look from another root, or a door closed to us alone.
            Err(libc::ENOSYS) => return self.uncertain(who, name, flags, None),
            Err(libc::EACCES) if who.other_rights => return self.uncertain(who, name, flags, None),
            Err(errno) => {
                self.look_failed(&name, errno);
                return Next::Go;
            }
        };
        let refused = match found.stat.kind() {
            Kind::Symlink => libc::ELOOP,
            kind if kind != Kind::Directory && has(flags, libc::O_DIRECTORY) => libc::ENOTDIR,
            _ => 0,
        };
        if refused != 0 {
            self.look_failed(&name, refused);
            return Next::Go;
        }
        if !self.surely_readable(who, &found.stat) {
            return self.uncertain(who, name, flags, Some(found));
        }
        self.opened_to_read(&name, &found, cached);
        Next::Go
    }

    fn opened_to_read(&mut self, name: &[u8], found: &Found, cached: bool) {
        let Some(id) = self.record(Some(name), &found.path, Some(found.stat)) else { return };
        self.note_opened_to_read(id);
        if !cached || found.path.starts_with(b"/proc/") {
            return;
        }
        let epoch = self.names.epoch();
        match self.files.get_mut(id) {
            Some(record) if *name == *record.path => record.reached = Some(epoch),
            Some(record) => self.names.remember(name, Known { file: id, generation: record.generation }),
            None => {}
        }
    }

    /// The record that an open of this name led to before, and still does.
    fn known(&mut self, name: &[u8]) -> Option<FileId> {
        let epoch = self.names.epoch();
        let own = self.files.find(name);
        if let Some(record) = own.and_then(|id| self.files.get(id)) {
            if record.reached == Some(epoch) && !record.removed {
                return own;
            }
        }
        let known = self.names.known(name)?;
        let is_valid = self.files.still_leads_to(known);
        if !is_valid {
            self.names.forget(name);
        }
        is_valid.then_some(known.file)
    }

    fn note_opened_to_read(&mut self, id: FileId) {
        if let Some(record) = self.files.get_mut(id) {
            record.content.opens += 1;
        }
        self.files.note_read(id);
    }

    /// Under ptrace the result is awaited. A notification has no result: then our own rights
    /// decide, and in doubt the file was read.
    fn uncertain(&mut self, who: Who, name: Vec<u8>, flags: u32, found: Option<Found>) -> Next {
        // Whoever notifies us and is then let go may wait on, for the other end of a fifo, say.
        self.may_wait = true;
        if self.reads == Reads::Trace {
            let before = found.ok_or(0);
            return Next::AwaitResult(Pending::Open { name: Some(name), flags, before });
        }
        match found {
            None => self.blinds.add("path_unreadable", &name),
            Some(found) if found.stat.kind() == Kind::Socket => self.look_failed(&name, libc::ENXIO),
            Some(found) if who.view == View::Same && !is_readable(who, &found.path) => {
                self.look_failed(&name, libc::EACCES)
            }
            Some(found) => self.opened_to_read(&name, &found, false),
        }
        Next::Go
    }

    fn open_to_change(&mut self, who: Who, name: Vec<u8>, flags: u32) -> Next {
        let exclusive = has(flags, libc::O_CREAT) && has(flags, libc::O_EXCL);
        if flags & O_TMPFILE_BIT != 0 && has(flags, libc::O_DIRECTORY) {
            return Next::AwaitResult(Pending::Open { name: None, flags, before: Err(libc::ENOENT) });
        }
        let before = self.look(who, &name, !exclusive && !has(flags, libc::O_NOFOLLOW));
        let writes = has(flags, libc::O_WRONLY | libc::O_RDWR | libc::O_TRUNC);
        if let (Ok(found), true, false) = (&before, writes, exclusive) {
            if found.stat.kind() == Kind::File {
                if let Some(id) = self.record(None, &found.path, Some(found.stat)) {
                    self.files.before_change(id, !has(flags, libc::O_TRUNC));
                }
            }
        }
        Next::AwaitResult(Pending::Open { name: Some(name), flags, before })
    }
}

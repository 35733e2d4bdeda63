//! A traced call is about to be made: what it would do, and whether its result matters.

use crate::bpf::{Reads, CHANGING_FLAGS, O_TMPFILE_BIT};
use crate::bounded::Endpoint;
use crate::moves::Place;
use crate::names::Found;
use crate::observer::{Observer, Who};
use crate::ptrace::{self, Entry};
use crate::stat::Kind;
use crate::sys::{may_read, Errno};
use crate::table::{lookup, Abi, Call};
use crate::tree::View;

/// What to do with the waiting task.
pub enum Next {
    Go,
    AwaitResult(Pending),
}

/// What a call will have done if it succeeds.
#[derive(Debug)]
pub enum Pending {
    Open { name: Option<Vec<u8>>, flags: u32, before: Result<Found, Errno> },
    Rename { old: Place, new: Place, exchange: bool },
    /// Without a place of its own, the source is a file that had no name.
    Link { old: Option<Place>, new: Place },
    Symlink { target: Vec<u8>, new: Place },
    Remove(Place),
    Make(Place, Kind),
    Truncate(Place, u64),
    ChangeDirectory,
    /// Names mean something else for this process from now on.
    BecomeForeign,
    Mount,
    Listener,
}

/// The flags of an i386 or x86_64 open are the same; aarch64 has others but only one table.
fn has(flags: u32, bit: i32) -> bool {
    flags & bit as u32 != 0
}

/// A result is wanted where there is something to await it for.
fn awaiting(pending: Option<Pending>) -> Next {
    pending.map_or(Next::Go, Next::AwaitResult)
}

impl Observer {
    pub fn enter(&mut self, tid: i32, entry: &Entry) -> Next {
        let (Some(call), Some(who)) = (lookup(entry.abi, entry.number), self.who(tid)) else { return Next::Go };
        let a = &entry.args;
        let cwd = libc::AT_FDCWD;
        match call {
            Call::Open => self.open(who, cwd, a[0], a[1] as u32),
            Call::Openat => self.open(who, a[0] as i32, a[1], a[2] as u32),
            Call::Openat2 => self.openat2(who, a[0] as i32, a[1], a[2]),
            Call::Creat => self.open(who, cwd, a[0], (libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC) as u32),
            Call::OpenByHandleAt => {
                self.opens += 1;
                Next::AwaitResult(Pending::Open { name: None, flags: a[2] as u32, before: Err(0) })
            }
            Call::Execve => self.exec(who, entry.abi, cwd, a[0], a[1], 0),
            Call::Execveat => self.exec(who, entry.abi, a[0] as i32, a[1], a[2], a[4] as i32),
            Call::Rename => self.rename(who, (cwd, a[0]), (cwd, a[1]), 0),
            Call::Renameat => self.rename(who, (a[0] as i32, a[1]), (a[2] as i32, a[3]), 0),
            Call::Renameat2 => self.rename(who, (a[0] as i32, a[1]), (a[2] as i32, a[3]), a[4] as u32),
            Call::Link => self.link(who, (cwd, a[0]), (cwd, a[1]), 0),
            Call::Linkat => self.link(who, (a[0] as i32, a[1]), (a[2] as i32, a[3]), a[4] as i32),
            Call::Symlink => self.symlink(who, a[0], cwd, a[1]),
            Call::Symlinkat => self.symlink(who, a[0], a[1] as i32, a[2]),
            Call::Unlink | Call::Rmdir => self.remove(who, cwd, a[0]),
            Call::Unlinkat => self.remove(who, a[0] as i32, a[1]),
            Call::Mkdir => self.make(who, cwd, a[0], libc::S_IFDIR),
            Call::Mkdirat => self.make(who, a[0] as i32, a[1], libc::S_IFDIR),
            Call::Mknod => self.make(who, cwd, a[0], a[1] as u32),
            Call::Mknodat => self.make(who, a[0] as i32, a[1], a[2] as u32),
            Call::Truncate => self.truncate(who, a[0], a[1]),
            Call::Chdir | Call::Fchdir => Next::AwaitResult(Pending::ChangeDirectory),
            Call::Chroot | Call::Setns => Next::AwaitResult(Pending::BecomeForeign),
            Call::Unshare => self.unshare(who, a[0]),
            Call::Mount => {
                self.names.let_go();
                Next::AwaitResult(Pending::Mount)
            }
            Call::Connect => self.connect(who, a[1], a[2]),
            Call::Socketcall => self.socketcall(who, a[0], a[1]),
            Call::Credentials => {
                if let Some(process) = self.tree.processes.get_mut(&who.process) {
                    process.other_rights = true;
                }
                Next::Go
            }
            Call::IoUringSetup => self.blind(who, "io_uring"),
            Call::Ptrace => self.blind(who, "inner_ptrace"),
            Call::Seccomp if self.reads == Reads::Notify => Next::AwaitResult(Pending::Listener),
            Call::Seccomp => Next::Go,
        }
    }

    /// A blind spot, with the program that has it.
    pub fn blind(&mut self, who: Who, reason: &'static str) -> Next {
        let process = self.tree.processes.get(&who.process);
        let program = process.and_then(|process| process.programs.last()).map(|program| program.path.to_vec());
        self.blinds.add(reason, &program.unwrap_or_default());
        Next::Go
    }

    fn open(&mut self, who: Who, dirfd: i32, address: u64, flags: u32) -> Next {
        if has(flags, libc::O_PATH) {
            return Next::Go;
        }
        self.opens += 1;
        let Some(name) = self.string(who, address) else { return Next::Go };
        if name.is_empty() {
            return Next::Go;
        }
        let Some(name) = self.absolute(who, dirfd, &name) else {
            // A removed working directory, a descriptor that is no directory: the result tells.
            return Next::AwaitResult(Pending::Open { name: None, flags, before: Err(0) });
        };
        if flags & CHANGING_FLAGS == 0 {
            self.open_to_read(who, name, flags)
        } else {
            self.open_to_change(who, name, flags)
        }
    }

    fn openat2(&mut self, who: Who, dirfd: i32, address: u64, how: u64) -> Next {
        let mut words = [0; 24];
        if ptrace::read_memory(who.tid, how, &mut words) != Ok(24) {
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
            self.absolute(who, dirfd, &inner)
        });
        match name {
            Some(name) if flags & CHANGING_FLAGS != 0 => self.open_to_change(who, name, flags),
            name => Next::AwaitResult(Pending::Open { name, flags, before: Err(0) }),
        }
    }

    /// An open that changes nothing, by a name that was seen before or is looked up now. Its
    /// result is awaited only where that does not tell.
    pub fn open_to_read(&mut self, who: Who, name: Vec<u8>, flags: u32) -> Next {
        let follow = !has(flags, libc::O_NOFOLLOW);
        let cached = who.view == View::Same && follow;
        if cached {
            if let Some(known) = self.names.known(&name) {
                if let Some(record) = self.files.recall(known) {
                    record.content.opens += 1;
                    self.files.note_read(known.file);
                    return Next::Go;
                }
                self.names.forget(&name);
            }
        }
        let found = match self.look(who, &name, follow) {
            Ok(found) => found,
            Err(errno) if who.other_rights && errno == libc::EACCES => {
                return self.uncertain(who, name, flags, None)
            }
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
        self.files.note_read(id);
        if let Some(record) = self.files.get_mut(id) {
            record.content.opens += 1;
        }
        if cached && !found.path.starts_with(b"/proc/") {
            if let Some(known) = self.files.known(id) {
                self.names.remember(name, known);
            }
        }
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
            Some(found) if !who.other_rights && who.view == View::Same && !may_read(&found.path) => {
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

    fn exec(&mut self, who: Who, abi: Abi, dirfd: i32, address: u64, argv: u64, flags: i32) -> Next {
        let name = match self.string(who, address) {
            Some(name) if !name.is_empty() || flags & libc::AT_EMPTY_PATH != 0 => name,
            _ => return Next::Go,
        };
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
        let attempt = match self.absolute(who, dirfd, &name) {
            Some(name) => self.attempt(who, abi, name, follow, argv),
            None => Some(Default::default()),
        };
        if let Some(task) = self.tree.tasks.get_mut(&who.tid) {
            task.attempt = attempt.map(Box::new);
        }
        Next::Go
    }

    fn place_at(&mut self, who: Who, (dirfd, address): (i32, u64)) -> Option<Place> {
        let name = self.string(who, address)?;
        if name.is_empty() {
            return None;
        }
        self.place(who, dirfd, &name)
    }

    /// The content under a name is about to go away, by rename, link or unlink.
    fn about_to_lose(&mut self, place: &Place) {
        let Some(stat) = place.stat.filter(|stat| stat.kind() == Kind::File) else { return };
        if let Some(id) = self.files.find(&place.path).or_else(|| self.record(None, &place.path, Some(stat))) {
            self.files.before_change(id, false);
        }
    }

    fn rename(&mut self, who: Who, old: (i32, u64), new: (i32, u64), flags: u32) -> Next {
        let (old, new) = (self.place_at(who, old), self.place_at(who, new));
        let (Some(old), Some(new)) = (old, new) else { return Next::Go };
        let exchange = flags & libc::RENAME_EXCHANGE != 0;
        if old.stat.is_none() {
            return Next::Go;
        }
        if !exchange {
            self.about_to_lose(&new);
        }
        Next::AwaitResult(Pending::Rename { old, new, exchange })
    }

    fn link(&mut self, who: Who, old: (i32, u64), new: (i32, u64), flags: i32) -> Next {
        let Some(name) = self.string(who, old.1) else { return Next::Go };
        let follow = flags & libc::AT_SYMLINK_FOLLOW != 0;
        let source = if name.is_empty() {
            self.descriptor(who, old.0).map(|path| path.to_vec())
        } else {
            self.absolute(who, old.0, &name)
        };
        let found = source.and_then(|name| self.look(who, &name, follow).ok());
        let old = found.map(|found| Place { path: found.path, stat: Some(found.stat) });
        // A file made with O_TMPFILE has a path under /proc only, or none.
        let old = old.filter(|old| old.stat.is_some_and(|stat| stat.nlink > 0));
        awaiting(self.place_at(who, new).map(|new| Pending::Link { old, new }))
    }

    fn symlink(&mut self, who: Who, target: u64, dirfd: i32, address: u64) -> Next {
        let target = self.string(who, target);
        let new = self.place_at(who, (dirfd, address));
        awaiting(target.zip(new).map(|(target, new)| Pending::Symlink { target, new }))
    }

    fn remove(&mut self, who: Who, dirfd: i32, address: u64) -> Next {
        let place = self.place_at(who, (dirfd, address)).filter(|place| place.stat.is_some());
        if let Some(place) = &place {
            self.about_to_lose(place);
        }
        awaiting(place.map(Pending::Remove))
    }

    fn make(&mut self, who: Who, dirfd: i32, address: u64, mode: u32) -> Next {
        let kind = match mode & libc::S_IFMT {
            libc::S_IFDIR => Kind::Directory,
            libc::S_IFIFO => Kind::Fifo,
            libc::S_IFSOCK => Kind::Socket,
            libc::S_IFCHR | libc::S_IFBLK => Kind::Device,
            _ => Kind::File,
        };
        let place = self.place_at(who, (dirfd, address)).filter(|place| place.stat.is_none());
        awaiting(place.map(|place| Pending::Make(place, kind)))
    }

    fn truncate(&mut self, who: Who, address: u64, length: u64) -> Next {
        let Some(name) = self.string(who, address) else { return Next::Go };
        let Some(name) = self.absolute(who, libc::AT_FDCWD, &name) else { return Next::Go };
        let Ok(found) = self.look(who, &name, true) else { return Next::Go };
        if let Some(id) = self.record(Some(&name), &found.path, Some(found.stat)) {
            self.files.before_change(id, length > 0);
        }
        Next::AwaitResult(Pending::Truncate(Place { path: found.path, stat: Some(found.stat) }, length))
    }

    fn unshare(&mut self, who: Who, flags: u64) -> Next {
        if flags & libc::CLONE_FS as u64 != 0 {
            if let Some(process) = self.tree.processes.get_mut(&who.process) {
                process.directory = crate::tree::Directory::AskAlways;
            }
        }
        let namespaces = (libc::CLONE_NEWNS | libc::CLONE_NEWUSER) as u64;
        awaiting((flags & namespaces != 0).then_some(Pending::BecomeForeign))
    }

    fn connect(&mut self, who: Who, address: u64, length: u64) -> Next {
        let mut bytes = [0; 128];
        let room = &mut bytes[..length.min(128) as usize];
        if let Ok(size) = ptrace::read_memory(who.tid, address, room) {
            if let Some(endpoint) = endpoint(&room[..size]) {
                self.connects.add(endpoint);
            }
        }
        Next::Go
    }

    /// i386 packs the arguments of all socket calls in memory.
    fn socketcall(&mut self, who: Who, which: u64, packed: u64) -> Next {
        const SYS_CONNECT: u64 = 3;
        let mut words = [0; 12];
        if which == SYS_CONNECT && ptrace::read_memory(who.tid, packed, &mut words) == Ok(12) {
            let word = |at: usize| u64::from(u32::from_le_bytes([words[at], words[at + 1], words[at + 2], words[at + 3]]));
            return self.connect(who, word(4), word(8));
        }
        Next::Go
    }
}

/// The address a socket is to be connected to, if it is of a family we name.
fn endpoint(bytes: &[u8]) -> Option<Endpoint> {
    let family = i32::from(u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]));
    let port = || Some(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    match family {
        libc::AF_INET => {
            let mut address = [0; 4];
            address.copy_from_slice(bytes.get(4..8)?);
            let text = std::net::Ipv4Addr::from(address).to_string();
            Some(Endpoint { family: "inet", address: text.into_bytes(), port: port() })
        }
        libc::AF_INET6 => {
            let mut address = [0; 16];
            address.copy_from_slice(bytes.get(8..24)?);
            let text = std::net::Ipv6Addr::from(address).to_string();
            Some(Endpoint { family: "inet6", address: text.into_bytes(), port: port() })
        }
        libc::AF_UNIX => {
            let name = bytes.get(2..)?;
            let address = match name.first() {
                Some(0) => [b"@", name.get(1..)?].concat(),
                _ => name.split(|&byte| byte == 0).next()?.to_vec(),
            };
            Some(Endpoint { family: "unix", address, port: None })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_spelled() {
        let v4 = endpoint(&[2, 0, 0, 80, 127, 0, 0, 1]).unwrap();
        assert_eq!((v4.family, &v4.address[..], v4.port), ("inet", &b"127.0.0.1"[..], Some(80)));
        let mut six = vec![10, 0, 1, 187, 0, 0, 0, 0];
        six.extend(std::net::Ipv6Addr::LOCALHOST.octets());
        assert_eq!(endpoint(&six).unwrap().address, b"::1");
        assert_eq!(endpoint(b"\x01\0/run/x\0").unwrap().address, b"/run/x");
        assert_eq!(endpoint(b"\x01\0\0abs").unwrap().address, b"@abs");
        assert!(endpoint(&[16, 0, 1, 2]).is_none());
        assert!(endpoint(&[2]).is_none());
    }
}

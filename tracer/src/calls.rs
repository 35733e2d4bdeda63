//! A traced call is about to be made: what it would do, and whether its result matters.

use crate::memory;
use crate::moves::Place;
use crate::names::Found;
use crate::observer::{Observer, Who};
use crate::ptrace::Entry;
use crate::registers;
use crate::stat::Kind;
use crate::sys::Errno;
use crate::table::{lookup, Abi, Call};

/// What to do with the waiting task.
pub enum Next {
    Go,
    AwaitResult(Pending),
}

/// What a call will have done if it succeeds.
#[derive(Debug)]
pub enum Pending {
    Open {
        name: Option<Vec<u8>>,
        flags: u32,
        before: Result<Found, Errno>,
    },
    Rename {
        old: Place,
        new: Place,
        exchange: bool,
    },
    /// Without a place of its own, the source is a file that had no name.
    Link {
        old: Option<Place>,
        new: Place,
    },
    Symlink {
        target: Vec<u8>,
        new: Place,
    },
    Remove(Place),
    Make(Place, Kind),
    Truncate(Place, u64),
    ChangeDirectory,
    /// Names mean something else for this process from now on.
    BecomeForeign,
    Mount,
    Listener,
    /// In memory stand other flags than the program's, until the call is done.
    Clone3 {
        address: u64,
        flags: u64,
    },
}

/// A result is wanted where there is something to await it for.
pub fn awaiting(pending: Option<Pending>) -> Next {
    pending.map_or(Next::Go, Next::AwaitResult)
}

impl Observer {
    /// A task is about to make a call.
    pub fn enter(&mut self, tid: i32, entry: &Entry) -> Next {
        match self.who(tid) {
            Some(who) => self.enter_as(who, entry),
            None => {
                self.blinds.add("lost_process", b"a call of a task that is not known");
                Next::Go
            }
        }
    }

    pub fn enter_as(&mut self, who: Who, entry: &Entry) -> Next {
        let Some(call) = lookup(entry.abi, entry.number) else { return Next::Go };
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
            Call::Bind => self.bind(who, a[1], a[2]),
            Call::Socketcall => self.socketcall(who, a[0], a[1]),
            Call::Credentials => {
                if let Some(process) = self.tree.processes.get_mut(&who.process) {
                    process.other_rights = true;
                }
                Next::Go
            }
            Call::Clone => {
                // Not traced, the child could not make a single call that our filter stops.
                registers::clear_in_first_argument(who.tid, libc::CLONE_UNTRACED as u64);
                Next::Go
            }
            Call::Clone3 => self.clone3(who, a[0]),
            Call::IoUringSetup => self.blind(who, "io_uring"),
            Call::Ptrace => self.blind(who, "inner_ptrace"),
            Call::Seccomp => Next::AwaitResult(Pending::Listener),
        }
    }

    /// A blind spot, with the program that has it.
    pub fn blind(&mut self, who: Who, reason: &'static str) -> Next {
        let process = self.tree.processes.get(&who.process);
        let program = process.and_then(|process| process.programs.last()).map(|program| program.path.to_vec());
        self.blinds.add(reason, &program.unwrap_or_default());
        Next::Go
    }

    fn exec(&mut self, who: Who, abi: Abi, dirfd: i32, address: u64, argv: u64, flags: i32) -> Next {
        let name = match self.string(who, address) {
            Some(name) if !name.is_empty() || flags & libc::AT_EMPTY_PATH != 0 => name,
            _ => return Next::Go,
        };
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
        let attempt = match self.absolute(who, dirfd, name) {
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
        self.place(who, dirfd, name)
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
            self.absolute(who, old.0, name)
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
        let Some(name) = self.absolute(who, libc::AT_FDCWD, name) else { return Next::Go };
        let Ok(found) = self.look(who, &name, true) else { return Next::Go };
        if let Some(id) = self.record(Some(&name), &found.path, Some(found.stat)) {
            self.files.before_change(id, length > 0);
        }
        Next::AwaitResult(Pending::Truncate(Place { path: found.path, stat: Some(found.stat) }, length))
    }

    /// A child that is not traced could not make a single call that our filter stops.
    fn clone3(&mut self, who: Who, address: u64) -> Next {
        const UNTRACED: u64 = libc::CLONE_UNTRACED as u64;
        let mut flags = [0; 8];
        if memory::read_memory(who.tid, address, &mut flags) != Ok(flags.len()) {
            return Next::Go;
        }
        let flags = u64::from_ne_bytes(flags);
        if flags & UNTRACED == 0 {
            return Next::Go;
        }
        match memory::write_memory(who.tid, address, &(flags & !UNTRACED).to_ne_bytes()) {
            Ok(()) => Next::AwaitResult(Pending::Clone3 { address, flags }),
            Err(_) => self.blind(who, "lost_process"),
        }
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
}

//! Everything that is known about the job so far, and how names of its processes are read.

use crate::bounded::{Blinds, Connects, Failed};
use crate::bpf::Reads;
use crate::files::{FileId, Files};
use crate::foreign;
use crate::memory;
use crate::names::{link, Found, Names};
use crate::paths::{self, Path};
use crate::programs::Images;
use crate::stat::{Kind, Stat};
use crate::sys::Errno;
use crate::tree::{Directory, Tree, View};
use std::collections::HashSet;

const PATH_MAX: usize = 4096;
/// So much of a name that is too long is shown.
const SHOWN: usize = 256;
const DELETED: &[u8] = b" (deleted)";

pub struct Observer {
    pub tree: Tree,
    pub files: Files,
    pub names: Names,
    pub failed: Failed,
    pub connects: Connects,
    pub blinds: Blinds,
    pub images: Images,
    pub reads: Reads,
    pub user: u32,
    /// The filter could only be had at the price of setuid programs' rights.
    pub no_new_privs: bool,
    pub opens: u64,
    pub failed_opens: u64,
    /// A directory is gone: a symbolic link made now may stand in its place.
    pub directory_removed: bool,
    /// The call looked at last may wait for something else than us (a fifo, a device).
    pub may_wait: bool,
    /// Tasks whose last notified open was let go into such a wait.
    pub waiting_opens: HashSet<i32>,
}

/// The task whose call is looked at.
#[derive(Clone, Copy)]
pub struct Who {
    pub tid: i32,
    pub process: i32,
    pub view: View,
    pub other_rights: bool,
}

impl Observer {
    pub fn new(hash_limit: u64, reads: Reads, user: u32) -> Observer {
        Observer {
            tree: Tree::default(),
            files: Files::new(hash_limit),
            names: Names::default(),
            failed: Failed::default(),
            connects: Connects::default(),
            blinds: Blinds::default(),
            images: Images::default(),
            reads,
            user,
            no_new_privs: false,
            opens: 0,
            failed_opens: 0,
            directory_removed: false,
            may_wait: false,
            waiting_opens: HashSet::new(),
        }
    }

    pub fn who(&mut self, tid: i32) -> Option<Who> {
        let process = self.tree.tasks.get(&tid)?.process;
        let entry = self.tree.processes.get(&process)?;
        Some(Who { tid, process, view: entry.view, other_rights: entry.other_rights })
    }

    /// The string argument of a call; none (and a blind spot) if it cannot be read.
    pub fn string(&mut self, who: Who, address: u64) -> Option<Vec<u8>> {
        match memory::read_string(who.tid, address, PATH_MAX) {
            Ok(text) => Some(text),
            // The call will fail for the same reason, or the task is gone.
            Err(libc::EFAULT | libc::ESRCH) => None,
            Err(errno) => {
                self.blinds.add("path_unreadable", crate::report::errno_name(errno).as_bytes());
                None
            }
        }
    }

    /// The absolute lexical name of `name`, relative to the directory descriptor `dirfd`.
    pub fn absolute(&mut self, who: Who, dirfd: i32, name: Vec<u8>) -> Option<Vec<u8>> {
        if name.first() == Some(&b'/') {
            return Some(own_proc(who, name));
        }
        let base = if dirfd == libc::AT_FDCWD { self.directory(who) } else { self.descriptor(who, dirfd) }?;
        if name.is_empty() {
            return Some(base.to_vec());
        }
        let name = paths::join(&base, &name);
        if name.len() >= PATH_MAX {
            // The process can reach it, we cannot say what it is called.
            self.blinds.add("path_unreadable", &name[..SHOWN.min(name.len())]);
        }
        Some(name)
    }

    /// The path of an open descriptor; none if it is closed or no file.
    pub fn descriptor(&mut self, who: Who, fd: i32) -> Option<Path> {
        let path = link(&format!("/proc/{}/fd/{fd}", who.tid)).ok()?;
        self.inside(who, path)
    }

    fn directory(&mut self, who: Who) -> Option<Path> {
        let epoch = self.names.epoch();
        let entry = self.tree.processes.get(&who.process)?;
        if let Directory::Known(path, learned) = &entry.directory {
            if *learned == epoch {
                return Some(path.clone());
            }
        }
        let path = link(&format!("/proc/{}/cwd", who.tid)).ok()?;
        let path = self.inside(who, path)?;
        let entry = self.tree.processes.get_mut(&who.process)?;
        if !matches!(entry.directory, Directory::AskAlways) {
            entry.directory = Directory::Known(path.clone(), epoch);
        }
        Some(path)
    }

    /// A path as we see it, as the process would spell it itself.
    fn inside(&self, who: Who, path: Vec<u8>) -> Option<Path> {
        if path.first() != Some(&b'/') {
            return None;
        }
        match who.view {
            View::Same => Some(path.into()),
            View::Foreign => foreign::inside(who.tid, path),
        }
    }

    pub fn look(&mut self, who: Who, name: &[u8], follow: bool) -> Result<Found, Errno> {
        match who.view {
            View::Same => self.names.look(name, follow),
            View::Foreign => foreign::look(who.tid, name, follow, &mut self.blinds),
        }
    }

    /// The path of a name that a call is about to make or remove, and what is there now.
    pub fn place(&mut self, who: Who, dirfd: i32, name: Vec<u8>) -> Option<crate::moves::Place> {
        let name = self.absolute(who, dirfd, name)?;
        let path = match who.view {
            View::Same => self.names.place(&name),
            View::Foreign => foreign::place(who.tid, &name, &mut self.blinds),
        };
        let path = path.ok()?;
        let stat = Stat::of_name(&path).ok();
        Some(crate::moves::Place { path, stat })
    }

    /// The record of a file that was reached by `name`; none if it is no file with a path.
    pub fn record(&mut self, name: Option<&[u8]>, path: &Path, stat: Option<Stat>) -> Option<FileId> {
        if path.first() != Some(&b'/') || path.starts_with(b"/memfd:") {
            return None;
        }
        if stat.is_some_and(|stat| stat.nlink == 0) && path.ends_with(DELETED) {
            return None;
        }
        let path = self.without_pid(path);
        let id = self.files.arrive(&path, stat);
        if let Some(name) = name.filter(|name| *name != &*path) {
            self.files.asked_as(id, &paths::normal(name));
        }
        Some(id)
    }

    /// `/proc/PID/x` of a traced process as `/proc/self/x`: else every process would add names.
    fn without_pid(&self, path: &Path) -> Path {
        let Some(rest) = path.strip_prefix(b"/proc/") else { return path.clone() };
        let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
        let number = std::str::from_utf8(&rest[..end]).ok().and_then(|text| text.parse::<i32>().ok());
        match number.filter(|pid| self.tree.tasks.contains_key(pid)) {
            Some(_) => [b"/proc/self", &rest[end..]].concat().into(),
            None => path.clone(),
        }
    }

    /// Whether an open for reading of such a file is sure to succeed for this process.
    pub fn surely_readable(&self, who: Who, stat: &Stat) -> bool {
        if who.other_rights || !matches!(stat.kind(), Kind::File | Kind::Directory) {
            return false;
        }
        stat.mode & 0o444 == 0o444 || (stat.uid == self.user && stat.mode & 0o400 != 0)
    }

    pub fn look_failed(&mut self, name: &[u8], errno: Errno) {
        self.failed_opens += 1;
        self.failed.add(paths::normal(name), errno);
    }

    /// Names may mean something else from now on.
    pub fn names_changed(&mut self) {
        self.names.forget_all();
        self.images.forget_all();
        self.directory_removed = false;
    }
}

/// `/proc/self` and its relatives, which would be ourselves if we asked.
fn own_proc(who: Who, name: Vec<u8>) -> Vec<u8> {
    let replace = |prefix: &[u8], by: String| {
        paths::is_within(&name, prefix).then(|| [by.as_bytes(), &name[prefix.len()..]].concat())
    };
    if !name.starts_with(b"/proc/") && !name.starts_with(b"/dev/") {
        return name;
    }
    let own = format!("/proc/{}", who.process);
    replace(b"/proc/self", own.clone())
        .or_else(|| replace(b"/proc/thread-self", format!("{own}/task/{}", who.tid)))
        .or_else(|| replace(b"/dev/fd", format!("{own}/fd")))
        .or_else(|| replace(b"/dev/stdin", format!("{own}/fd/0")))
        .or_else(|| replace(b"/dev/stdout", format!("{own}/fd/1")))
        .or_else(|| replace(b"/dev/stderr", format!("{own}/fd/2")))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_proc_names_are_those_of_the_process() {
        let who = Who { tid: 8, process: 7, view: View::Same, other_rights: false };
        let spelled = |name: &str| String::from_utf8(own_proc(who, name.as_bytes().to_vec())).unwrap();
        assert_eq!(spelled("/proc/self/fd/3"), "/proc/7/fd/3");
        assert_eq!(spelled("/dev/fd/3"), "/proc/7/fd/3");
        assert_eq!(spelled("/proc/thread-self/stat"), "/proc/7/task/8/stat");
        assert_eq!(spelled("/dev/stdin"), "/proc/7/fd/0");
        assert_eq!(spelled("/proc/selfish"), "/proc/selfish");
        assert_eq!(spelled("/dev/null"), "/dev/null");
    }
}

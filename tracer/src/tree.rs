//! The process tree: which tasks are traced, what belongs to which process.

use crate::calls::Pending;
use crate::hash::QuickMap;
use crate::paths::Path;
use crate::programs::Attempt;
use crate::sys::Usage;

/// A program image a process ran.
pub struct Program {
    pub path: Path,
    /// The absolute name it was started by, when that is another.
    pub asked: Option<Vec<u8>>,
    pub argv: Vec<Vec<u8>>,
    pub argv_truncated: bool,
    pub time_ns: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    Exit(i32),
    Signal(i32),
}

impl Ending {
    /// What a shell would say.
    pub fn status(self) -> i32 {
        match self {
            Ending::Exit(code) => code,
            Ending::Signal(signal) => 128 + signal,
        }
    }
}

/// The working directory, as far as we know it without asking.
#[derive(Clone, Debug)]
pub enum Directory {
    Unknown,
    /// Its path, and the epoch of `names` it was learned in.
    Known(Path, u64),
    /// Shared with, or hidden from, others in ways we do not follow: ask every time.
    AskAlways,
}

/// How names of this process relate to ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    Same,
    /// Its root directory or its mounts may be others.
    Foreign,
}

/// One thread group.
pub struct Process {
    pub parent: i32,
    pub start_ns: u64,
    pub directory: Directory,
    pub view: View,
    /// It may be allowed other files than we are.
    pub other_rights: bool,
    pub programs: Vec<Program>,
    pub programs_truncated: bool,
    /// At its end: its own; before: minus nothing.
    pub usage: Usage,
    /// Of the children that have ended, with theirs.
    pub children: Usage,
}

impl Process {
    pub fn new(parent: i32, start_ns: u64) -> Process {
        Process {
            parent,
            start_ns,
            directory: Directory::Unknown,
            view: View::Same,
            other_rights: false,
            programs: Vec::new(),
            programs_truncated: false,
            usage: Usage::default(),
            children: Usage::default(),
        }
    }
}

/// One thread.
pub struct Task {
    pub process: i32,
    /// The call whose result it will report.
    pub pending: Option<Box<Pending>>,
    /// The program it is about to become.
    pub attempt: Option<Box<Attempt>>,
    /// The sixth argument of the call it is in, which `give_way` has replaced.
    pub sixth: Option<u64>,
    /// Where its stack was when a signal ended a wait and was handled; see `restart`.
    #[cfg(target_arch = "aarch64")]
    pub handled_at: Option<u64>,
}

impl Task {
    fn new(process: i32) -> Task {
        Task {
            process,
            pending: None,
            attempt: None,
            sixth: None,
            #[cfg(target_arch = "aarch64")]
            handled_at: None,
        }
    }
}

#[derive(Default)]
pub struct Tree {
    pub tasks: QuickMap<i32, Task>,
    pub processes: QuickMap<i32, Process>,
    pub seen: u64,
}

impl Tree {
    pub fn add_process(&mut self, pid: i32, process: Process) {
        self.seen += 1;
        self.processes.insert(pid, process);
        self.add_thread(pid, pid);
    }

    pub fn add_thread(&mut self, process: i32, tid: i32) {
        self.tasks.insert(tid, Task::new(process));
    }

    /// A child starts with what its parent had; what is shared with it is not followed.
    pub fn fork(&mut self, parent: i32, child: i32, now_ns: u64) {
        let mut process = Process::new(parent, now_ns);
        if let Some(from) = self.processes.get(&parent) {
            process.directory = from.directory.clone();
            process.view = from.view;
            process.other_rights = from.other_rights;
        }
        self.add_process(child, process);
    }

    /// The thread `former` has become the only one of its process, under the process's id.
    pub fn only_thread(&mut self, process: i32, former: i32) -> Option<Box<Attempt>> {
        let attempt = self.tasks.get_mut(&former).and_then(|task| task.attempt.take());
        if former != process {
            self.tasks.remove(&former);
        }
        self.tasks.insert(process, Task::new(process));
        attempt
    }

    /// What the process itself used: the kernel's figure includes the children it waited for.
    pub fn own_usage(&mut self, process: i32, total: Usage) -> Usage {
        let Some(entry) = self.processes.get(&process) else { return total };
        let (parent, children) = (entry.parent, entry.children);
        if let Some(parent) = self.processes.get_mut(&parent) {
            parent.children.user_ns += total.user_ns;
            parent.children.system_ns += total.system_ns;
        }
        Usage {
            user_ns: total.user_ns.saturating_sub(children.user_ns),
            system_ns: total.system_ns.saturating_sub(children.system_ns),
            peak_bytes: total.peak_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_of_children_is_taken_off_once() {
        let mut tree = Tree::default();
        tree.add_process(1, Process::new(0, 0));
        tree.fork(1, 2, 0);
        let used = |user_ns| Usage { user_ns, system_ns: 0, peak_bytes: 7 };
        assert_eq!(tree.own_usage(2, used(10)).user_ns, 10);
        assert_eq!(tree.own_usage(1, used(15)).user_ns, 5);
        assert_eq!(tree.seen, 2);
    }

    #[test]
    fn exec_by_another_thread_keeps_its_attempt() {
        let mut tree = Tree::default();
        tree.add_process(1, Process::new(0, 0));
        tree.add_thread(1, 5);
        tree.tasks.get_mut(&5).unwrap().attempt = Some(Box::default());
        assert!(tree.only_thread(1, 5).is_some());
        assert_eq!(tree.tasks.len(), 1);
    }
}

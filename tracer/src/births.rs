//! New tasks: whose child or thread they are, and what they share with their maker.

use crate::memory;
use crate::observer::Observer;
use crate::registers::Registers;
use crate::report::now_ns;
use crate::table::Abi;
use crate::tree::{Directory, Process, View};

/// A task that was not announced: its maker's event comes later, or its maker was killed.
pub fn adopt(observer: &mut Observer, tid: i32) {
    let status = std::fs::read(format!("/proc/{tid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let text = String::from_utf8_lossy(&status);
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<i32>().ok())
    };
    match (field("Tgid:"), field("PPid:")) {
        (Some(process), _) if process != tid && observer.tree.processes.contains_key(&process) => {
            observer.tree.add_thread(process, tid)
        }
        (_, Some(parent)) => observer.tree.fork(parent, tid, now_ns()),
        _ => {
            observer.blinds.add("lost_process", b"");
            observer.tree.add_process(tid, Process::new(0, now_ns()));
        }
    }
}

/// The flags a fork, vfork, clone or clone3 was called with.
pub fn clone_flags(tid: i32) -> u64 {
    let Ok(registers) = Registers::of(tid) else { return 0 };
    let entry = registers.entry();
    let (clone, clone3) = match entry.abi {
        Abi::Native => (libc::SYS_clone as u64, libc::SYS_clone3 as u64),
        Abi::I386 => (120, libc::SYS_clone3 as u64),
    };
    if entry.number == clone {
        return entry.args[0];
    }
    let mut flags = [0; 8];
    if entry.number == clone3 {
        let _ = memory::read_memory(tid, entry.args[0], &mut flags);
    }
    u64::from_ne_bytes(flags)
}

pub fn apply_flags(observer: &mut Observer, parent: i32, child: i32, flags: u64) {
    if flags & libc::CLONE_FS as u64 != 0 {
        for pid in [parent, child] {
            if let Some(process) = observer.tree.processes.get_mut(&pid) {
                process.directory = Directory::AskAlways;
            }
        }
    }
    if flags & (libc::CLONE_NEWNS | libc::CLONE_NEWUSER) as u64 != 0 {
        if let Some(process) = observer.tree.processes.get_mut(&child) {
            process.view = View::Foreign;
            process.other_rights = true;
        }
    }
}

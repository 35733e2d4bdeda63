//! Signals interrupt a traced program at two places where they would not interrupt it alone.
//!
//! Both are mended while the signal is about to be delivered, by making the call begin anew.

use crate::bpf::Reads;
use crate::observer::Observer;
use crate::registers::Registers;
use crate::table::{lookup, Abi, Call};
use machine::{keep_restart, wait_ended};

const EINTR: i64 = -(libc::EINTR as i64);

/// Calls that end with EINTR even when the signal turns out to be ignored.
const WAITS: &[libc::c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_msgrcv,
    libc::SYS_msgsnd,
    libc::SYS_io_getevents,
    libc::SYS_rt_sigtimedwait,
];

/// `signal` is about to be delivered, or we made the task stop ourselves.
pub fn mend(observer: &mut Observer, tid: i32, signal: Option<i32>) {
    let Ok(registers) = Registers::of(tid) else { return };
    if registers.result() == EINTR {
        if let Some(signal) = signal.filter(|_| WAITS.contains(&(registers.number() as libc::c_long))) {
            wait_ended(observer, tid, registers, is_ignored(tid, signal));
        }
    } else if observer.reads == Reads::Notify && is_unbegun_open(observer, tid, registers.number()) {
        keep_restart(tid, registers);
    }
}

#[cfg(target_arch = "x86_64")]
mod machine {
    use crate::observer::Observer;
    use crate::registers::Registers;

    /// A signal interrupted the call; whether it is made again depends on the handler.
    const ERESTARTSYS: i64 = -512;
    /// The call is made again whatever the handler says.
    const ERESTARTNOINTR: i64 = -513;

    pub fn keep_restart(tid: i32, registers: Registers) {
        if registers.result() == ERESTARTSYS {
            begin_anew(tid, registers);
        }
    }

    pub fn wait_ended(_: &mut Observer, tid: i32, registers: Registers, by_ignored: bool) {
        if by_ignored {
            begin_anew(tid, registers);
        }
    }

    fn begin_anew(tid: i32, mut registers: Registers) {
        registers.set_result(ERESTARTNOINTR);
        let _ = registers.store(tid);
    }
}

/// Here the kernel has decided how the call ends before it reports the signal.
#[cfg(target_arch = "aarch64")]
mod machine {
    use crate::memory::read_memory;
    use crate::observer::Observer;
    use crate::registers::{first_argument, Registers};

    /// The instruction `svc #0`.
    const CALL: u32 = 0xd400_0001;
    const CALL_SIZE: u64 = 4;
    /// Any bit of an address's upper byte.
    const TAG: u64 = 1 << 56;

    /// The task already stands before the call again, and ends it with EINTR after all only where it
    /// still stands at that very address (do_signal in arch/arm64/kernel/signal.c). A tag makes it
    /// another one, and is dropped from the program counter when the task goes on
    /// (Documentation/arch/arm64/tagged-pointers.rst).
    pub fn keep_restart(tid: i32, mut registers: Registers) {
        let position = registers.position();
        if is_call(tid, position) {
            registers.set_position(position | TAG);
            let _ = registers.store(tid);
        }
    }

    /// The call has ended: back before it, with the argument that its result has replaced.
    ///
    /// A task that returns from the handler of an earlier signal looks the same, but that argument
    /// is lost then: so after a handled signal, the next at the same place is let through.
    pub fn wait_ended(observer: &mut Observer, tid: i32, mut registers: Registers, by_ignored: bool) {
        let Some(task) = observer.tree.tasks.get_mut(&tid) else { return };
        let handled_at = task.handled_at.take();
        if !by_ignored {
            task.handled_at = Some(registers.stack());
            return;
        }
        let position = registers.position().wrapping_sub(CALL_SIZE);
        if handled_at == Some(registers.stack()) || !is_call(tid, position) {
            return;
        }
        if let Some(argument) = first_argument(tid, registers.number()) {
            registers.call_again(argument);
            let _ = registers.store(tid);
        }
    }

    fn is_call(tid: i32, position: u64) -> bool {
        let mut word = [0; CALL_SIZE as usize];
        read_memory(tid, position, &mut word) == Ok(word.len()) && u32::from_le_bytes(word) == CALL
    }
}

/// A notified open that is interrupted has not begun: alone, no program ever sees EINTR from it.
/// Unless it was let go already and may wait for reasons of its own (a fifo, a device).
fn is_unbegun_open(observer: &Observer, tid: i32, number: u64) -> bool {
    let is_open = matches!(lookup(Abi::Native, number), Some(Call::Open | Call::Openat));
    is_open && !observer.waiting_opens.contains(&tid)
}

/// Alone, the kernel drops such a signal and nobody wakes; under trace it is shown to us first.
fn is_ignored(tid: i32, signal: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
    let has = |name: &str| {
        let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix(name)?.trim(), 16).ok());
        mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
    };
    let by_default = matches!(signal, libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH);
    has("SigIgn:") || (by_default && !has("SigCgt:"))
}

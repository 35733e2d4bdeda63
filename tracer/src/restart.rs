//! Signals interrupt a traced program at two places where they would not interrupt it alone.
//!
//! Both are mended while the signal is about to be delivered, by making the call begin anew.
//! On aarch64 the kernel has decided by then how the call ends, so nothing can be mended there.

use crate::bpf::Reads;
use crate::observer::Observer;
use crate::ptrace::Registers;
use crate::table::{lookup, Abi, Call};

/// A signal interrupted the call; whether it is made again depends on the handler.
const ERESTARTSYS: i64 = -512;
/// The call is made again whatever the handler says.
const ERESTARTNOINTR: i64 = -513;
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
pub fn mend(observer: &Observer, tid: i32, signal: Option<i32>) {
    if cfg!(target_arch = "aarch64") {
        return;
    }
    let Ok(mut registers) = Registers::of(tid) else { return };
    let again = match registers.result() {
        ERESTARTSYS => observer.reads == Reads::Notify && is_unbegun_open(observer, tid, registers.number()),
        EINTR => {
            let waits = WAITS.contains(&(registers.number() as libc::c_long));
            waits && signal.is_some_and(|signal| is_ignored(tid, signal))
        }
        _ => false,
    };
    if again {
        registers.set_result(ERESTARTNOINTR);
        let _ = registers.store(tid);
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

//! The seccomp filter, assembled from the table of system calls.
//!
//! One rule keeps it cheap: arguments are looked at only inside the branch of a traced number.
//! For every other number the kernel then knows beforehand that the answer is "allow", and does
//! not run the filter at all.

use crate::ptrace::Entry;
use crate::table::{lookup, Abi, Call, Row, TABLE};
use libc::sock_filter;

const RET_ERRNO: u32 = 0x0005_0000;
const RET_TRACE: u32 = 0x7ff0_0000;
const RET_USER_NOTIF: u32 = 0x7fc0_0000;
const RET_ALLOW: u32 = 0x7fff_0000;

const LOAD_WORD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARGS: u32 = 16;

pub const ARCH_X86_64: u32 = 0xc000_003e;
pub const ARCH_I386: u32 = 0x4000_0003;
pub const ARCH_AARCH64: u32 = 0xc000_00b7;
pub const ARCH_NATIVE: u32 = if cfg!(target_arch = "aarch64") { ARCH_AARCH64 } else { ARCH_X86_64 };

/// The bit that tells O_TMPFILE from O_DIRECTORY, which O_TMPFILE includes.
pub const O_TMPFILE_BIT: u32 = 0o20_000_000;

/// An open with any of these may change something: its result has to be seen.
pub const CHANGING_FLAGS: u32 = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) as u32 | O_TMPFILE_BIT;

/// In the sixth argument of an open, which it has no use for, this tells the filter that the tracer
/// has seen the call by other means (see `give_way`). "roar seen" backwards, as any number is.
pub const SEEN: u64 = 0x6e65_6573_7261_6f72;
const SIXTH: u32 = 5;

const SET_MODE_FILTER: u32 = 1;
const FLAG_NEW_LISTENER: u32 = 8;

/// Who hears of an open that only reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reads {
    Trace,
    Notify,
}

fn load(offset: u32) -> sock_filter {
    sock_filter { code: LOAD_WORD, jt: 0, jf: 0, k: offset }
}

fn ret(action: u32) -> sock_filter {
    sock_filter { code: RETURN, jt: 0, jf: 0, k: action }
}

/// Falls through when the loaded word is `value`, else skips `over` instructions.
fn unless_equal(value: u32, over: u8) -> sock_filter {
    sock_filter { code: JUMP_EQUAL, jt: 0, jf: over, k: value }
}

/// Falls through when any of `bits` is set in the loaded word, else skips `over` instructions.
fn unless_any(bits: u32, over: u8) -> sock_filter {
    sock_filter { code: JUMP_ANY_BIT, jt: 0, jf: over, k: bits }
}

fn argument(index: u32) -> u32 {
    // The low half comes first: both machines are little-endian.
    OFFSET_ARGS + 8 * index
}

/// What to do once the number is known to be this call's.
fn verdict(call: Call, reads: Reads, without_io_uring: bool) -> Vec<sock_filter> {
    let reading = match reads {
        Reads::Trace => RET_TRACE,
        Reads::Notify => RET_USER_NOTIF,
    };
    let by_flags = |index: u32| {
        let mut code = vec![
            load(argument(index)),
            unless_any(libc::O_PATH as u32, 1),
            ret(RET_ALLOW),
            unless_any(CHANGING_FLAGS, 1),
            ret(RET_TRACE),
        ];
        if reads == Reads::Notify {
            code.extend([
                load(argument(SIXTH)),
                unless_equal(SEEN as u32, 3),
                load(argument(SIXTH) + 4),
                unless_equal((SEEN >> 32) as u32, 1),
                ret(RET_ALLOW),
            ]);
        }
        code.push(ret(reading));
        code
    };
    match call {
        Call::Open => by_flags(1),
        Call::Openat => by_flags(2),
        Call::Clone => {
            vec![load(argument(0)), unless_any(libc::CLONE_UNTRACED as u32, 1), ret(RET_TRACE), ret(RET_ALLOW)]
        }
        Call::Seccomp => vec![
            load(argument(0)),
            unless_equal(SET_MODE_FILTER, 3),
            load(argument(1)),
            unless_any(FLAG_NEW_LISTENER, 1),
            ret(RET_TRACE),
            ret(RET_ALLOW),
        ],
        // As on a kernel without it: programs then use the calls that we see.
        Call::IoUringSetup if without_io_uring => vec![ret(RET_ERRNO | libc::ENOSYS as u32)],
        _ => vec![ret(RET_TRACE)],
    }
}

/// Whether the filter with a listener notifies of this call.
pub fn is_notified(entry: &Entry) -> bool {
    let flags = match lookup(entry.abi, entry.number) {
        Some(Call::Open) if entry.abi == Abi::Native => entry.args[1],
        Some(Call::Openat) if entry.abi == Abi::Native => entry.args[2],
        _ => return false,
    };
    flags as u32 & (libc::O_PATH as u32 | CHANGING_FLAGS) == 0
}

fn section(abi: Abi, reads: Reads, without_io_uring: bool) -> Vec<sock_filter> {
    let mut code = vec![load(OFFSET_NUMBER)];
    for row in TABLE {
        if let Some(number) = Row::number(row, abi) {
            let branch = verdict(row.call, reads, without_io_uring);
            code.push(unless_equal(number, branch.len() as u8));
            code.extend(branch);
        }
    }
    code.push(ret(RET_ALLOW));
    code
}

/// The whole filter: one section per system call table of this machine.
pub fn filter(reads: Reads, without_io_uring: bool) -> Vec<sock_filter> {
    let native = section(Abi::Native, reads, without_io_uring);
    let mut code = vec![load(OFFSET_ARCH)];
    // A section is longer than a conditional jump reaches, so each is jumped over as a whole.
    let mut guarded = |arch: u32, body: Vec<sock_filter>| {
        code.push(sock_filter { code: JUMP_EQUAL, jt: 1, jf: 0, k: arch });
        code.push(sock_filter { code: 0x05, jt: 0, jf: 0, k: body.len() as u32 });
        code.extend(body);
    };
    guarded(ARCH_NATIVE, native);
    if cfg!(target_arch = "x86_64") {
        // Notifications are for the machine's own calls; the rare 32-bit ones always stop.
        guarded(ARCH_I386, section(Abi::I386, Reads::Trace, without_io_uring));
    }
    code.push(ret(RET_ALLOW));
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel would, for the instructions we use.
    fn run(code: &[sock_filter], arch: u32, number: u32, args: [u64; 6]) -> u32 {
        let (mut pc, mut word) = (0usize, 0u32);
        loop {
            let insn = code[pc];
            pc += 1;
            match insn.code {
                LOAD_WORD => {
                    word = match insn.k {
                        OFFSET_NUMBER => number,
                        OFFSET_ARCH => arch,
                        k => (args[((k - OFFSET_ARGS) / 8) as usize] >> (8 * (k % 8))) as u32,
                    }
                }
                RETURN => return insn.k,
                0x05 => pc += insn.k as usize,
                JUMP_EQUAL => pc += usize::from(if word == insn.k { insn.jt } else { insn.jf }),
                JUMP_ANY_BIT => pc += usize::from(if word & insn.k != 0 { insn.jt } else { insn.jf }),
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    fn openat(flags: i32, reads: Reads) -> u32 {
        run(&filter(reads, false), ARCH_NATIVE, libc::SYS_openat as u32, [0, 0, flags as u64, 0, 0, 0])
    }

    #[test]
    fn opens_are_told_apart_by_flags() {
        assert_eq!(openat(libc::O_RDONLY, Reads::Trace), RET_TRACE);
        assert_eq!(openat(libc::O_RDONLY, Reads::Notify), RET_USER_NOTIF);
        assert_eq!(openat(libc::O_RDONLY | libc::O_DIRECTORY, Reads::Notify), RET_USER_NOTIF);
        assert_eq!(openat(libc::O_PATH | libc::O_DIRECTORY, Reads::Trace), RET_ALLOW);
        for flag in [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC, libc::O_TMPFILE] {
            assert_eq!(openat(flag, Reads::Notify), RET_TRACE);
        }
    }

    #[test]
    fn io_uring_is_reported_or_denied() {
        let answer = |deny| run(&filter(Reads::Notify, deny), ARCH_NATIVE, libc::SYS_io_uring_setup as u32, [0; 6]);
        assert_eq!(answer(false), RET_TRACE);
        assert_eq!(answer(true), RET_ERRNO | libc::ENOSYS as u32);
    }

    #[test]
    fn everything_else_is_allowed() {
        let code = filter(Reads::Notify, false);
        for number in [libc::SYS_read, libc::SYS_write, libc::SYS_close, libc::SYS_fstat, libc::SYS_getppid] {
            assert_eq!(run(&code, ARCH_NATIVE, number as u32, [0; 6]), RET_ALLOW);
        }
        assert_eq!(run(&code, 0x1234, libc::SYS_openat as u32, [0; 6]), RET_ALLOW);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn int_0x80_has_its_own_numbers() {
        let code = filter(Reads::Notify, false);
        assert_eq!(run(&code, ARCH_I386, 5, [0; 6]), RET_TRACE);
        assert_eq!(run(&code, ARCH_I386, 3, [0; 6]), RET_ALLOW);
        assert_eq!(run(&code, ARCH_I386, 257, [0; 6]), RET_ALLOW);
    }

    #[test]
    fn what_was_seen_by_other_means_passes() {
        let open =
            |sixth, reads| run(&filter(reads, false), ARCH_NATIVE, libc::SYS_openat as u32, [0, 0, 0, 0, 0, sixth]);
        assert_eq!(open(SEEN, Reads::Notify), RET_ALLOW);
        assert_eq!(open(SEEN ^ 1, Reads::Notify), RET_USER_NOTIF);
        assert_eq!(open(SEEN ^ 1 << 40, Reads::Notify), RET_USER_NOTIF);
        assert_eq!(open(SEEN, Reads::Trace), RET_TRACE);
    }

    #[test]
    fn only_a_listener_stops_seccomp() {
        let call = |flags: u32| {
            run(&filter(Reads::Trace, false), ARCH_NATIVE, libc::SYS_seccomp as u32, [1, flags.into(), 0, 0, 0, 0])
        };
        assert_eq!(call(FLAG_NEW_LISTENER), RET_TRACE);
        assert_eq!(call(1), RET_ALLOW);
    }

    #[test]
    fn only_a_child_that_would_escape_stops_clone() {
        let call =
            |flags| run(&filter(Reads::Notify, false), ARCH_NATIVE, libc::SYS_clone as u32, [flags, 0, 0, 0, 0, 0]);
        assert_eq!(call((libc::CLONE_UNTRACED | libc::SIGCHLD) as u64), RET_TRACE);
        assert_eq!(call((libc::CLONE_VM | libc::SIGCHLD) as u64), RET_ALLOW);
    }

    #[test]
    fn fits_the_kernel_limit() {
        assert!(filter(Reads::Notify, false).len() < 4096);
    }
}

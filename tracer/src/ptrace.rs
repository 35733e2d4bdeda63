//! Requests to a traced task.

use crate::bpf::{ARCH_I386, ARCH_NATIVE};
use crate::registers::Registers;
use crate::sigset::SignalInfo;
use crate::sys::{last_errno, Errno};
use crate::table::Abi;

/// A traced call as it is about to be made.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub abi: Abi,
    pub number: u64,
    pub args: [u64; 6],
}

/// EXITKILL: a tree whose filter has lost its tracer could not open a file any more.
const OPTIONS: i32 = libc::PTRACE_O_EXITKILL
    | libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACESECCOMP;

pub fn request(kind: libc::c_uint, tid: i32, addr: usize, data: usize) -> Result<i64, Errno> {
    // SAFETY: callers pass either numbers or the address and size of a live local that the
    // request fills in; the kernel checks that `tid` is a stopped tracee of ours.
    let result = unsafe { libc::ptrace(kind as _, tid, addr, data) };
    if result < 0 {
        Err(last_errno())
    } else {
        Ok(result)
    }
}

pub fn seize(tid: i32) -> Result<(), Errno> {
    request(libc::PTRACE_SEIZE as _, tid, 0, OPTIONS as usize).map(|_| ())
}

/// Until when a task runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// A call of the table, or anything else that stops it by itself.
    Event,
    /// It makes any call, or the call it is in has a result.
    Call,
}

/// Lets a task run on, handing it `signal` if that is not 0. A task that is gone is no error:
/// its end will be reported.
pub fn resume(tid: i32, signal: i32, until: Until) {
    let kind = match until {
        Until::Event => libc::PTRACE_CONT,
        Until::Call => libc::PTRACE_SYSCALL,
    };
    let _ = request(kind as _, tid, 0, signal as usize);
}

/// Makes a running task stop before it runs on in its own code; false if it is gone.
pub fn interrupt(tid: i32) -> bool {
    request(libc::PTRACE_INTERRUPT as _, tid, 0, 0).is_ok()
}

/// Leaves a task in its group stop, but hears of its end.
pub fn listen(tid: i32) {
    let _ = request(libc::PTRACE_LISTEN as _, tid, 0, 0);
}

/// The number that came with an event: the new task of a fork, the former thread of an exec.
pub fn event_message(tid: i32) -> Result<i32, Errno> {
    let mut message: libc::c_ulong = 0;
    request(libc::PTRACE_GETEVENTMSG as _, tid, 0, &raw mut message as usize)?;
    Ok(message as i32)
}

pub fn signal_info(tid: i32) -> Result<SignalInfo, Errno> {
    // SAFETY: siginfo_t is plain data, all zeroes are a valid value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    request(libc::PTRACE_GETSIGINFO as _, tid, 0, &raw mut info as usize)?;
    Ok(SignalInfo(info))
}

pub fn set_signal_info(tid: i32, info: &SignalInfo) {
    let _ = request(libc::PTRACE_SETSIGINFO as _, tid, 0, &raw const info.0 as usize);
}

#[repr(C)]
#[derive(Default)]
struct SyscallInfo {
    op: u8,
    pad: [u8; 3],
    arch: u32,
    instruction_pointer: u64,
    stack_pointer: u64,
    /// Entry and seccomp: number and six arguments. Exit: result and an error flag.
    words: [u64; 8],
}

const GET_SYSCALL_INFO: libc::c_uint = 0x420e;

fn syscall_info(tid: i32) -> Result<SyscallInfo, Errno> {
    let mut info = SyscallInfo::default();
    request(GET_SYSCALL_INFO, tid, std::mem::size_of::<SyscallInfo>(), &raw mut info as usize)?;
    Ok(info)
}

/// The call a task in a seccomp stop is about to make.
pub fn entry(tid: i32) -> Result<Entry, Errno> {
    let info = match syscall_info(tid) {
        // Linux before 5.3 does not know the request.
        Err(libc::EIO | libc::EINVAL) => return Registers::of(tid).map(|registers| registers.entry()),
        other => other?,
    };
    Ok(info.entry())
}

/// The call that a task which stops at every call is about to make; none if it has just made one.
pub fn about_to_call(tid: i32) -> Option<Entry> {
    const ENTRY: u8 = 1;
    syscall_info(tid).ok().filter(|info| info.op == ENTRY).map(|info| info.entry())
}

impl SyscallInfo {
    fn entry(&self) -> Entry {
        let info = self;
        let abi = if info.arch == ARCH_I386 && ARCH_NATIVE != ARCH_I386 { Abi::I386 } else { Abi::Native };
        let mut args = [0; 6];
        args.copy_from_slice(&info.words[1..7]);
        if abi == Abi::I386 {
            for arg in &mut args {
                *arg &= 0xffff_ffff;
            }
        }
        Entry { abi, number: info.words[0], args }
    }
}

/// The result of the call a task has just made, or the error's number, negative.
pub fn result(tid: i32) -> Result<i64, Errno> {
    match syscall_info(tid) {
        Err(libc::EIO | libc::EINVAL) => Registers::of(tid).map(|registers| registers.result()),
        other => other.map(|info| info.words[0] as i64),
    }
}

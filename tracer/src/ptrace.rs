//! Requests to a traced task, and reading its memory.

use crate::bpf::{ARCH_I386, ARCH_NATIVE};
use crate::sys::{last_errno, Errno, SignalInfo};
use crate::table::Abi;
use std::fs::File;
use std::os::unix::fs::FileExt;

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

fn request(kind: libc::c_uint, tid: i32, addr: usize, data: usize) -> Result<i64, Errno> {
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

/// Takes bits out of the first argument of the call a task is about to make.
pub fn clear_in_first_argument(tid: i32, bits: u64) {
    if let Ok(mut registers) = Registers::of(tid) {
        *registers.first() &= !bits;
        let _ = registers.store(tid);
    }
}

/// The general registers of a stopped task.
pub struct Registers(libc::user_regs_struct);

impl Registers {
    pub fn of(tid: i32) -> Result<Registers, Errno> {
        // SAFETY: the structure is plain numbers, all zeroes are a valid value.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        Self::transfer(tid, &mut registers, false)?;
        Ok(Registers(registers))
    }

    pub fn store(&mut self, tid: i32) -> Result<(), Errno> {
        Self::transfer(tid, &mut self.0, true)
    }

    /// GETREGS speaks of 64-bit registers even for a 32-bit task, GETREGSET would not.
    #[cfg(target_arch = "x86_64")]
    fn transfer(tid: i32, registers: &mut libc::user_regs_struct, store: bool) -> Result<(), Errno> {
        let kind = if store { libc::PTRACE_SETREGS } else { libc::PTRACE_GETREGS };
        request(kind as _, tid, 0, &raw mut *registers as usize).map(|_| ())
    }

    #[cfg(target_arch = "aarch64")]
    fn transfer(tid: i32, registers: &mut libc::user_regs_struct, store: bool) -> Result<(), Errno> {
        const NT_PRSTATUS: usize = 1;
        let kind = if store { libc::PTRACE_SETREGSET } else { libc::PTRACE_GETREGSET };
        let size = std::mem::size_of_val(registers);
        let mut vector = libc::iovec { iov_base: (&raw mut *registers).cast(), iov_len: size };
        request(kind as _, tid, NT_PRSTATUS, &raw mut vector as usize)?;
        // A 32-bit task has other, fewer registers.
        if vector.iov_len == size {
            Ok(())
        } else {
            Err(libc::EINVAL)
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Registers {
    const SEGMENT_32_BIT: u64 = 0x23;

    pub fn entry(&self) -> Entry {
        let r = &self.0;
        if r.cs == Self::SEGMENT_32_BIT {
            let low = |value: u64| value & 0xffff_ffff;
            let args = [low(r.rbx), low(r.rcx), low(r.rdx), low(r.rsi), low(r.rdi), low(r.rbp)];
            return Entry { abi: Abi::I386, number: low(r.orig_rax), args };
        }
        Entry { abi: Abi::Native, number: r.orig_rax, args: [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9] }
    }

    /// The number of the call the task is in or has just left.
    pub fn number(&self) -> u64 {
        self.0.orig_rax
    }

    pub fn result(&self) -> i64 {
        self.0.rax as i64
    }

    pub fn set_result(&mut self, value: i64) {
        self.0.rax = value as u64;
    }

    pub fn first(&mut self) -> &mut u64 {
        match self.0.cs {
            Self::SEGMENT_32_BIT => &mut self.0.rbx,
            _ => &mut self.0.rdi,
        }
    }

    pub fn sixth(&mut self) -> &mut u64 {
        &mut self.0.r9
    }

    /// After a call: it is made again.
    pub fn call_again(&mut self, _first: u64) {
        const INSTRUCTION: u64 = 2;
        self.0.rax = self.0.orig_rax;
        self.0.rip -= INSTRUCTION;
    }
}

#[cfg(target_arch = "aarch64")]
impl Registers {
    pub fn entry(&self) -> Entry {
        let r = &self.0.regs;
        Entry { abi: Abi::Native, number: r[8], args: [r[0], r[1], r[2], r[3], r[4], r[5]] }
    }

    pub fn number(&self) -> u64 {
        self.0.regs[8]
    }

    pub fn result(&self) -> i64 {
        self.0.regs[0] as i64
    }

    pub fn first(&mut self) -> &mut u64 {
        &mut self.0.regs[0]
    }

    pub fn sixth(&mut self) -> &mut u64 {
        &mut self.0.regs[5]
    }

    /// After a call: it is made again. The result stands where its `first` argument was.
    pub fn call_again(&mut self, first: u64) {
        const INSTRUCTION: u64 = 4;
        self.0.regs[0] = first;
        self.0.pc -= INSTRUCTION;
    }

    /// The address of the next instruction.
    pub fn position(&self) -> u64 {
        self.0.pc
    }

    pub fn stack(&self) -> u64 {
        self.0.sp
    }

    pub fn set_position(&mut self, address: u64) {
        self.0.pc = address;
    }
}

/// The first argument of call `number`, which a task has just left: its result lies where that was.
///
/// The kernel still has it, and shows it in /proc/PID/syscall of a task that is in a call, as this
/// one is made to look meanwhile.
#[cfg(target_arch = "aarch64")]
pub fn first_argument(tid: i32, number: u64) -> Option<u64> {
    const IN_NO_CALL: i32 = -1;
    set_call(tid, number as i32).ok()?;
    let shown = std::fs::read_to_string(format!("/proc/{tid}/syscall"));
    set_call(tid, IN_NO_CALL).ok()?;
    u64::from_str_radix(shown.ok()?.split(' ').nth(1)?.strip_prefix("0x")?, 16).ok()
}

#[cfg(target_arch = "aarch64")]
fn set_call(tid: i32, mut number: i32) -> Result<(), Errno> {
    const NT_ARM_SYSTEM_CALL: usize = 0x404;
    let vector = libc::iovec { iov_base: (&raw mut number).cast(), iov_len: std::mem::size_of_val(&number) };
    request(libc::PTRACE_SETREGSET as _, tid, NT_ARM_SYSTEM_CALL, &raw const vector as usize).map(|_| ())
}

const PAGE: u64 = 4096;

/// Reads up to `room` bytes at `address`; fewer where the mapping ends.
pub fn read_memory(tid: i32, address: u64, room: &mut [u8]) -> Result<usize, Errno> {
    let local = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    let remote = libc::iovec { iov_base: address as *mut _, iov_len: room.len() };
    // SAFETY: `local` describes `room`, which lives through the call; the remote address is
    // only looked up in the other process, where the kernel checks it.
    let count = unsafe { libc::process_vm_readv(tid, &local, 1, &remote, 1, 0) };
    if count >= 0 {
        return Ok(count as usize);
    }
    match last_errno() {
        libc::ENOSYS | libc::EPERM => read_memory_file(tid, address, room),
        other => Err(other),
    }
}

/// Some sandboxes refuse process_vm_readv to a tracer that may read the memory file.
fn read_memory_file(tid: i32, address: u64, room: &mut [u8]) -> Result<usize, Errno> {
    File::open(format!("/proc/{tid}/mem"))
        .and_then(|memory| memory.read_at(room, address))
        .map_err(|error| crate::sys::errno_of(&error))
}

/// The terminated string at `address`, without its end; at most `limit` bytes.
pub fn read_string(tid: i32, address: u64, limit: usize) -> Result<Vec<u8>, Errno> {
    const FIRST: usize = 256;
    let mut text: Vec<u8> = Vec::with_capacity(FIRST);
    // Nearly every name fits the first, small step.
    let mut step = FIRST;
    while text.len() < limit {
        let from = address.wrapping_add(text.len() as u64);
        let size = ((PAGE - from % PAGE) as usize).min(step);
        let old = text.len();
        text.resize(old + size, 0);
        let got = read_memory(tid, from, &mut text[old..])?;
        if got == 0 {
            return Err(libc::EFAULT);
        }
        text.truncate(old + got);
        if let Some(end) = text[old..].iter().position(|&byte| byte == 0) {
            text.truncate(old + end);
            return Ok(text);
        }
        step = PAGE as usize;
    }
    text.truncate(limit);
    Ok(text)
}

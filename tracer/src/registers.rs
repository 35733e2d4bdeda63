//! The general registers of a stopped task, machine by machine.

use crate::ptrace::{request, Entry};
use crate::sys::Errno;
use crate::table::Abi;

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

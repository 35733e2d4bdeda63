//! Errors, and the small calls on processes that the standard library lacks.

use std::ffi::{CStr, CString};
use std::io;

/// Errors of system calls travel as their number: they end up in the report by name.
pub type Errno = i32;

pub fn last_errno() -> Errno {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

pub fn check(result: i64) -> Result<i64, Errno> {
    if result < 0 {
        Err(last_errno())
    } else {
        Ok(result)
    }
}

pub fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// What an error means, in the system's words.
pub fn reason(errno: Errno) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_string()
}

/// The words of our own command line, as bytes.
///
/// # Safety
/// `argv` must be the vector that the C runtime handed to `main`.
pub unsafe fn arguments(argc: i32, argv: *const *const libc::c_char) -> Vec<CString> {
    (0..usize::try_from(argc).unwrap_or(0))
        // SAFETY: the caller promises that argv holds argc pointers to terminated strings.
        .map(|index| unsafe { CStr::from_ptr(*argv.add(index)).to_owned() })
        .collect()
}

/// What `wait4` said: which task, why, and what it and its waited-for children have used.
#[derive(PartialEq, Eq)]
pub struct Waited {
    pub tid: i32,
    pub status: i32,
    pub usage: Usage,
}

#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Usage {
    pub user_ns: u64,
    pub system_ns: u64,
    pub peak_bytes: u64,
}

fn nanoseconds(time: libc::timeval) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000
}

/// Waits for news of any task or child. `Ok(None)`: none now (with `WNOHANG`).
pub fn wait(which: i32, flags: i32) -> Result<Option<Waited>, Errno> {
    let mut status = 0;
    // SAFETY: rusage is plain data, all zeroes are a valid value of it.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals that the kernel fills in.
    let tid = unsafe { libc::wait4(which, &mut status, flags, &mut usage) };
    match check(i64::from(tid))? {
        0 => Ok(None),
        _ => Ok(Some(Waited {
            tid,
            status,
            usage: Usage {
                user_ns: nanoseconds(usage.ru_utime),
                system_ns: nanoseconds(usage.ru_stime),
                peak_bytes: usage.ru_maxrss as u64 * 1024,
            },
        })),
    }
}

/// Whether `tid` is a thread of process `tgid`.
pub fn is_thread_of(tgid: i32, tid: i32) -> bool {
    // SAFETY: signal 0 only asks whether the thread exists; no memory is involved.
    unsafe { libc::syscall(libc::SYS_tgkill, tgid, tid, 0) == 0 }
}

pub fn exists(pid: i32) -> bool {
    // SAFETY: signal 0 delivers nothing.
    unsafe { libc::kill(pid, 0) == 0 || last_errno() == libc::EPERM }
}

pub fn kill(pid: i32, signal: i32) {
    // SAFETY: no memory is involved; a process that is gone is no error to us.
    unsafe { libc::kill(pid, signal) };
}

pub fn process_group(pid: i32) -> i32 {
    // SAFETY: takes and returns numbers only.
    unsafe { libc::getpgid(pid) }
}

pub fn effective_user() -> u32 {
    // SAFETY: always succeeds, takes nothing.
    unsafe { libc::geteuid() }
}

/// The file mode creation mask, which can only be read by setting it.
pub fn umask() -> u32 {
    // SAFETY: called before there is a second thread that could create a file in between.
    unsafe {
        let mask = libc::umask(0o077);
        libc::umask(mask);
        mask as u32
    }
}

pub fn own_pid() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::getpid() }
}

/// Whether the running kernel is this version or a newer one.
pub fn kernel_at_least(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

/// Ends the process at once, without running anything else.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(code) }
}

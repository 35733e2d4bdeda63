//! The small system calls that the standard library lacks: waiting, signals, descriptors.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Errors of system calls travel as their number: they end up in the report by name.
pub type Errno = i32;

pub fn last_errno() -> Errno {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn check(result: i64) -> Result<i64, Errno> {
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

pub fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
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

/// Whether we, as we are, may open this file for reading.
pub fn may_read(path: &[u8]) -> bool {
    let Ok(name) = CString::new(path) else { return false };
    // SAFETY: `name` is a terminated string that lives through the call.
    unsafe { libc::faccessat(libc::AT_FDCWD, name.as_ptr(), libc::R_OK, libc::AT_EACCESS) == 0 }
}

/// What a name is, relative to an open directory or absolute; a symbolic link is not followed.
pub fn stat_at(directory: Option<&File>, name: &[u8]) -> Result<libc::stat, Errno> {
    const SHORT: usize = 512;
    let dirfd = directory.map_or(libc::AT_FDCWD, AsRawFd::as_raw_fd);
    if name.len() >= SHORT {
        let name = CString::new(name).map_err(|_| libc::EINVAL)?;
        return raw_stat(dirfd, &name);
    }
    // Done for every distinct name of a job: not worth an allocation.
    let mut room = [0; SHORT];
    room[..name.len()].copy_from_slice(name);
    let name = CStr::from_bytes_until_nul(&room).map_err(|_| libc::EINVAL)?;
    raw_stat(dirfd, name)
}

fn raw_stat(dirfd: RawFd, name: &CStr) -> Result<libc::stat, Errno> {
    // SAFETY: the structure is plain numbers, all zeroes are a valid value.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `name` and `stat` live through the call.
    let result = unsafe { libc::fstatat(dirfd, name.as_ptr(), &mut stat, libc::AT_SYMLINK_NOFOLLOW) };
    check(i64::from(result)).map(|_| stat)
}

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

const RESOLVE_IN_ROOT: u64 = 0x10;

/// Opens `name` as a process would whose root directory is `root`; for looking at only.
pub fn open_in_root(root: &File, name: &[u8], follow: bool) -> Result<File, Errno> {
    let name = CString::new(name).map_err(|_| libc::EINVAL)?;
    let nofollow = if follow { 0 } else { libc::O_NOFOLLOW };
    let how = OpenHow { flags: (libc::O_PATH | libc::O_CLOEXEC | nofollow) as u64, mode: 0, resolve: RESOLVE_IN_ROOT };
    // SAFETY: name and how live through the call, and the size given is that of `how`.
    let fd = unsafe {
        libc::syscall(libc::SYS_openat2, root.as_raw_fd(), name.as_ptr(), &how, std::mem::size_of::<OpenHow>())
    };
    let fd = check(fd)?;
    // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
}

/// Takes over a descriptor we were started with, so that the command does not inherit it.
pub fn adopt(fd: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: F_SETFD on a number that is not open fails with EBADF and touches nothing.
    check(i64::from(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) }))?;
    // SAFETY: the caller was told this number on its command line as its own to use and close.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The same open file under a number above the three standard ones, closed at exec.
///
/// Our own descriptors must never be taken for the command's stdin, stdout or stderr when we
/// were started with one of them closed.
pub fn above_standard(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    // SAFETY: duplicates an open descriptor we own; the result is checked.
    let high = check(i64::from(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) }))?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(high as RawFd) })
}

/// Both ends of a socket pair that is closed at exec.
pub fn socket_pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends = [0; 2];
    // SAFETY: `ends` is room for the two descriptors.
    let result =
        unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr()) };
    check(i64::from(result))?;
    // SAFETY: the kernel just gave us these two descriptors.
    let (left, right) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    Ok((above_standard(left)?, above_standard(right)?))
}

/// The flags of an open descriptor (`O_RDWR`, `O_APPEND`, ...).
/// Lets go of standard input and output, which are the command's: a pipe must end when the command
/// closes it, not when we do. They lead to the null device from here on.
pub fn let_go_of_streams() {
    let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") else { return };
    for stream in [libc::STDIN_FILENO, libc::STDOUT_FILENO] {
        // SAFETY: both descriptors are plain numbers, and nothing here owns the standard ones.
        unsafe { libc::dup2(null.as_raw_fd(), stream) };
    }
}

pub fn descriptor_flags(fd: RawFd) -> Result<i32, Errno> {
    // SAFETY: F_GETFL on a closed number fails and touches nothing.
    check(i64::from(unsafe { libc::fcntl(fd, libc::F_GETFL) })).map(|flags| flags as i32)
}

/// Whether a descriptor would survive an exec.
pub fn is_inherited(fd: RawFd) -> bool {
    // SAFETY: F_GETFD on a closed number fails and touches nothing.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC == 0
}

/// A set of signals.
#[derive(Clone, Copy)]
pub struct SignalSet(libc::sigset_t);

impl SignalSet {
    pub fn of(signals: &[i32]) -> SignalSet {
        // SAFETY: sigemptyset initialises the whole set; sigaddset only changes it.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            for &signal in signals {
                libc::sigaddset(&mut set, signal);
            }
            SignalSet(set)
        }
    }

    /// Adds this set to the calling thread's mask; returns the mask before.
    pub fn block(&self) -> SignalSet {
        self.change_mask(libc::SIG_BLOCK)
    }

    pub fn unblock(&self) -> SignalSet {
        self.change_mask(libc::SIG_UNBLOCK)
    }

    pub fn set_as_mask(&self) -> SignalSet {
        self.change_mask(libc::SIG_SETMASK)
    }

    fn change_mask(&self, how: i32) -> SignalSet {
        // SAFETY: both sets are live locals.
        unsafe {
            let mut before = std::mem::zeroed();
            libc::pthread_sigmask(how, &self.0, &mut before);
            SignalSet(before)
        }
    }

    /// Waits for one of these (blocked) signals and takes it.
    pub fn wait(&self) -> Result<SignalInfo, Errno> {
        // SAFETY: siginfo_t is plain data that the kernel fills in.
        unsafe {
            let mut info = std::mem::zeroed();
            check(i64::from(libc::sigwaitinfo(&self.0, &mut info)))?;
            Ok(SignalInfo(info))
        }
    }
}

/// What the kernel tells about a signal.
#[derive(Clone, Copy)]
pub struct SignalInfo(pub libc::siginfo_t);

// SAFETY: the structure may hold an address, but as a fact about some process; nothing here
// ever follows it.
unsafe impl Send for SignalInfo {}

impl SignalInfo {
    pub fn number(&self) -> i32 {
        self.0.si_signo
    }

    /// Whether the kernel made it (a terminal, a timer), not a process.
    pub fn is_from_kernel(&self) -> bool {
        self.0.si_code > 0
    }

    /// The process that sent it, if one did.
    pub fn sender(&self) -> i32 {
        // SAFETY: every member of the union is plain data, so reading this one is always
        // defined; it means something for signals sent by a process.
        unsafe { self.0.si_pid() }
    }
}

/// Sets a signal to be ignored or to its default; returns whether it was ignored before.
pub fn set_disposition(signal: i32, ignore: bool) -> bool {
    let handler = if ignore { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: only the two constant handlers are ever installed.
    unsafe { libc::signal(signal, handler) == libc::SIG_IGN }
}

/// Ends us by a signal, as if nothing had held it back.
pub fn die_of(signal: i32) {
    set_disposition(signal, false);
    SignalSet::of(&[signal]).unblock();
    kill(own_pid(), signal);
}

/// Stops the whole process by `signal`, as if it had come from the terminal.
pub fn stop_self(signal: i32) {
    let set = SignalSet::of(&[signal]);
    let mask = set.unblock();
    // SAFETY: raise takes a number only; the signal's disposition is the default.
    unsafe { libc::raise(signal) };
    mask.set_as_mask();
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

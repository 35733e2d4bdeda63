//! Our own descriptors, and those that the command inherits.

use crate::sys::{check, Errno};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

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

/// Lets go of standard input and output, which are the command's: a pipe must end when the command
/// closes it, not when we do. They lead to the null device from here on.
pub fn let_go_of_streams() {
    let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") else { return };
    for stream in [libc::STDIN_FILENO, libc::STDOUT_FILENO] {
        // SAFETY: both descriptors are plain numbers, and nothing here owns the standard ones.
        unsafe { libc::dup2(null.as_raw_fd(), stream) };
    }
}

/// The flags of an open descriptor (`O_RDWR`, `O_APPEND`, ...).
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

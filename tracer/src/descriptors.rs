//! Our own descriptors, and those that the command inherits.

use crate::sys::{check, Errno};
use std::fs::File;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

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

/// Room for one descriptor that travels with a message, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 32]);

/// Sends `bytes`, and an open descriptor with them.
pub fn send_with(socket: &File, bytes: &[u8], fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut piece = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = Control([0; 32]);
    // SAFETY: the message points to locals that live through the call; the room for the descriptor is larger than
    // CMSG_SPACE says, so that its header and data lie inside.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&mut piece, 1);
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as _;
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(fd.as_raw_fd());
        libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL)
    };
    check(sent as i64).map(|_| ())
}

/// Fills `room` with what was sent; gives the descriptor that came with it.
pub fn receive_with(socket: &File, room: &mut [u8]) -> Result<Option<OwnedFd>, Errno> {
    let mut piece = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    let mut control = Control([0; 32]);
    // SAFETY: as above; and the kernel says by the header whether it has put a descriptor there, which is ours then.
    let (count, fd) = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&mut piece, 1);
        (message.msg_control, message.msg_controllen) = (control.0.as_mut_ptr().cast(), size_of::<Control>() as _);
        let count = libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_WAITALL | libc::MSG_CMSG_CLOEXEC);
        let header = libc::CMSG_FIRSTHDR(&message);
        let came = count > 0 && !header.is_null() && (*header).cmsg_type == libc::SCM_RIGHTS;
        (count, came.then(|| OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned())))
    };
    match check(count as i64)? as usize {
        whole if whole == room.len() => fd.map(above_standard).transpose(),
        _ => Err(libc::EPIPE),
    }
}

//! Installing the filter, and the listener that hears of reading opens.

use crate::sys::{last_errno, Errno};
use libc::sock_filter;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

const SET_MODE_FILTER: libc::c_uint = 1;
/// Linux 4.17: keeps kernels before 5.16 from slowing the command down by a mitigation against
/// hostile code, which it would not have without a filter.
const FLAG_SPEC_ALLOW: libc::c_ulong = 1 << 2;
const FLAG_NEW_LISTENER: libc::c_ulong = 1 << 3;
/// Linux 5.19: once we have heard of a call, only a deadly signal interrupts it.
const FLAG_WAIT_KILLABLE_RECV: libc::c_ulong = 1 << 5;

/// How the filter went in.
#[derive(Debug)]
pub struct Installed {
    pub listener: Option<OwnedFd>,
    pub no_new_privs: bool,
}

/// Installs the filter in the calling process, for good. `no_new_privs` is set only where the
/// kernel demands it: it takes setuid programs their effect.
pub fn install(filter: &[sock_filter], listen: bool) -> Result<Installed, Errno> {
    let mut flags = FLAG_SPEC_ALLOW | if listen { FLAG_NEW_LISTENER | FLAG_WAIT_KILLABLE_RECV } else { 0 };
    let mut no_new_privs = false;
    loop {
        match set_filter(filter, flags) {
            Ok(number) => {
                // SAFETY: where a listener was asked for, the kernel just gave us this descriptor.
                let listener = listen.then(|| unsafe { OwnedFd::from_raw_fd(number) });
                return Ok(Installed { listener, no_new_privs });
            }
            Err(libc::EACCES) if !no_new_privs => {
                // SAFETY: takes numbers only.
                if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
                    return Err(last_errno());
                }
                no_new_privs = true;
            }
            Err(libc::EINVAL) if flags & FLAG_WAIT_KILLABLE_RECV != 0 => flags &= !FLAG_WAIT_KILLABLE_RECV,
            Err(libc::EINVAL) if flags & FLAG_SPEC_ALLOW != 0 => flags &= !FLAG_SPEC_ALLOW,
            Err(errno) => return Err(errno),
        }
    }
}

fn set_filter(filter: &[sock_filter], flags: libc::c_ulong) -> Result<RawFd, Errno> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: `program` points to `filter`, which lives through the call; the kernel copies it.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, &program) };
    if result < 0 {
        Err(last_errno())
    } else {
        Ok(result as RawFd)
    }
}

#[repr(C)]
#[derive(Default)]
struct Data {
    number: i32,
    arch: u32,
    instruction_pointer: u64,
    args: [u64; 6],
}

#[repr(C)]
#[derive(Default)]
struct Notification {
    id: u64,
    pid: u32,
    flags: u32,
    data: Data,
}

#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

const FLAG_CONTINUE: u32 = 1;
const fn request(direction: u32, number: u32, size: usize) -> u64 {
    (direction << 30 | (size as u32) << 16 | (b'!' as u32) << 8 | number) as u64
}
const RECV: u64 = request(3, 0, std::mem::size_of::<Notification>());
const SEND: u64 = request(3, 1, std::mem::size_of::<Response>());
const ID_VALID: u64 = request(1, 2, 8);
const SET_FLAGS: u64 = request(1, 4, 8);
const FD_SYNC_WAKE_UP: u64 = 1;
const WAIT: i32 = -1;

/// The end at which we hear of calls that wait for our answer.
pub struct Listener {
    fd: OwnedFd,
    /// Before Linux 6.6 a receiver is not told that nobody is left: ask first.
    asks_first: bool,
}

/// One waiting call.
pub struct Waiting {
    id: u64,
    pub tid: i32,
    pub number: u64,
    pub args: [u64; 6],
}

/// Why there was nothing to receive.
pub enum Silence {
    /// Nobody is left under the filter.
    Over,
    /// The task was killed or interrupted before we heard of it.
    Withdrawn,
}

impl Listener {
    pub fn new(fd: OwnedFd) -> Listener {
        let listener = Listener { fd, asks_first: !crate::sys::kernel_at_least(6, 6) };
        // Linux 6.6: hand the CPU over to the other side. Older kernels refuse; nothing is lost.
        // SAFETY: the request takes a number.
        unsafe { libc::ioctl(listener.fd.as_raw_fd(), SET_FLAGS as _, FD_SYNC_WAKE_UP) };
        listener
    }

    pub fn receive(&self) -> Result<Waiting, Silence> {
        if self.asks_first && self.is_over(WAIT) {
            return Err(Silence::Over);
        }
        // The kernel wants to be handed zeroes.
        let mut seen = Notification::default();
        // SAFETY: `seen` is a live local of the layout and size the request names.
        let result = unsafe { libc::ioctl(self.fd.as_raw_fd(), RECV as _, &mut seen) };
        if result == 0 {
            let number = seen.data.number as u64;
            return Ok(Waiting { id: seen.id, tid: seen.pid as i32, number, args: seen.data.args });
        }
        match last_errno() {
            libc::EINTR | libc::ENOENT if !self.is_over(0) => Err(Silence::Withdrawn),
            _ => Err(Silence::Over),
        }
    }

    /// Whether the last task under the filter is gone; waits so many milliseconds for any news.
    fn is_over(&self, patience: i32) -> bool {
        let mut poll = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live pollfd, and its count.
        let count = unsafe { libc::poll(&mut poll, 1, patience) };
        count > 0 && poll.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0
    }

    /// Whether the call still waits for us; it does not when its task has been killed.
    pub fn still_waits(&self, waiting: &Waiting) -> bool {
        let id = waiting.id;
        // SAFETY: the request reads one live number of 64 bits.
        unsafe { libc::ioctl(self.fd.as_raw_fd(), ID_VALID as _, &id) == 0 }
    }

    /// Lets the call go on as if we were not there.
    pub fn let_go(&self, waiting: &Waiting) {
        let mut response = Response { id: waiting.id, value: 0, error: 0, flags: FLAG_CONTINUE };
        // SAFETY: `response` is a live local of the layout and size the request names. A task
        // that has gone meanwhile makes the request fail, which is no error.
        unsafe { libc::ioctl(self.fd.as_raw_fd(), SEND as _, &mut response) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_numbers_are_those_of_the_kernel() {
        assert_eq!(RECV, 0xc050_2100);
        assert_eq!(SEND, 0xc018_2101);
        assert_eq!(ID_VALID, 0x4008_2102);
        assert_eq!(SET_FLAGS, 0x4008_2104);
    }
}

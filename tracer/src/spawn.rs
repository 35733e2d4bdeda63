//! Starting the command: forked, seized, filtered, and only then executed.
//!
//! Between fork and exec the child speaks with us over a socket that exec closes. All signals
//! are blocked in it meanwhile, so that none can stop it where nobody waits for it.

use crate::descriptors;
use crate::ptrace;
use crate::seccomp::{self, Installed, Listener};
use crate::sigset::{self, SignalSet};
use crate::sys::{self, last_errno, Errno};
use libc::sock_filter;
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

/// How the command finds its signals: as we were started.
#[derive(Clone, Copy)]
pub struct SignalState {
    pub mask: SignalSet,
    pub child_ignored: bool,
}

pub struct Started {
    pub root: i32,
    pub listener: Option<Listener>,
    pub no_new_privs: bool,
    socket: File,
}

/// Why nothing was run.
#[derive(Debug)]
pub enum Refused {
    Fork(Errno),
    Ptrace(Errno),
    Seccomp(Errno),
}

impl Refused {
    pub fn sentence(&self) -> String {
        let (what, errno, hint) = match self {
            Refused::Fork(errno) => ("no process could be started", errno, ""),
            Refused::Ptrace(errno) => (
                "this system does not allow ptrace",
                errno,
                "; in a container allow it with --cap-add=SYS_PTRACE or a newer seccomp profile, elsewhere see /proc/sys/kernel/yama/ptrace_scope",
            ),
            Refused::Seccomp(errno) => ("this system does not allow seccomp filters", errno, "; the kernel needs CONFIG_SECCOMP_FILTER, a container needs the seccomp call allowed"),
        };
        let reason = sys::reason(*errno);
        format!("the command was not started: {what} ({reason}){hint}")
    }
}

const GO: [u8; 1] = [b'g'];

/// Starts `command` under trace, up to the point where it is about to be executed.
pub fn start(
    command: &[CString],
    filter: &[sock_filter],
    listen: bool,
    signals: SignalState,
) -> Result<Started, Refused> {
    let (ours, theirs) = descriptors::socket_pair().map_err(Refused::Fork)?;
    let mut words: Vec<*const libc::c_char> = command.iter().map(|word| word.as_ptr()).collect();
    words.push(std::ptr::null());
    // SAFETY: there is only one thread yet, so the child may go on with ordinary code.
    let root = unsafe { libc::fork() };
    match root {
        -1 => Err(Refused::Fork(last_errno())),
        0 => child(&words, filter, listen, signals, theirs),
        _ => {
            drop(theirs);
            let mut socket = File::from(ours);
            let result = prepare(root, &mut socket);
            if result.is_err() {
                // It has not executed anything; it must not.
                sys::kill(root, libc::SIGKILL);
                let _ = sys::wait(root, libc::__WALL);
            }
            let (listener, no_new_privs) = result?;
            Ok(Started { root, listener, no_new_privs, socket })
        }
    }
}

fn prepare(root: i32, socket: &mut File) -> Result<(Option<Listener>, bool), Refused> {
    ptrace::seize(root).map_err(Refused::Ptrace)?;
    socket.write_all(&GO).map_err(|_| Refused::Fork(libc::EPIPE))?;
    let mut bytes = [0; 8];
    let listener = descriptors::receive_with(socket, &mut bytes).map_err(Refused::Fork)?;
    let [status, no_new_privs] = words_of(bytes);
    if status != 0 {
        return Err(Refused::Seccomp(status));
    }
    let listener = listener.map(Listener::new);
    socket.write_all(&GO).map_err(|_| Refused::Fork(libc::EPIPE))?;
    Ok((listener, no_new_privs != 0))
}

/// What the child says: an error's number or 0, and whether it had to give up setuid.
fn words_of(bytes: [u8; 8]) -> [i32; 2] {
    let [a, b, c, d, e, f, g, h] = bytes;
    [i32::from_ne_bytes([a, b, c, d]), i32::from_ne_bytes([e, f, g, h])]
}

impl Started {
    /// To be asked when the root has ended: why its exec failed, if it did.
    pub fn exec_error(&mut self) -> Option<Errno> {
        let mut bytes = [0; 8];
        self.socket.read_exact(&mut bytes).ok().map(|()| words_of(bytes)[0])
    }
}

/// The child's side; ends in the command or not at all.
fn child(
    words: &[*const libc::c_char],
    filter: &[sock_filter],
    listen: bool,
    signals: SignalState,
    socket: OwnedFd,
) -> ! {
    let mut socket = File::from(socket);
    let mut go = [0];
    let bytes_of = |errno: Errno, no_new_privs: bool| {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&errno.to_ne_bytes());
        bytes[4..].copy_from_slice(&i32::from(no_new_privs).to_ne_bytes());
        bytes
    };
    if socket.read_exact(&mut go).is_err() {
        sys::exit_now(125);
    }
    match seccomp::install(filter, listen) {
        Ok(Installed { listener: Some(listener), no_new_privs }) => {
            let _ = descriptors::send_with(&socket, &bytes_of(0, no_new_privs), listener.as_fd());
        }
        Ok(Installed { listener: None, no_new_privs }) => {
            let _ = socket.write_all(&bytes_of(0, no_new_privs));
        }
        Err(errno) => {
            let _ = socket.write_all(&bytes_of(errno, false));
            sys::exit_now(125);
        }
    }
    if socket.read_exact(&mut go).is_err() {
        sys::exit_now(125);
    }
    // Python ignores these two, which an exec would hand on; a shell would not have.
    sigset::set_disposition(libc::SIGPIPE, false);
    sigset::set_disposition(libc::SIGXFSZ, false);
    sigset::set_disposition(libc::SIGCHLD, signals.child_ignored);
    signals.mask.set_as_mask();
    // SAFETY: `words` are pointers to terminated strings that live in our memory, ended by null.
    unsafe { libc::execvp(words[0], words.as_ptr()) };
    let errno = last_errno();
    let _ = socket.write_all(&bytes_of(errno, false));
    sys::exit_now(if errno == libc::ENOENT { 127 } else { 126 })
}

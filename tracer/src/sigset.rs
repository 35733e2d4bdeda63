//! Signals as the kernel has them: sets, dispositions, what comes with one.

use crate::sys::{check, kill, own_pid, Errno};

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

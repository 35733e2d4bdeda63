//! Why `wait4` returned: the one place where a wait status is decoded.

/// What a traced task reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    Exited {
        code: i32,
    },
    Killed {
        signal: i32,
    },
    /// A call of the table is about to be made.
    Seccomp,
    /// A call is done whose result we asked for; or, where every call stops, is about to be made.
    Call,
    /// fork, vfork or clone made a task.
    NewTask {
        is_clone: bool,
    },
    /// execve succeeded.
    Exec,
    /// The whole process was stopped by this signal.
    Group {
        signal: i32,
    },
    /// First stop of a new task, or the end of a group stop.
    Trap,
    /// This signal is about to be delivered.
    Delivery {
        signal: i32,
    },
    /// An event we did not ask for, or news of a child that is not traced.
    Other,
}

/// Of seized tasks; the libc crate has no name for it everywhere.
const EVENT_STOP: i32 = 128;
const SYSCALL_TRAP: i32 = libc::SIGTRAP | 0x80;

impl Stop {
    pub fn decode(status: i32) -> Stop {
        if libc::WIFEXITED(status) {
            return Stop::Exited { code: libc::WEXITSTATUS(status) };
        }
        if libc::WIFSIGNALED(status) {
            return Stop::Killed { signal: libc::WTERMSIG(status) };
        }
        if !libc::WIFSTOPPED(status) {
            return Stop::Other;
        }
        let signal = libc::WSTOPSIG(status);
        match status >> 16 {
            0 if signal == SYSCALL_TRAP => Stop::Call,
            0 => Stop::Delivery { signal },
            libc::PTRACE_EVENT_SECCOMP => Stop::Seccomp,
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK => Stop::NewTask { is_clone: false },
            libc::PTRACE_EVENT_CLONE => Stop::NewTask { is_clone: true },
            libc::PTRACE_EVENT_EXEC => Stop::Exec,
            EVENT_STOP if is_stopping(signal) => Stop::Group { signal },
            EVENT_STOP => Stop::Trap,
            _ => Stop::Other,
        }
    }
}

fn is_stopping(signal: i32) -> bool {
    matches!(signal, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(event: i32, signal: i32) -> i32 {
        event << 16 | signal << 8 | 0x7f
    }

    #[test]
    fn every_kind_is_told_apart() {
        assert_eq!(Stop::decode(3 << 8), Stop::Exited { code: 3 });
        assert_eq!(Stop::decode(9), Stop::Killed { signal: 9 });
        assert_eq!(Stop::decode(stopped(0, libc::SIGTERM)), Stop::Delivery { signal: libc::SIGTERM });
        assert_eq!(Stop::decode(stopped(0, SYSCALL_TRAP)), Stop::Call);
        assert_eq!(Stop::decode(stopped(libc::PTRACE_EVENT_SECCOMP, libc::SIGTRAP)), Stop::Seccomp);
        assert_eq!(Stop::decode(stopped(EVENT_STOP, libc::SIGTSTP)), Stop::Group { signal: libc::SIGTSTP });
        assert_eq!(Stop::decode(stopped(EVENT_STOP, libc::SIGTRAP)), Stop::Trap);
        assert_eq!(Stop::decode(stopped(libc::PTRACE_EVENT_CLONE, libc::SIGTRAP)), Stop::NewTask { is_clone: true });
    }
}

//! A program wants a seccomp listener of its own: ours has to go.
//!
//! The kernel allows one listener in a chain of filters, and tells the second EBUSY. Once ours is
//! closed, though, every call that our filter hands to it fails with ENOSYS. So first every task
//! of the tree is made to stop at every call it makes. At the stop before an open that we would
//! have been notified of, its sixth argument, which opens have no use for, becomes the value that
//! the filter lets through; at the stop after it, what it was. Then ours can be closed, and the
//! program's call, made again, succeeds. Every call is dear from there on, but none fails.

use crate::bpf::{self, Reads};
use crate::calls::Next;
use crate::follow::Follower;
use crate::observer::Observer;
use crate::ptrace::{self, Entry, Until};
use crate::registers::Registers;
use crate::sys::{self, Errno, Waited};
use std::collections::HashSet;
use std::sync::PoisonError;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(1);
const SET_MODE_FILTER: u64 = 1;

pub struct GivingWay {
    /// Tasks that wait for ours to be gone.
    callers: Vec<i32>,
    /// Tasks that may yet be on their way into a call that only our listener lets go.
    unsure: HashSet<i32>,
}

impl Follower {
    /// `caller` was told EBUSY. It stays stopped until ours is gone, and then makes its call
    /// again. False if nothing can be done about it.
    pub fn give_way(&mut self, observer: &Observer, caller: i32) -> bool {
        let Ok(mut registers) = Registers::of(caller) else { return false };
        registers.call_again(SET_MODE_FILTER);
        if self.answering.is_none() || registers.store(caller).is_err() {
            return false;
        }
        self.until = Until::Call;
        match &mut self.giving_way {
            Some(giving) => giving.callers.push(caller),
            None => {
                let others = observer.tree.tasks.keys().copied().filter(|&tid| tid != caller);
                let unsure = others.filter(|&tid| ptrace::interrupt(tid)).collect();
                self.giving_way = Some(GivingWay { callers: vec![caller], unsure });
            }
        }
        true
    }

    /// This task has stopped, and will stop before its next call, too.
    pub fn is_sure_of(&mut self, tid: i32) {
        if let Some(giving) = &mut self.giving_way {
            giving.unsure.remove(&tid);
        }
    }

    /// Waits for the next stop, or until there is nobody left to wait for.
    pub fn wait_to_give_way(&mut self) -> Result<Option<Waited>, Errno> {
        match sys::wait(-1, libc::__WALL | libc::WNOHANG) {
            Ok(None) => {}
            other => return other,
        }
        let Some(giving) = &mut self.giving_way else { return Ok(None) };
        giving.unsure.retain(|&tid| !is_elsewhere(tid));
        if !giving.unsure.is_empty() {
            std::thread::sleep(PAUSE);
            return Ok(None);
        }
        if let Some(answering) = self.answering.take() {
            answering.end();
        }
        self.observer.lock().unwrap_or_else(PoisonError::into_inner).reads = Reads::Trace;
        for caller in self.giving_way.take().into_iter().flat_map(|giving| giving.callers) {
            self.resume(caller, 0);
        }
        Ok(None)
    }

    /// A task that stops at every call is about to make this one.
    pub fn call_begins(&mut self, observer: &mut Observer, tid: i32, entry: &Entry) {
        if bpf::is_notified(entry) {
            let next = observer.enter(tid, entry);
            let sixth = Registers::of(tid).and_then(|mut registers| {
                let sixth = std::mem::replace(registers.sixth(), bpf::SEEN);
                registers.store(tid).map(|()| sixth)
            });
            if let Some(task) = observer.tree.tasks.get_mut(&tid) {
                task.sixth = sixth.ok();
                if let Next::AwaitResult(pending) = next {
                    task.pending = Some(Box::new(pending));
                }
            }
        }
        self.resume(tid, 0);
    }
}

/// A call has been made: its sixth argument is again what the program put there.
pub fn call_ends(observer: &mut Observer, tid: i32) {
    let replaced = observer.tree.tasks.get_mut(&tid).and_then(|task| task.sixth.take());
    if let (Some(sixth), Ok(mut registers)) = (replaced, Registers::of(tid)) {
        *registers.sixth() = sixth;
        let _ = registers.store(tid);
    }
}

/// Whether a task that was told to stop, but has not yet, waits in a call that is no open (a
/// vfork, say): then it will stop before it can make another.
fn is_elsewhere(tid: i32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{tid}/syscall")).unwrap_or_default();
    match text.split_whitespace().next() {
        Some("running") => false,
        Some(number) => number.parse().map_or(true, |number| !is_open(number)),
        // It is gone.
        None => true,
    }
}

fn is_open(number: i64) -> bool {
    #[cfg(target_arch = "x86_64")]
    if number == libc::SYS_open {
        return true;
    }
    number == libc::SYS_openat
}

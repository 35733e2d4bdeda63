//! The second mechanism: opens that only read are heard of by notification, which is cheaper
//! than a stop and stays cheap when the tracer sits on another CPU.

use crate::calls::Next;
use crate::observer::Observer;
use crate::ptrace::Entry;
use crate::seccomp::{Listener, Silence, Waiting};
use crate::table::Abi;
use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Does nothing by itself, and nobody else sends it to a thread of ours.
const WAKE_UP: i32 = libc::SIGURG;
const PAUSE: Duration = Duration::from_millis(1);

/// The thread that answers notifications until nobody is left to send one.
pub struct Answering {
    thread: JoinHandle<()>,
    enough: Arc<AtomicBool>,
}

impl Answering {
    pub fn start(listener: Listener, observer: Arc<Mutex<Observer>>) -> std::io::Result<Answering> {
        let enough = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&enough);
        let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                match listener.receive() {
                    Ok(waiting) => {
                        let mut observer = observer.lock().unwrap_or_else(PoisonError::into_inner);
                        hear(&listener, &waiting, &mut observer);
                        drop(observer);
                        listener.let_go(&waiting);
                    }
                    Err(Silence::Withdrawn) => {}
                    Err(Silence::Over) => return,
                }
            }
        })?;
        Ok(Answering { thread, enough })
    }

    /// Ends it while there are still tasks under the filter; the listener is closed afterwards.
    pub fn end(self) {
        self.enough.store(true, Ordering::SeqCst);
        let_interrupt(WAKE_UP);
        while !self.thread.is_finished() {
            // SAFETY: the thread has not been joined, so that its handle is valid.
            unsafe { libc::pthread_kill(self.thread.as_pthread_t() as libc::pthread_t, WAKE_UP) };
            std::thread::sleep(PAUSE);
        }
        self.join();
    }

    /// Waits until the last task under the filter is gone.
    pub fn join(self) {
        let _ = self.thread.join();
    }
}

/// A thread of ours that is sent `signal` returns from the call it waits in.
fn let_interrupt(signal: i32) {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: sigaction is plain data, zeroes say "no flags, no mask"; the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

fn hear(listener: &Listener, waiting: &Waiting, observer: &mut Observer) {
    let entry = Entry { abi: Abi::Native, number: waiting.number, args: waiting.args };
    observer.may_wait = false;
    let next = match observer.who(waiting.tid) {
        Some(who) => observer.enter_as(who, &entry),
        // It has been killed, and has opened nothing. If it waits, we lost it.
        None if listener.still_waits(waiting) => observer.enter(waiting.tid, &entry),
        None => return,
    };
    if let Next::AwaitResult(_) = next {
        // There is no result to be had here, and the name could not be made out without it.
        if listener.still_waits(waiting) {
            observer.blinds.add("path_unreadable", b"");
        }
    }
    // An open that may itself wait can be interrupted for good reason; see `follow`.
    if observer.may_wait {
        observer.waiting_opens.insert(waiting.tid);
    } else if !observer.waiting_opens.is_empty() {
        observer.waiting_opens.remove(&waiting.tid);
    }
}

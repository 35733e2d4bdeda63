//! The second mechanism: opens that only read are heard of by notification, which is cheaper
//! than a stop and stays cheap when the tracer sits on another CPU.

use crate::calls::Next;
use crate::observer::Observer;
use crate::ptrace::Entry;
use crate::seccomp::{Listener, Silence, Waiting};
use crate::table::Abi;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Starts the thread that answers notifications until nobody is left to send one.
pub fn answer(listener: Listener, observer: Arc<Mutex<Observer>>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().stack_size(512 << 10).spawn(move || loop {
        match listener.receive() {
            Ok(waiting) => {
                hear(&waiting, &mut observer.lock().unwrap_or_else(PoisonError::into_inner));
                listener.let_go(&waiting);
            }
            Err(Silence::Withdrawn) => {}
            Err(Silence::Over) => return,
        }
    })
}

fn hear(waiting: &Waiting, observer: &mut Observer) {
    let entry = Entry { abi: Abi::Native, number: waiting.number, args: waiting.args };
    observer.may_wait = false;
    if let Next::AwaitResult(_) = observer.enter(waiting.tid, &entry) {
        // There is no result to be had here, and the name could not be made out without it.
        observer.blinds.add("path_unreadable", b"");
    }
    // An open that may itself wait can be interrupted for good reason; see `follow`.
    if observer.may_wait {
        observer.waiting_opens.insert(waiting.tid);
    } else if !observer.waiting_opens.is_empty() {
        observer.waiting_opens.remove(&waiting.tid);
    }
}

//! Signals sent to us are meant for the command.
//!
//! What the terminal sends reaches the command by itself, because it is in our process group.
//! What somebody sends by kill(2) is passed on, unless it went to the whole group: then the
//! command has it already. A thread of its own waits for signals, so that the loop over stops
//! needs only one blocking call.

use crate::observer::Observer;
use crate::sigset::{SignalInfo, SignalSet};
use crate::sys;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The stop signals are here so that they do not stop us before the command has stopped.
const HEARD: &[i32] = &[
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGCONT,
    libc::SIGWINCH,
];

/// How long the command may take to be given its copy of a signal to the group.
const PATIENCE: Duration = Duration::from_millis(30);
const MOST_REMEMBERED: usize = 64;

struct Given {
    signal: i32,
    sender: i32,
    at: Instant,
}

#[derive(Default)]
struct State {
    /// Signals the command was given of late.
    given: Vec<Given>,
    /// Signals we passed on, as they were when we got them.
    passed_on: Vec<SignalInfo>,
}

#[derive(Default)]
pub struct Signals {
    state: Mutex<State>,
    news: Condvar,
    /// To whom signals are passed on; 0 before the start, `ENDED` after the end.
    root: AtomicI32,
    /// Who makes the record, once all of the command has ended; 0 before and after.
    recorder: AtomicI32,
    /// Ctrl-C was typed: what is from the terminal we get as the command does.
    interrupted: AtomicBool,
}

const ENDED: i32 = -1;

/// What ends a program that does not want it otherwise.
const ENDING: &[i32] = &[libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// Keeps the signals that are meant for the command pending, until `listen` takes them.
/// Returns the mask we were started with.
pub fn hold() -> SignalSet {
    SignalSet::of(HEARD).block()
}

/// We only wait for those who outlived the root. Whoever wants us to end wants them to: without
/// us they could not go on. It is said by SIGTERM, because shells make what they leave in the
/// background ignore SIGINT and SIGQUIT.
fn end_the_rest(info: &SignalInfo, observer: &Observer) {
    if ENDING.contains(&info.number()) {
        for &pid in observer.tree.processes.keys() {
            sys::kill(pid, libc::SIGTERM);
        }
    }
}

/// What is to be done with a signal the root is about to be given.
pub enum Verdict {
    AsItIs,
    /// We sent it; this is what the true sender's looked like.
    Instead(Box<SignalInfo>),
}

impl Signals {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn follow(&self, root: i32) {
        self.root.store(root, Ordering::SeqCst);
    }

    /// The root is gone; who is left is to be asked of the observer.
    pub fn root_ended(&self) {
        self.root.store(ENDED, Ordering::SeqCst);
    }

    /// Nobody of the command is left: who wants us to end is to be heard by the recorder, for which alone we wait.
    pub fn recording(&self, recorder: i32) {
        self.recorder.store(recorder, Ordering::SeqCst);
    }

    /// SIGINT has ended the command: was it Ctrl-C? On a busy machine our copy may come to us after its end.
    pub fn was_interrupted(&self) -> bool {
        let deadline = Instant::now() + 8 * PATIENCE;
        while !self.interrupted.load(Ordering::SeqCst) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.interrupted.load(Ordering::SeqCst)
    }

    /// Starts the thread that takes signals, for as long as we live.
    pub fn listen(self: &Arc<Signals>, observer: &Arc<Mutex<Observer>>) {
        let (signals, observer) = (Arc::clone(self), Arc::clone(observer));
        // Without the thread signals stay pending: the command is undisturbed, only deafer.
        let _ = std::thread::Builder::new().stack_size(64 << 10).spawn(move || loop {
            if let Ok(info) = SignalSet::of(HEARD).wait() {
                signals.pass_on(&info, &observer);
            }
        });
    }

    fn pass_on(&self, info: &SignalInfo, observer: &Mutex<Observer>) {
        if info.is_from_kernel() && info.number() == libc::SIGINT {
            self.interrupted.store(true, Ordering::SeqCst);
        }
        let recorder = self.recorder.load(Ordering::SeqCst);
        if recorder > 0 {
            if matches!(info.number(), libc::SIGINT | libc::SIGTERM) {
                sys::kill(recorder, info.number());
            }
            return;
        }
        let root = self.root.load(Ordering::SeqCst);
        if root == ENDED {
            return end_the_rest(info, &observer.lock().unwrap_or_else(PoisonError::into_inner));
        }
        let not_ours = info.is_from_kernel() || info.number() == libc::SIGWINCH;
        if root == 0 || not_ours || self.has_been_given(info) {
            return;
        }
        self.lock().passed_on.push(*info);
        sys::kill(root, info.number());
    }

    /// Waits a moment for the command to be given the same signal by the same sender.
    fn has_been_given(&self, info: &SignalInfo) -> bool {
        let sender = info.sender();
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.lock();
        loop {
            let same = |given: &Given| {
                given.signal == info.number() && given.sender == sender && given.at.elapsed() < 4 * PATIENCE
            };
            if let Some(index) = state.given.iter().position(same) {
                state.given.remove(index);
                return true;
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return false };
            state = self.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The root is about to be given this signal.
    pub fn given(&self, info: &SignalInfo) -> Verdict {
        if info.is_from_kernel() || !HEARD.contains(&info.number()) {
            return Verdict::AsItIs;
        }
        let sender = info.sender();
        let mut state = self.lock();
        if sender == sys::own_pid() {
            let original = state.passed_on.iter().position(|passed| passed.number() == info.number());
            return original.map_or(Verdict::AsItIs, |index| Verdict::Instead(Box::new(state.passed_on.remove(index))));
        }
        if state.given.len() >= MOST_REMEMBERED {
            state.given.remove(0);
        }
        state.given.push(Given { signal: info.number(), sender, at: Instant::now() });
        self.news.notify_all();
        Verdict::AsItIs
    }
}

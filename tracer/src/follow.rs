//! The loop over stops: keeps every task running, and the observer informed.

use crate::births;
use crate::calls::{Next, Pending};
use crate::give_way::{self, GivingWay};
use crate::notify::Answering;
use crate::observer::Observer;
use crate::ptrace::{self, Until};
use crate::report::{now_ns, End, Report};
use crate::restart;
use crate::signals::{Signals, Verdict};
use crate::sigset;
use crate::stop::Stop;
use crate::sys::{self, Waited};
use crate::tree::Ending;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often to look for further stops before we stop ourselves along with the root.
const QUIET_ROUNDS: u32 = 3;
const QUIET_PAUSE: Duration = Duration::from_millis(1);

pub struct Follower {
    pub observer: Arc<Mutex<Observer>>,
    pub report: Report,
    pub signals: Arc<Signals>,
    pub root: i32,
    /// A child of ours that is not traced, if it still runs.
    pub recorder: Option<i32>,
    pub end: End,
    /// Who answers notifications, where that is the mechanism.
    pub answering: Option<Answering>,
    pub giving_way: Option<GivingWay>,
    /// How far tasks run when they are let go.
    pub until: Until,
    /// Tasks that were seen before we heard that they had been made,
    unannounced: HashSet<i32>,
    /// and those of them that have ended since.
    ended_early: HashSet<i32>,
    /// The root was stopped by this signal, and the user's shell should see it.
    stopping: Option<i32>,
    stopped_from_inside: bool,
}

impl Follower {
    pub fn new(observer: Arc<Mutex<Observer>>, report: Report, signals: Arc<Signals>, root: i32) -> Follower {
        Follower {
            observer,
            report,
            signals,
            root,
            recorder: None,
            end: End::default(),
            answering: None,
            giving_way: None,
            until: Until::Event,
            unannounced: HashSet::new(),
            ended_early: HashSet::new(),
            stopping: None,
            stopped_from_inside: false,
        }
    }

    /// Returns when the last traced task has ended.
    pub fn run(&mut self) {
        let shared = Arc::clone(&self.observer);
        loop {
            let waited = match self.wait() {
                Ok(Some(waited)) => waited,
                Ok(None) | Err(libc::EINTR) => continue,
                Err(_) => return,
            };
            if Some(waited.tid) == self.recorder {
                self.recorder = None;
                crate::run::recorder_ended(waited.status);
                continue;
            }
            let mut observer = shared.lock().unwrap_or_else(PoisonError::into_inner);
            self.handle(&mut observer, &waited);
            if observer.tree.tasks.is_empty() {
                return;
            }
        }
    }

    fn wait(&mut self) -> Result<Option<Waited>, sys::Errno> {
        if self.stopping.is_some() {
            self.wait_or_stop()
        } else if self.giving_way.is_some() {
            self.wait_to_give_way()
        } else {
            sys::wait(-1, libc::__WALL)
        }
    }

    pub fn resume(&self, tid: i32, signal: i32) {
        ptrace::resume(tid, signal, self.until);
    }

    fn handle(&mut self, observer: &mut MutexGuard<'_, Observer>, waited: &Waited) {
        let tid = waited.tid;
        let stop = Stop::decode(waited.status);
        let ended = matches!(stop, Stop::Exited { .. } | Stop::Killed { .. });
        if !ended && !observer.tree.tasks.contains_key(&tid) {
            self.unannounced.insert(tid);
            births::adopt(observer, tid);
        }
        self.is_sure_of(tid);
        match stop {
            Stop::Exited { code } => self.ended(observer, waited, Ending::Exit(code)),
            Stop::Killed { signal } => self.ended(observer, waited, Ending::Signal(signal)),
            Stop::Seccomp => self.seccomp(observer, tid),
            Stop::Call => self.call(observer, tid),
            Stop::NewTask { is_clone } => {
                self.new_task(observer, tid, is_clone);
                self.resume(tid, 0);
            }
            Stop::Exec => {
                self.executed(observer, tid);
                self.resume(tid, 0);
            }
            Stop::Group { signal } => {
                ptrace::listen(tid);
                self.group_stop(tid, signal);
            }
            Stop::Trap => {
                if tid == self.root {
                    self.stopping = None;
                }
                if self.giving_way.is_some() {
                    restart::mend(observer, tid, None);
                }
                self.resume(tid, 0);
            }
            Stop::Delivery { signal } => self.delivery(observer, tid, signal),
            Stop::Other => self.resume(tid, 0),
        }
    }

    fn seccomp(&mut self, observer: &mut Observer, tid: i32) {
        let handled = observer.tree.tasks.get(&tid).is_some_and(|task| task.sixth.is_some());
        let next = match ptrace::entry(tid) {
            Ok(entry) if !handled => observer.enter(tid, &entry),
            _ => Next::Go,
        };
        match (next, observer.tree.tasks.get_mut(&tid)) {
            (Next::AwaitResult(pending), Some(task)) => {
                task.pending = Some(Box::new(pending));
                ptrace::resume(tid, 0, Until::Call);
            }
            _ => self.resume(tid, 0),
        }
    }

    /// A task has made a call whose result we asked for; or it stops at every call.
    fn call(&mut self, observer: &mut Observer, tid: i32) {
        if self.until == Until::Call {
            if let Some(entry) = ptrace::about_to_call(tid) {
                return self.call_begins(observer, tid, &entry);
            }
            give_way::call_ends(observer, tid);
        }
        let pending = observer.tree.tasks.get_mut(&tid).and_then(|task| task.pending.take());
        if let (Some(pending), Ok(result)) = (pending, ptrace::result(tid)) {
            let refused = matches!(*pending, Pending::Listener) && result == -i64::from(libc::EBUSY);
            if refused && self.give_way(observer, tid) {
                return;
            }
            observer.leave(tid, *pending, result);
        }
        self.resume(tid, 0);
    }

    fn ended(&mut self, observer: &mut Observer, waited: &Waited, ending: Ending) {
        let tid = waited.tid;
        let task = observer.tree.tasks.remove(&tid);
        if self.unannounced.remove(&tid) || task.is_none() {
            self.ended_early.insert(tid);
        }
        let Some(task) = task else { return };
        if task.process == tid {
            self.process_ended(observer, waited, ending);
        }
        if self.end.ending.is_some() {
            // The root is gone: nothing that exists no longer may keep us waiting.
            observer.tree.tasks.retain(|&tid, _| sys::exists(tid));
        }
    }

    fn process_ended(&mut self, observer: &mut Observer, waited: &Waited, ending: Ending) {
        let (pid, now) = (waited.tid, now_ns());
        let own = observer.tree.own_usage(pid, waited.usage);
        let Some(mut process) = observer.tree.processes.remove(&pid) else { return };
        process.usage = own;
        self.end.usage.user_ns += own.user_ns;
        self.end.usage.system_ns += own.system_ns;
        self.end.usage.peak_bytes = self.end.usage.peak_bytes.max(own.peak_bytes);
        if pid == self.root {
            self.signals.root_ended();
            self.end.ending = Some(ending);
            self.end.root_end_ns = now;
        }
        self.end.last_end_ns = now;
        if self.end.started {
            self.report.process(pid, &process, ending, now);
        }
    }

    /// fork, vfork or clone has made a task; its own first stop may already have been seen.
    fn new_task(&mut self, observer: &mut Observer, tid: i32, is_clone: bool) {
        let Ok(child) = ptrace::event_message(tid) else { return };
        let Some(parent) = observer.tree.tasks.get(&tid).map(|task| task.process) else { return };
        self.unannounced.remove(&child);
        if self.ended_early.remove(&child) {
            return;
        }
        if is_clone && sys::is_thread_of(parent, child) {
            if !observer.tree.tasks.contains_key(&child) {
                observer.tree.add_thread(parent, child);
            }
            return;
        }
        if !observer.tree.tasks.contains_key(&child) {
            observer.tree.fork(parent, child, now_ns());
        }
        births::apply_flags(observer, parent, child, births::clone_flags(tid));
    }

    fn executed(&mut self, observer: &mut Observer, tid: i32) {
        let former = ptrace::event_message(tid).unwrap_or(tid);
        let attempt = observer.tree.only_thread(tid, former);
        if tid == self.root {
            self.end.started = true;
        }
        if let Some(who) = observer.who(tid) {
            observer.executed(who, attempt.map(|attempt| *attempt));
        }
    }

    fn delivery(&mut self, observer: &mut Observer, tid: i32, signal: i32) {
        restart::mend(observer, tid, Some(signal));
        let of_root = observer.tree.tasks.get(&tid).is_some_and(|task| task.process == self.root);
        if of_root && signal != libc::SIGCHLD {
            if let Ok(info) = ptrace::signal_info(tid) {
                let inside = || observer.tree.processes.contains_key(&info.sender());
                self.stopped_from_inside = info.is_from_kernel() || inside();
                if let Verdict::Instead(original) = self.signals.given(&info) {
                    ptrace::set_signal_info(tid, &original);
                }
            }
        }
        self.resume(tid, signal);
    }

    /// The user's shell waits for us, not for the command: when the command stops, so must we.
    ///
    /// But not for a SIGSTOP from outside: whoever sent it to the command's own process will
    /// send SIGCONT there too, where a stopped tracer would not notice.
    fn group_stop(&mut self, tid: i32, signal: i32) {
        let follows = signal != libc::SIGSTOP || self.stopped_from_inside;
        if tid == self.root && follows && self.giving_way.is_none() && in_our_group(self.root) && has_terminal() {
            self.stopping = Some(signal);
        }
    }

    /// Handles what else has stopped by now, and then stops.
    fn wait_or_stop(&mut self) -> Result<Option<Waited>, sys::Errno> {
        for _ in 0..QUIET_ROUNDS {
            match sys::wait(-1, libc::__WALL | libc::WNOHANG) {
                Ok(None) => std::thread::sleep(QUIET_PAUSE),
                other => return other,
            }
        }
        if let Some(signal) = self.stopping.take() {
            sigset::stop_self(signal);
        }
        Ok(None)
    }
}

fn in_our_group(root: i32) -> bool {
    sys::process_group(root) == sys::process_group(0)
}

fn has_terminal() -> bool {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NOCTTY).open("/dev/tty").is_ok()
}

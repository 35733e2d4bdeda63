//! One traced run from start to end.

use crate::args::{Mechanism, Options};
use crate::bpf::{self, Reads};
use crate::descriptors;
use crate::follow::Follower;
use crate::lookup;
use crate::notify::Answering;
use crate::observer::Observer;
use crate::report::{now_ns, Report, Start};
use crate::seccomp::Listener;
use crate::signals::{self, Signals};
use crate::sigset;
use crate::spawn::{self, Refused, SignalState, Started};
use crate::tree::{Ending, Process};
use crate::{inherited, selftest, sys};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const CANNOT_TRACE: i32 = 125;
const CANNOT_EXECUTE: i32 = 126;
const NOT_FOUND: i32 = 127;

fn say(sentence: &str) {
    let _ = writeln!(io::stderr(), "roar: {sentence}");
}

/// Our side of the descriptors we were started with.
struct Ends {
    report: Box<dyn Write + Send>,
    done: Option<OwnedFd>,
}

fn take_ends(options: &Options) -> Result<Ends, String> {
    let adopt = |fd: i32| descriptors::adopt(fd).map_err(|errno| format!("descriptor {fd}: {}", sys::reason(errno)));
    let done = options.done_fd.map(adopt).transpose()?;
    let report: Box<dyn Write + Send> = match (options.report_fd, &options.report) {
        (Some(fd), _) => Box::new(File::from(adopt(fd)?)),
        (None, Some(path)) => {
            let path = lookup::as_path(path.to_bytes());
            let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let high = descriptors::above_standard(file.into()).map_err(sys::reason)?;
            Box::new(File::from(high))
        }
        (None, None) => Box::new(io::sink()),
    };
    Ok(Ends { report, done })
}

/// Runs the command and returns our exit status, which is the command's where it ran.
pub fn traced(options: &Options) -> i32 {
    let ends = match take_ends(options) {
        Ok(ends) => ends,
        Err(sentence) => {
            say(&sentence);
            return CANNOT_TRACE;
        }
    };
    let signals = Arc::new(Signals::default());
    let Followed { status, recorder, interrupted } = follow_command(options, ends.report, &signals);
    signals.recording(recorder.unwrap_or(0));
    drop(ends.done);
    if let Some(recorder) = recorder {
        loop {
            match sys::wait(recorder, libc::__WALL) {
                Err(libc::EINTR) => {}
                Ok(Some(waited)) => break recorder_ended(waited.status),
                _ => break,
            }
        }
    }
    signals.recording(0);
    if interrupted {
        // A shell ends its loop or script on Ctrl-C only when it sees that the signal ended us, too.
        sigset::die_of(libc::SIGINT);
    }
    status
}

/// Whoever was to write the record has ended. What it had to say it has said, unless it was killed.
pub fn recorder_ended(status: i32) {
    if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        say(&format!(
            "there is no record of this run: its recorder was killed by signal {signal} (next: run it again)"
        ));
    }
}

/// How it ended.
struct Followed {
    status: i32,
    /// If it still runs.
    recorder: Option<i32>,
    /// Ctrl-C has ended the command.
    interrupted: bool,
}

fn follow_command(options: &Options, out: Box<dyn Write + Send>, signals: &Arc<Signals>) -> Followed {
    let mut report = Report::new(out);
    let before = prepare_signals();
    let umask = sys::umask();
    let time_ns = now_ns();
    let (reads, started) = start((options.mechanism, options.without_io_uring), &options.command, before);
    let mechanism = if reads == Reads::Notify { "notify" } else { "ptrace" };
    let root = started.as_ref().map_or(0, |started| started.root);
    let no_new_privs = started.as_ref().is_ok_and(|started| started.no_new_privs);
    report.start(&Start { mechanism, time_ns, root, no_new_privs, umask });
    let mut started = match started {
        Ok(started) => started,
        Err(refused) => {
            let sentence = refused.sentence();
            say(&sentence);
            finish(
                &mut report,
                &Mutex::new(Observer::new(0, reads, 0)),
                Some((CANNOT_TRACE, sentence)),
                Default::default(),
            );
            return Followed { status: CANNOT_TRACE, recorder: options.wait_for, interrupted: false };
        }
    };
    let observer = Arc::new(Mutex::new(Observer::new(options.hash_limit, reads, sys::effective_user())));
    locked(&observer).files.keeping = options.keeping.clone();
    watch_root(&mut locked(&observer), &started, time_ns);
    inherited::scan(&mut locked(&observer));
    descriptors::let_go_of_streams();
    let mut follower = Follower::new(Arc::clone(&observer), report, Arc::clone(signals), root);
    follower.recorder = options.wait_for;
    follower.signals.follow(root);
    follower.signals.listen(&observer);
    follow(&mut follower, started.listener.take(), &observer);
    let failure = (!follower.end.started).then(|| not_run(&options.command[0], started.exec_error())).flatten();
    let status = match (&failure, follower.end.ending) {
        (Some((status, sentence)), _) => {
            say(sentence);
            *status
        }
        (None, ending) => ending.map_or(CANNOT_TRACE, Ending::status),
    };
    let recorder = follower.recorder;
    let by_sigint = matches!(follower.end.ending, Some(Ending::Signal(libc::SIGINT)));
    let interrupted = failure.is_none() && by_sigint && follower.signals.was_interrupted();
    finish(&mut follower.report, &observer, failure, follower.end);
    // The process is about to end: a million records need not be freed one by one.
    std::mem::forget(observer);
    Followed { status, recorder, interrupted }
}

/// Returns when the last task has ended. The thread that answers notifications may end later:
/// some kernels keep it until somebody has reaped the last orphan.
fn follow(follower: &mut Follower, listener: Option<Listener>, observer: &Arc<Mutex<Observer>>) {
    match listener.map(|listener| Answering::start(listener, Arc::clone(observer))).transpose() {
        Ok(answering) => follower.answering = answering,
        Err(error) => {
            // Nobody would answer: the first open of the command would wait for ever.
            say(&format!("the command was not run: no thread could be started ({error})"));
            sys::kill(follower.root, libc::SIGKILL);
        }
    }
    follower.run();
}

fn locked(observer: &Mutex<Observer>) -> MutexGuard<'_, Observer> {
    observer.lock().unwrap_or_else(PoisonError::into_inner)
}

fn prepare_signals() -> SignalState {
    // What the terminal or a closed pipe does to the command must not end us before it.
    sigset::set_disposition(libc::SIGPIPE, true);
    sigset::set_disposition(libc::SIGXFSZ, true);
    let child_ignored = sigset::set_disposition(libc::SIGCHLD, false);
    SignalState { mask: signals::hold(), child_ignored }
}

/// Starts the command by the mechanism asked for, or the best there is.
fn start(
    (mechanism, without): (Mechanism, bool),
    command: &[CString],
    signals: SignalState,
) -> (Reads, Result<Started, Refused>) {
    let notify = match mechanism {
        Mechanism::Ptrace => false,
        Mechanism::Notify => true,
        Mechanism::Auto => selftest::prefers_notify(),
    };
    if notify {
        let started = spawn::start(command, &bpf::filter(Reads::Notify, without), true, signals);
        if started.is_ok() || mechanism == Mechanism::Notify {
            return (Reads::Notify, started);
        }
    }
    (Reads::Trace, spawn::start(command, &bpf::filter(Reads::Trace, without), false, signals))
}

fn watch_root(observer: &mut Observer, started: &Started, time_ns: u64) {
    observer.tree.add_process(started.root, Process::new(sys::own_pid(), time_ns));
    observer.no_new_privs = started.no_new_privs;
}

/// The status and the sentence for a command that could not be executed.
fn not_run(command: &CString, errno: Option<i32>) -> Option<(i32, String)> {
    let errno = errno?;
    let name = String::from_utf8_lossy(command.to_bytes()).into_owned();
    let present = command.to_bytes().contains(&b'/') && lookup::as_path(command.to_bytes()).exists();
    Some(match errno {
        libc::ENOENT if present => (NOT_FOUND, format!("{name}: its interpreter was not found")),
        libc::ENOENT => (NOT_FOUND, format!("{name}: command not found")),
        _ => (CANNOT_EXECUTE, format!("{name}: cannot be executed ({})", sys::reason(errno))),
    })
}

fn finish(
    report: &mut Report,
    observer: &Mutex<Observer>,
    failure: Option<(i32, String)>,
    mut end: crate::report::End,
) {
    let observer = locked(observer);
    let mut temporaries = observer.files.temporaries;
    if end.started {
        temporaries += report.files(&observer.files);
        report.bounded(&observer.failed, &observer.connects, &observer.blinds);
    }
    (end.opens, end.failed_opens, end.processes) = (observer.opens, observer.failed_opens, observer.tree.seen);
    if let Some((status, sentence)) = failure {
        end.ending = Some(Ending::Exit(status));
        end.error = Some(sentence);
    }
    if let Err(error) = report.end(&end, temporaries, observer.failed.dropped) {
        say(&format!("the record of this run could not be written ({error})"));
    }
}

/// A run without report or signals, for the self-test: what was seen, or why nothing could be.
pub fn quietly(mechanism: Mechanism, command: &[CString]) -> Result<Observer, String> {
    let signals = SignalState { mask: signals::hold(), child_ignored: false };
    let (reads, started) = start((mechanism, false), command, signals);
    let mut started = started.map_err(|refused| refused.sentence())?;
    let observer = Arc::new(Mutex::new(Observer::new(0, reads, sys::effective_user())));
    watch_root(&mut locked(&observer), &started, now_ns());
    let report = Report::new(Box::new(io::sink()));
    let mut follower = Follower::new(Arc::clone(&observer), report, Arc::new(Signals::default()), started.root);
    follow(&mut follower, started.listener.take(), &observer);
    if let Some(answering) = follower.answering.take() {
        answering.join();
    }
    signals.mask.set_as_mask();
    drop(follower);
    let observer = Arc::try_unwrap(observer).map_err(|_| "the self-test did not end".to_string())?;
    Ok(observer.into_inner().unwrap_or_else(PoisonError::into_inner))
}

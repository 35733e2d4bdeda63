//! Whether this system lets us do what we are for: a real file must be seen to be read.

use crate::args::Mechanism;
use crate::json::Object;
use crate::observer::Observer;
use crate::{run, sys};
use std::ffi::CString;

/// What one mechanism can do here: nothing to complain of, or a sentence.
pub struct Finding {
    pub mechanism: Result<(), String>,
    pub canary: Result<(), String>,
}

/// Runs a child of our own that reads one file, and looks for that file in what was seen.
pub fn try_out(mechanism: Mechanism) -> Finding {
    let Ok(own) = std::fs::read_link("/proc/self/exe") else {
        let missing = || Err("/proc is not mounted".to_string());
        return Finding { mechanism: missing(), canary: missing() };
    };
    let own = own.to_string_lossy().into_owned();
    let words = [own.as_str(), "--canary"].map(|word| CString::new(word).unwrap_or_default());
    match run::quietly(mechanism, &words) {
        Err(sentence) => Finding { mechanism: Err(sentence), canary: Err("not tried".into()) },
        Ok(observer) => Finding { mechanism: Ok(()), canary: seen(&observer, own.as_bytes()) },
    }
}

fn seen(observer: &Observer, own: &[u8]) -> Result<(), String> {
    let record = |path: &[u8]| observer.files.find(path).and_then(|id| observer.files.get(id));
    let read = record(own).is_some_and(|record| record.content.read && record.content.opens > 0);
    let executed = record(own).is_some_and(|record| record.content.executed);
    match (read, executed) {
        (true, true) => Ok(()),
        (false, _) => Err("a program read a file and it was not seen".into()),
        (_, false) => Err("a program was executed and it was not seen".into()),
    }
}

/// The other side of the test: reads one file that is surely there.
pub fn canary() -> i32 {
    match std::fs::File::open("/proc/self/exe") {
        Ok(_) => 0,
        Err(_) => 1,
    }
}

/// All mechanisms, as one line of JSON; and whether at least ptrace can be relied on.
pub fn report() -> (String, bool) {
    let (ptrace, notify) = (try_out(Mechanism::Ptrace), try_out(Mechanism::Notify));
    let works = ptrace.mechanism.is_ok() && ptrace.canary.is_ok();
    let notify_works = notify.mechanism.and(notify.canary);
    let mut line = Object::new();
    for (key, value) in [("ptrace", ptrace.mechanism), ("notify", notify_works), ("canary", ptrace.canary)] {
        match value {
            Ok(()) => line.truth(key, true),
            Err(sentence) => line.text(key, &sentence),
        };
    }
    (line.finish(), works)
}

/// Whether notifications are the better choice: from Linux 6.6 they hand the CPU over directly.
pub fn prefers_notify() -> bool {
    sys::kernel_at_least(6, 6)
}

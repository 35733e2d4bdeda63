//! Our own command line.

use crate::preimage::Keeping;
use std::ffi::CString;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mechanism {
    Auto,
    Ptrace,
    Notify,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    pub report: Option<CString>,
    pub report_fd: Option<i32>,
    pub done_fd: Option<i32>,
    pub wait_for: Option<i32>,
    pub mechanism: Mechanism,
    pub hash_limit: u64,
    /// io_uring_setup fails as on a kernel that has none.
    pub without_io_uring: bool,
    pub keeping: Option<Keeping>,
    pub command: Vec<CString>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    Run(Options),
    Version,
    SelfTest,
}

const DEFAULT_HASH_LIMIT: u64 = 4 << 30;

/// What the words (without our own name) ask for, or one sentence on what is wrong with them.
pub fn parse(words: &[CString]) -> Result<Request, String> {
    let mut options = Options {
        report: None,
        report_fd: None,
        done_fd: None,
        wait_for: None,
        mechanism: Mechanism::Auto,
        hash_limit: DEFAULT_HASH_LIMIT,
        without_io_uring: false,
        keeping: None,
        command: Vec::new(),
    };
    let (mut keep, mut keep_below, mut keep_limit) = (None, None, 0);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let text = word.to_string_lossy();
        match &*text {
            "--version" => return Ok(Request::Version),
            "--self-test" => return Ok(Request::SelfTest),
            "--" => {
                options.command = rest.cloned().collect();
                break;
            }
            _ => {}
        }
        let value = rest.next().ok_or_else(|| format!("{text} needs a value"))?;
        match &*text {
            "--report" => options.report = Some(value.clone()),
            "--report-fd" => options.report_fd = Some(number(&text, value)?),
            "--done-fd" => options.done_fd = Some(number(&text, value)?),
            "--wait-for" => options.wait_for = Some(number(&text, value)?),
            "--hash-limit" => options.hash_limit = number(&text, value)?,
            "--keep" => keep = Some(value.clone()),
            "--keep-below" => keep_below = Some(value.clone()),
            "--keep-limit" => keep_limit = number(&text, value)?,
            "--io-uring" => {
                options.without_io_uring = match value.to_bytes() {
                    b"report" => false,
                    b"deny" => true,
                    _ => return Err("--io-uring is report or deny".into()),
                }
            }
            "--mechanism" => {
                options.mechanism = match value.to_bytes() {
                    b"auto" => Mechanism::Auto,
                    b"ptrace" => Mechanism::Ptrace,
                    b"notify" => Mechanism::Notify,
                    _ => return Err("--mechanism is auto, ptrace or notify".into()),
                }
            }
            _ => return Err(format!("unknown option {text}")),
        }
    }
    if options.command.is_empty() {
        return Err("no command given; usage: roar-tracer [OPTIONS] -- CMD [ARG...]".into());
    }
    options.keeping = match (keep, keep_below) {
        (Some(folder), Some(below)) => Some(Keeping { folder, below, limit: keep_limit, copies: 0 }),
        (None, None) => None,
        _ => return Err("--keep and --keep-below go together".into()),
    };
    Ok(Request::Run(options))
}

fn number<T: std::str::FromStr>(option: &str, value: &CString) -> Result<T, String> {
    value.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| format!("{option} needs a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Request, String> {
        let words: Vec<CString> = words.iter().map(|word| CString::new(*word).unwrap()).collect();
        parse(&words)
    }

    #[test]
    fn the_command_keeps_its_own_options() {
        let Ok(Request::Run(options)) = parsed(&["--report-fd", "7", "--mechanism", "ptrace", "--", "ls", "--version"])
        else {
            panic!("not a run")
        };
        assert_eq!(options.report_fd, Some(7));
        assert_eq!(options.mechanism, Mechanism::Ptrace);
        assert_eq!(options.command.len(), 2);
    }

    #[test]
    fn wrong_words_give_a_sentence() {
        for words in [
            &["--"][..],
            &[],
            &["--report"],
            &["--report-fd", "x", "--", "a"],
            &["--colour", "x"],
            &["--keep", "x", "--", "a"],
        ] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
        assert_eq!(parsed(&["--version"]), Ok(Request::Version));
    }
}

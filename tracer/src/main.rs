//! `roar-tracer` runs a command unchanged and reports which files its whole process tree reads,
//! writes and executes. What it promises and what it cannot see is in docs/tracer.md.
//!
//! There is no Rust runtime around `main`: it would ignore SIGPIPE and open closed standard
//! descriptors, and the command would find both changed.
#![cfg_attr(not(test), no_main)]
#![cfg_attr(test, allow(dead_code, clippy::unwrap_used))]

mod args;
mod births;
mod bounded;
mod bpf;
mod calls;
mod descriptors;
mod files;
mod follow;
mod foreign;
mod give_way;
mod hash;
mod inherited;
mod json;
mod lookup;
mod memory;
mod mounts;
mod moves;
mod names;
mod notify;
mod observer;
mod opens;
mod paths;
mod preimage;
mod programs;
mod ptrace;
mod registers;
mod report;
mod restart;
mod results;
mod rights;
mod run;
mod seccomp;
mod selftest;
mod signals;
mod sigset;
mod sockets;
mod spawn;
mod stat;
mod stop;
mod sys;
mod table;
mod tree;

use std::io::Write;

const CANNOT_TRACE: i32 = 125;

/// The C runtime's entry into this program.
///
/// # Safety
/// For the C runtime only, which knows what `argv` is.
#[cfg(not(test))]
#[no_mangle]
pub unsafe extern "C" fn main(argc: i32, argv: *const *const libc::c_char) -> i32 {
    // SAFETY: these are the arguments the C runtime calls us with.
    let words = unsafe { sys::arguments(argc, argv) };
    if words.get(1).is_some_and(|word| word.to_bytes() == b"--canary") {
        return selftest::canary();
    }
    match args::parse(words.get(1..).unwrap_or_default()) {
        Ok(args::Request::Run(options)) => run::traced(&options),
        Ok(args::Request::Version) => {
            print(concat!("roar-tracer ", env!("CARGO_PKG_VERSION")));
            0
        }
        Ok(args::Request::SelfTest) => {
            let (line, works) = selftest::report();
            print(&line);
            i32::from(!works)
        }
        Err(sentence) => {
            let _ = writeln!(std::io::stderr(), "roar-tracer: {sentence}");
            CANNOT_TRACE
        }
    }
}

fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

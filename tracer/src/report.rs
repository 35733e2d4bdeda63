//! The report: JSON Lines, described in docs/tracer.md. A report without an end line means
//! that the tracer died; one whose seal does not fit was damaged on its way.

use crate::bounded::{Blinds, Connects, Failed};
use crate::files::{Files, Record};
use crate::json::Object;
use crate::stat::{LastDirectory, Stat};
use crate::sys::Usage;
use crate::tree::{Ending, Process};
use std::io::{self, BufWriter, Write};
use std::time::{SystemTime, UNIX_EPOCH};

pub const FORMAT: i32 = 1;
const BUFFER: usize = 256 << 10;

pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

pub struct Report {
    out: BufWriter<Digested>,
    failure: Option<io::Error>,
}

/// Keeps the digest of all bytes written. It stands behind the buffer: a large piece is digested
/// several times as fast as many small ones.
struct Digested {
    out: Box<dyn Write + Send>,
    digest: blake3::Hasher,
}

impl Write for Digested {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.digest.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// What the first line says.
pub struct Start {
    pub mechanism: &'static str,
    pub time_ns: u64,
    pub root: i32,
    pub no_new_privs: bool,
    pub umask: u32,
}

/// What the last line says, apart from counts kept elsewhere.
#[derive(Default)]
pub struct End {
    pub started: bool,
    pub error: Option<String>,
    pub ending: Option<Ending>,
    pub root_end_ns: u64,
    /// When the last process ended, of all.
    pub last_end_ns: u64,
    pub processes: u64,
    pub opens: u64,
    pub failed_opens: u64,
    pub usage: Usage,
}

impl Report {
    pub fn new(out: Box<dyn Write + Send>) -> Report {
        let out = Digested { out, digest: blake3::Hasher::new() };
        Report { out: BufWriter::with_capacity(BUFFER, out), failure: None }
    }

    /// A full disk must not disturb the command: the first error is kept, the rest not written.
    fn line(&mut self, object: Object) {
        if self.failure.is_some() {
            return;
        }
        let mut text = object.finish();
        text.push('\n');
        if let Err(error) = self.out.write_all(text.as_bytes()) {
            self.failure = Some(error);
        }
    }

    pub fn start(&mut self, start: &Start) {
        let mut line = Object::of_kind("start");
        line.number("format", FORMAT).text("tracer", env!("CARGO_PKG_VERSION")).truth("sealed", true);
        line.text("mechanism", start.mechanism).text("arch", std::env::consts::ARCH);
        line.number("time_ns", start.time_ns).number("root", start.root);
        line.truth("no_new_privs", start.no_new_privs).number("umask", start.umask);
        self.line(line);
    }

    pub fn process(&mut self, pid: i32, process: &Process, ending: Ending, end_ns: u64) {
        let mut line = Object::of_kind("process");
        line.number("pid", pid).number("parent", process.parent);
        line.number("start_ns", process.start_ns).number("end_ns", end_ns);
        ended(&mut line, ending);
        used(&mut line, process.usage);
        line.objects(
            "programs",
            process.programs.iter().map(|program| {
                let mut object = Object::new();
                object.bytes("path", &program.path);
                if let Some(asked) = &program.asked {
                    object.bytes("asked", asked);
                }
                object.all_bytes("argv", program.argv.iter().map(Vec::as_slice));
                object.flag("argv_truncated", program.argv_truncated).number("time_ns", program.time_ns);
                object
            }),
        );
        line.flag("programs_truncated", process.programs_truncated);
        self.line(line);
    }

    /// One line per path that something happened to; returns how many temporaries were left out.
    pub fn files(&mut self, files: &Files) -> u64 {
        let mut temporaries = 0;
        let mut directory = LastDirectory::default();
        for record in files.iter().filter(|record| record.has_facts()) {
            let after = (!record.is_untouched()).then(|| directory.stat(&record.path).ok());
            if after == Some(None) && !record.existed {
                temporaries += 1;
                continue;
            }
            self.line(file_line(record, after));
        }
        temporaries
    }

    pub fn bounded(&mut self, failed: &Failed, connects: &Connects, blinds: &Blinds) {
        for ((path, errno), count) in failed.iter() {
            let mut line = Object::of_kind("failed");
            line.bytes("path", path).text("errno", errno_name(*errno)).number("count", *count);
            self.line(line);
        }
        for (endpoint, count) in connects.iter() {
            let mut line = Object::of_kind("connect");
            line.text("family", endpoint.family).bytes("address", &endpoint.address);
            if let Some(port) = endpoint.port {
                line.number("port", port);
            }
            line.number("count", *count);
            self.line(line);
        }
        for ((reason, detail), count) in blinds.iter() {
            let mut line = Object::of_kind("blind");
            line.text("reason", reason).bytes("detail", detail).number("count", *count);
            self.line(line);
        }
    }

    pub fn end(&mut self, end: &End, temporaries: u64, failed_dropped: u64) -> io::Result<()> {
        let mut line = Object::of_kind("end");
        let time_ns = now_ns();
        line.number("time_ns", time_ns).truth("started", end.started);
        if let Some(ending) = end.ending {
            ended(&mut line, ending);
        }
        if let Some(error) = &end.error {
            line.text("error", error);
        }
        line.number("processes", end.processes).number("opens", end.opens);
        line.number("failed_opens", end.failed_opens).number("temporaries", temporaries);
        line.number("failed_dropped", failed_dropped);
        used(&mut line, end.usage);
        line.number("root_end_ns", end.root_end_ns);
        if end.last_end_ns > end.root_end_ns {
            line.number("outlived_ns", end.last_end_ns - end.root_end_ns);
        }
        self.line(line);
        self.flush()?;
        let mut seal = Object::of_kind("seal");
        seal.text("blake3", self.out.get_ref().digest.finalize().to_hex().as_str());
        self.line(seal);
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.failure.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }
}

fn ended(line: &mut Object, ending: Ending) {
    match ending {
        Ending::Exit(code) => line.number("exit_code", code),
        Ending::Signal(signal) => line.number("signal", signal),
    };
}

fn used(line: &mut Object, usage: Usage) {
    line.number("user_ns", usage.user_ns).number("system_ns", usage.system_ns);
    line.number("peak_bytes", usage.peak_bytes);
}

fn stat_fields(object: &mut Object, stat: &Stat) {
    object.number("dev", stat.dev).number("ino", stat.ino).number("size", stat.size);
    object.number("mtime_ns", stat.mtime_ns).number("ctime_ns", stat.ctime_ns);
    object.number("mode", stat.mode);
}

/// `after`: what is there at the end, or nothing, where it has been looked for.
fn file_line(record: &Record, after: Option<Option<Stat>>) -> Object {
    let content = &record.content;
    let mut line = Object::of_kind("file");
    line.bytes("path", &record.path).text("type", record.kind.name());
    // Before the job there was nothing here: whatever was read is what the job had made.
    let read = if record.existed { content.read } else { content.read || content.read_back };
    line.flag("read", read).flag("read_back", record.existed && content.read_back);
    line.flag("written", content.written).flag("executed", content.executed).flag("listed", content.listed);
    line.flag("created", content.created).flag("truncated", content.truncated);
    line.flag("appended", content.appended).flag("inherited", record.inherited);
    line.number("opens", content.opens).flag("existed", record.existed);
    if let Some(before) = &record.before {
        line.nested("before", |object| stat_fields(object, before));
    }
    match after {
        None => {}
        Some(None) => {
            line.null("after");
        }
        Some(after) if after == record.before => {
            line.text("after", "same");
        }
        Some(Some(after)) => {
            line.nested("after", |object| stat_fields(object, &after));
        }
    }
    if let Some(hash) = &record.before_hash {
        line.text("before_hash", hash.to_hex().as_str());
    }
    if let Some(reason) = record.before_unknown {
        line.text("before_unknown", reason);
    }
    if let Some(kept) = record.kept.as_ref().and_then(Option::as_deref) {
        line.bytes("kept", kept);
    }
    let optional = [
        ("renamed_from", content.renamed_from.as_deref()),
        ("linked_from", content.linked_from.as_deref()),
        ("link_target", record.link_target.as_deref()),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            line.bytes(key, value);
        }
    }
    if !record.asked.is_empty() {
        line.all_bytes("asked", record.asked.iter().map(|name| &**name));
    }
    line
}

/// The errno's name, for those that a look-up gives; the rest by number would say less.
pub fn errno_name(errno: i32) -> &'static str {
    match errno {
        libc::ENOENT => "ENOENT",
        libc::EACCES => "EACCES",
        libc::EPERM => "EPERM",
        libc::ENOTDIR => "ENOTDIR",
        libc::EISDIR => "EISDIR",
        libc::ELOOP => "ELOOP",
        libc::EEXIST => "EEXIST",
        libc::ENAMETOOLONG => "ENAMETOOLONG",
        libc::ENXIO => "ENXIO",
        libc::ENODEV => "ENODEV",
        libc::EROFS => "EROFS",
        libc::ETXTBSY => "ETXTBSY",
        libc::EMFILE => "EMFILE",
        libc::ENFILE => "ENFILE",
        libc::ENOSPC => "ENOSPC",
        libc::EBUSY => "EBUSY",
        libc::EINTR => "EINTR",
        libc::EINVAL => "EINVAL",
        libc::ENOEXEC => "ENOEXEC",
        libc::EFAULT => "EFAULT",
        libc::EWOULDBLOCK => "EAGAIN",
        libc::EOVERFLOW => "EOVERFLOW",
        libc::EDQUOT => "EDQUOT",
        libc::EIO => "EIO",
        _ => "OTHER",
    }
}

//! Executed programs: their words, and the files the kernel itself opens to start them.

use crate::files::FileId;
use crate::lookup::as_path;
use crate::memory;
use crate::names::{link, Found};
use crate::observer::{Observer, Who};
use crate::paths::{self, Path};
use crate::report::now_ns;
use crate::table::Abi;
use crate::tree::{Program, View};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

const MOST_ARGV_BYTES: usize = 128 << 10;
const MOST_PROGRAMS: usize = 64;
/// The kernel follows this many `#!` lines.
const MOST_INTERPRETERS: usize = 5;
const PAGE: u64 = 4096;

/// An execve that may succeed.
#[derive(Default)]
pub struct Attempt {
    pub name: Vec<u8>,
    pub found: Option<Found>,
    pub argv: Vec<Vec<u8>>,
    pub argv_truncated: bool,
}

/// What running a file makes the kernel open besides it.
#[derive(Clone, Debug)]
struct Image {
    /// Scripts, interpreters and the loader, with the names they were found by.
    files: Vec<(Vec<u8>, Found)>,
    /// The program that runs in the end.
    program: Path,
}

/// Images by path; the same few programs are run over and over.
#[derive(Default)]
pub struct Images(HashMap<Path, (u32, Image)>);

impl Images {
    pub fn forget_all(&mut self) {
        self.0.clear();
    }
}

impl Observer {
    /// execve or execveat is about to be made; returns what is known if it can succeed.
    pub fn attempt(&mut self, who: Who, abi: Abi, name: Vec<u8>, follow: bool, argv: u64) -> Option<Attempt> {
        let found = match self.look(who, &name, follow) {
            Ok(found) => Some(found),
            Err(errno) => {
                self.failed.add(paths::normal(&name), errno);
                return None;
            }
        };
        let (argv, argv_truncated) = arguments(who.tid, abi, argv);
        Some(Attempt { name, found, argv, argv_truncated })
    }

    /// execve succeeded.
    pub fn executed(&mut self, who: Who, attempt: Option<Attempt>) {
        let time_ns = now_ns();
        let attempt = attempt.unwrap_or_default();
        let image = match attempt.found {
            Some(found) if who.view == View::Same => self.image(who, found, &attempt.name),
            _ => self.foreign_image(who, attempt.found, &attempt.name),
        };
        for (name, found) in &image.files {
            self.ran(name, found);
            if self.no_new_privs && found.stat.mode & (libc::S_ISUID | libc::S_ISGID) != 0 {
                // It ran, but without the rights it has when it is not traced.
                self.blinds.add("no_new_privs", &found.path);
            }
        }
        let asked = paths::normal(&attempt.name);
        let asked = (!attempt.name.is_empty() && asked != *image.program).then_some(asked);
        let program =
            Program { path: image.program, asked, argv: attempt.argv, argv_truncated: attempt.argv_truncated, time_ns };
        if let Some(process) = self.tree.processes.get_mut(&who.process) {
            if process.programs.len() < MOST_PROGRAMS {
                process.programs.push(program);
            } else {
                process.programs_truncated = true;
            }
        }
    }

    fn ran(&mut self, name: &[u8], found: &Found) -> Option<FileId> {
        let id = self.record(Some(name), &found.path, Some(found.stat))?;
        self.files.note_read(id);
        self.files.get_mut(id)?.content.executed = true;
        Some(id)
    }

    fn image(&mut self, who: Who, found: Found, name: &[u8]) -> Image {
        let generation = self.files.find(&found.path).and_then(|id| self.files.get(id)).map(|r| r.generation);
        if let Some((known, image)) = self.images.0.get(&found.path) {
            if Some(*known) == generation {
                let mut image = image.clone();
                // The first file is the one that was asked for, perhaps by another name.
                if let Some(first) = image.files.first_mut() {
                    first.0 = name.to_vec();
                }
                return image;
            }
        }
        let (path, stat) = (found.path.clone(), found.stat);
        let image = self.discover(who, found, name);
        if let Some(record) = self.record(None, &path, Some(stat)).and_then(|id| self.files.get(id)) {
            self.images.0.insert(path, (record.generation, image.clone()));
        }
        image
    }

    /// Follows `#!` lines and the ELF interpreter as the kernel does.
    fn discover(&mut self, who: Who, found: Found, name: &[u8]) -> Image {
        let mut image = Image { program: found.path.clone(), files: vec![(name.to_vec(), found)] };
        for _ in 0..MOST_INTERPRETERS {
            let (interpreter, is_script) = match needs(&image.files[image.files.len() - 1].1.path) {
                Some(next) => next,
                None => break,
            };
            let Some(name) = self.absolute(who, libc::AT_FDCWD, interpreter) else { break };
            let Ok(found) = self.look(who, &name, true) else { break };
            if is_script {
                image.program = found.path.clone();
            }
            image.files.push((name, found));
            if !is_script {
                break;
            }
        }
        // binfmt_misc may have chosen yet another program: the kernel has the last word.
        if let Ok(program) = link(&format!("/proc/{}/exe", who.process)) {
            image.program = program.into();
        }
        image
    }

    /// With another root directory or no known name, what runs can be asked, how it came to it not.
    fn foreign_image(&mut self, who: Who, found: Option<Found>, name: &[u8]) -> Image {
        let exe = format!("/proc/{}/exe", who.process);
        let program: Path = link(&exe).unwrap_or_default().into();
        let mut files: Vec<(Vec<u8>, Found)> = found.into_iter().map(|found| (name.to_vec(), found)).collect();
        if let Ok(stat) = crate::stat::Stat::of_target(exe.as_bytes()) {
            if !files.iter().any(|(_, found)| found.path == program) {
                files.push((program.to_vec(), Found { path: program.clone(), stat }));
            }
        }
        if let Some((loader, false)) = needs(exe.as_bytes()) {
            if let Ok(found) = self.look(who, &loader, true) {
                files.push((loader, found));
            }
        }
        Image { files, program }
    }
}

/// The interpreter a file names: of a script (true) or of a dynamically linked program (false).
fn needs(path: &[u8]) -> Option<(Vec<u8>, bool)> {
    let file = File::open(as_path(path)).ok()?;
    let mut head = [0; PAGE as usize];
    let size = file.read_at(&mut head, 0).ok()?;
    let head = &head[..size];
    if let Some(line) = head.strip_prefix(b"#!") {
        return shebang(line).map(|name| (name, true));
    }
    elf_interpreter(&file, head).map(|name| (name, false))
}

fn shebang(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.split(|&byte| byte == b'\n').next()?;
    let mut words = line.split(|&byte| byte == b' ' || byte == b'\t').filter(|word| !word.is_empty());
    words.next().map(<[u8]>::to_vec)
}

fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let field = bytes.get(at..at + size)?;
    Some(field.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

fn elf_interpreter(file: &File, head: &[u8]) -> Option<Vec<u8>> {
    const PT_INTERP: u64 = 3;
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    let wide = head.get(4) == Some(&2);
    let (table, size_at, count_at) = if wide { (number(head, 32, 8)?, 54, 56) } else { (number(head, 28, 4)?, 42, 44) };
    let (size, count) = (number(head, size_at, 2)?, number(head, count_at, 2)?);
    let mut entries = vec![0; (size * count).min(1 << 16) as usize];
    file.read_exact_at(&mut entries, table).ok()?;
    for entry in entries.chunks(size.max(1) as usize) {
        if number(entry, 0, 4)? == PT_INTERP {
            let (offset, length) = if wide {
                (number(entry, 8, 8)?, number(entry, 32, 8)?)
            } else {
                (number(entry, 4, 4)?, number(entry, 16, 4)?)
            };
            let mut name = vec![0; length.min(PAGE) as usize];
            file.read_exact_at(&mut name, offset).ok()?;
            name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(name.len()));
            return Some(name);
        }
    }
    None
}

/// A window on a task's memory: neighbouring strings are read by one call.
struct Window {
    tid: i32,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Bytes from `address` to the end of its page; none if there is nothing mapped.
    fn at(&mut self, address: u64) -> Option<&[u8]> {
        let end = self.start + self.bytes.len() as u64;
        if address < self.start || address >= end {
            let mut page = vec![0; (PAGE - address % PAGE) as usize];
            let size = memory::read_memory(self.tid, address, &mut page).ok()?;
            page.truncate(size);
            (self.start, self.bytes) = (address, page);
        }
        self.bytes.get((address - self.start) as usize..).filter(|rest| !rest.is_empty())
    }

    fn string(&mut self, mut address: u64, limit: usize) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        loop {
            let rest = self.at(address)?;
            let end = rest.iter().position(|&byte| byte == 0);
            let part = &rest[..end.unwrap_or(rest.len())];
            text.extend_from_slice(part);
            if end.is_some() || text.len() > limit {
                return Some(text);
            }
            address += part.len() as u64;
        }
    }

    fn pointer(&mut self, address: u64, size: usize) -> Option<u64> {
        let mut bytes = Vec::with_capacity(size);
        for offset in 0..size as u64 {
            bytes.push(*self.at(address + offset)?.first()?);
        }
        number(&bytes, 0, size)
    }
}

/// The words of an execve, up to a limit of bytes; and whether some were left out.
fn arguments(tid: i32, abi: Abi, vector: u64) -> (Vec<Vec<u8>>, bool) {
    let size = if abi == Abi::I386 { 4 } else { 8 };
    let window = || Window { tid, start: 0, bytes: Vec::new() };
    let (mut pointers, mut strings) = (window(), window());
    let (mut words, mut room) = (Vec::new(), MOST_ARGV_BYTES);
    if vector == 0 {
        return (words, false);
    }
    for index in 0.. {
        let Some(pointer) = pointers.pointer(vector + index * size as u64, size) else { return (words, true) };
        if pointer == 0 {
            return (words, false);
        }
        match strings.string(pointer, room) {
            Some(word) if word.len() < room => {
                room -= word.len() + 1;
                words.push(word);
            }
            _ => break,
        }
    }
    (words, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_first_word_of_a_shebang() {
        assert_eq!(shebang(b" /usr/bin/env python3\nrest"), Some(b"/usr/bin/env".to_vec()));
        assert_eq!(shebang(b"/bin/sh"), Some(b"/bin/sh".to_vec()));
        assert_eq!(shebang(b"\n"), None);
    }

    #[test]
    fn finds_the_loader_of_a_dynamic_program() {
        if let Some((loader, is_script)) = needs(b"/bin/sh") {
            assert!(!is_script);
            assert!(loader.starts_with(b"/lib"));
        }
        assert!(needs(b"/etc/passwd").is_none());
        assert!(needs(b"/nonexistent").is_none());
    }
}

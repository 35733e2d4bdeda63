//! What a name leads to, asked of the kernel once per distinct name.
//!
//! A name here is absolute and lexical: the directory it was relative to, as the kernel spells
//! it, and the words of the program. Answers are kept until something happens that could give
//! a name another meaning (a directory or symbolic link is renamed or removed, a mount).
//! Only names that were found are kept; that a name was absent is asked again every time,
//! because a file may appear behind our back.

use crate::hash::QuickMap;
use crate::lookup::{as_path, stat_at};
use crate::paths::{join, split, Path};
use crate::stat::{Kind, Stat};
use crate::sys::{errno_of, Errno};
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;

/// More names than this are forgotten all at once: memory stays bounded, answers stay right.
const MOST_NAMES: usize = 1 << 16;

/// The file a name leads to, under the one path the kernel knows it by.
#[derive(Clone, Debug)]
pub struct Found {
    pub path: Path,
    pub stat: Stat,
}

/// A record of `files` and the state it was in when a name was seen to lead to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    pub file: u32,
    pub generation: u32,
}

#[derive(Default)]
pub struct Names {
    known: QuickMap<Box<[u8]>, Known>,
    directories: QuickMap<Box<[u8]>, Path>,
    /// The directory of the last name, held open once it comes up a second time in a row.
    last: Option<Held>,
    epoch: u64,
}

struct Held {
    name: Vec<u8>,
    path: Path,
    handle: Option<File>,
}

impl Names {
    /// Changes whenever names may have changed their meaning: a working directory's path that
    /// was learned in an older epoch has to be asked for again.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn forget_all(&mut self) {
        self.known.clear();
        self.directories.clear();
        self.epoch += 1;
        self.let_go();
    }

    /// Holds no directory open any more: one that is held could not be unmounted.
    pub fn let_go(&mut self) {
        self.last = None;
    }

    /// The record that an open of this name led to before.
    pub fn known(&self, name: &[u8]) -> Option<Known> {
        self.known.get(name).copied()
    }

    pub fn remember(&mut self, name: &[u8], known: Known) {
        if self.known.len() >= MOST_NAMES {
            self.known.clear();
        }
        self.known.insert(name.into(), known);
    }

    pub fn forget(&mut self, name: &[u8]) {
        self.known.remove(name);
    }

    /// What the name leads to; `follow` says whether a symbolic link at its end is followed.
    pub fn look(&mut self, name: &[u8], follow: bool) -> Result<Found, Errno> {
        let Some((head, last)) = split(name) else { return ask(name, follow) };
        let held = self.last.as_ref().filter(|held| held.name == head);
        let stat = match held.and_then(|held| held.handle.as_ref()) {
            Some(directory) => stat_at(Some(directory), last).map(|raw| Stat::from(&raw))?,
            None => Stat::of_name(name)?,
        };
        if follow && stat.kind() == Kind::Symlink {
            return ask(name, true);
        }
        let directory = self.hold(head)?;
        let is_path = *directory == *head && name.len() == head.len() + 1 + last.len();
        let path = if is_path { name.into() } else { join(&directory, last).into() };
        Ok(Found { path, stat })
    }

    /// The path of a directory, which the next name is likely to be in as well.
    fn hold(&mut self, head: &[u8]) -> Result<Path, Errno> {
        if let Some(held) = self.last.as_mut().filter(|held| held.name == head) {
            if held.handle.is_none() && !head.starts_with(b"/proc/") {
                held.handle = look_only(head, libc::O_DIRECTORY).ok();
            }
            return Ok(held.path.clone());
        }
        let path = self.directory(head)?;
        self.last = Some(Held { name: head.to_vec(), path: path.clone(), handle: None });
        Ok(path)
    }

    /// The path of the name itself, which need not exist yet; its directory must.
    pub fn place(&mut self, name: &[u8]) -> Result<Path, Errno> {
        match split(crate::paths::without_trailing_slash(name)) {
            Some((head, last)) => Ok(join(&self.directory(head)?, last).into()),
            None => ask(name, true).map(|found| found.path),
        }
    }

    fn directory(&mut self, name: &[u8]) -> Result<Path, Errno> {
        if let Some(path) = self.directories.get(name) {
            return Ok(path.clone());
        }
        let handle = look_only(name, libc::O_DIRECTORY)?;
        let path: Path = path_of(&handle)?.into();
        if self.directories.len() >= MOST_NAMES {
            self.directories.clear();
        }
        self.directories.insert(name.into(), path.clone());
        Ok(path)
    }
}

fn look_only(name: &[u8], flags: i32) -> Result<File, Errno> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | flags)
        .open(as_path(name))
        .map_err(|error| errno_of(&error))
}

/// The path the kernel gives an open file; it may be no path (`pipe:[1]`) or of a removed file.
pub fn path_of(file: &File) -> Result<Vec<u8>, Errno> {
    link(&format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Where a link under /proc leads.
pub fn link(name: &str) -> Result<Vec<u8>, Errno> {
    fs::read_link(name).map(|path| path.into_os_string().into_vec()).map_err(|error| errno_of(&error))
}

/// Lets the kernel walk the whole name.
fn ask(name: &[u8], follow: bool) -> Result<Found, Errno> {
    let handle = look_only(name, if follow { 0 } else { libc::O_NOFOLLOW })?;
    let stat = handle.metadata().map_err(|error| errno_of(&error))?;
    Ok(Found { path: path_of(&handle)?.into(), stat: Stat::from(&stat) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    fn scratch(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("roar-names-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir.canonicalize().unwrap()
    }

    #[test]
    fn links_are_followed_to_the_real_path() {
        let dir = scratch("links");
        fs::create_dir_all(dir.join("real")).unwrap();
        fs::write(dir.join("real/file"), "x").unwrap();
        symlink("real", dir.join("alias")).unwrap();
        symlink("alias/file", dir.join("last")).unwrap();
        let mut names = Names::default();
        let real = dir.join("real/file");
        for name in ["real/file", "alias/file", "last", "real/../alias/./file"] {
            let found = names.look(dir.join(name).as_os_str().as_bytes(), true).unwrap();
            assert_eq!(&*found.path, real.as_os_str().as_bytes(), "{name}");
        }
        let itself = names.look(dir.join("last").as_os_str().as_bytes(), false).unwrap();
        assert_eq!(itself.stat.kind(), Kind::Symlink);
        assert_eq!(names.look(dir.join("none").as_os_str().as_bytes(), true).unwrap_err(), libc::ENOENT);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_directory_is_asked_again_after_a_change() {
        let dir = scratch("epoch");
        fs::create_dir_all(dir.join("one")).unwrap();
        fs::create_dir_all(dir.join("two")).unwrap();
        for sub in ["one", "two"] {
            fs::write(dir.join(sub).join("f"), sub).unwrap();
        }
        symlink("one", dir.join("now")).unwrap();
        let name = dir.join("now/f");
        let mut names = Names::default();
        assert!(names.look(name.as_os_str().as_bytes(), true).unwrap().path.ends_with(b"one/f"));
        fs::remove_file(dir.join("now")).unwrap();
        symlink("two", dir.join("now")).unwrap();
        names.forget_all();
        assert!(names.look(name.as_os_str().as_bytes(), true).unwrap().path.ends_with(b"two/f"));
        fs::remove_dir_all(dir).unwrap();
    }
}

//! Names of processes whose root directory or mounts are not ours.
//!
//! The kernel walks such a name from the process's own root; the path it then gives for the
//! open file is as we see it after a chroot. In another mount namespace it may be a path that
//! means something else, or nothing, out here: then the mount tables are compared, and if that
//! does not help either the record says that it does not know.

use crate::bounded::Blinds;
use crate::lookup::open_in_root;
use crate::mounts;
use crate::names::{link, path_of, Found};
use crate::paths::{join, split, without_trailing_slash, Path};
use crate::stat::Stat;
use crate::sys::{errno_of, Errno};
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

fn root_of(tid: i32) -> Result<File, Errno> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(format!("/proc/{tid}/root"))
        .map_err(|error| errno_of(&error))
}

/// A path as we see it, relative to the root directory of the process.
pub fn inside(tid: i32, path: Vec<u8>) -> Option<Path> {
    let root = link(&format!("/proc/{tid}/root")).ok()?;
    let inner = if root == b"/" { &path[..] } else { path.strip_prefix(&root[..]).unwrap_or(&path) };
    Some(if inner.is_empty() { b"/"[..].into() } else { inner.into() })
}

pub fn look(tid: i32, name: &[u8], follow: bool, blinds: &mut Blinds) -> Result<Found, Errno> {
    let handle = open_in_root(&root_of(tid)?, name, follow)?;
    let stat = handle.metadata().map(|meta| Stat::from(&meta)).map_err(|error| errno_of(&error))?;
    let path = path_of(&handle)?;
    let mount = mounts::mount_of("self", handle.as_raw_fd());
    Ok(Found { path: outside(tid, path, &stat, mount, blinds), stat })
}

/// The path of a name that need not exist; its directory must.
pub fn place(tid: i32, name: &[u8], blinds: &mut Blinds) -> Result<Path, Errno> {
    match split(without_trailing_slash(name)) {
        Some((head, last)) => look(tid, head, true, blinds).map(|found| join(&found.path, last).into()),
        None => look(tid, name, true, blinds).map(|found| found.path),
    }
}

/// The path out here of a file that the process knows by `path`, on its mount number `mount`.
pub fn outside(tid: i32, path: Vec<u8>, stat: &Stat, mount: Option<u64>, blinds: &mut Blinds) -> Path {
    let is_it = |path: &[u8]| Stat::of_name(path).is_ok_and(|seen| seen.same_file(stat));
    if path.first() != Some(&b'/') || is_it(&path) {
        return path.into();
    }
    if let Some(translated) = mount.and_then(|mount| mounts::translate(tid, mount, &path)) {
        if is_it(&translated) {
            return translated.into();
        }
    }
    blinds.add("namespace", &path);
    path.into()
}

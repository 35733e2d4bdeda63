//! System calls on names that the standard library lacks, or has at a price.

use crate::sys::{check, Errno};
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Whether we, as we are, may open this file for reading.
pub fn may_read(path: &[u8]) -> bool {
    let Ok(name) = CString::new(path) else { return false };
    // SAFETY: `name` is a terminated string that lives through the call.
    unsafe { libc::faccessat(libc::AT_FDCWD, name.as_ptr(), libc::R_OK, libc::AT_EACCESS) == 0 }
}

/// What a name is, relative to an open directory or absolute; a symbolic link is not followed.
pub fn stat_at(directory: Option<&File>, name: &[u8]) -> Result<libc::stat, Errno> {
    const SHORT: usize = 512;
    let dirfd = directory.map_or(libc::AT_FDCWD, AsRawFd::as_raw_fd);
    if name.len() >= SHORT {
        let name = CString::new(name).map_err(|_| libc::EINVAL)?;
        return raw_stat(dirfd, &name);
    }
    // Done for every distinct name of a job: not worth an allocation.
    let mut room = [0; SHORT];
    room[..name.len()].copy_from_slice(name);
    let name = CStr::from_bytes_until_nul(&room).map_err(|_| libc::EINVAL)?;
    raw_stat(dirfd, name)
}

fn raw_stat(dirfd: RawFd, name: &CStr) -> Result<libc::stat, Errno> {
    // SAFETY: the structure is plain numbers, all zeroes are a valid value.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `name` and `stat` live through the call.
    let result = unsafe { libc::fstatat(dirfd, name.as_ptr(), &mut stat, libc::AT_SYMLINK_NOFOLLOW) };
    check(i64::from(result)).map(|_| stat)
}

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

const RESOLVE_IN_ROOT: u64 = 0x10;

/// Opens `name` as a process would whose root directory is `root`; for looking at only.
pub fn open_in_root(root: &File, name: &[u8], follow: bool) -> Result<File, Errno> {
    let name = CString::new(name).map_err(|_| libc::EINVAL)?;
    let nofollow = if follow { 0 } else { libc::O_NOFOLLOW };
    let how = OpenHow { flags: (libc::O_PATH | libc::O_CLOEXEC | nofollow) as u64, mode: 0, resolve: RESOLVE_IN_ROOT };
    // SAFETY: name and how live through the call, and the size given is that of `how`.
    let fd = unsafe {
        libc::syscall(libc::SYS_openat2, root.as_raw_fd(), name.as_ptr(), &how, std::mem::size_of::<OpenHow>())
    };
    let fd = check(fd)?;
    // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
}

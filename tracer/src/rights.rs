//! What a process with other rights than ours may read.

use crate::lookup::as_path;
use crate::sys::last_errno;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

/// CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, which open every door.
const READS_ALL: u64 = 1 << 1 | 1 << 2;
const AS_IT_IS: i64 = -1;

/// Who somebody is to a file system.
#[derive(PartialEq, Eq, Debug)]
struct Rights {
    user: u32,
    group: u32,
    groups: Vec<u32>,
    capabilities: u64,
}

/// Whether the task may open this file for reading, as the kernel decides; none where we cannot find out. Whether it may
/// pass through the folders on the way is not asked: it may be in one of them already.
///
/// A thread of root's asks in the task's name, and is itself again afterwards: to the kernel each thread has rights
/// of its own.
pub fn may_read_as(tid: i32, path: &[u8]) -> Option<bool> {
    let theirs = Rights::of(&format!("/proc/{tid}/status"))?;
    if theirs.capabilities & READS_ALL != 0 {
        return Some(true);
    }
    let ours = Rights::of("/proc/thread-self/status")?;
    if theirs.user == ours.user {
        return None;
    }
    let file = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(as_path(path)).ok()?;
    // To become root again must be possible, so root's real and saved ids stay.
    let may = (ours.user == 0 && theirs.take_on()).then(|| is_readable(&file));
    ours.take_back();
    may
}

fn is_readable(file: &File) -> bool {
    let flags = libc::AT_EMPTY_PATH | libc::AT_EACCESS;
    // SAFETY: the name is terminated, and the descriptor open.
    let result = unsafe { libc::syscall(libc::SYS_faccessat2, file.as_raw_fd(), c"".as_ptr(), libc::R_OK, flags) };
    // Linux before 5.8 does not know the call, which says nothing against it.
    result == 0 || last_errno() != libc::EACCES
}

impl Rights {
    fn of(status: &str) -> Option<Rights> {
        let text = std::fs::read_to_string(status).ok()?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        // Real, effective, saved, and the one for files.
        let for_files = |name: &str| field(name)?.split_whitespace().nth(3)?.parse().ok();
        Some(Rights {
            user: for_files("Uid:")?,
            group: for_files("Gid:")?,
            groups: field("Groups:")?.split_whitespace().filter_map(|word| word.parse().ok()).collect(),
            capabilities: u64::from_str_radix(field("CapEff:")?.trim(), 16).ok()?,
        })
    }

    fn take_on(&self) -> bool {
        self.set_groups() && self.set_group() && self.set_user()
    }

    fn take_back(&self) {
        let _ = self.set_user() && self.set_group() && self.set_groups();
    }

    // The C library's functions of these names would change every thread.

    fn set_groups(&self) -> bool {
        // SAFETY: the list lives through the call, and its length is given.
        unsafe { libc::syscall(libc::SYS_setgroups, self.groups.len(), self.groups.as_ptr()) == 0 }
    }

    fn set_group(&self) -> bool {
        // SAFETY: takes numbers only.
        unsafe { libc::syscall(libc::SYS_setresgid, AS_IT_IS, i64::from(self.group), AS_IT_IS) == 0 }
    }

    fn set_user(&self) -> bool {
        // SAFETY: takes numbers only.
        unsafe { libc::syscall(libc::SYS_setresuid, AS_IT_IS, i64::from(self.user), AS_IT_IS) == 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn rights_are_taken_on_and_given_back() {
        let before = Rights::of("/proc/thread-self/status").unwrap();
        let path = std::env::temp_dir().join(format!("roar-rights-{}", std::process::id()));
        std::fs::write(&path, "x").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        if before.user == 0 {
            let nobody = Rights { user: 65534, group: 65534, groups: Vec::new(), capabilities: 0 };
            let file = File::open(&path).unwrap();
            assert!(is_readable(&file));
            assert!(nobody.take_on());
            assert!(!is_readable(&file));
            before.take_back();
            assert!(is_readable(&file));
        }
        assert_eq!(Rights::of("/proc/thread-self/status").unwrap(), before);
        std::fs::remove_file(path).unwrap();
    }
}

//! The system calls that stop a traced process, with their numbers, in one place.
//!
//! read, write, close and stat are never here: a call that is not in this table runs at full
//! speed. Numbers are the kernel's; `NONE` where an architecture lacks the call.

/// What a traced call is to us. Several numbers may mean the same call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Open,
    Openat,
    Openat2,
    Creat,
    OpenByHandleAt,
    Execve,
    Execveat,
    Rename,
    Renameat,
    Renameat2,
    Link,
    Linkat,
    Symlink,
    Symlinkat,
    Unlink,
    Unlinkat,
    Rmdir,
    Mkdir,
    Mkdirat,
    Mknod,
    Mknodat,
    Truncate,
    Chdir,
    Fchdir,
    /// chroot and pivot_root: names mean something else afterwards.
    Chroot,
    /// mount, umount and move_mount: what we know about names is out of date afterwards.
    Mount,
    Unshare,
    Setns,
    /// Any call after which the process may be allowed other files than we are.
    Credentials,
    Connect,
    Bind,
    /// i386 only: one number for all socket calls.
    Socketcall,
    /// Where it asks that the child be not traced.
    Clone,
    /// Its flags lie in memory, where the filter cannot look.
    Clone3,
    IoUringSetup,
    Ptrace,
    Seccomp,
}

/// Which of a machine's system call tables a number belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Abi {
    Native,
    /// `int 0x80` and 32-bit programs on x86_64.
    I386,
}

pub struct Row {
    pub call: Call,
    pub x86_64: u32,
    pub i386: u32,
    pub aarch64: u32,
}

pub const NONE: u32 = u32::MAX;

impl Row {
    /// The number of this call under `abi` on the machine this program was built for.
    pub fn number(&self, abi: Abi) -> Option<u32> {
        let number = match abi {
            Abi::I386 => self.i386,
            Abi::Native if cfg!(target_arch = "aarch64") => self.aarch64,
            Abi::Native => self.x86_64,
        };
        (number != NONE).then_some(number)
    }
}

const fn row(call: Call, x86_64: u32, i386: u32, aarch64: u32) -> Row {
    Row { call, x86_64, i386, aarch64 }
}

/// Most frequent first: the filter compares in this order.
#[rustfmt::skip]
pub static TABLE: &[Row] = &[
    row(Call::Openat, 257, 295, 56),
    row(Call::Open, 2, 5, NONE),
    row(Call::Openat2, 437, 437, 437),
    row(Call::Creat, 85, 8, NONE),
    row(Call::Execve, 59, 11, 221),
    row(Call::Execveat, 322, 358, 281),
    row(Call::Unlink, 87, 10, NONE),
    row(Call::Unlinkat, 263, 301, 35),
    row(Call::Rename, 82, 38, NONE),
    row(Call::Renameat, 264, 302, 38),
    row(Call::Renameat2, 316, 353, 276),
    row(Call::Mkdir, 83, 39, NONE),
    row(Call::Mkdirat, 258, 296, 34),
    row(Call::Rmdir, 84, 40, NONE),
    row(Call::Chdir, 80, 12, 49),
    row(Call::Fchdir, 81, 133, 50),
    row(Call::Link, 86, 9, NONE),
    row(Call::Linkat, 265, 303, 37),
    row(Call::Symlink, 88, 83, NONE),
    row(Call::Symlinkat, 266, 304, 36),
    row(Call::Mknod, 133, 14, NONE),
    row(Call::Mknodat, 259, 297, 33),
    row(Call::Truncate, 76, 92, 45),
    row(Call::Truncate, NONE, 193, NONE),
    row(Call::OpenByHandleAt, 304, 342, 265),
    row(Call::Connect, 42, 362, 203),
    row(Call::Bind, 49, 361, 200),
    row(Call::Socketcall, NONE, 102, NONE),
    row(Call::Chroot, 161, 61, 51),
    row(Call::Chroot, 155, 217, 41),
    row(Call::Mount, 165, 21, 40),
    row(Call::Mount, 166, 52, 39),
    row(Call::Mount, NONE, 22, NONE),
    row(Call::Mount, 429, 429, 429),
    row(Call::Unshare, 272, 310, 97),
    row(Call::Setns, 308, 346, 268),
    row(Call::Credentials, 105, 213, 146),
    row(Call::Credentials, 106, 214, 144),
    row(Call::Credentials, 113, 203, 145),
    row(Call::Credentials, 114, 204, 143),
    row(Call::Credentials, 117, 208, 147),
    row(Call::Credentials, 119, 210, 149),
    row(Call::Credentials, 122, 215, 151),
    row(Call::Credentials, 123, 216, 152),
    row(Call::Credentials, 116, 206, 159),
    row(Call::Credentials, 126, 185, 91),
    row(Call::Credentials, NONE, 23, NONE),
    row(Call::Credentials, NONE, 46, NONE),
    row(Call::Clone, 56, 120, 220),
    row(Call::Clone3, 435, 435, 435),
    row(Call::IoUringSetup, 425, 425, 425),
    row(Call::Ptrace, 101, 26, 117),
    row(Call::Seccomp, 317, 354, 277),
];

/// The call a number stands for, if it is one of ours.
pub fn lookup(abi: Abi, number: u64) -> Option<Call> {
    TABLE.iter().find(|row| row.number(abi).is_some_and(|known| u64::from(known) == number)).map(|row| row.call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_libc() {
        assert_eq!(lookup(Abi::Native, libc::SYS_openat as u64), Some(Call::Openat));
        assert_eq!(lookup(Abi::Native, libc::SYS_execveat as u64), Some(Call::Execveat));
        assert_eq!(lookup(Abi::Native, libc::SYS_renameat2 as u64), Some(Call::Renameat2));
        assert_eq!(lookup(Abi::Native, libc::SYS_linkat as u64), Some(Call::Linkat));
        assert_eq!(lookup(Abi::Native, libc::SYS_fchdir as u64), Some(Call::Fchdir));
        assert_eq!(lookup(Abi::Native, libc::SYS_setresuid as u64), Some(Call::Credentials));
        assert_eq!(lookup(Abi::Native, libc::SYS_seccomp as u64), Some(Call::Seccomp));
        assert_eq!(lookup(Abi::Native, libc::SYS_umount2 as u64), Some(Call::Mount));
        assert_eq!(lookup(Abi::Native, libc::SYS_open_by_handle_at as u64), Some(Call::OpenByHandleAt));
    }

    #[test]
    fn hot_calls_never_stop() {
        for number in [libc::SYS_read, libc::SYS_write, libc::SYS_close, libc::SYS_fstat] {
            assert_eq!(lookup(Abi::Native, number as u64), None);
        }
    }

    #[test]
    fn no_number_twice() {
        for abi in [Abi::Native, Abi::I386] {
            let mut seen = std::collections::HashSet::new();
            for number in TABLE.iter().filter_map(|row| row.number(abi)) {
                assert!(seen.insert(number), "{number} twice for {abi:?}");
            }
        }
    }
}

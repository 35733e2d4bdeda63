//! What a file is, without its content.

use crate::sys::{as_path, errno_of, Errno};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    pub dev: u64,
    pub ino: u64,
    pub size: u64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
    pub mode: u32,
    pub nlink: u64,
    pub uid: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    File,
    Directory,
    Symlink,
    Fifo,
    Socket,
    Device,
    Other,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Symlink => "symlink",
            Kind::Fifo => "fifo",
            Kind::Socket => "socket",
            Kind::Device => "device",
            Kind::Other => "other",
        }
    }
}

impl From<&Metadata> for Stat {
    fn from(meta: &Metadata) -> Stat {
        Stat {
            dev: meta.dev(),
            ino: meta.ino(),
            size: meta.size(),
            mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
            ctime_ns: meta.ctime() * 1_000_000_000 + meta.ctime_nsec(),
            mode: meta.mode(),
            nlink: meta.nlink(),
            uid: meta.uid(),
        }
    }
}

impl Stat {
    /// Of the name itself: a symbolic link is not followed.
    pub fn of_name(path: &[u8]) -> Result<Stat, Errno> {
        fs::symlink_metadata(as_path(path)).map(|meta| Stat::from(&meta)).map_err(|e| errno_of(&e))
    }

    /// Of what the name leads to.
    pub fn of_target(path: &[u8]) -> Result<Stat, Errno> {
        fs::metadata(as_path(path)).map(|meta| Stat::from(&meta)).map_err(|e| errno_of(&e))
    }

    pub fn kind(&self) -> Kind {
        match self.mode & libc::S_IFMT {
            libc::S_IFREG => Kind::File,
            libc::S_IFDIR => Kind::Directory,
            libc::S_IFLNK => Kind::Symlink,
            libc::S_IFIFO => Kind::Fifo,
            libc::S_IFSOCK => Kind::Socket,
            libc::S_IFCHR | libc::S_IFBLK => Kind::Device,
            _ => Kind::Other,
        }
    }

    pub fn same_file(&self, other: &Stat) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }
}

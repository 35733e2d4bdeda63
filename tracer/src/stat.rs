//! What a file is, without its content.

use crate::lookup::{as_path, stat_at};
use crate::names::path_of;
use crate::paths::split;
use crate::sys::{errno_of, Errno};
use std::fs::{self, File, Metadata, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

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
        stat_at(None, path).map(|raw| Stat::from(&raw))
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

/// Looks at many names in the order of their paths: the directory of the last one is kept open,
/// so that its path is not walked again for each.
///
/// Where a directory has given way to a symbolic link since, nothing is found: its files are gone.
#[derive(Default)]
pub struct LastDirectory {
    path: Vec<u8>,
    handle: Option<File>,
    is_elsewhere: bool,
}

impl LastDirectory {
    pub fn stat(&mut self, path: &[u8]) -> Result<Stat, Errno> {
        let Some((head, last)) = split(path) else { return Stat::of_name(path) };
        if self.path != head {
            self.path = head.to_vec();
            let open = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(as_path(head));
            self.handle = open.ok();
            let now = self.handle.as_ref().and_then(|directory| path_of(directory).ok());
            // Under /proc names are no paths: `self` is another for everybody.
            self.is_elsewhere = now.is_some_and(|now| now != head) && !head.starts_with(b"/proc/");
        }
        match &self.handle {
            _ if self.is_elsewhere => Err(libc::ENOENT),
            Some(directory) => stat_at(Some(directory), last).map(|raw| Stat::from(&raw)),
            None => Stat::of_name(path),
        }
    }
}

impl From<&libc::stat> for Stat {
    #[allow(clippy::unnecessary_cast)] // the widths of these fields differ between machines
    fn from(raw: &libc::stat) -> Stat {
        Stat {
            dev: raw.st_dev as u64,
            ino: raw.st_ino as u64,
            size: raw.st_size as u64,
            mtime_ns: raw.st_mtime as i64 * 1_000_000_000 + raw.st_mtime_nsec as i64,
            ctime_ns: raw.st_ctime as i64 * 1_000_000_000 + raw.st_ctime_nsec as i64,
            mode: raw.st_mode as u32,
            nlink: raw.st_nlink as u64,
            uid: raw.st_uid as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn both_ways_of_looking_agree() {
        let own = std::env::current_exe().unwrap();
        let own = own.as_os_str().as_bytes();
        let mut last = LastDirectory::default();
        for _ in 0..2 {
            assert_eq!(last.stat(own), Stat::of_name(own));
        }
        assert_eq!(last.stat(b"/nonexistent/x"), Err(libc::ENOENT));
        assert_eq!(last.stat(b"/"), Stat::of_name(b"/"));
    }
}

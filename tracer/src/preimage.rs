//! The digest of a file's content just before the job changes it, and a copy where that is asked for.

use crate::lookup::as_path;
use crate::stat::{Kind, Stat};
use std::ffi::{CString, OsStr};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

const CHUNK: usize = 1 << 20;

/// Copies of what a job changes or removes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Where they go: on the file system of what is copied, best.
    pub folder: CString,
    /// Only files below this folder are copied, and none of its `.git`.
    pub below: CString,
    /// Larger files are not copied.
    pub limit: u64,
    pub copies: u64,
}

impl Keeping {
    /// The copy of a file that is about to change; none when it is not to be copied or cannot be.
    pub fn copy(&mut self, path: &[u8]) -> Option<Box<[u8]>> {
        let inside = path.strip_prefix(self.below.to_bytes())?.strip_prefix(b"/")?;
        if inside.starts_with(b".git/") {
            return None;
        }
        let mut from = open_regular(path, self.limit).ok()?;
        let name = format!("{}-{}", std::process::id(), self.copies);
        let target = PathBuf::from(OsStr::from_bytes(self.folder.to_bytes())).join(name);
        let mut into = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target).ok()?;
        self.copies += 1;
        // SAFETY: both descriptors are open, and the call takes nothing else.
        let cloned = unsafe { libc::ioctl(into.as_raw_fd(), libc::FICLONE, from.as_raw_fd()) } == 0;
        if !cloned && std::io::copy(&mut from, &mut into).is_err() {
            let _ = std::fs::remove_file(&target);
            return None;
        }
        Some(target.into_os_string().as_bytes().into())
    }
}

fn open_regular(path: &[u8], limit: u64) -> Result<File, &'static str> {
    // Never wait on a fifo that took the file's place, never move the access time if we may.
    let open = |extra| OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | extra).open(as_path(path));
    let file = open(libc::O_NOATIME).or_else(|_| open(0)).map_err(|_| "unreadable")?;
    let stat = file.metadata().map(|meta| Stat::from(&meta)).map_err(|_| "unreadable")?;
    if stat.kind() != Kind::File {
        return Err("not a regular file");
    }
    if stat.size > limit {
        return Err("larger than hash limit");
    }
    Ok(file)
}

/// BLAKE3 of the whole content, or the reason why there is none. Reads at most `limit` bytes.
pub fn digest(path: &[u8], limit: u64) -> Result<blake3::Hash, &'static str> {
    let mut file = open_regular(path, limit)?;
    let size = file.metadata().map_err(|_| "unreadable")?.len();
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK.min(size as usize + 1)];
    let mut total = 0;
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(hasher.finalize()),
            Ok(count) => {
                hasher.update(&chunk[..count]);
                total += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Err("unreadable"),
        }
        if total > limit {
            return Err("larger than hash limit");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_what_lies_below() {
        let top = std::env::temp_dir().join(format!("roar-keep-{}", std::process::id()));
        std::fs::create_dir_all(top.join(".git")).unwrap();
        for name in ["a", ".git/b", "large"] {
            std::fs::write(top.join(name), name.repeat(3)).unwrap();
        }
        let text = CString::new(top.as_os_str().as_bytes()).unwrap();
        let mut keeping = Keeping { folder: text.clone(), below: text, limit: 10, copies: 0 };
        let kept = keeping.copy(top.join("a").as_os_str().as_bytes()).unwrap();
        assert_eq!(std::fs::read(OsStr::from_bytes(&kept)).unwrap(), b"aaa");
        for name in [".git/b", "large", "missing", "../elsewhere"] {
            assert_eq!(keeping.copy(top.join(name).as_os_str().as_bytes()), None, "{name}");
        }
        std::fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn digests_up_to_the_limit() {
        let path = std::env::temp_dir().join(format!("roar-preimage-{}", std::process::id()));
        std::fs::write(&path, "some content").unwrap();
        let name = path.as_os_str().as_bytes();
        assert_eq!(digest(name, 12), Ok(blake3::hash(b"some content")));
        assert_eq!(digest(name, 11), Err("larger than hash limit"));
        assert_eq!(digest(b"/nonexistent/x", 1), Err("unreadable"));
        assert_eq!(digest(b"/tmp", 1 << 30), Err("not a regular file"));
        std::fs::remove_file(path).unwrap();
    }
}

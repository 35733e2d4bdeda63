//! The digest of a file's content just before the job changes it.

use crate::stat::{Kind, Stat};
use crate::sys::as_path;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

const CHUNK: usize = 1 << 20;

/// BLAKE3 of the whole content, or the reason why there is none. Reads at most `limit` bytes.
pub fn digest(path: &[u8], limit: u64) -> Result<blake3::Hash, &'static str> {
    // Never wait on a fifo that took the file's place, never move the access time if we may.
    let open = |extra| OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | extra).open(as_path(path));
    let mut file = open(libc::O_NOATIME).or_else(|_| open(0)).map_err(|_| "unreadable")?;
    let stat = file.metadata().map(|meta| Stat::from(&meta)).map_err(|_| "unreadable")?;
    if stat.kind() != Kind::File {
        return Err("not a regular file");
    }
    if stat.size > limit {
        return Err("larger than hash limit");
    }
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK.min(stat.size as usize + 1)];
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
    use std::os::unix::ffi::OsStrExt;

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

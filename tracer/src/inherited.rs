//! What the command was started with: files it may read or write without opening them.

use crate::descriptors;
use crate::names::link;
use crate::observer::Observer;
use crate::paths::Path;
use crate::stat::{Kind, Stat};

/// To be called before the command runs, while our descriptors are still what it will have.
pub fn scan(observer: &mut Observer) {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    for fd in numbers.filter(|&fd| descriptors::is_inherited(fd)).collect::<Vec<_>>() {
        if let Ok(flags) = descriptors::descriptor_flags(fd) {
            inherited(observer, fd, flags as u32);
        }
    }
}

/// A log of gigabytes that a command is to append to must not delay its start.
const MOST_HASHED_AT_START: u64 = 64 << 20;

fn inherited(observer: &mut Observer, fd: i32, flags: u32) {
    let magic = format!("/proc/self/fd/{fd}");
    let (Ok(path), Ok(stat)) = (link(&magic), Stat::of_target(magic.as_bytes())) else { return };
    if flags & libc::O_PATH as u32 != 0 || matches!(stat.kind(), Kind::Directory | Kind::Socket) {
        return;
    }
    let Some(id) = observer.record(None, &Path::from(path), Some(stat)) else { return };
    let writes = flags & libc::O_ACCMODE as u32 != libc::O_RDONLY as u32;
    if let Some(record) = observer.files.get_mut(id) {
        record.inherited = true;
        if writes && stat.kind() == Kind::File && stat.size > MOST_HASHED_AT_START {
            record.before_unknown = Some("inherited and large");
        }
    }
    observer.note_open(id, flags & !(libc::O_TRUNC as u32), false);
    if writes {
        observer.files.before_change(id, true);
    }
}

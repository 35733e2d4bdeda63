//! The memory of a traced task.

use crate::sys::{last_errno, Errno};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

const PAGE: u64 = 4096;

/// Reads up to `room` bytes at `address`; fewer where the mapping ends.
pub fn read_memory(tid: i32, address: u64, room: &mut [u8]) -> Result<usize, Errno> {
    let local = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    let remote = libc::iovec { iov_base: address as *mut _, iov_len: room.len() };
    // SAFETY: `local` describes `room`, which lives through the call; the remote address is
    // only looked up in the other process, where the kernel checks it.
    let count = unsafe { libc::process_vm_readv(tid, &local, 1, &remote, 1, 0) };
    if count >= 0 {
        return Ok(count as usize);
    }
    match last_errno() {
        libc::ENOSYS | libc::EPERM => read_memory_file(tid, address, room),
        other => Err(other),
    }
}

/// Puts `bytes` at `address`, also where the task itself may only read.
pub fn write_memory(tid: i32, address: u64, bytes: &[u8]) -> Result<(), Errno> {
    OpenOptions::new()
        .write(true)
        .open(format!("/proc/{tid}/mem"))
        .and_then(|memory| memory.write_all_at(bytes, address))
        .map_err(|error| crate::sys::errno_of(&error))
}

/// Some sandboxes refuse process_vm_readv to a tracer that may read the memory file.
fn read_memory_file(tid: i32, address: u64, room: &mut [u8]) -> Result<usize, Errno> {
    File::open(format!("/proc/{tid}/mem"))
        .and_then(|memory| memory.read_at(room, address))
        .map_err(|error| crate::sys::errno_of(&error))
}

/// The terminated string at `address`, without its end; at most `limit` bytes.
pub fn read_string(tid: i32, address: u64, limit: usize) -> Result<Vec<u8>, Errno> {
    const FIRST: usize = 256;
    let mut text: Vec<u8> = Vec::with_capacity(FIRST);
    // Nearly every name fits the first, small step.
    let mut step = FIRST;
    while text.len() < limit {
        let from = address.wrapping_add(text.len() as u64);
        let size = ((PAGE - from % PAGE) as usize).min(step);
        let old = text.len();
        text.resize(old + size, 0);
        let got = read_memory(tid, from, &mut text[old..])?;
        if got == 0 {
            return Err(libc::EFAULT);
        }
        text.truncate(old + got);
        if let Some(end) = text[old..].iter().position(|&byte| byte == 0) {
            text.truncate(old + end);
            return Ok(text);
        }
        step = PAGE as usize;
    }
    text.truncate(limit);
    Ok(text)
}

//! Paths of other mount namespaces, translated by comparing the two mount tables.

use crate::paths::{is_within, join};
use std::fs;

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    id: u64,
    device: Vec<u8>,
    /// Which part of the file system is mounted.
    root: Vec<u8>,
    point: Vec<u8>,
}

/// The mount a descriptor of a process (`self` or a number) is on.
pub fn mount_of(process: &str, fd: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/fdinfo/{fd}")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
}

/// Where a file that process `tid` knows as `path`, on its mount `id`, is found out here.
pub fn translate(tid: i32, id: u64, path: &[u8]) -> Option<Vec<u8>> {
    let theirs = table(&fs::read(format!("/proc/{tid}/mountinfo")).ok()?);
    let ours = table(&fs::read("/proc/self/mountinfo").ok()?);
    across(&theirs, &ours, id, path)
}

fn across(theirs: &[Mount], ours: &[Mount], id: u64, path: &[u8]) -> Option<Vec<u8>> {
    let mount = theirs.iter().find(|mount| mount.id == id)?;
    if !is_within(path, &mount.point) {
        return None;
    }
    let in_mount = &path[if mount.point == b"/" { 0 } else { mount.point.len() }..];
    let in_file_system = under(&mount.root, in_mount);
    ours.iter()
        .filter(|ours| ours.device == mount.device && is_within(&in_file_system, &ours.root))
        .map(|ours| {
            let rest = &in_file_system[if ours.root == b"/" { 0 } else { ours.root.len() }..];
            under(&ours.point, rest)
        })
        .next()
}

fn under(directory: &[u8], rest: &[u8]) -> Vec<u8> {
    let rest = rest.strip_prefix(b"/").unwrap_or(rest);
    if rest.is_empty() {
        directory.to_vec()
    } else {
        join(directory, rest)
    }
}

fn table(text: &[u8]) -> Vec<Mount> {
    text.split(|&byte| byte == b'\n').filter_map(mount).collect()
}

fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let device = fields.nth(1)?.to_vec();
    Some(Mount { id, device, root: unescaped(fields.next()?), point: unescaped(fields.next()?) })
}

/// Spaces and the like are written as three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut at = 0;
    while at < field.len() {
        let digits = field.get(at + 1..at + 4).filter(|_| field[at] == b'\\');
        let code = digits.and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 8).ok());
        out.push(code.unwrap_or(field[at]));
        at += if code.is_some() { 4 } else { 1 };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_mount_is_seen_through() {
        let ours = table(b"20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 0:5 / /tmp rw - tmpfs t rw\n");
        let theirs =
            table(b"40 1 8:1 / / rw - ext4 /dev/sda1 rw\n41 40 8:1 /data\\040set /mnt rw - ext4 /dev/sda1 rw\n");
        assert_eq!(across(&theirs, &ours, 41, b"/mnt/a/b"), Some(b"/data set/a/b".to_vec()));
        assert_eq!(across(&theirs, &ours, 41, b"/mnt"), Some(b"/data set".to_vec()));
        assert_eq!(across(&theirs, &ours, 40, b"/etc/x"), Some(b"/etc/x".to_vec()));
        assert_eq!(across(&theirs, &ours, 99, b"/etc/x"), None);
    }

    #[test]
    fn a_private_file_system_is_nowhere_out_here() {
        let ours = table(b"20 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
        let theirs = table(b"41 40 0:77 / /mnt rw - tmpfs t rw\n");
        assert_eq!(across(&theirs, &ours, 41, b"/mnt/a"), None);
    }
}

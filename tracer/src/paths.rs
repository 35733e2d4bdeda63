//! Names as bytes: joining, lexical normal form, and their spelling as text.
//!
//! Nothing here asks the kernel anything; what a name really means is found out in `names`.

use std::sync::Arc;

/// An absolute path as the kernel spells it. Shared, because many tables name the same file.
pub type Path = Arc<[u8]>;

/// What a byte string that is not plain text starts with in a report.
const ESCAPE_MARK: &[u8] = b"//bytes/";

/// Appends `name` to the directory `base`; an absolute name replaces it. No `..` is resolved.
pub fn join(base: &[u8], name: &[u8]) -> Vec<u8> {
    if name.first() == Some(&b'/') {
        return name.to_vec();
    }
    let mut joined = Vec::with_capacity(base.len() + name.len() + 1);
    joined.extend_from_slice(base);
    if joined.last() != Some(&b'/') {
        joined.push(b'/');
    }
    joined.extend_from_slice(name);
    joined
}

/// The name without `.`, doubled slashes and `..`, taking every component for a directory.
///
/// This is how a person reads a name; with symbolic links the kernel may read it differently.
pub fn normal(name: &[u8]) -> Vec<u8> {
    let mut clean: Vec<u8> = Vec::with_capacity(name.len());
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                let cut = clean.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                clean.truncate(cut);
            }
            _ => {
                clean.push(b'/');
                clean.extend_from_slice(part);
            }
        }
    }
    if clean.is_empty() {
        clean.push(b'/');
    }
    clean
}

/// Directory and last component of an absolute name; none if the last component is not a plain
/// name (`.`, `..`, empty), because then the kernel has to say what it is.
pub fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = name.iter().rposition(|&byte| byte == b'/')?;
    let (head, last) = (&name[..slash], &name[slash + 1..]);
    match last {
        b"" | b"." | b".." => None,
        _ => Some((if head.is_empty() { b"/" } else { head }, last)),
    }
}

/// The same name without slashes at its end (mkdir and rename accept them).
pub fn without_trailing_slash(name: &[u8]) -> &[u8] {
    let mut name = name;
    while name.len() > 1 && name.last() == Some(&b'/') {
        name = &name[..name.len() - 1];
    }
    name
}

/// Whether `path` is `directory` or lies below it, by component.
pub fn is_within(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || directory == b"/")
}

/// Text for a byte string, from which the bytes can be had back exactly.
///
/// Valid UTF-8 stays as it is; anything else (and text that starts like an escape) becomes
/// `//bytes/` and the bytes, with `%` and every invalid byte as `%XX`.
pub fn to_text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.starts_with(ESCAPE_MARK) => text.into(),
        _ => escaped(bytes).into(),
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(ESCAPE_MARK).into_owned();
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_and_normalises() {
        assert_eq!(join(b"/a", b"b/../c"), b"/a/b/../c");
        assert_eq!(join(b"/", b"b"), b"/b");
        assert_eq!(join(b"/a", b"/c"), b"/c");
        assert_eq!(normal(b"/a//./b/../c/"), b"/a/c");
        assert_eq!(normal(b"/../.."), b"/");
    }

    #[test]
    fn splits_only_plain_names() {
        assert_eq!(split(b"/a/b"), Some((&b"/a"[..], &b"b"[..])));
        assert_eq!(split(b"/b"), Some((&b"/"[..], &b"b"[..])));
        assert_eq!(split(b"/a/.."), None);
        assert_eq!(split(b"/a/"), None);
        assert_eq!(without_trailing_slash(b"/a//"), b"/a");
        assert_eq!(without_trailing_slash(b"/"), b"/");
    }

    #[test]
    fn compares_by_component() {
        assert!(is_within(b"/a/b", b"/a"));
        assert!(is_within(b"/a", b"/a"));
        assert!(is_within(b"/a", b"/"));
        assert!(!is_within(b"/ab", b"/a"));
    }

    #[test]
    fn spells_bytes_as_text() {
        assert_eq!(to_text("/ä%".as_bytes()), "/ä%");
        assert_eq!(to_text(b"/a\xff%b"), "//bytes//a%FF%25b");
        assert_eq!(to_text(b"//bytes/x"), "//bytes///bytes/x");
    }
}

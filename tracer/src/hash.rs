//! A hash for tables of names and numbers that are asked several times per event.
//!
//! Quick rather than safe: a program that chooses its file names to collide slows down only
//! its own tracing.

use std::hash::{BuildHasherDefault, Hasher};

pub type QuickMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<Quick>>;

#[derive(Default)]
pub struct Quick(u64);

/// An odd number without pattern: the golden ratio in 64 bits.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Quick {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let mut raw = [0; 8];
            raw.copy_from_slice(word);
            self.mix(u64::from_le_bytes(raw));
        }
        let rest = words.remainder();
        let mut raw = [0; 8];
        raw[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(raw) ^ (bytes.len() as u64) << 56);
    }

    fn write_i32(&mut self, number: i32) {
        self.mix(number as u64);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn finish(&self) -> u64 {
        // The table looks at the highest and the lowest bits: let both depend on all.
        self.0 ^ self.0 >> 29
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(bytes: &[u8]) -> u64 {
        let mut hasher = Quick::default();
        hasher.write(bytes);
        hasher.finish()
    }

    #[test]
    fn names_that_differ_little_differ() {
        let names: std::collections::HashSet<u64> =
            (0..100_000).map(|index| hash(format!("/some/folder/file{index}.txt").as_bytes())).collect();
        assert_eq!(names.len(), 100_000);
        assert_ne!(hash(b""), hash(b"\0"));
        assert_ne!(hash(b"a"), hash(b"a\0"));
    }
}

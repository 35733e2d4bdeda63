//! Facts that a hostile or merely busy program could have without end: each table is bounded.

use crate::hash::QuickMap;

const MOST_FAILED: usize = 4096;
const MOST_CONNECTS: usize = 1024;
const MOST_BLIND: usize = 256;

/// Distinct look-ups that found nothing, by name and error.
#[derive(Default)]
pub struct Failed {
    counts: QuickMap<(Vec<u8>, i32), u64>,
    /// Look-ups that found no room here.
    pub dropped: u64,
}

impl Failed {
    pub fn add(&mut self, name: Vec<u8>, errno: i32) {
        let full = self.counts.len() >= MOST_FAILED;
        let key = (name, errno);
        if let Some(count) = self.counts.get_mut(&key) {
            *count += 1;
        } else if full {
            self.dropped += 1;
        } else {
            self.counts.insert(key, 1);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&(Vec<u8>, i32), &u64)> {
        in_order(&self.counts)
    }
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Endpoint {
    pub family: &'static str,
    pub address: Vec<u8>,
    pub port: Option<u16>,
}

/// Addresses the job tried to connect to.
#[derive(Default)]
pub struct Connects(QuickMap<Endpoint, u64>);

impl Connects {
    pub fn add(&mut self, endpoint: Endpoint) {
        if let Some(count) = self.0.get_mut(&endpoint) {
            *count += 1;
        } else if self.0.len() < MOST_CONNECTS {
            self.0.insert(endpoint, 1);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Endpoint, &u64)> {
        in_order(&self.0)
    }
}

/// What could not be seen, and why.
#[derive(Default)]
pub struct Blinds(QuickMap<(&'static str, Vec<u8>), u64>);

impl Blinds {
    pub fn add(&mut self, reason: &'static str, detail: &[u8]) {
        let key = (reason, detail.to_vec());
        if let Some(count) = self.0.get_mut(&key) {
            *count += 1;
        } else if self.0.len() < MOST_BLIND {
            self.0.insert(key, 1);
        } else {
            // The reason is never lost, only the detail.
            *self.0.entry((reason, b"and others".to_vec())).or_insert(0) += 1;
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&(&'static str, Vec<u8>), &u64)> {
        in_order(&self.0)
    }
}

fn in_order<K: Ord, V>(table: &QuickMap<K, V>) -> impl Iterator<Item = (&K, &V)> {
    let mut all: Vec<(&K, &V)> = table.iter().collect();
    all.sort_by(|one, two| one.0.cmp(two.0));
    all.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_look_ups_are_bounded_and_counted() {
        let mut failed = Failed::default();
        for index in 0..MOST_FAILED + 10 {
            failed.add(format!("/n{index}").into_bytes(), libc::ENOENT);
        }
        failed.add(b"/n0".to_vec(), libc::ENOENT);
        failed.add(b"/n0".to_vec(), libc::EACCES);
        assert_eq!(failed.iter().count(), MOST_FAILED);
        assert_eq!(failed.dropped, 11);
        assert_eq!(failed.counts[&(b"/n0".to_vec(), libc::ENOENT)], 2);
    }

    #[test]
    fn a_reason_is_never_lost() {
        let mut blinds = Blinds::default();
        for index in 0..MOST_BLIND + 5 {
            blinds.add("namespace", format!("{index}").as_bytes());
        }
        assert_eq!(blinds.iter().map(|(_, count)| count).sum::<u64>(), MOST_BLIND as u64 + 5);
    }
}

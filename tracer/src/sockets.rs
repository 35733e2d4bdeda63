//! Calls on sockets: whom the job speaks with, and the files that sockets make.

use crate::bounded::Endpoint;
use crate::calls::{awaiting, Next, Pending};
use crate::memory;
use crate::observer::{Observer, Who};
use crate::stat::Kind;

impl Observer {
    pub fn connect(&mut self, who: Who, address: u64, length: u64) -> Next {
        if let Some(endpoint) = socket_address(who, address, length) {
            self.connects.add(endpoint);
        }
        Next::Go
    }

    /// A unix socket that is bound to a path makes a file.
    pub fn bind(&mut self, who: Who, address: u64, length: u64) -> Next {
        let path = match socket_address(who, address, length) {
            Some(Endpoint { family: "unix", address, .. }) if !address.is_empty() && address[0] != b'@' => address,
            _ => return Next::Go,
        };
        let place = self.place(who, libc::AT_FDCWD, path).filter(|place| place.stat.is_none());
        awaiting(place.map(|place| Pending::Make(place, Kind::Socket)))
    }

    /// i386 packs the arguments of all socket calls in memory.
    pub fn socketcall(&mut self, who: Who, which: u64, packed: u64) -> Next {
        const BIND: u64 = 2;
        const CONNECT: u64 = 3;
        let mut words = [0; 12];
        if !matches!(which, BIND | CONNECT) || memory::read_memory(who.tid, packed, &mut words) != Ok(12) {
            return Next::Go;
        }
        let word = |at: usize| u64::from(u32::from_le_bytes([words[at], words[at + 1], words[at + 2], words[at + 3]]));
        if which == BIND {
            self.bind(who, word(4), word(8))
        } else {
            self.connect(who, word(4), word(8))
        }
    }
}

fn socket_address(who: Who, address: u64, length: u64) -> Option<Endpoint> {
    let mut bytes = [0; 128];
    let room = &mut bytes[..length.min(128) as usize];
    let size = memory::read_memory(who.tid, address, room).ok()?;
    endpoint(&room[..size])
}

/// A socket's address, if it is of a family we name.
fn endpoint(bytes: &[u8]) -> Option<Endpoint> {
    let family = i32::from(u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]));
    let port = || Some(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    match family {
        libc::AF_INET => {
            let mut address = [0; 4];
            address.copy_from_slice(bytes.get(4..8)?);
            let text = std::net::Ipv4Addr::from(address).to_string();
            Some(Endpoint { family: "inet", address: text.into_bytes(), port: port() })
        }
        libc::AF_INET6 => {
            let mut address = [0; 16];
            address.copy_from_slice(bytes.get(8..24)?);
            let text = std::net::Ipv6Addr::from(address).to_string();
            Some(Endpoint { family: "inet6", address: text.into_bytes(), port: port() })
        }
        libc::AF_UNIX => {
            let name = bytes.get(2..)?;
            let address = match name.first() {
                Some(0) => [b"@", name.get(1..)?].concat(),
                _ => name.split(|&byte| byte == 0).next()?.to_vec(),
            };
            Some(Endpoint { family: "unix", address, port: None })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_spelled() {
        let v4 = endpoint(&[2, 0, 0, 80, 127, 0, 0, 1]).unwrap();
        assert_eq!((v4.family, &v4.address[..], v4.port), ("inet", &b"127.0.0.1"[..], Some(80)));
        let mut six = vec![10, 0, 1, 187, 0, 0, 0, 0];
        six.extend(std::net::Ipv6Addr::LOCALHOST.octets());
        assert_eq!(endpoint(&six).unwrap().address, b"::1");
        assert_eq!(endpoint(b"\x01\0/run/x\0").unwrap().address, b"/run/x");
        assert_eq!(endpoint(b"\x01\0\0abs").unwrap().address, b"@abs");
        assert!(endpoint(&[16, 0, 1, 2]).is_none());
        assert!(endpoint(&[2]).is_none());
    }
}

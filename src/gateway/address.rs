//! [`Address`]: where a peer is, in 20 bytes.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// A socket address without its flow label, which no answer repeats. (`SocketAddr` has 32 bytes.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Address {
    /// An IPv4 address in its mapped form.
    ip: [u8; 16],
    port: u16,
    /// The scope, [`V4`], or [`WIDE`].
    scope: u16,
}

/// Told apart from the same address as a socket for both families writes it.
const V4: u16 = u16::MAX;

/// A scope with more digits lies within the address, in the zeros that a link-local one has there (RFC
/// 4291 section 2.5.6). Systems number links by up to 32 bits, and no address but such a one has a scope.
const WIDE: u16 = V4 - 1;

impl Address {
    /// `None`: a scope of 65,534 or more at an address that belongs to no link.
    #[inline]
    pub(super) fn new(from: SocketAddr) -> Option<Self> {
        let port = from.port();
        match from {
            SocketAddr::V4(from) => {
                Some(Self { ip: from.ip().to_ipv6_mapped().octets(), port, scope: V4 })
            }
            SocketAddr::V6(from) => {
                let (ip, scope) = (from.ip().octets(), from.scope_id());
                match u16::try_from(scope) {
                    Ok(scope) if scope < WIDE => Some(Self { ip, port, scope }),
                    _ => Some(Self { ip: widened(ip, scope)?, port, scope: WIDE }),
                }
            }
        }
    }

    #[inline]
    pub(super) fn socket(&self) -> SocketAddr {
        if self.scope == V4 {
            let [.., a, b, c, d] = self.ip;
            SocketAddr::from((Ipv4Addr::new(a, b, c, d), self.port))
        } else {
            let (ip, scope) = match self.scope {
                WIDE => narrowed(self.ip),
                scope => (self.ip, scope.into()),
            };
            SocketAddr::V6(SocketAddrV6::new(ip.into(), self.port, 0, scope))
        }
    }

    /// All of an IPv4 address in 48 bits.
    #[inline]
    pub(super) fn v4(&self) -> Option<u64> {
        let [.., a, b, c, d] = self.ip;
        let ip = u32::from_be_bytes([a, b, c, d]);
        (self.scope == V4).then(|| u64::from(ip) << 16 | u64::from(self.port))
    }

    /// All of it in three words, to be hashed; the last has 32 bits.
    #[inline]
    pub(super) fn words(&self) -> [u64; 3] {
        let ip = u128::from_be_bytes(self.ip);
        let rest = u64::from(self.port) << 16 | u64::from(self.scope);
        [(ip >> 64) as u64, ip as u64, rest]
    }

    /// Who can have many such addresses for nothing (rule GW4): an IPv4 address, a /64 of IPv6.
    /// (The first word of no global address is that small.)
    pub(super) fn source(&self) -> u64 {
        match Ipv6Addr::from(self.ip).to_ipv4_mapped() {
            Some(ip) => 1 << 32 | u64::from(ip.to_bits()),
            None => self.words()[0],
        }
    }
}

/// With the scope in its zeros.
#[cold]
fn widened(mut ip: [u8; 16], scope: u32) -> Option<[u8; 16]> {
    let [0xfe, 0x80..=0xbf, zeros @ .., _, _, _, _, _, _, _, _] = &mut ip else { return None };
    let [_, _, place @ ..] = zeros;
    if *place != [0; 4] {
        return None;
    }
    *place = scope.to_be_bytes();
    Some(ip)
}

#[cold]
fn narrowed(mut ip: [u8; 16]) -> ([u8; 16], u32) {
    let [_, _, _, _, place @ .., _, _, _, _, _, _, _, _] = &mut ip;
    let scope = u32::from_be_bytes(*place);
    *place = [0; 4];
    (ip, scope)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn parsed(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_comes_back_as_it_was() {
        let texts = ["1.2.3.4:5", "0.0.0.0:0", "[::ffff:1.2.3.4]:5", "[2001:db8::1]:65535"];
        let mut all: Vec<_> = texts.into_iter().map(parsed).collect();
        all.push(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 9, 0, 3)));
        let kept: Vec<_> = all.iter().map(|from| Address::new(*from).expect("kept")).collect();
        for (nth, (from, address)) in all.iter().zip(&kept).enumerate() {
            assert_eq!(address.socket(), *from);
            assert_eq!(kept.iter().position(|other| other == address), Some(nth), "unlike others");
        }
        let scope = |scope| SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 9, 0, scope));
        assert!(Address::new(scope(65_533)).is_some());
        assert_eq!(Address::new(scope(65_534)), None);
        assert_eq!(Address::new(scope(65_536)), None);
    }

    #[test]
    fn a_link_may_have_any_number() {
        let scopes = [0, 1, 65_533, 65_534, 65_535, 65_536, u32::MAX];
        let at = |ip: &str, scope| {
            SocketAddr::V6(SocketAddrV6::new(ip.parse().expect("an address"), 9, 0, scope))
        };
        let all: Vec<_> = scopes.into_iter().map(|scope| at("fe80::1:2:3", scope)).collect();
        let kept: Vec<_> = all.iter().map(|from| Address::new(*from).expect("kept")).collect();
        for (nth, (from, address)) in all.iter().zip(&kept).enumerate() {
            assert_eq!(address.socket(), *from);
            assert_eq!(kept.iter().position(|other| other == address), Some(nth), "unlike others");
        }
        // No zeros for it.
        for ip in ["fe80:0:1::2", "2001:db8::1", "fec0::1", "fe7f::1"] {
            assert_eq!(Address::new(at(ip, 65_536)), None, "{ip}");
            assert_eq!(Address::new(at(ip, 7)).map(|kept| kept.socket()), Some(at(ip, 7)));
        }
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_a_64() {
        let source = |text| Address::new(parsed(text)).expect("kept").source();
        assert_eq!(source("1.2.3.4:5"), source("1.2.3.4:6"));
        assert_eq!(source("1.2.3.4:5"), source("[::ffff:1.2.3.4]:6"));
        assert_ne!(source("1.2.3.4:5"), source("1.2.3.5:5"));
        assert_eq!(source("[2001:db8::1]:5"), source("[2001:db8::2:0:0:1]:6"));
        assert_ne!(source("[2001:db8::1]:5"), source("[2001:db8:0:1::1]:5"));
    }
}

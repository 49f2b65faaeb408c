//! [`Addresses`]: which peer has which.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::usage::Usage;

/// The addresses of the peers: one after the other, from the first on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    /// `None`: one peer, whose address the system chooses.
    first: Option<IpAddr>,
    count: u32,
}

/// Where peers live that ping over loopback: behind what programs use there.
const LOOPBACK: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 0);

impl Addresses {
    /// So many, from `first` on; by default those of the loopback network, if the gateway is there.
    pub(super) fn new(
        first: Option<IpAddr>,
        count: u32,
        gateway: SocketAddr,
    ) -> Result<Self, Usage> {
        let usual = gateway.is_ipv4() && gateway.ip().is_loopback() && cfg!(target_os = "linux");
        let first = first.or_else(|| usual.then_some(LOOPBACK.into()));
        let refused = |text: &str| Err(Usage::of("--from", text));
        let last = match first {
            None if count > 1 => {
                return refused(
                    "each peer needs an address of its own: name the first of as many that are \
                     this host's and that the gateway can answer to (`ip route add local \
                     10.9.0.0/16 dev lo`, say, and a route to them from the gateway), or --peers 1",
                );
            }
            Some(_) if !cfg!(target_os = "linux") => {
                return refused("only on Linux can one socket have many addresses");
            }
            Some(first) if first.is_ipv4() != gateway.is_ipv4() => {
                return refused("of the family of the gateway's address");
            }
            Some(IpAddr::V4(first)) => u32::from(first).checked_add(count).map(drop),
            Some(IpAddr::V6(first)) => u128::from(first).checked_add(count.into()).map(drop),
            None => Some(()),
        };
        let found = Self { first, count };
        let within = |address: IpAddr| address.is_ipv4() && address.is_loopback();
        match last {
            None => refused("not so many addresses follow"),
            // Its last address is that of all.
            Some(()) if first.is_some_and(within) && !found.of(count).is_some_and(within) => {
                refused("the loopback network has 16.7 million addresses")
            }
            Some(()) => Ok(found),
        }
    }

    /// The address of this peer, if it is not the system that chooses.
    pub(super) fn of(&self, peer: u32) -> Option<IpAddr> {
        Some(match self.first? {
            IpAddr::V4(first) => Ipv4Addr::from(u32::from(first).wrapping_add(peer)).into(),
            IpAddr::V6(first) => Ipv6Addr::from(u128::from(first).wrapping_add(peer.into())).into(),
        })
    }

    /// The peer at this address.
    pub(super) fn peer(&self, address: Option<IpAddr>) -> Option<u32> {
        let peer = match (self.first, address?) {
            (None, _) => Some(0),
            (Some(IpAddr::V4(first)), IpAddr::V4(address)) => {
                u32::from(address).checked_sub(u32::from(first))
            }
            (Some(IpAddr::V6(first)), IpAddr::V6(address)) => {
                u128::from(address).checked_sub(u128::from(first))?.try_into().ok()
            }
            _ => None,
        };
        peer.filter(|&peer| peer < self.count)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn new(first: &str, count: u32, gateway: &str) -> Result<Addresses, String> {
        let first = (!first.is_empty()).then(|| first.parse().unwrap());
        Addresses::new(first, count, gateway.parse().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_peer_has_one_and_is_found_by_it() {
        for (first, gateway) in
            [("", "127.0.0.1:7"), ("10.9.0.250", "10.0.0.1:7"), ("fd00::fff0", "[fd00::1]:7")]
        {
            let addresses = new(first, 1_000, gateway).unwrap();
            for peer in 0..1_000 {
                assert_eq!(addresses.peer(addresses.of(peer)), Some(peer));
            }
            assert_eq!(addresses.peer(addresses.of(1_000)), None);
            assert_eq!(addresses.peer(addresses.of(u32::MAX)), None);
            assert_eq!(addresses.peer(Some(IpAddr::from([0, 0, 0, 1]))), None);
        }
    }

    #[test]
    fn elsewhere_than_on_loopback_the_first_must_be_named() {
        assert!(new("", 2, "192.0.2.1:7").unwrap_err().contains("each peer needs an address"));
        assert!(new("", 2, "[::1]:7").is_err());
        let one = new("", 1, "192.0.2.1:7").unwrap();
        assert_eq!((one.of(0), one.peer(Some([192, 0, 2, 9].into()))), (None, Some(0)));
        assert!(new("", 16_000_000, "127.0.0.1:7").is_ok());
        assert!(new("", 16_711_679, "127.0.0.1:7").is_ok());
        assert!(new("", 16_711_680, "127.0.0.1:7").is_err());
        assert!(new("10.9.0.0", 9, "127.0.0.1:7").is_ok());
        assert!(new("255.255.255.0", 300, "192.0.2.1:7").is_err());
        assert!(new("::1", 1, "192.0.2.1:7").is_err());
    }
}

//! Both ways to send and receive, over loopback.

use super::*;

const SOON: Duration = Duration::from_millis(500);
const LOCAL: &str = "127.0.0.1:0";

fn bind(address: &str) -> (SocketAddr, (Receiver, Sender)) {
    let socket = Socket::bind(address.parse().unwrap(), false).unwrap();
    let socket = socket.name_destinations().unwrap();
    (socket.local_addr().unwrap(), socket.split().unwrap())
}

/// Receives `count` datagrams: whence, where to, what.
fn all(receiver: &mut Receiver, count: usize) -> Vec<(SocketAddr, Option<IpAddr>, Vec<u8>)> {
    let mut got = Vec::new();
    while got.len() < count {
        let each = |from, to, bytes: &[u8]| got.push((from, to, bytes.to_vec()));
        assert_ne!(receiver.receive(SOON, each).unwrap(), 0, "{} of {count} came", got.len());
    }
    got
}

#[test]
fn more_than_a_batch_comes_whole_and_in_order() {
    let (to, (mut receiver, _)) = bind(LOCAL);
    let (from, (_, mut sender)) = bind(LOCAL);
    let datagrams: Vec<_> = (0..200_u8).map(|n| vec![n; usize::from(n) % MAX_FRAME]).collect();
    for datagram in &datagrams {
        sender.push(to, None, datagram).unwrap();
    }
    sender.flush().unwrap();
    assert_eq!(sender.sent(), Sent { taken: 200, dropped: 0 });
    for (got, sent) in all(&mut receiver, 200).iter().zip(&datagrams) {
        assert_eq!((got.0, &got.2), (from, sent));
    }
    assert_eq!(receiver.receive(Duration::ZERO, |_, _, _| panic!("nothing is left")).unwrap(), 0);
}

#[test]
fn a_datagram_longer_than_a_frame_is_seen_to_be_and_not_sent() {
    let (to, (mut receiver, mut sender)) = bind(LOCAL);
    assert!(sender.push(to, None, &[0; MAX_FRAME + 1]).is_err());
    std::net::UdpSocket::bind(LOCAL).unwrap().send_to(&[0; 1_000], to).unwrap();
    assert_eq!(all(&mut receiver, 1)[0].2.len(), ROOM);
}

#[cfg(target_os = "linux")]
#[test]
fn one_socket_plays_many_addresses_and_tells_them_apart() {
    let (world, (mut peers, mut answers)) = bind("0.0.0.0:0");
    let (gateway, (mut receiver, mut sender)) = bind(LOCAL);
    let address = |n: u8| IpAddr::from([127, 9, n / 100, n]);
    for n in 0..200 {
        sender.push(SocketAddr::new(address(n), world.port()), None, &[n]).unwrap();
    }
    sender.flush().unwrap();
    for (from, to, bytes) in all(&mut peers, 200) {
        assert_eq!((from, to), (gateway, Some(address(bytes[0]))));
        // Runs of one and of several.
        for _ in 0..=bytes[0] % 3 {
            answers.push(from, to, &bytes).unwrap();
        }
    }
    answers.flush().unwrap();
    let count = (0..200).map(|n| 1 + n % 3).sum();
    assert_eq!(answers.sent(), Sent { taken: count, dropped: 0 });
    for (from, to, bytes) in all(&mut receiver, count as usize) {
        assert_eq!(from, SocketAddr::new(address(bytes[0]), world.port()));
        assert_eq!(to, Some(gateway.ip()));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_same_over_ipv6() {
    let Ok(socket) = Socket::bind("[::1]:0".parse().unwrap(), false) else { return };
    let to = socket.local_addr().unwrap();
    let (mut receiver, mut sender) = socket.name_destinations().unwrap().split().unwrap();
    sender.push(to, Some(to.ip()), b"named").unwrap();
    sender.push(to, None, b"chosen").unwrap();
    sender.flush().unwrap();
    let got = all(&mut receiver, 2);
    assert_eq!(got[0], (to, Some(to.ip()), b"named".to_vec()));
    assert_eq!(got[1], (to, Some(to.ip()), b"chosen".to_vec()));
}

#[test]
fn destinations_are_told_to_whoever_asks() {
    let socket = Socket::bind(LOCAL.parse().unwrap(), false).unwrap();
    let to = socket.local_addr().unwrap();
    let (mut receiver, mut sender) = socket.split().unwrap();
    sender.push(to, None, b"x").unwrap();
    sender.flush().unwrap();
    assert_eq!(all(&mut receiver, 1)[0], (to, None, b"x".to_vec()));
}

#[cfg(target_os = "linux")]
#[test]
fn datagrams_are_never_taken_apart_and_so_have_no_number() {
    use rustix::net::sockopt::{Ipv4PathMtuDiscovery, ip_mtu_discover};
    for address in [LOCAL, "[::1]:0"] {
        let Ok(socket) = Socket::bind(address.parse().unwrap(), false) else { return };
        assert_eq!(ip_mtu_discover(&socket.socket), Ok(Ipv4PathMtuDiscovery::PROBE));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_sent_keeps_nothing_else_back() {
    let (to, (mut receiver, mut sender)) = bind(LOCAL);
    // No host has an address of the documentation, and this socket none of the other family.
    let elsewhere = Some([192, 0, 2, 1].into());
    let other = "[::1]:7".parse().unwrap();
    for (to, from) in [(to, None), (to, elsewhere), (other, None), (to, None)] {
        sender.push(to, from, b"x").unwrap();
    }
    assert!(sender.flush().is_err());
    assert_eq!(sender.sent(), Sent { taken: 2, dropped: 2 });
    all(&mut receiver, 2);
    sender.flush().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_system_loses_is_counted() {
    let (to, (mut receiver, mut sender)) = bind(LOCAL);
    assert_eq!(receiver.lost(), Some(0));
    // More than any buffer holds.
    let limit = 2 * BUFFER / 256;
    let mut sent = 0;
    while receiver.lost() == Some(0) && sent < limit {
        (0..4_096).for_each(|_| sender.push(to, None, b"x").unwrap());
        sent += 4_096;
    }
    sender.flush().unwrap();
    let mut came = 0;
    while let 1.. = receiver.receive(Duration::ZERO, |_, _, _| came += 1).unwrap() {}
    let lost = receiver.lost().unwrap();
    assert!(lost > 0);
    assert_eq!(came + lost, sender.sent().taken);
}

#[cfg(unix)]
#[test]
fn sockets_share_an_address_only_if_all_say_so() {
    let first = Socket::bind(LOCAL.parse().unwrap(), true).unwrap();
    let address = first.local_addr().unwrap();
    assert!(Socket::bind(address, true).is_ok());
    assert!(Socket::bind(address, false).is_err());
}

#[test]
fn without_batches_it_is_the_same_for_one_address() {
    let socket = Socket::bind(LOCAL.parse().unwrap(), false).unwrap();
    let to = socket.local_addr().unwrap();
    let mut sender = Sender::<plain::Calls>::new(socket.socket.try_clone().unwrap()).unwrap();
    let mut receiver = plain::Receiver::new(socket.socket, false).unwrap();
    assert_eq!(receiver.lost(), None);
    assert_eq!(receiver.receive(Duration::ZERO, |_, _, _| panic!("nothing came")).unwrap(), 0);
    (0..100).for_each(|n| sender.push(to, None, &[n]).unwrap());
    sender.flush().unwrap();
    assert_eq!(sender.sent(), Sent { taken: 100, dropped: 0 });
    for n in 0..100 {
        let each = |from, _, bytes: &[u8]| assert_eq!((from, bytes), (to, &[n][..]));
        assert_eq!(receiver.receive(SOON, each).unwrap(), 1);
    }
}

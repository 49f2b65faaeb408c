//! Two hosts of their own: network namespaces joined by a pair of virtual interfaces. As root, with
//! `ip` and `nft`; elsewhere there are none, and the reason.
//!
//! A thread enters a namespace for as long as it takes to make a socket there; the socket stays.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use core::sync::atomic::{AtomicU32, Ordering};
use std::fs::File;
use std::os::fd::AsFd;
use std::process::{self, Command};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::measure::ms;

pub(crate) struct Hosts {
    observer: String,
    peer: String,
}

impl Hosts {
    /// Where the peer listens.
    pub(crate) const PEER: SocketAddr =
        SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, 9, 0, 2), 7000));

    pub(crate) fn new() -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            return Err("namespaces need root".to_owned());
        }
        let name = format!("hb{}x{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let hosts = Self { observer: format!("{name}o"), peer: format!("{name}p") };
        let Self { observer, peer } = &hosts;
        for line in [
            format!("ip netns add {observer}"),
            format!("ip netns add {peer}"),
            format!("ip -n {observer} link add wire type veth peer name wire netns {peer}"),
            format!("ip -n {observer} addr add 10.9.0.1/30 dev wire"),
            format!("ip -n {peer} addr add 10.9.0.2/30 dev wire"),
            format!("ip -n {observer} link set wire up"),
            format!("ip -n {peer} link set wire up"),
            format!("ip netns exec {peer} nft add table inet loss"),
            format!("ip netns exec {peer} {}", chain("input")),
            format!("ip netns exec {peer} {}", chain("output")),
        ] {
            run(&line)?;
        }
        // What is sent before the system has noticed the link is dropped.
        for host in [observer, peer] {
            while !run(&format!("ip -n {host} link show wire"))?.contains("state UP") {
                thread::sleep(ms(5));
            }
        }
        Ok(hosts)
    }

    /// What is made by `work` belongs to the observer's host.
    pub(crate) fn at_observer<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        within(&self.observer, work)
    }

    /// What is made by `work` belongs to the peer's host.
    pub(crate) fn at_peer<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        within(&self.peer, work)
    }

    /// The peer's host loses its link.
    pub(crate) fn unplug(&self) {
        must(&format!("ip -n {} link set wire down", self.peer));
    }

    /// The peer's host drops packets in both directions, by this rule of nftables.
    pub(crate) fn drop_by(&self, rule: &str) {
        // Both at once: nobody is between.
        let add = |chain| format!("add rule inet loss {chain} {rule}");
        let both = format!("{}; {}", add("input"), add("output"));
        must(&format!("ip netns exec {} nft {both}", self.peer));
    }

    /// TCP's retransmissions of both hosts begin after 10 ms and acknowledgements come at once, as
    /// fits scaled-down limits.
    pub(crate) fn hurry(&self) {
        for host in [&self.observer, &self.peer] {
            let route = "10.9.0.0/30 dev wire proto kernel scope link";
            must(&format!("ip -n {host} route change {route} rto_min 10ms quickack 1"));
        }
    }

    /// How many packets were dropped: the sum of all counters.
    pub(crate) fn dropped(&self) -> u64 {
        let rules = must(&format!("ip netns exec {} nft list table inet loss", self.peer));
        let counts = rules.split("counter packets ").skip(1);
        counts.filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok()).sum()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in [&self.observer, &self.peer] {
            let _ = run(&format!("ip netns del {host}"));
        }
    }
}

fn chain(hook: &str) -> String {
    format!("nft add chain inet loss {hook} {{ type filter hook {hook} priority 0; }}")
}

fn run(line: &str) -> Result<String, String> {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap_or_default()).args(words).output();
    let output = output.map_err(|error| format!("{line}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let told = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        Err(format!("{line}: {told}"))
    }
}

fn must(line: &str) -> String {
    run(line).expect("what worked before")
}

fn within<T: Send>(host: &str, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            let space = File::open(format!("/run/netns/{host}")).expect("a namespace");
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("root may");
            work()
        });
        inside.join().expect("no panic")
    })
}

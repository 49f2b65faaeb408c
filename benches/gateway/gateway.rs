//! The gateway on a real socket, beside a loop that does nothing else than the same system calls
//! for the same datagrams, in one run.
//!
//! `cargo run --release --manifest-path benches/gateway/Cargo.toml -- --help`
//!
//! The peers are addresses of the loopback network; all have answered pings before. A round is so
//! much simulated time as makes some thousand peers due. Their pings are sent twice: by the gateway
//! as it makes them, and as they came by a bare loop. The peers' pongs come twice: to a bare loop,
//! and to the gateway. Each of these has a thread of its own, whose processor time is taken, so that
//! a machine that others use, too, disturbs little; no two run at the same time. Linux only.
//!
//! *User space* is all that these threads do outside of system calls: the gateway, the socket's
//! batches, and whatever the kernel's work has pushed out of the caches. It is what the kernel's
//! ticks find, 250 a second here: of ten seconds within half a hundredth.

#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

// The program's own socket; it says less than the program needs.
extern crate alloc;
#[allow(dead_code)]
#[path = "../../src/bin/heartbeat/batch.rs"]
mod batch;
mod peers;
mod stopwatch;

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver as Turns, Sender as Turn, channel};
use std::thread::Scope;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use heartbeat_proto::Timestamp;
use heartbeat_proto::codec::PING_LEN;
use heartbeat_proto::fleet::Progress;
use heartbeat_proto::gateway::Gateway;

use crate::batch::{Receiver, Sender, Socket};
use crate::stopwatch::{Cost, Stopwatch};

/// Measures what a gateway adds to the system calls.
#[derive(Clone, Debug, Parser)]
struct Arguments {
    /// How many peers.
    #[arg(long, value_delimiter = ',', default_values_t = [100_000, 1_000_000])]
    peers: Vec<u32>,
    /// Datagrams in a round, about. The system's buffer must hold them.
    #[arg(long, default_value_t = 4096)]
    round: u32,
    /// Datagrams in all, about.
    #[arg(long, default_value_t = 2_000_000)]
    packets: u32,
}

type Datagram = (SocketAddr, [u8; PING_LEN]);

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    println!("loop           peers   packets   ns  user_ns system_ns  wall_ns");
    for &peers in &arguments.peers {
        let costs = measure(&arguments, peers)?;
        let [bare_in, gateway_in, bare_out, gateway_out] = costs;
        for (name, cost) in NAMES.iter().zip(&costs) {
            println!("{name:12} {peers:7} {cost}");
        }
        let both = |of: fn(&Cost) -> f64| of(&gateway_in) + of(&gateway_out);
        let added = both(Cost::nanos) - bare_in.nanos() - bare_out.nanos();
        println!("# receives {:.3} of bare", bare_in.nanos() / gateway_in.nanos());
        println!("# sends {:.3} of bare", bare_out.nanos() / gateway_out.nanos());
        let calls = bare_in.nanos() + bare_out.nanos();
        println!(
            "# adds {added:.0} ns to a ping and its pong, {:.3} of the bare loops",
            added / calls
        );
        let (user, system) = (both(Cost::user), both(Cost::system));
        println!("# user space {user:.0} ns, kernel {system:.0} ns: {:.3}", user / system);
    }
    Ok(())
}

const NAMES: [&str; 4] = ["receive-bare", "receive", "send-bare", "send"];

/// What the four threads work on.
struct Shared {
    gateway: Mutex<Gateway>,
    /// Of this round.
    pings: Mutex<Vec<Datagram>>,
    now: Mutex<Timestamp>,
    /// In a round.
    span: Duration,
}

/// Receive bare, receive, send bare, send.
fn measure(arguments: &Arguments, peers: u32) -> Result<[Cost; 4]> {
    let any = |address: &str| anyhow::Ok(Socket::bind(address.parse()?, false)?);
    let world = any("0.0.0.0:0")?.name_destinations()?;
    let port = world.local_addr()?.port();
    let (mut there, mut back) = world.split()?;
    let (bare, own) = (any("127.0.0.1:0")?, any("127.0.0.1:0")?);
    let addresses = [bare.local_addr()?, own.local_addr()?];
    let (gateway, now) = peers::joined(peers, port)?;
    let (gateway, now) = (Mutex::new(gateway), Mutex::new(now));
    // 30 s between two pings of a peer.
    let span = Duration::from_secs(30).mul_f64(f64::from(arguments.round) / f64::from(peers));
    let span = span.min(Duration::from_secs(10));
    let shared = &Shared { gateway, now, span, pings: Mutex::default() };
    std::thread::scope(|scope| {
        let any = || any("127.0.0.1:0");
        let loops = [
            worker(scope, NAMES[0], bare, shared, |receiver, _, _| receive_bare(receiver))?,
            worker(scope, NAMES[1], own, shared, |receiver, _, shared| receive(receiver, shared))?,
            worker(scope, NAMES[2], any()?, shared, |_, sender, shared| send_bare(sender, shared))?,
            worker(scope, NAMES[3], any()?, shared, |_, sender, shared| send(sender, shared))?,
        ];
        let [bare_in, gateway_in, bare_out, gateway_out] = &loops;
        let mut packets = 0;
        while packets < u64::from(arguments.packets) {
            let made = gateway_out.turn()?;
            let mut pings = shared.pings.lock().expect("no thread panicked");
            pings.clear();
            while let 1.. = there.receive(Duration::ZERO, |_, to, bytes| {
                if let (Some(to), Ok(ping)) = (to, bytes.try_into()) {
                    pings.push((SocketAddr::new(to, port), ping));
                }
            })? {}
            let pongs: Vec<_> =
                pings.iter().map(|(to, ping)| (to.ip(), peers::answer(ping))).collect();
            drop(pings);
            ensure!(pongs.len() as u64 == made, "a ping was lost");
            ensure!(bare_out.turn()? == made, "not all pings");
            ensure!(receive_bare(&mut there)? == made, "a ping was lost");
            for (address, receiving) in addresses.into_iter().zip([bare_in, gateway_in]) {
                for (from, pong) in &pongs {
                    back.push(address, Some(*from), pong.as_ref().context("no ping")?)?;
                }
                back.flush()?;
                let came = receiving.turn()?;
                ensure!(came == made, "{came} of {made} pongs came: is the buffer large enough?");
            }
            packets += made;
        }
        let gateway = shared.gateway.lock().expect("no thread panicked");
        let stats = gateway.stats();
        ensure!(gateway.len() == peers as usize && stats.lost == 0, "peers were lost: {stats:?}");
        drop(gateway);
        let [a, b, c, d] = loops.map(Loop::end);
        Ok([a?, b?, c?, d?])
    })
}

/// A thread that does its part when told.
struct Loop {
    turn: Turn<()>,
    done: Turns<Result<u64>>,
    cost: Turns<Cost>,
}

impl Loop {
    /// How many datagrams it was.
    fn turn(&self) -> Result<u64> {
        self.turn.send(())?;
        self.done.recv()?
    }

    fn end(self) -> Result<Cost> {
        drop(self.turn);
        Ok(self.cost.recv()?)
    }
}

type Part = fn(&mut Receiver, &mut Sender, &Shared) -> Result<u64>;

fn worker<'s>(
    scope: &'s Scope<'s, '_>,
    name: &str,
    socket: Socket,
    shared: &'s Shared,
    part: Part,
) -> Result<Loop> {
    let ((turn, turns), (tell, done), (bill, cost)) = (channel(), channel(), channel());
    // The name is for profilers.
    let thread = std::thread::Builder::new().name(name.into());
    thread.spawn_scoped(scope, move || {
        let Ok((mut receiver, mut sender)) = socket.split() else { return };
        let mut stopwatch = Stopwatch::new();
        for () in turns {
            let did = stopwatch.time(|| part(&mut receiver, &mut sender, shared));
            if tell.send(did).is_err() {
                return;
            }
        }
        let _ = bill.send(stopwatch.cost());
    })?;
    Ok(Loop { turn, done, cost })
}

fn receive_bare(receiver: &mut Receiver) -> Result<u64> {
    let mut packets = 0;
    while let 1.. = receiver.receive(Duration::ZERO, |_, _, bytes| {
        packets += u64::from(!core::hint::black_box(bytes).is_empty());
    })? {}
    Ok(packets)
}

/// As the program reads.
fn receive(receiver: &mut Receiver, shared: &Shared) -> Result<u64> {
    let mut gateway = shared.gateway.lock().expect("no thread panicked");
    let now = *shared.now.lock().expect("no thread panicked");
    let heard = gateway.fleet().census().stats().pongs_received;
    let mut packets = 0;
    let mut out = |_: SocketAddr, _: &[u8]| {};
    let mut burst = gateway.burst(&mut out);
    while let 1.. = receiver.receive(Duration::ZERO, |from, _, bytes| {
        packets += 1;
        burst.datagram(now, from, bytes);
    })? {}
    drop(burst);
    ensure!(
        gateway.fleet().census().stats().pongs_received == heard + packets,
        "a pong was not its peer's"
    );
    Ok(packets)
}

fn send_bare(sender: &mut Sender, shared: &Shared) -> Result<u64> {
    let pings = shared.pings.lock().expect("no thread panicked");
    for (to, bytes) in &*pings {
        sender.push(*to, None, bytes)?;
    }
    sender.flush()?;
    Ok(pings.len() as u64)
}

/// As the program sends.
fn send(sender: &mut Sender, shared: &Shared) -> Result<u64> {
    let mut gateway = shared.gateway.lock().expect("no thread panicked");
    let mut now = shared.now.lock().expect("no thread panicked");
    let sent = gateway.stats().sent;
    let until = now.saturating_add(shared.span);
    while *now < until {
        *now = peers::next(&gateway, *now);
        let mut ended = Ok(());
        let mut out = |to: SocketAddr, bytes: &[u8]| {
            if let Err(error) = sender.push(to, None, bytes) {
                ended = Err(error);
            }
        };
        while gateway.advance(*now, 1024, &mut out) == Progress::Pending {}
        ended?;
        sender.flush()?;
    }
    Ok(gateway.stats().sent - sent)
}

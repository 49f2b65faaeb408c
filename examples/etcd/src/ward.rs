//! [`Ward`]: the peers that an observer watches, and their socket. Knows nothing of etcd.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::Result;
use heartbeat_proto::codec::{Frame, MAX_FRAME, datagram};
use heartbeat_proto::fleet::{
    Doubt, Fleet, GuardConfig, GuardReport, GuardState, Handle, Profile, Progress, Sink,
};
use heartbeat_proto::{Action, Actions, Config, Event, Liveness, Mode, Timestamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::clock;
use crate::view::Peer;

/// So much is taken in at once: about what a socket holds by itself.
const MOST_DATAGRAMS: usize = 256;

/// The rules for peers. A pong may take a whole interval, and this host may be late by as much before
/// its guard doubts it (rule GD5: a call later than a response window is a stall).
pub fn rules(interval: Duration) -> Result<Config> {
    let rules = Config::builder().mode(Mode::Initiator);
    Ok(rules.interval(interval).response_window(interval).build()?)
}

/// So long do verdicts wait when half of the peers fall silent together: then this host or its path
/// is more likely to blame than they.
fn hold(config: &Config) -> Duration {
    config.interval() * 4
}

/// The longest that a silent peer may go without a verdict, doubt included (rule GD6).
pub fn judged_within(config: &Config) -> Duration {
    config.worst_case_detection() + hold(config) + 3 * config.response_window()
}

/// How long an observer that doubts itself stays away at first, a fifth more or less: long enough for
/// others to judge its peers, if it is these that are dead.
pub fn away(config: &Config) -> Duration {
    (config.worst_case_detection() + judged_within(config)) * 5 / 4
}

fn fleet(config: Config, seed: u64) -> Result<Fleet> {
    let mut fleet = Fleet::new(config, seed, clock::now())?;
    fleet.set_guard(GuardConfig::new(hold(&config)))?;
    Ok(fleet)
}

/// What an advance of the fleet says.
#[derive(Default)]
struct Heard {
    all: Vec<(Handle, Actions)>,
    guard: Vec<GuardReport>,
}

impl Sink for Heard {
    fn take(&mut self, handle: Handle, actions: Actions) -> ControlFlow<()> {
        self.all.push((handle, actions));
        ControlFlow::Continue(())
    }

    fn guarded(&mut self, report: &GuardReport) {
        self.guard.push(*report);
    }
}

/// Who was found, by one call.
#[derive(Debug, Default)]
pub struct Found {
    /// Who is dead; they are watched no longer.
    pub dead: Vec<(String, Peer)>,
    /// What the guard did, in its order.
    pub guard: Vec<GuardReport>,
}

impl Found {
    /// So many fell silent together that this observer should ask itself whether it is cut off.
    pub fn doubts_us(&self) -> bool {
        let doubts = |report: &GuardReport| {
            report.doubt == Doubt::Observer && report.state == GuardState::Holding
        };
        self.guard.iter().any(doubts)
    }
}

/// What is kept of a watched peer, besides its state.
#[derive(Clone, Debug)]
struct Seat {
    name: String,
    peer: Peer,
}

pub struct Ward {
    config: Config,
    /// Hides the clock in stamps, too.
    seed: u64,
    socket: UdpSocket,
    fleet: Fleet,
    profile: Profile,
    /// By the place in the fleet.
    seats: Vec<Option<Seat>>,
    watched: BTreeMap<String, Handle>,
    /// Found dead, and dismissed.
    lost: Vec<(String, Peer)>,
}

impl Ward {
    pub fn new(listen: SocketAddr, interval: Duration, seed: u64) -> Result<Self> {
        let socket = UdpSocket::bind(listen)?;
        socket.set_nonblocking(true)?;
        let config = rules(interval)?;
        let fleet = fleet(config, seed)?;
        let profile = fleet.profiles().next().expect("the one above");
        let (seats, watched, lost) = (Vec::new(), BTreeMap::new(), Vec::new());
        Ok(Self { config, seed, socket, fleet, profile, seats, watched, lost })
    }

    /// Where pings come from.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    pub fn len(&self) -> usize {
        self.watched.len()
    }

    pub fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.watched.keys()
    }

    /// The peer of this name that is watched.
    pub fn peer(&self, name: &str) -> Option<Peer> {
        let handle = self.watched.get(name)?;
        self.seats[handle.place() as usize].as_ref().map(|seat| seat.peer)
    }

    /// Nobody is watched any more, and nothing is known of anybody.
    pub fn forget(&mut self) -> Result<()> {
        self.fleet = fleet(self.config, self.seed ^ clock::now().as_nanos())?;
        self.seats.clear();
        self.watched.clear();
        self.lost.clear();
        Ok(())
    }

    /// A peer that is new to us: it is asked, and has its whole response time, before any verdict.
    pub fn admit(&mut self, name: &str, peer: Peer) -> Result<()> {
        let now = clock::now();
        let handle = self.fleet.insert(self.profile, now)?;
        let place = handle.place() as usize;
        self.seats.resize(self.seats.len().max(place + 1), None);
        self.seats[place] = Some(Seat { name: name.to_owned(), peer });
        self.watched.insert(name.to_owned(), handle);
        let actions = self.fleet.handle(handle, Event::Start, now)?;
        self.perform(handle, actions);
        Ok(())
    }

    pub fn dismiss(&mut self, name: &str) {
        if let Some(handle) = self.watched.remove(name) {
            let _ = self.fleet.remove(handle);
            self.seats[handle.place() as usize] = None;
        }
    }

    /// For a datagram, or until `due` or the fleet's own deadline, 10 ms at most.
    pub fn wait(&self, due: Option<Timestamp>) -> Result<()> {
        let now = clock::now();
        let due = self.fleet.next_deadline().into_iter().chain(due).min();
        let longest = Duration::from_millis(10);
        let left = due.map_or(longest, |due| due.saturating_duration_since(now).min(longest));
        let left = Timespec { tv_sec: 0, tv_nsec: left.as_nanos() as _ };
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&left)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes in what has come, but no more than [`MOST_DATAGRAMS`]: a flood keeps the observer neither
    /// from its lease nor from who is due.
    pub fn receive(&mut self) -> Result<()> {
        let mut bytes = [0; MAX_FRAME + 1]; // Longer datagrams are no frames.
        for _ in 0..MOST_DATAGRAMS {
            let (len, from) = match self.socket.recv_from(&mut bytes) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error.into()),
            };
            let Ok(Frame::Pong { id, handle, stamp, hold, calm, .. }) =
                datagram::decode(&bytes[..len])
            else {
                continue;
            };
            let handle = Handle::new(handle as u32, id.epoch());
            let seat = self.seats.get(handle.place() as usize).and_then(Option::as_ref);
            if seat.is_none_or(|seat| seat.peer.address != from) {
                continue;
            }
            let stamp = Some(Timestamp::from_nanos(stamp.wrapping_sub(self.seed)));
            let event = Event::PongReceived { id, stamp, hold, calm };
            // A handle that is out of date names nobody.
            if let Ok(actions) = self.fleet.handle(handle, event, clock::now()) {
                self.perform(handle, actions);
            }
        }
        Ok(())
    }

    /// Does what is due.
    pub fn advance(&mut self) -> Found {
        let mut guard = Vec::new();
        loop {
            let mut heard = Heard::default();
            let progress = self.fleet.advance(clock::now(), 256, &mut heard);
            heard.all.into_iter().for_each(|(handle, actions)| self.perform(handle, actions));
            guard.extend(heard.guard);
            if progress == Progress::Done {
                return Found { dead: std::mem::take(&mut self.lost), guard };
            }
        }
    }

    fn perform(&mut self, handle: Handle, actions: Actions) {
        let Some(Some(seat)) = self.seats.get(handle.place() as usize).cloned() else { return };
        for action in actions {
            match action {
                Action::SendPing { id, stamp } => {
                    let stamp = stamp.as_nanos().wrapping_add(self.seed);
                    let ping =
                        Frame::Ping { id, handle: handle.slot().into(), stamp, status: None };
                    let mut bytes = [0; MAX_FRAME];
                    let len = ping.encode_into(&mut bytes).expect("there is room");
                    // An error is no verdict: silence is.
                    let _ = self.socket.send_to(&bytes[..len], seat.peer.address);
                }
                Action::Notify(change) if change.to == Liveness::Lost => {
                    self.dismiss(&seat.name);
                    self.lost.push((seat.name.clone(), seat.peer));
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt::set_socket_recv_buffer_size;

    use super::*;

    #[test]
    fn a_flood_keeps_it_for_so_long_and_no_longer() -> Result<()> {
        let mut ward = Ward::new(([127, 0, 0, 1], 0).into(), Duration::from_secs(1), 1)?;
        set_socket_recv_buffer_size(&ward.socket, 1 << 20)?;
        let flood = UdpSocket::bind("127.0.0.1:0")?;
        for _ in 0..=MOST_DATAGRAMS {
            flood.send_to(b"no frame", ward.address()?)?;
        }
        let is_left = |ward: &Ward| ward.socket.peek_from(&mut [0]).is_ok();
        assert!(is_left(&ward), "nothing came");
        ward.receive()?;
        assert!(is_left(&ward), "it went on and on");
        ward.receive()?;
        assert!(!is_left(&ward), "the socket could not hold them, or it reads nothing");
        Ok(())
    }

    #[test]
    fn a_group_that_dies_at_once_is_seen_before_its_first_verdict() -> Result<()> {
        for millis in [300, 1000, 10_000] {
            let rules = rules(Duration::from_millis(millis))?;
            assert_eq!(GuardConfig::seen(&rules), 100);
        }
        Ok(())
    }
}

//! Heartbeats on blocking streams of the standard library.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{TcpListener, TcpStream};
//! use heartbeat_proto::{Config, adapter::blocking::Heartbeat};
//!
//! # fn main() -> std::io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! let server = std::thread::spawn(move || -> std::io::Result<()> {
//!     let mut stream = Heartbeat::new(listener.accept()?.0, Config::lan())?;
//!     let mut buf = [0; 1024];
//!     loop {
//!         match stream.read(&mut buf)? {
//!             0 => return stream.close(),
//!             len => stream.write_all(&buf[..len])?,
//!         }
//!     }
//! });
//! let mut stream = Heartbeat::new(TcpStream::connect(address)?, Config::lan())?;
//! stream.write_all(b"are you there?")?;
//! let mut answer = [0; 14];
//! stream.read_exact(&mut answer)?; // an error within `worst_case_detection`, or the bytes
//! assert_eq!(&answer, b"are you there?");
//! stream.close()?;
//! # server.join().expect("no panic")
//! # }
//! ```
//!
//! # How it waits
//!
//! Without a thread of its own and without a selector of the system, a blocking program can wait
//! for one thing at a time: for input, with a read timeout that ends at the machine's deadline. While
//! the transport refuses bytes, it waits in the write for 10 ms at a time, and looks at the input in
//! between. So an idle connection costs nothing, a blocked writer a hundred wake-ups a second.
//!
//! # A program that computes for long
//!
//! A [`Heartbeat`] lives while the program is in one of its calls. Where the steps of the work are
//! short, [`service`](Heartbeat::service) between them will do. Where they are longer than the peer
//! waits, the feature `pulse` (on Unix) splits the connection: a thread of yours runs the `Pulse`,
//! which beats on time; the program keeps the `Watch`, reads and writes it, and tells its progress,
//! without which the pulse falls silent: alive is not the same as making progress. The shape:
//!
//! * One lock around the driver and the transport, which does not block. Whoever holds it does what
//!   can be done at once and waits for nothing: each call of the `Watch` and each wake-up of the
//!   `Pulse` is one whole round of [the driver loop](super#the-driver-loop). So either half reads
//!   before it judges, and frames of both are never mixed up.
//! * Without the lock, the pulse waits in `poll(2)`: for input, for room if something is unwritten,
//!   for the next deadline, for the gate to close, and for the watch to ring, which it does only
//!   when what it did must wake the pulse sooner. Idle, it sleeps from ping to ping.
//! * Without the lock, the watch waits on a condition variable until the pulse has news, or a
//!   little longer than the deadline: then it goes on by itself. So a pulse that nobody runs delays
//!   a program, and does not hang it.
//! * The gate is the policy, and reads no clock. Its states are those of the application: it
//!   waits for the peer, it is busy since so long, or it is stuck, and its connection unattended.
//!
//! # What was rejected
//!
//! *A thread for each connection that beats whatever happens*: it tells the peer, and the machine,
//! that all is well while the application is stuck, and outlives it. *Two clones of a blocking
//! socket, one in a blocking read*: nothing but input can wake that reader, so a deadline that the
//! writer makes earlier (a stalled write, a probe, a close) is missed, or 100 wake-ups a second look
//! for it; and timeouts and `O_NONBLOCK` are the socket's, not the clone's. *A frame that says
//! "stalled" instead of silence*: only peers that know it would act on it; all know silence. *Progress
//! by reading and writing alone*: who computes for an hour does neither. *`progress` on a handle that
//! can be cloned*: one thread that lives would vouch for another that hangs.
//!
//! # Platforms
//!
//! [`Transport`] needs working read and write timeouts. On Windows, the documentation of
//! `SO_RCVTIMEO` and `SO_SNDTIMEO` calls a socket indeterminate after a timeout; these adapters are
//! tested on Linux.

#[cfg(all(unix, feature = "pulse"))]
mod gate;
mod heartbeat;
#[cfg(all(unix, feature = "pulse"))]
mod pulse;
#[cfg(all(unix, feature = "pulse"))]
mod shared;
mod transport;
mod udp;
#[cfg(all(unix, feature = "pulse"))]
mod watch;
mod wire;

use core::time::Duration;
use std::io::{self, ErrorKind};

pub use heartbeat::Heartbeat;
#[cfg(all(unix, feature = "pulse"))]
pub use pulse::Pulse;
pub use transport::Transport;
pub use udp::UdpHeartbeat;
#[cfg(feature = "tokio")]
pub(super) use udp::{MOST_OVERDUE, concerns_one_datagram};
#[cfg(all(unix, feature = "pulse"))]
pub use watch::Watch;

use super::driver::Driver;
use crate::detector::Detector;
use crate::time::Timestamp;

/// The shortest timeout that is asked for: zero would mean "for ever", and is an error.
const SHORTEST: Duration = Duration::from_millis(1);

/// How long one look at a blocked writer, or meanwhile at a reader, takes.
const GLANCE: Duration = Duration::from_millis(10);

/// Whole milliseconds, rounded up, so that no wake-up precedes its deadline; never zero.
fn round_up(wait: Duration) -> Duration {
    let millis = wait.as_nanos().div_ceil(1_000_000).max(1);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

fn is_timeout(error: &io::Error) -> bool {
    match error.kind() {
        ErrorKind::WouldBlock => true,
        // Where timeouts say `WouldBlock`, this is the kernel that has given the connection up.
        ErrorKind::TimedOut => !(cfg!(unix) && error.raw_os_error().is_some()),
        _ => false,
    }
}

fn is_passing(error: &io::Error) -> bool {
    is_timeout(error) || error.kind() == ErrorKind::Interrupted
}

/// Whether a deadline is reached: what was received comes first, and any event may judge the peer.
fn is_due<D: Detector>(driver: &Driver<D>, now: Timestamp) -> bool {
    driver.next_deadline().is_some_and(|due| now >= due)
}

/// The time `now` to tell of something that was begun before the deadline: short of it, since
/// nobody is judged before what has come until then is read.
fn short_of_deadline<D: Detector>(driver: &Driver<D>, now: Timestamp) -> Timestamp {
    let last = driver.next_deadline().map(|due| due.saturating_sub(Duration::from_nanos(1)));
    last.map_or(now, |last| now.min(last))
}

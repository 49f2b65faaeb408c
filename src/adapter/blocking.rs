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
//! # What was rejected
//!
//! *A reading thread for each connection*: it would hide from the machine that the application is
//! stuck, and outlive it.
//!
//! # Platforms
//!
//! [`Transport`] needs working read and write timeouts. On Windows, the documentation of
//! `SO_RCVTIMEO` and `SO_SNDTIMEO` calls a socket indeterminate after a timeout; these adapters are
//! tested on Linux.

mod heartbeat;
mod transport;
mod udp;
mod wire;

use core::time::Duration;
use std::io::{self, ErrorKind};

pub use heartbeat::Heartbeat;
pub use transport::Transport;
pub use udp::UdpHeartbeat;
#[cfg(feature = "tokio")]
pub(super) use udp::{MOST_OVERDUE, concerns_one_datagram};

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
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
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

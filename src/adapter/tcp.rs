//! What TCP sockets need for heartbeats to be worth something.
//!
//! `Heartbeat::tcp` of the adapters and the blocking adapter do it themselves. Whoever puts another
//! layer between, TLS or WebSocket, does it to the socket below:
//!
//! ```no_run
//! use heartbeat_proto::Config;
//! use heartbeat_proto::adapter::{tcp, tokio::Heartbeat};
//! # use tokio::io::{AsyncRead, AsyncWrite};
//! # use tokio::net::TcpStream;
//! # async fn handshake(socket: TcpStream) -> std::io::Result<TcpStream> { Ok(socket) }
//!
//! async fn connect(address: &str) -> std::io::Result<Heartbeat<TcpStream>> {
//!     let socket = TcpStream::connect(address).await?;
//!     tcp::tune(&socket, &Config::wan())?;
//!     let tls = handshake(socket).await?;
//!     Ok(Heartbeat::new(tls, Config::wan()).on_abort(|tls| tcp::reset_on_close(&**tls)))
//! }
//! ```

use core::time::Duration;
use std::io;
#[cfg(unix)]
use std::os::fd::AsFd as AsSocket;
#[cfg(windows)]
use std::os::windows::io::AsSocket;

use super::setup::{Setup, longest_wait};
use crate::config::Config;
use crate::detector::Detector;

/// Bytes that the kernel takes but does not send yet. Behind a large backlog a ping counts as
/// written long before it leaves, and its answer as late.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 128 * 1024;

/// No delay for small frames (`TCP_NODELAY`), and on Linux a small unsent backlog
/// (`TCP_NOTSENT_LOWAT`, 128 KiB) and a bound on what is sent and never acknowledged
/// (`TCP_USER_TIMEOUT`).
///
/// That bound (the user timeout of RFC 793 and RFC 5482, where the kernel would otherwise send again
/// for a quarter of an hour) is the longest that the machine waits before a verdict: for silence, for a
/// stalled writer, for a drain. No shorter, for the machine must be the first to convict: it has the
/// evidence. And no longer, for whatever the machine has given up, or a program dropped without a
/// verdict, holds memory of the kernel until then. It is in whole milliseconds, rounded up. Call
/// it again when the rules change.
///
/// # Errors
///
/// The system refuses.
pub fn tune<D: Detector>(socket: &impl AsSocket, config: &Config<D>) -> io::Result<()> {
    tune_for(socket, longest_wait(Setup::new(*config).config()))
}

pub(super) fn tune_for(socket: &impl AsSocket, limit: Duration) -> io::Result<()> {
    let socket = socket2::SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        socket.set_tcp_notsent_lowat(UNSENT)?;
        let millis = limit.as_nanos().div_ceil(1_000_000).max(1);
        let limit = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
        socket.set_tcp_user_timeout(Some(limit))?;
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = limit;
    Ok(())
}

/// Makes the next close a reset: nothing is retried for minutes, and the peer learns at once. If the
/// system refuses, an ordinary close follows.
pub fn reset_on_close(socket: &impl AsSocket) {
    let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

//! What TCP sockets need for heartbeats to be worth something.

use core::time::Duration;
use std::io;

/// Bytes that the kernel takes but does not send yet. Behind a large backlog a ping counts as
/// written long before it leaves, and its answer as late.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 128 * 1024;

/// No delay for small frames, and where the system has knobs for them, a small unsent backlog and a
/// bound on what is sent and never acknowledged.
///
/// That bound (the user timeout of RFC 793 and RFC 5482, where the kernel would otherwise send again
/// for a quarter of an hour) is `limit`, the longest time to any verdict of the machine's own. No
/// shorter, for the machine must be the first to convict: it has the evidence. And no longer, for
/// whatever the machine has given up, or a program dropped without a verdict, holds memory of the
/// kernel until then. It is in whole milliseconds, rounded up; zero would mean the system's default.
#[cfg(feature = "tcp")]
pub(super) fn tune<'s, S>(socket: &'s S, limit: Duration) -> io::Result<()>
where
    socket2::SockRef<'s>: From<&'s S>,
{
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

/// Makes the next close a reset: nothing is retried for minutes, and the peer learns at once.
#[cfg(feature = "tcp")]
pub(super) fn reset_on_close<'s, S>(socket: &'s S)
where
    socket2::SockRef<'s>: From<&'s S>,
{
    // If the system refuses, an ordinary close follows.
    let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

//! What TCP sockets need for heartbeats to be worth something.

use std::io;

/// Bytes that the kernel takes but does not send yet. Behind a large backlog a ping counts as
/// written long before it leaves, and its answer as late.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 128 * 1024;

/// No delay for small frames, and a small unsent backlog where the system has a knob for it.
#[cfg(feature = "tcp")]
pub(super) fn tune<'s, S>(socket: &'s S) -> io::Result<()>
where
    socket2::SockRef<'s>: From<&'s S>,
{
    let socket = socket2::SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    Ok(())
}

/// Makes the next close a reset: nothing is retried for minutes, and the peer learns at once.
#[cfg(feature = "tcp")]
pub(super) fn reset_on_close<'s, S>(socket: &'s S)
where
    socket2::SockRef<'s>: From<&'s S>,
{
    // If the system refuses, an ordinary close follows.
    let _ = socket2::SockRef::from(socket).set_linger(Some(core::time::Duration::ZERO));
}

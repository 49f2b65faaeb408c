//! [`Transport`] and [`Timer`]: what a runtime must offer.

use core::task::{Context, Poll};
use std::io::{self, IoSlice};

use crate::time::Timestamp;

/// A byte stream that is polled: TCP, TLS, a pipe.
///
/// An implementation remembers the waker of the last poll of each direction and wakes it when that
/// direction can go on, as `AsyncRead` and `AsyncWrite` do everywhere.
pub trait Transport {
    /// The stream that is wrapped, as its owner knows it.
    type Socket;

    /// The wrapped stream.
    fn socket(&self) -> &Self::Socket;

    /// Reads some bytes, and says how many; 0 at the end.
    ///
    /// # Errors
    ///
    /// The stream failed.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes some of the bytes, and says how many.
    ///
    /// # Errors
    ///
    /// The stream failed.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Writes some of the bytes of all the slices, and says how many, if [`gathers`](Self::gathers)
    /// says that this is better than one by one. Default: writes of the first that has any.
    ///
    /// # Errors
    ///
    /// The stream failed.
    fn poll_gather(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write(cx, bytes.iter().find(|slice| !slice.is_empty()).map_or(&[], |slice| slice))
    }

    /// Whether the stream can write several slices at once. Default: no.
    fn gathers(&self) -> bool {
        false
    }

    /// Hands what was written to the system.
    ///
    /// # Errors
    ///
    /// The stream failed.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the own direction after what was written.
    ///
    /// # Errors
    ///
    /// The stream failed.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// A monotonic clock with one alarm.
///
/// Where the runtime remembers which sockets are readable, the alarm must not ring before it has
/// looked at them at or after the alarm's time. Where every read asks the system, that is no
/// concern.
pub trait Timer {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Sets the alarm, in place of the one before.
    fn set(&mut self, at: Timestamp);

    /// Whether polls of sockets find what there is. A runtime that rations the polls of a task
    /// says "pending" of everything once the ration is used up; that is no silence of a peer.
    /// Default: always.
    fn may_poll(&self) -> bool {
        true
    }

    /// Ready once the time of the alarm has come; until then `cx` will be woken.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

//! [`Wire`]: a polled transport with its driver: what one round reads and writes.

use core::task::{Context, Poll};
use std::io::{self, ErrorKind};

use super::pulse::{Input, Io, MOST_READS};
use super::runtime::{Timer, Transport};
use super::scratch;
use crate::adapter::driver::Driver;
use crate::adapter::notice::Ended;
use crate::adapter::stream::{GATHERED, StreamDriver};
use crate::codec::HEADER_LEN;
use crate::detector::Detector;
use crate::time::Timestamp;

/// Received bytes go to the application's space at once if it has so much; into less of it would
/// fit parts of frames.
pub(super) const DIRECT: usize = 1024;

/// The transport with its driver.
pub(super) struct Wire<S, D: Detector> {
    /// `None` once it was aborted.
    pub(super) transport: Option<S>,
    pub(super) abort: fn(&S),
    pub(super) stream: StreamDriver<D>,
    /// Something was written since the last flush.
    pub(super) unflushed: bool,
}

/// A wire in a round, and where the application's bytes go if somebody waits for them.
pub(super) struct Round<'r, S, D: Detector> {
    pub(super) wire: &'r mut Wire<S, D>,
    pub(super) into: &'r mut [u8],
    pub(super) filled: usize,
    /// The transport was left unread for the application's sake.
    pub(super) unread: bool,
}

impl<S: Transport, D: Detector> Wire<S, D> {
    pub(super) fn has_unflushed(&self) -> bool {
        self.stream.has_output() || self.unflushed
    }

    /// Writes the application's bytes from where they lie, if nothing else waits and the transport
    /// can; how many it took. Of a large write no byte is copied then.
    pub(super) fn write_direct(
        &mut self,
        buf: &[u8],
        now: Timestamp,
        cx: &mut Context<'_>,
    ) -> io::Result<usize> {
        let Some(transport) = self.transport.as_mut().filter(|transport| transport.gathers())
        else {
            return Ok(0);
        };
        let mut headers = [[0; HEADER_LEN]; GATHERED];
        let Some(slices) = self.stream.gather(buf, &mut headers)? else { return Ok(0) };
        match transport.poll_gather(cx, &slices) {
            Poll::Ready(Ok(len)) if len > 0 => {
                self.unflushed = true;
                Ok(self.stream.wrote_gathered(buf, len, now))
            }
            // Pending or at its end: the ordinary way finds out, and says so.
            Poll::Ready(Ok(_)) | Poll::Pending => Ok(0),
            Poll::Ready(Err(error)) => {
                let ended = Ended::Transport(error.kind());
                self.stream.driver_mut().end(ended);
                Err(ended.into())
            }
        }
    }
}

impl<S: Transport, D: Detector> Io for Round<'_, S, D> {
    type Detector = D;

    fn driver(&mut self) -> &mut Driver<D> {
        self.wire.stream.driver_mut()
    }

    fn poll_input(&mut self, clock: &impl Timer, cx: &mut Context<'_>) -> (Input, Timestamp) {
        let Wire { transport, stream, .. } = &mut *self.wire;
        let mut now = clock.now();
        let is_due = |stream: &StreamDriver<D>, now| {
            stream.driver().next_deadline().is_some_and(|due| now >= due)
        };
        // What is due comes before the application, which might never let the runtime turn.
        let leave = !is_due(stream, now);
        for _ in 0..MOST_READS {
            let (true, Some(transport)) = (stream.wants_input(), transport.as_mut()) else {
                return (if stream.is_full() { Input::Held } else { Input::Drained }, now);
            };
            if self.filled > 0 && !is_due(stream, now) {
                self.unread = true;
                return (Input::Held, now); // The application has something to do, and comes again.
            }
            let space = self.into.get_mut(self.filled..).unwrap_or_default();
            let read = if leave && space.len() >= DIRECT && stream.available() == 0 {
                transport.poll_read(cx, space).map_ok(|len| {
                    now = clock.now();
                    let space = space.get_mut(..len).unwrap_or_default();
                    self.filled += stream.received_in(space, now);
                    len
                })
            } else {
                scratch::with(|space| {
                    transport.poll_read(cx, space).map_ok(|len| {
                        now = clock.now();
                        stream.received(space.get(..len).unwrap_or_default(), now);
                        len
                    })
                })
            };
            match read {
                Poll::Pending => return (Input::Drained, now),
                Poll::Ready(Ok(0)) => stream.received_end(),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    stream.driver_mut().end(Ended::Transport(error.kind()));
                }
            }
        }
        (Input::More, now)
    }

    fn poll_output(
        &mut self,
        clock: &impl Timer,
        mut now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Timestamp {
        let Wire { transport: Some(transport), stream, unflushed, .. } = &mut *self.wire else {
            return now;
        };
        loop {
            let bytes = stream.to_write(now);
            if bytes.is_empty() {
                break;
            }
            let written = transport.poll_write(cx, bytes);
            now = clock.now();
            let end = match written {
                Poll::Pending => {
                    stream.driver_mut().blocked(now);
                    return now;
                }
                Poll::Ready(Ok(0)) => Ended::Transport(ErrorKind::WriteZero),
                Poll::Ready(Ok(len)) => {
                    *unflushed = true;
                    stream.wrote(len, now);
                    continue;
                }
                Poll::Ready(Err(error)) => Ended::Transport(error.kind()),
            };
            stream.driver_mut().end(end);
            return now;
        }
        if *unflushed {
            match transport.poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => *unflushed = false,
                Poll::Ready(Err(error)) => {
                    *unflushed = false;
                    stream.driver_mut().end(Ended::Transport(error.kind()));
                }
            }
        }
        now
    }
}

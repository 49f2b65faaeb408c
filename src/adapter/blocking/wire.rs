//! [`Wire`]: a transport with its driver, that reads once and writes what goes.

use core::time::Duration;
use std::io::{self, ErrorKind};

use super::{GLANCE, Transport, is_due, is_passing, is_timeout, short_of_deadline};
use crate::adapter::clock::StdClock;
use crate::adapter::notice::Ended;
use crate::adapter::stream::StreamDriver;
use crate::detector::Detector;
use crate::time::Timestamp;

pub(super) struct Wire<T, D: Detector> {
    /// `None` once it was aborted.
    pub(super) transport: Option<T>,
    pub(super) stream: StreamDriver<D>,
    pub(super) clock: StdClock,
    flush: Flush,
    /// The own direction was ended.
    finished: bool,
}

/// What a buffered transport still has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    Done,
    /// Something was written since the last one.
    Due,
    /// The transport could not for the moment.
    Refused,
}

impl<T: Transport, D: Detector> Wire<T, D> {
    pub(super) fn new(transport: T, stream: StreamDriver<D>, clock: StdClock) -> Self {
        Self { transport: Some(transport), stream, clock, flush: Flush::Done, finished: false }
    }

    /// Reads once, by `read`; whether all that was there has been read.
    pub(super) fn read(
        &mut self,
        read: impl FnOnce(&mut T, &mut [u8]) -> io::Result<usize>,
    ) -> bool {
        let Some(transport) = &mut self.transport else { return false };
        let mut buf = [0; 16 * 1024];
        match read(transport, &mut buf) {
            Ok(0) => self.stream.received_end(),
            Ok(len) => {
                let now = self.clock.now();
                self.stream.received(buf.get(..len).unwrap_or_default(), now);
            }
            Err(error) if is_timeout(&error) => return true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => self.stream.driver_mut().end(Ended::Transport(error.kind())),
        }
        false
    }

    /// Writes what waits and flushes, each after `ready`; whether all of it went. Nothing is written
    /// once a deadline is reached: what was received comes first.
    pub(super) fn write(&mut self, ready: impl Fn(&T) -> io::Result<()>) -> bool {
        loop {
            let now = self.clock.now();
            if self.must_read(now) {
                return false;
            }
            let Some(transport) = &mut self.transport else { return true };
            let bytes = self.stream.to_write(now);
            let flush = bytes.is_empty();
            if flush && self.flush == Flush::Done {
                return true;
            }
            let done = ready(transport).and_then(|()| {
                if flush { transport.flush().map(|()| 0) } else { transport.write(bytes) }
            });
            let now = self.event_time();
            match done {
                Ok(_) if flush => {
                    if self.flush == Flush::Refused {
                        self.stream.driver_mut().progressed(now);
                    }
                    self.flush = Flush::Done;
                }
                Ok(0) => {
                    self.stream.driver_mut().end(Ended::Transport(ErrorKind::WriteZero));
                    return true;
                }
                Ok(len) => {
                    self.flush = Flush::Due;
                    self.stream.wrote(len, now);
                }
                Err(error) if is_timeout(&error) => {
                    if flush {
                        self.flush = Flush::Refused;
                    }
                    self.stream.driver_mut().blocked(now);
                    return false;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.stream.driver_mut().end(Ended::Transport(error.kind()));
                    return true;
                }
            }
        }
    }

    /// The present moment for an event that is no input: it shall judge nobody whose answer may lie
    /// unread.
    pub(super) fn event_time(&self) -> Timestamp {
        let now = self.clock.now();
        let must_read = self.must_read(now);
        if must_read { short_of_deadline(self.stream.driver(), now) } else { now }
    }

    /// Whether a deadline is reached and the input can be read. (Where it cannot, since the
    /// application does not take what it has, it excuses nobody: else two ends that both only write
    /// would wait for ever.)
    pub(super) fn must_read(&self, now: Timestamp) -> bool {
        self.stream.wants_input() && is_due(self.stream.driver(), now)
    }

    /// Whether something waits to be written or flushed.
    pub(super) fn has_output(&self) -> bool {
        let over = self.stream.driver().ended().is_some();
        self.stream.has_output() || (self.flush != Flush::Done && !over)
    }

    /// One step of a close on purpose, at `now`; whether it is over. First what waits gets its time to
    /// leave, then the goodbye, then the peer to close as well; what it still sends is dropped.
    pub(super) fn close(&mut self, now: Timestamp) -> io::Result<bool> {
        self.check()?;
        if self.finished {
            self.stream.discard();
        } else {
            self.stream.close(now);
            let ready = self.transport.as_ref().filter(|_| !self.has_output());
            match ready.map(Transport::finish) {
                None => {}
                Some(Ok(())) => self.finished = true,
                // It has to write for that, and is asked again; the limit holds.
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(error)) => return Err(error),
            }
        }
        Ok(self.stream.driver().ended().is_some())
    }

    /// What the next step of a close waits for: nothing, if something can be written.
    pub(super) fn close_wait(&self) -> Duration {
        match (self.has_output(), self.finished) {
            (true, _) => Duration::ZERO,
            (false, false) => GLANCE,
            (false, true) => Duration::MAX,
        }
    }

    /// Aborts the transport and fails once the connection has ended otherwise than on purpose.
    pub(super) fn check(&mut self) -> io::Result<()> {
        match self.stream.driver().ended() {
            Some(ended) if !ended.on_purpose() => {
                if let Some(transport) = self.transport.take() {
                    transport.abort();
                }
                Err(ended.into())
            }
            _ => Ok(()),
        }
    }
}

//! [`StreamDriver`]: a [`Driver`] whose heartbeats share a byte stream with the application.

use alloc::vec::Vec;
use core::ops::Range;
use std::io::{self, IoSlice};

use bytes::{Buf, BytesMut};

use super::driver::Driver;
use super::notice::Ended;
use super::setup::Setup;
use crate::codec::{Decoder, Encoder, Frame, HEADER_LEN, Item, MAX_DATA, MAX_FRAME};
use crate::config::{Config, LifeRule};
use crate::detector::{Deadline, Detector};
use crate::event::Event;
use crate::liveness::Liveness;
use crate::time::Timestamp;

/// So many data frames are written at once from where the application's bytes lie.
pub(super) const GATHERED: usize = 4;

/// Heartbeats and application bytes on one stream, without the stream.
///
/// Received bytes go in by [`received`](Self::received); the application's come out by
/// [`take`](Self::take). The application's bytes go in by [`stage`](Self::stage), at most one data
/// frame at a time; what to write comes out by [`to_write`](Self::to_write), heartbeats first, but
/// never inside a data frame.
///
/// Its memory is bounded: one data frame to write (16 KiB), one heartbeat of each sort, and about
/// [`INBOX`](Self::INBOX) received bytes. Beyond those it does [not want
/// input](Self::wants_input); the heartbeats behind them are then unread, so time is not to be
/// [ticked](Driver::tick), lest a peer be judged whose answer nobody looked at. Keep reading.
#[derive(Debug)]
pub struct StreamDriver<D: Detector = Deadline> {
    driver: Driver<D>,
    decoder: Decoder,
    inbox: BytesMut,
    input_over: bool,
    /// The peer said goodbye: what it had to say is said.
    goodbye: bool,
    /// This end has closed, or is about to.
    closing: bool,
    /// The heartbeat that is being written, and where its rest begins.
    beat: [u8; MAX_FRAME],
    beat_len: usize,
    beat_done: usize,
    /// The data frame that is being written, and where its rest begins.
    data: Vec<u8>,
    data_done: usize,
}

impl<D: Detector> StreamDriver<D> {
    /// More received application bytes than this are not kept (a data frame of 16 KiB may go
    /// beyond it).
    pub const INBOX: usize = 64 * 1024;

    /// Starts a connection that is usable from `now` on. A verdict on a stream is final:
    /// [`reopen_after`](crate::ConfigBuilder::reopen_after) has no effect.
    pub fn new(setup: impl Into<Setup<D>>, now: Timestamp) -> Self {
        let setup = setup.into();
        let config = Config { reopen_after: 0, ..setup.config };
        Self::with(Driver::new(Setup { config, ..setup }, now))
    }

    /// The next connection to the same peer: see [`Driver::reconnected`]. Bytes of the old stream
    /// are dropped.
    #[must_use]
    pub fn reconnected(self, now: Timestamp) -> Self {
        Self::with(self.driver.reconnected(now))
    }

    fn with(driver: Driver<D>) -> Self {
        Self {
            driver,
            decoder: Decoder::new(),
            inbox: BytesMut::new(),
            input_over: false,
            goodbye: false,
            closing: false,
            beat: [0; MAX_FRAME],
            beat_len: 0,
            beat_done: 0,
            data: Vec::new(),
            data_done: 0,
        }
    }

    /// What has no part in the bytes: liveness, deadlines, events, the end.
    pub const fn driver(&self) -> &Driver<D> {
        &self.driver
    }

    /// See [`driver`](Self::driver).
    pub const fn driver_mut(&mut self) -> &mut Driver<D> {
        &mut self.driver
    }

    // ----- Input -----

    /// Whether the transport is to be read.
    pub fn wants_input(&self) -> bool {
        !self.input_over && self.driver.ended().is_none() && !self.is_full()
    }

    /// Whether the inbox is full: the application must [take](Self::take) first.
    pub fn is_full(&self) -> bool {
        self.inbox.len() >= Self::INBOX
    }

    /// These bytes came in. A bad frame ends the connection.
    pub fn received(&mut self, input: &[u8], now: Timestamp) {
        let mut rest = input;
        while let Some((consumed, data)) = self.received_item(rest, now) {
            self.inbox.extend_from_slice(rest.get(data).unwrap_or_default());
            rest = rest.get(consumed..).unwrap_or_default();
        }
        self.settle();
    }

    /// As [`received`](Self::received), but the application's bytes are moved to the front of `buf`
    /// and not kept here; how many. Only while nothing is [available](Self::available), or the
    /// application's bytes change their order.
    pub fn received_in(&mut self, buf: &mut [u8], now: Timestamp) -> usize {
        let (mut at, mut kept) = (0, 0);
        while let Some((consumed, data)) =
            self.received_item(buf.get(at..).unwrap_or_default(), now)
        {
            buf.copy_within(at + data.start..at + data.end, kept);
            kept += data.len();
            at += consumed;
        }
        self.settle();
        kept
    }

    /// Takes the first item of the input: how long it is, and where in it the application's bytes
    /// lie. `None` when there is nothing more, or the connection has ended.
    fn received_item(&mut self, input: &[u8], now: Timestamp) -> Option<(usize, Range<usize>)> {
        if input.is_empty() || self.driver.ended().is_some() {
            return None;
        }
        let (consumed, item) = match self.decoder.feed(input) {
            Ok(found) => found,
            Err(error) => {
                let offset = self.decoder.offset();
                self.driver.end(Ended::BadFrame { offset, error });
                return None;
            }
        };
        let data = match item {
            Some(Item::Frame(frame)) => {
                self.goodbye |= matches!(frame, Frame::Goodbye { .. });
                self.driver.received(&frame, now);
                return Some((consumed, 0..0));
            }
            Some(Item::Data { start, end }) => start..end,
            None => 0..0,
        };
        if !data.is_empty() && self.decoder.finish().is_ok() {
            self.driver.read(Event::FrameReceived, now);
        } else {
            self.part_received(now);
        }
        Some((consumed, data))
    }

    /// Bytes, but no whole frame. Where they are no life they are no event either: it would bring
    /// what is due to be judged before the answer behind them is read.
    fn part_received(&mut self, now: Timestamp) {
        if self.driver.machine().config().life_rule == LifeRule::AnyByte {
            self.driver.read(Event::BytesReceived, now);
        }
    }

    /// The stream has ended: as announced, or without a goodbye, or in the middle of a frame.
    pub fn received_end(&mut self) {
        self.input_over = true;
        if self.driver.liveness() != Liveness::Closed || self.decoder.finish().is_err() {
            self.driver.end(Ended::Abrupt);
        }
        self.settle();
    }

    /// Moves received application bytes into `buf`, and says how many.
    pub fn take(&mut self, buf: &mut [u8]) -> usize {
        let len = buf.len().min(self.inbox.len());
        if let Some(buf) = buf.get_mut(..len) {
            self.inbox.copy_to_slice(buf);
        }
        len
    }

    /// Drops received application bytes that nobody will [take](Self::take).
    pub fn discard(&mut self) {
        self.inbox.clear();
    }

    /// How many application bytes were received and not yet [taken](Self::take).
    pub fn available(&self) -> usize {
        self.inbox.len()
    }

    /// What a reader is told when no byte is [available](Self::available): `None` to wait,
    /// `Some(Ok(()))` for the end of the peer's bytes.
    ///
    /// # Errors
    ///
    /// The connection ended in another way than by the peer's goodbye.
    pub fn end_of_input(&self) -> Option<io::Result<()>> {
        let closed = self.driver.liveness() == Liveness::Closed;
        match self.driver.ended() {
            _ if closed && self.is_input_over() => Some(Ok(())),
            Some(ended) => Some(Err(ended.into())),
            None => None,
        }
    }

    /// Whether the peer has said all: it said goodbye, or its stream ended where a frame did.
    fn is_input_over(&self) -> bool {
        self.goodbye || (self.input_over && self.decoder.finish().is_ok())
    }

    // ----- Output -----

    /// Takes application bytes for one data frame, and says how many; 0 while the last data frame
    /// is not written, or when `data` is empty.
    ///
    /// # Errors
    ///
    /// The connection has ended, or this end has closed it.
    pub fn stage(&mut self, data: &[u8]) -> io::Result<usize> {
        self.check_open()?;
        let len = data.len().min(MAX_DATA);
        let Ok(header) = Encoder::header(len) else { return Ok(0) };
        if !self.data.is_empty() {
            return Ok(0);
        }
        self.data.extend_from_slice(&header);
        self.data.extend_from_slice(data.get(..len).unwrap_or_default());
        Ok(len)
    }

    /// The data frames that the application's bytes become if they are written from where they lie,
    /// as slices of `headers` and `data`, instead of being [staged](Self::stage). `None` while
    /// anything else waits to be written.
    ///
    /// # Errors
    ///
    /// As [`stage`](Self::stage).
    pub(super) fn gather<'d>(
        &self,
        data: &'d [u8],
        headers: &'d mut [[u8; HEADER_LEN]; GATHERED],
    ) -> io::Result<Option<[IoSlice<'d>; 2 * GATHERED]>> {
        self.check_open()?;
        if self.has_output() || data.is_empty() {
            return Ok(None);
        }
        let mut slices = [IoSlice::new(&[]); 2 * GATHERED];
        for ((pair, piece), header) in
            slices.chunks_exact_mut(2).zip(data.chunks(MAX_DATA)).zip(headers)
        {
            let Ok(bytes) = Encoder::header(piece.len()) else { return Ok(None) };
            *header = bytes;
            if let [first, second] = pair {
                (*first, *second) = (IoSlice::new(header), IoSlice::new(piece));
            }
        }
        Ok(Some(slices))
    }

    /// The transport took the first `len` bytes of what was [gathered](Self::gather) of `data`: of
    /// a data frame that it took in part the rest is kept. How many of the application's bytes are
    /// thereby taken.
    pub(super) fn wrote_gathered(&mut self, data: &[u8], mut len: usize, now: Timestamp) -> usize {
        let mut taken = 0;
        for piece in data.chunks(MAX_DATA) {
            if len == 0 {
                break;
            }
            taken += piece.len();
            if len < HEADER_LEN + piece.len() {
                let header = Encoder::header(piece.len()).unwrap_or_default();
                self.data.extend_from_slice(&header);
                self.data.extend_from_slice(piece);
                self.data_done = len;
                break;
            }
            len -= HEADER_LEN + piece.len();
        }
        self.driver.progressed(now);
        taken
    }

    fn check_open(&self) -> io::Result<()> {
        match (self.driver.ended(), self.driver.report()) {
            (Some(ended), _) => Err(ended.into()),
            (None, Some(report)) if self.closing => Err(Ended::Closed(report).into()),
            _ => Ok(()),
        }
    }

    /// The bytes to write now; empty if there are none.
    pub fn to_write(&mut self, now: Timestamp) -> &[u8] {
        if self.driver.ended().is_some() {
            return &[];
        }
        if self.beat_done == 0 {
            self.beat_len = 0;
            if self.data_done == 0 {
                // Nothing of a data frame has left, so a heartbeat may go first.
                let frame = self.driver.next_frame(now);
                // A frame of ours fits by construction.
                self.beat_len =
                    frame.and_then(|frame| frame.encode_into(&mut self.beat).ok()).unwrap_or(0);
            }
        }
        let beat = self.beat.get(self.beat_done..self.beat_len).unwrap_or_default();
        if beat.is_empty() { self.data.get(self.data_done..).unwrap_or_default() } else { beat }
    }

    /// The transport took the first `len` of the bytes [to write](Self::to_write).
    pub fn wrote(&mut self, len: usize, now: Timestamp) {
        if len == 0 {
            return;
        }
        if self.beat_len > self.beat_done {
            if self.beat_done == 0 {
                self.driver.begun();
            }
            self.beat_done = self.beat_len.min(self.beat_done + len);
            if self.beat_done == self.beat_len {
                (self.beat_done, self.beat_len) = (0, 0);
                self.driver.sent(now);
            } else {
                self.driver.progressed(now);
            }
        } else {
            self.data_done = self.data.len().min(self.data_done + len);
            if self.data_done == self.data.len() {
                self.data.clear();
                self.data_done = 0;
            }
            self.driver.progressed(now);
        }
        self.settle();
    }

    /// Whether something waits to be written.
    pub fn has_output(&self) -> bool {
        self.driver.ended().is_none() && (!self.data.is_empty() || self.driver.has_output())
    }

    /// Closes on purpose, in two steps: first what the application wrote gets its time to leave
    /// (the peer is still answered; [`drain_limit`](crate::ConfigBuilder::drain_limit) holds), and
    /// when it has, the goodbye is put into the outbox. To be called until nothing
    /// [waits](Self::has_output). What the peer still sends can be read for `drain_limit` more; so
    /// long, a peer that was told goodbye may write.
    pub fn close(&mut self, now: Timestamp) {
        self.closing = true;
        let event = if self.data.is_empty() { Event::Close } else { Event::Drain };
        self.driver.handle(event, now);
        self.settle();
    }

    /// Closed by both ends, with nothing under way: that was it.
    fn settle(&mut self) {
        let closed = self.driver.liveness() == Liveness::Closed;
        if closed && self.closing && self.is_input_over() && !self.has_output() {
            self.driver.end_closed();
        }
    }
}

//! One direction of a link: what is on the way, and what may happen to it.

use alloc::collections::VecDeque;

use super::rng::{Rng, scaled};
use crate::event::Event;

/// A frame on the way.
#[derive(Clone, Copy, Debug)]
struct Packet {
    arrives: u64,
    event: Event,
}

/// How much longer a frame of data takes than a heartbeat, and how many of them a path buffers.
const DATA: u64 = 8;
const QUEUE: u64 = 32;

/// Its faults are plain numbers that anybody may set at any time.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) delay: u64,
    /// Up to this much is added to the delay of a frame, at random.
    pub(crate) jitter: u64,
    /// Frames keep their order, as on a stream; otherwise the jitter reorders them.
    pub(crate) fifo: bool,
    /// Out of 1024.
    pub(crate) loss: u16,
    /// Out of 1024.
    pub(crate) duplication: u16,
    /// How long a frame occupies the path; data takes [`DATA`] times as long.
    pub(crate) frame_time: u64,
    /// Nothing passes.
    pub(crate) cut: bool,
    /// When the path has carried what was given to it.
    free_at: u64,
    /// The last scheduled arrival.
    last: u64,
    rng: Rng,
    packets: VecDeque<Packet>,
    /// When the first of them arrives.
    next: u64,
    pub(crate) tally: Tally,
}

/// What happened to frames.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) queued: u64,
}

impl Path {
    pub(crate) fn new(seed: u64, delay: u64) -> Self {
        Self {
            delay,
            jitter: 0,
            fifo: true,
            loss: 0,
            duplication: 0,
            frame_time: 0,
            cut: false,
            free_at: 0,
            last: 0,
            rng: Rng::new(seed),
            packets: VecDeque::new(),
            next: u64::MAX,
            tally: Tally::default(),
        }
    }

    /// Starts over, and keeps the memory.
    pub(crate) fn renew(&mut self, seed: u64, delay: u64) {
        self.packets.clear();
        let packets = core::mem::take(&mut self.packets);
        *self = Self { packets, ..Self::new(seed, delay) };
    }

    /// No faults from now on; what was held up on the way arrives.
    pub(crate) fn heal(&mut self, now: u64, delay: u64) {
        for packet in &mut self.packets {
            packet.arrives = packet.arrives.min(now + delay);
        }
        self.look();
        self.last = self.last.min(now + delay);
        self.delay = delay;
        self.jitter = 0;
        self.loss = 0;
        self.duplication = 0;
        self.frame_time = 0;
        self.cut = false;
        self.free_at = 0;
    }

    /// Every frame takes one draw, so that a fault more or less does not change all the others.
    pub(crate) fn send(&mut self, now: u64, event: Event) {
        self.tally.sent += 1;
        let draw = self.rng.next();
        if self.cut || (draw & 1023) < u64::from(self.loss) {
            self.tally.lost += 1;
            return;
        }
        let mut leaves = now;
        if self.frame_time != 0 {
            let data = matches!(event, Event::FrameReceived | Event::BytesReceived);
            let time = self.frame_time * if data { DATA } else { 1 };
            self.tally.queued += u64::from(self.free_at > now);
            leaves = self.free_at.max(now) + time;
            if leaves - now > QUEUE * DATA * self.frame_time {
                self.tally.lost += 1; // Its buffer is full.
                return;
            }
            self.free_at = leaves;
        }
        let arrives = leaves + self.delay + scaled(draw << 20, self.jitter);
        self.arrive(arrives, event);
        if ((draw >> 10) & 1023) < u64::from(self.duplication) {
            self.tally.duplicated += 1;
            self.arrive(arrives + scaled(draw << 30, self.jitter + self.delay), event);
        }
    }

    fn arrive(&mut self, at: u64, event: Event) {
        let arrives = if self.fifo { at.max(self.last) } else { at };
        self.tally.reordered += u64::from(arrives < self.last);
        self.last = self.last.max(arrives);
        let mut index = self.packets.len();
        while index > 0 && self.packets[index - 1].arrives > arrives {
            index -= 1;
        }
        self.packets.insert(index, Packet { arrives, event });
        self.look();
    }

    /// When the next frame arrives.
    #[inline]
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    fn look(&mut self) {
        self.next = self.packets.front().map_or(u64::MAX, |packet| packet.arrives);
    }

    pub(crate) fn receive(&mut self) -> Option<Event> {
        let packet = self.packets.pop_front();
        self.look();
        packet.map(|packet| packet.event)
    }

    /// What is on the way never arrives.
    pub(crate) fn clear(&mut self) {
        self.tally.lost += self.packets.len() as u64;
        self.packets.clear();
        self.look();
    }
}

//! Two machines joined through the codec. Over a rough path (cut anywhere, lost, repeated, altered)
//! all that holds for one machine must hold for both; over a path that loses nothing and answers
//! within the window nobody is ever Lost (S3).

use std::collections::VecDeque;

use heartbeat_proto::codec::{Decoder, Frame, Item, Link, MAX_FRAME, datagram};
use heartbeat_proto::{Action, Event, LatePolicy, LifeRule, Liveness, Mode, Table, Timestamp};

use super::input::{Input, span};
use super::rules::{Rules, nanos};
use super::watch::Watch;

const START: u64 = 1 << 50;
const STEPS: u32 = 160;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let head = input.byte();
    let (Some(ours), Some(theirs)) = (Rules::read(&mut input), Rules::read(&mut input)) else {
        return;
    };
    let mut net = Net::new([ours, theirs], head >> 1 & 1 == 1);
    for end in 0..2 {
        net.tell(end, Event::Start);
    }
    if head & 1 == 0 {
        net.rough(&mut input);
    } else if ours.probes() && theirs.answers() && !ours.polices && !theirs.polices {
        net.smooth(&mut input, head >> 2 & 1 == 1);
    }
    for end in net.ends {
        end.watch.finish();
    }
}

struct End {
    watch: Watch<Table>,
    link: Link,
    /// What comes in on a stream; `None`: datagrams.
    decoder: Option<Decoder>,
    /// On the way to this end: when each piece arrives. In order.
    inbox: VecDeque<(u64, Vec<u8>)>,
    /// The stream is broken: nothing more is read.
    broken: bool,
}

struct Net {
    ends: [End; 2],
    now: u64,
    /// How long the next frame takes.
    delay: u64,
    steps: u32,
}

impl Net {
    fn new(rules: [Rules; 2], streams: bool) -> Self {
        let mut seed = 0;
        let ends = rules.map(|rules| {
            seed += 1;
            End {
                watch: Watch::new(rules, seed, START, 0),
                link: Link::new(seed << 60, seed).with_period(rules.config.interval()),
                decoder: streams.then(Decoder::new),
                inbox: VecDeque::new(),
                broken: false,
            }
        });
        Self { ends, now: START, delay: 0, steps: 0 }
    }

    fn liveness(&self, end: usize) -> Liveness {
        self.ends[end].watch.machine.liveness()
    }

    fn due(&self, end: usize) -> Option<u64> {
        self.ends[end].watch.due()
    }

    fn tell(&mut self, end: usize, event: Event) {
        self.steps += 1;
        let actions = self.ends[end].watch.tell(event, self.now);
        for action in actions {
            self.perform(end, action, event);
        }
    }

    /// Writes what is to be sent at once, and says so where that is asked for.
    fn perform(&mut self, end: usize, action: Action, event: Event) {
        let reports = self.ends[end].watch.rules.config.write_reports();
        let frame = self.ends[end].link.frame(&action, Timestamp::from_nanos(self.now));
        if let Some(frame) = frame {
            let mut out = [0; MAX_FRAME];
            let len = frame.encode_into(&mut out).expect("C1: what a machine sends has a frame");
            self.send(1 - end, &out[..len]);
        }
        match action {
            Action::SendPing { id, .. } if reports => self.tell(end, Event::PingSent { id }),
            Action::SendPong { id, .. } => {
                let Some(Frame::Pong { id: sent, .. }) = frame else { panic!("S8: no pong") };
                assert_eq!((sent, Event::PingReceived { id, stamp: stamp_of(event) }), (id, event));
                if reports {
                    self.tell(end, Event::PongSent);
                }
            }
            Action::SendBeacon { .. } if reports => self.tell(end, Event::TxProgress),
            Action::RequestProbe => self.tell(end, Event::PingDue),
            _ => {}
        }
    }

    /// Puts a frame on the way; on a stream and in this model nothing overtakes.
    fn send(&mut self, to: usize, bytes: &[u8]) {
        let inbox = &mut self.ends[to].inbox;
        let before = inbox.back().map_or(0, |&(arrival, _)| arrival);
        let arrival = (self.now + self.delay).max(before);
        inbox.push_back((arrival, bytes.to_vec()));
        inbox.truncate(64);
    }

    /// What has come in at this end, in pieces of at most `cut` bytes.
    fn receive(&mut self, end: usize, bytes: &[u8], cut: usize) {
        if self.ends[end].decoder.is_none() {
            match datagram::decode(bytes) {
                Ok(frame) => self.frame(end, &frame),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
            return;
        }
        for mut piece in bytes.chunks(cut.max(1)) {
            while !piece.is_empty() && !self.ends[end].broken {
                let Some(decoder) = &mut self.ends[end].decoder else { return };
                match decoder.feed(piece) {
                    Ok((taken, item)) => {
                        match item {
                            Some(Item::Frame(frame)) => self.frame(end, &frame),
                            Some(_) => self.tell(end, Event::FrameReceived),
                            None => self.tell(end, Event::BytesReceived),
                        }
                        piece = &piece[taken..];
                    }
                    Err(_) => self.ends[end].broken = true,
                }
            }
        }
    }

    fn frame(&mut self, end: usize, frame: &Frame) {
        let event = self.ends[end].link.event(frame, Timestamp::from_nanos(self.now));
        match event {
            Some(Event::PongReceived { .. }) if !self.ends[end].watch.rules.ids => {
                self.tell(end, Event::AnonymousPongReceived);
            }
            Some(event) => self.tell(end, event),
            None => {}
        }
    }

    /// Anything may happen to what is on the way, and at both ends.
    fn rough(&mut self, input: &mut Input<'_>) {
        while !input.is_empty() && self.steps < STEPS {
            let code = input.byte();
            let (end, extra) = (usize::from(code & 1), code >> 4);
            match code >> 1 & 7 {
                0 => self.tick(end, 0),
                1 => {
                    let slack = nanos(self.ends[end].watch.rules.config.slack());
                    self.tick(end, slack + u64::from(extra));
                }
                2 | 3 => self.arrive(end, usize::from(extra) * 3 + 1),
                4 => self.disturb(end, extra, input),
                5 => self.now += input.span(),
                6 => self.happen(end, extra, input),
                _ => self.delay = input.span(),
            }
        }
    }

    fn tick(&mut self, end: usize, late: u64) {
        let Some(due) = self.due(end) else { return };
        self.now = self.now.max(due.saturating_add(late).min(u64::MAX / 2));
        self.tell(end, Event::Tick);
    }

    fn arrive(&mut self, end: usize, cut: usize) {
        let Some((arrival, bytes)) = self.ends[end].inbox.pop_front() else { return };
        self.now = self.now.max(arrival);
        self.receive(end, &bytes, cut);
    }

    /// Loses, repeats, alters, cuts or reorders what is on the way to this end.
    fn disturb(&mut self, end: usize, how: u8, input: &mut Input<'_>) {
        let inbox = &mut self.ends[end].inbox;
        let Some((arrival, mut bytes)) = inbox.pop_front() else { return };
        match how & 7 {
            0 | 1 => return,
            2 => inbox.push_front((arrival, bytes.clone())),
            3 | 4 => {
                let at = usize::from(input.byte()) % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= input.byte();
                }
            }
            5 => bytes.truncate(usize::from(input.byte())),
            6 => return inbox.push_back((arrival, bytes)),
            _ => bytes.push(input.byte()),
        }
        inbox.push_front((arrival, bytes));
    }

    fn happen(&mut self, end: usize, what: u8, input: &mut Input<'_>) {
        let slept = core::time::Duration::from_nanos(input.span());
        let event = match what {
            0 => Event::Drain,
            1 => Event::Close,
            2 | 3 => Event::Suspend,
            4 | 5 => Event::Resume { slept },
            6 => Event::TxBlocked,
            7 => Event::LimitReceived { min_gap: slept },
            8..11 => Event::FrameReceived,
            11 => {
                self.ends[end].watch.reconnect();
                return;
            }
            _ => Event::PingDue,
        };
        self.tell(end, event);
    }

    /// S3: nothing is lost, each way takes at most half of the shorter window, and both drivers
    /// are punctual; or, if `naps`, this end's driver is as late as it likes. Then what it reads
    /// first must be evidence: a second late call of one silence gets no grant (J6).
    fn smooth(&mut self, input: &mut Input<'_>, naps: bool) {
        let window = |end: usize| nanos(self.ends[end].watch.rules.config.response_window());
        let shortest = window(0).min(window(1));
        // With W = 4 g a fifth ping may leave with the pong, and the ledger forget the first.
        let rules = self.ends[0].watch.rules;
        let longest = (shortest - u64::from(window(0) == 4 * rules.gap(0))) / 2;
        let frames = matches!(rules.life_rule, LifeRule::AnyFrame | LifeRule::AnyByte);
        let naps = naps && frames && rules.config.late_policy() == LatePolicy::Reprobe;
        let theirs_probes = self.ends[1].watch.rules.config.mode() != Mode::Responder;
        let mut wakes = [0, 0];
        while self.steps < STEPS {
            let code = input.byte();
            self.delay = longest * u64::from(code & 15) / 15;
            if code >> 4 == 15 && naps {
                wakes[0] = self.now + span(input.byte());
            }
            let lateness = code >> 4 & 3;
            // Only Reprobe waits for the window of a ping that left late by the slack.
            let late = |end: usize| {
                let config = &self.ends[end].watch.rules.config;
                let waits = config.late_policy() == LatePolicy::Reprobe;
                if waits { nanos(config.slack()) * u64::from(lateness) / 3 } else { 0 }
            };
            let next = |end: usize| {
                let arrival = self.ends[end].inbox.front().map(|&(arrival, _)| arrival);
                let tick = self.due(end).map(|due| due + late(end));
                let first = match (arrival, tick) {
                    (Some(arrival), Some(tick)) => arrival.min(tick),
                    (one, other) => one.or(other)?,
                };
                Some((first.max(wakes[end]).max(self.now), end))
            };
            let (Some(first), Some(second)) = (next(0), next(1)) else { return };
            let (now, end) = first.min(second);
            self.now = now;
            if self.ends[end].inbox.front().is_some_and(|&(arrival, _)| arrival <= now) {
                self.arrive(end, if naps { usize::MAX } else { usize::from(code) + 1 });
            } else {
                self.tell(end, Event::Tick);
            }
            let judged_fairly = theirs_probes && !naps;
            for end in 0..2 {
                let fair = end == 0 || judged_fairly;
                if self.liveness(end) == Liveness::Lost {
                    let report = self.ends[end].watch.machine.report();
                    assert!(!fair, "S3: {end} at {now}: {report:?}");
                    return; // It no longer answers; the other one may say so.
                }
            }
        }
    }
}

const fn stamp_of(event: Event) -> Option<Timestamp> {
    match event {
        Event::PingReceived { stamp, .. } => stamp,
        _ => None,
    }
}

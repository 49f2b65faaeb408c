//! Every detector under any evidence: nothing panics, suspicion and deadline are inverse to the
//! nanosecond, finite and monotone (DT1), no clock matters (DT6), and no state is above 2 KB.

use core::time::Duration;

use heartbeat_proto::Timestamp;
use heartbeat_proto::detector::{
    All, Any, Bertier, Chen, Compact, Deadline, Detector, Evidence, Hazard, Jacobson, KOfN, Misses,
    PhiExponential, PhiLogistic, PhiNormal, Retransmission, Satzger, Shadow, Sign, Source, Trust,
    TwoWindows,
};

use super::input::{Input, span};

const STEPS: usize = 120;

/// Of our clock, and of its twin.
const ORIGINS: [u64; 2] = [1 << 50, 1 << 61];

/// Where spans are below this, no sum of few of them comes near the ends of a clock.
const SOME_DAYS: u64 = 1 << 49;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let input = &mut input;
    let which = input.byte();
    let from = if input.flag() { Source::Pongs } else { Source::Beats };
    let (knob, share) = (knob(input.byte()), f64::from(input.byte()) / 255.0);
    let (small, delay) = (input.byte(), Duration::from_nanos(input.span()));
    // Refused is what is out of range, and no more.
    match which % 20 {
        0 => Hazard::new(knob).map_or((), |it| drive(it.on(from), input)),
        1 => Compact::new(knob).map_or((), |it| drive(it.on(from), input)),
        2 => Misses::new(small.into()).phase(share).map_or((), |it| drive(it.on(from), input)),
        3 => KOfN::new(small % 16, small >> 1, knob)
            .map_or((), |it| drive(it.on(from).delay(delay), input)),
        4 => Retransmission::rfc9002(delay).deviations(knob).map_or((), |it| drive(it, input)),
        5 => drive(Retransmission::rfc6298().at_least(delay), input),
        6 => Chen::by_number(knob).map_or((), |it| drive(it.on(from), input)),
        7 => Chen::by_stamp(knob).map_or((), |it| drive(it.on(from).window::<4>(), input)),
        8 => TwoWindows::by_number(knob).map_or((), |it| drive(it.on(from), input)),
        9 => TwoWindows::by_stamp(knob).map_or((), |it| drive(it.windows::<2, 9>(), input)),
        10 => Bertier::new(knob).map_or((), |it| drive(it.on(from).window::<12>(), input)),
        11 => PhiNormal::new(knob).map_or((), |it| drive(it.on(from).window::<16>(), input)),
        12 => PhiNormal::new(knob).map_or((), |it| drive(it.rejecting_above(small.into()), input)),
        13 => PhiExponential::new(knob).map_or((), |it| drive(it.on(from), input)),
        14 => PhiExponential::new(knob).map_or((), |it| drive(it.recording_all(), input)),
        15 => PhiLogistic::new(knob).map_or((), |it| {
            drive(it.on(from).acceptable_pause(delay).min_deviation(delay / 3), input);
        }),
        16 => Satzger::new(knob, share).map_or((), |it| drive(it.on(from).window::<20>(), input)),
        17 => Jacobson::new(knob).map_or((), |it| drive(it.on(from), input)),
        18 => drive(Any(Hazard::default(), Deadline::rtt_adaptive(small)), input),
        _ => drive(Shadow::new(All(Compact::default(), Deadline::fixed()), Misses::new(2)), input),
    }
}

/// From below the least to above the most of all of them.
fn knob(code: u8) -> f64 {
    match code {
        0 => -1.0,
        1 => f64::NAN,
        2 => 0.0,
        code => 10_f64.powf(f64::from(code) / 25.0 - 3.5),
    }
}

/// One detector, on clocks with two origins.
struct Watch<D: Detector> {
    detector: D,
    states: [D::State; 2],
    now: u64,
    since: u64,
    period: u64,
    timeout: u64,
    seq: u32,
    sent: u64,
    /// Nothing so far was so large that a sum may have stopped at an end.
    tame: bool,
}

fn drive<D: Detector>(detector: D, input: &mut Input<'_>) {
    const { assert!(size_of::<D::State>() <= 2048) };
    let period = input.span();
    let timeout = period + input.span();
    let mut watch = Watch {
        detector,
        states: [D::State::default(); 2],
        now: 0,
        since: 0,
        period,
        timeout,
        seq: 0,
        sent: 0,
        tame: true,
    };
    watch.check(input);
    for _ in 0..STEPS {
        if input.is_empty() {
            return;
        }
        watch.step(input);
        watch.check(input);
    }
}

impl<D: Detector> Watch<D> {
    fn trust(&self, origin: u64) -> Trust {
        Trust::new(Timestamp::from_nanos(origin + self.since), self.period, self.timeout)
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let head = input.byte();
        let gap = match head & 7 {
            0 => 0,
            1..=4 => self.period, // On time, or nearly.
            5 => self.period.saturating_add(input.span()),
            _ => input.span(),
        };
        self.now = (self.now + gap).min(SOME_DAYS);
        let sign = match head >> 3 & 7 {
            0..=3 => Sign::Beat,
            4 | 5 => Sign::Pong,
            6 => Sign::Traffic,
            _ => [Sign::Pause, Sign::Miss][usize::from(head >> 6 & 1)],
        };
        let with = if head & 0x80 == 0 { 0 } else { input.byte() };
        self.sent = match with & 3 {
            0 | 1 => self.sent.wrapping_add(gap),
            2 => self.sent.wrapping_sub(input.span()),
            _ => self.sent.wrapping_add(input.word()),
        };
        self.seq = match with >> 2 & 3 {
            0..=2 => self.seq.wrapping_add(1 + u32::from(with >> 2 & 3)),
            _ => self.seq.wrapping_sub(input.byte().into()),
        };
        let period = match with >> 4 & 7 {
            0..=4 => self.period,
            5 | 6 => input.span(),
            _ => input.word(),
        };
        let rtt = if with & 0x80 == 0 { span(head) } else { input.word() };
        self.tame &= period.max(rtt) < SOME_DAYS;
        for (state, origin) in self.states.iter_mut().zip(ORIGINS) {
            let at = Timestamp::from_nanos(origin + self.now);
            let mut evidence = Evidence::new(sign, at, period);
            evidence.silence_nanos = self.now - self.since;
            if sign == Sign::Beat || with & 0x40 != 0 {
                let stamp = Timestamp::from_nanos(origin.wrapping_add(self.sent));
                evidence.stamp = (with & 0x20 == 0).then_some(stamp);
            }
            evidence.seq = (with & 0x11 != 0x11).then_some(self.seq);
            evidence.rtt_nanos = (sign == Sign::Pong && with & 0x50 != 0x50).then_some(rtt);
            evidence.in_pause = with == 0x81;
            let trust =
                Trust::new(Timestamp::from_nanos(origin + self.since), self.period, self.timeout);
            self.detector.learn_in(state, &evidence, &trust);
        }
        if sign.renews() {
            self.since = self.now;
        }
    }

    fn check(&self, input: &Input<'_>) {
        let (state, trust) = (&self.states[0], self.trust(ORIGINS[0]));
        let end = self.detector.deadline(state, &trust);
        let _ = self.detector.beat_deadline(state, &trust);
        let suspicion = |now: u64| {
            let level = self.detector.suspicion(state, &trust, Timestamp::from_nanos(now));
            assert!(level.is_finite() && level.is_sign_positive(), "DT1: {level} at {now}");
            level
        };
        let end = end.as_nanos();
        let next = input.0.first().map_or(0, |&code| span(code));
        let mut moments = [
            0,
            trust.since().as_nanos(),
            trust.since().as_nanos() + next,
            end.saturating_sub(next),
            end.saturating_sub(1),
            end,
            end.saturating_add(1),
            end.saturating_add(next),
            u64::MAX,
        ];
        moments.sort_unstable();
        let mut before = 0.0;
        for now in moments {
            let level = suspicion(now);
            assert!(level >= before, "DT1: {level} at {now}, after {before}");
            assert_eq!(level > 1.0, now > end, "DT1: {level} at {now}, trusted until {end}");
            before = level;
        }
        let twin = self.detector.deadline(&self.states[1], &self.trust(ORIGINS[1])).as_nanos();
        let stopped = |end: u64| end == 0 || end > u64::MAX >> 1;
        if self.tame && !stopped(end) && !stopped(twin) {
            let (here, there) = (end.wrapping_sub(ORIGINS[0]), twin.wrapping_sub(ORIGINS[1]));
            assert_eq!(here, there, "DT6: another clock");
        }
    }
}

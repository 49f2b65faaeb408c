//! Any wish about any link (QS1 to QS7), and the advisors under any news (AD1 to AD8): nothing
//! panics, what is granted is within the wish, and intervals stay within their bounds.

use core::time::Duration;

use heartbeat_proto::advisor::{Advisor, Bounds, Follow, IdleSearch, Trial};
use heartbeat_proto::qos::{Link, Qos, QosError};
use heartbeat_proto::{Action, Config, Event, HeartbeatMachine, Histogram, Timestamp};

use super::input::Input;

const STEPS: usize = 200;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() & 3 {
        0 | 1 => wish(&mut input),
        2 => follow(&mut input),
        _ => advise(&mut input),
    }
}

/// From 0 to about a month, and sometimes endless.
fn time(input: &mut Input<'_>) -> Duration {
    match input.byte() {
        255 => Duration::MAX,
        254 => Duration::from_nanos(input.word()),
        code => {
            Duration::from_nanos(super::input::span(code)) * (1 + u32::from(input.byte())).pow(2)
        }
    }
}

fn number(input: &mut Input<'_>) -> f64 {
    match input.byte() {
        255 => f64::from_bits(input.word()),
        code => f64::from(code) / 254.0,
    }
}

fn wish(input: &mut Input<'_>) {
    let Ok(wish) = Qos::new(time(input), time(input), time(input)) else { return };
    let (kind, loss, repeat) = (input.byte() % 5, number(input), number(input));
    let (mean, deviation, odd) = (time(input), time(input), number(input));
    let mut delays = Histogram::default();
    for _ in 0..input.byte() {
        delays.record(time(input));
    }
    let known = |seconds: f64| odd / seconds; // Any number, or none.
    let link = match kind {
        0 => Link::known(loss, &known),
        1 => Link::exponential(loss, mean),
        2 => Link::moments(loss, mean, deviation),
        3 => Link::variance(loss, deviation),
        _ => Link::measured(loss, &delays),
    };
    let Ok(link) = link else { return };
    let Ok(link) = link.repeat_loss(repeat) else { return };
    assert!(link.loss_after_loss() >= link.loss());
    match wish.beats(&link) {
        Ok(beats) => {
            let sum = beats.interval() + beats.margin();
            assert!(beats.interval() >= Duration::from_millis(1), "QS2");
            assert!(sum <= wish.detect_within() + Duration::from_nanos(2), "QS2: {sum:?}");
            let _ = beats.watcher();
        }
        Err(error) => told(&error),
    }
    match wish.pings(&link) {
        Ok(pings) => {
            let promise = pings.config().worst_case_detection();
            assert!(promise <= wish.detect_within(), "QS4: {promise:?}");
        }
        Err(error) => told(&error),
    }
}

fn told(error: &QosError) {
    assert!(!error.to_string().is_empty());
}

fn follow(input: &mut Input<'_>) {
    let (least, most) = (time(input), time(input));
    let between = |span: Duration| least <= span && span <= most;
    let Ok(mut follow) = Follow::new(time(input), least, most) else { return };
    let Ok(search) = IdleSearch::new(least, most) else { return };
    let mut search = search.quantized(time(input)).revisited_every(time(input));
    if input.flag() {
        search = search.restored(Bounds::new(time(input), input.flag().then(|| time(input))));
    }
    let mut now = Timestamp::EPOCH;
    for _ in 0..STEPS {
        if input.is_empty() {
            return;
        }
        let code = input.byte();
        now = now.saturating_add(time(input));
        match code & 7 {
            0..=2 => {
                let told = follow.sample(time(input));
                assert!(told.is_none_or(|told| told == follow.interval()), "AD4");
            }
            3 => search.lost(),
            code => {
                let silence = search.trial(now).filter(|_| code != 4);
                let silence = silence.unwrap_or_else(|| time(input));
                let news = Trial::of(input.flag(), input.flag());
                search.tried(silence, news, now);
            }
        }
        let bounds = search.bounds();
        assert!(between(follow.interval()), "AD4: {follow:?}");
        assert!(between(search.interval()), "AD5: {search:?}");
        assert!(search.interval() <= bounds.survived.max(least), "AD5: {search:?}");
        assert!(bounds.expired.is_none_or(|bad| bad > bounds.survived), "AD6: {search:?}");
        assert!(search.trial(now).is_none_or(between), "AD6: {search:?}");
    }
}

/// An advisor beside a machine whose pings are answered, lost, late and twice.
fn advise(input: &mut Input<'_>) {
    let Ok(wish) = Qos::new(time(input), time(input), time(input)) else { return };
    let mut advisor = Advisor::new();
    let mut now = Timestamp::from_nanos(1 << 40);
    let mut machine = HeartbeatMachine::new(Config::default(), 7, now);
    let mut last = None;
    let mut begun = Event::Start;
    for _ in 0..STEPS {
        let code = input.byte();
        let due = machine.next_deadline().unwrap_or(now);
        now = if code & 8 == 0 { due.max(now) } else { now.saturating_add(time(input)) };
        let event = match (code & 7, last) {
            (0..=4, Some(id)) => Event::pong(id),
            (5, _) => Event::LimitReceived { min_gap: time(input) },
            (6, _) => Event::FrameReceived,
            _ => begun,
        };
        begun = Event::Tick;
        let actions = machine.handle(event, now);
        // Told late, or of another clock: it must stand that as well.
        let told = if code == 255 { Timestamp::from_nanos(input.word()) } else { now };
        advisor.observe(&actions, told);
        for action in actions {
            if let Action::SendPing { id, .. } = action {
                last = Some(id);
            }
        }
        if machine.next_deadline().is_none() {
            machine = machine.reconnected(now);
        }
        if input.is_empty() {
            break;
        }
    }
    if let Ok(advice) = advisor.propose(&wish) {
        assert_eq!(advice.samples(), advisor.answered() + advisor.lost(), "AD1");
        assert!((0.0..=1.0).contains(&advice.loss_at_most()), "AD2");
        assert!(advice.config().worst_case_detection() <= wish.detect_within(), "QS4");
    }
}

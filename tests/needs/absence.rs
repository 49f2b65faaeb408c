//! What must never be there, however long it goes on: memory that grows, wake-ups without end, a
//! schedule that drifts. Virtual time; the counts are smaller where assertions are compiled in.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

use crate::common::{BASE, MS, Rng, SEC, Solo, at, nanos, ping_in, secs};
use heartbeat_proto::detector::Deadline;
use heartbeat_proto::{
    Action, Config, Echo, Event, FirstPing, HeartbeatMachine, Ledger, LifeRule, Liveness, Mode,
    PeerState, PingId, PingSchedule, Probing, Table, Timestamp, Verdict,
};

/// A flood of pings while the writer takes nothing: through decoder, machine and outbox the memory
/// in use stays what it was after the first thousand. (CVE-2019-9512 is the opposite.)
#[cfg(all(feature = "std", feature = "codec"))]
mod flood {
    use heartbeat_proto::adapter::StreamDriver;
    use heartbeat_proto::codec::Frame;

    use super::{Config, MS, PingId, at, secs};

    /// Ten million in each run, but a million in all without optimisation.
    const MANY: u64 = if cfg!(debug_assertions) { 250_000 } else { 10_000_000 };

    /// Of the pings of one reading.
    const BATCH: u64 = 1_000;

    fn pings() -> Vec<u8> {
        let mut wire = Vec::new();
        for seq in 1..=BATCH as u32 {
            let ping = Frame::Ping { id: PingId::new(9, seq), handle: 1, stamp: 2, status: None };
            let mut bytes = [0; 125];
            let len = ping.encode_into(&mut bytes).expect("room");
            wire.extend_from_slice(&bytes[..len]);
        }
        wire
    }

    /// Reads the flood, in pieces that do not end where frames do; the writer takes `takes` bytes
    /// of each batch's answer and is then blocked. Returns what was allocated after the first
    /// batch.
    fn grown(config: Config, takes: usize) -> allocation_counter::AllocationInfo {
        let mut stream: StreamDriver = StreamDriver::new(config, at(0));
        let wire = pings();
        let mut batch = |number: u64| {
            // All within the timeout of the blocked writer.
            let now = at(number * MS / 100);
            for piece in wire.chunks(1_021) {
                stream.received(piece, now);
            }
            let len = stream.to_write(now).len().min(takes);
            stream.wrote(len, now);
            stream.driver_mut().blocked(now);
            assert_eq!(stream.driver().ended(), None);
        };
        batch(0);
        let counted = allocation_counter::measure(|| (1..MANY / BATCH).for_each(&mut batch));
        let stats = *stream.driver().machine().stats();
        assert_eq!((stats.pings_received, stats.pongs_sent), (MANY, MANY));
        counted
    }

    #[test]
    fn a_flood_of_pings_at_a_blocked_writer_takes_no_memory() {
        let builder = Config::builder().interval(secs(5)).timeout(secs(20));
        for answer_each in [false, true] {
            for takes in [0, 7] {
                let config = builder.answer_each(answer_each).build().expect("valid");
                let counted = grown(config, takes);
                assert_eq!(counted.bytes_current, 0, "nothing is kept: {counted:?}");
                assert!(counted.bytes_max <= 4_096, "one frame and a few pongs: {counted:?}");
            }
        }
    }
}

/// Configurations of every mode.
fn configs() -> Vec<Config> {
    let builder = Config::builder().interval(secs(1)).timeout(secs(4));
    [
        builder,
        builder.probing(Probing::Always).write_reports(true).accept_gap(secs(1)),
        builder.ids(false).life_rule(LifeRule::AnyByte),
        builder.life_rule(LifeRule::ExactPong).probe_loss(2, 5, Verdict::Report),
        builder.schedule(PingSchedule::External),
        builder.reopen_after(3),
        builder.mode(Mode::Responder).keepalive(secs(1)),
        builder.mode(Mode::Passive),
        builder.mode(Mode::Beacon),
    ]
    .map(|builder| builder.build().expect("valid"))
    .to_vec()
}

/// Wake-ups that the machine asked for while nothing happened, in `span` from `now` on. Each is
/// strictly later than the last (T5), and does something or moves on (L3).
fn wake_ups(machine: &mut HeartbeatMachine, now: u64, span: u64) -> u64 {
    let (mut last, mut count) = (now, 0);
    while let Some(due) = machine.next_deadline().filter(|due| due.as_nanos() <= now + span) {
        let due = due.as_nanos().max(last);
        let asked = machine.next_deadline();
        let yields = !machine.handle(Event::Tick, Timestamp::from_nanos(due)).is_empty();
        assert!(yields || machine.next_deadline() != asked, "a wake-up for nothing at {due}");
        last = due;
        count += 1;
    }
    count
}

/// No busy loop: whatever happens, a second has no more wake-ups than the pings, windows and signs
/// of life that fit into it. At most three for each gap between pings, and four that an event may
/// leave behind (a window, a suspicion, a stalled writer, the verdict).
#[test]
fn a_second_has_a_bounded_number_of_wake_ups() {
    let mut busiest = 0;
    for (index, config) in configs().into_iter().enumerate() {
        let gaps_a_second = SEC / nanos(config.min_gap());
        let mut rng = Rng(index as u64);
        let (mut now, mut total, mut seconds) = (BASE, 0, 0);
        let mut machine = HeartbeatMachine::new(config, 1, at(0));
        for step in 0..40_000_u64 {
            if machine.next_deadline().is_none() {
                machine = HeartbeatMachine::new(config, step, Timestamp::from_nanos(now));
                let _ = machine.handle(Event::Start, Timestamp::from_nanos(now));
            }
            let seq = rng.below(9) as u32;
            let id = PingId::new(machine.state().epoch(), seq);
            let event = match rng.below(14) {
                0..=3 => Event::pong(id),
                4 => Event::FrameReceived,
                5 => Event::ping(PingId::new(7, seq)),
                6 => Event::PingSent { id },
                7 => Event::TxBlocked,
                8 => Event::TxProgress,
                9 => Event::PingDue,
                10 => Event::AnonymousPongReceived,
                11 => {
                    Event::LimitReceived { min_gap: core::time::Duration::from_millis(seq.into()) }
                }
                12 => Event::Resume { slept: secs(seq.into()) },
                _ => Event::Tick,
            };
            let _ = machine.handle(event, Timestamp::from_nanos(now));
            let span = if rng.percent(10) { rng.below(5 * SEC) } else { rng.below(SEC) };
            let count = wake_ups(&mut machine, now, span);
            let bound = 3 * (gaps_a_second + 1) * (span / SEC + 1) + 4;
            assert!(count <= bound, "{count} in {span} ns: {config:?}");
            busiest = busiest.max(count);
            total += count;
            seconds += span;
            now += span;
        }
        assert!(
            total / (seconds / SEC) <= 3 * gaps_a_second,
            "{total} in {seconds} ns: {config:?}"
        );
    }
    assert!(busiest > 4, "too tame: {busiest}");
}

/// No drift: after a year of wake-ups that are late within the slack, the n-th ping leaves at the
/// start and n intervals, and that lateness: nothing adds up.
#[test]
fn after_a_year_the_pings_are_on_the_grid() {
    const YEAR: u64 = 365 * 86_400;
    // A ping a minute for a year, and one a second, without optimisation for two days.
    let runs: &[(u64, u64)] = if cfg!(debug_assertions) {
        &[(60, YEAR), (1, 2 * 86_400)]
    } else {
        &[(60, YEAR), (25, YEAR), (1, YEAR)]
    };
    for &(interval, span) in runs {
        let builder = Config::builder().interval(secs(interval)).timeout(secs(4 * interval));
        let builder = builder.jitter_percent(0).first_ping(FirstPing::AfterInterval);
        let config = builder.probing(Probing::Always).build().expect("valid");
        let slack = nanos(config.slack());
        let mut machine = HeartbeatMachine::new(config, 1, at(0));
        let _ = machine.handle(Event::Start, at(0));
        let (mut rng, mut pings) = (Rng(interval), 0);
        while pings < span / interval {
            let due = machine.next_deadline().expect("live").as_nanos();
            let now = due + rng.below(slack + 1);
            let actions: Vec<_> = machine.handle(Event::Tick, Timestamp::from_nanos(now)).collect();
            if let Some(id) = ping_in(&actions) {
                pings += 1;
                let slot = BASE + pings * interval * SEC;
                assert!((slot..=slot + slack).contains(&now), "ping {pings}: {now} for {slot}");
                let _ = machine.handle(Event::pong(id), Timestamp::from_nanos(now + 5 * MS));
            }
        }
        let stats = machine.stats();
        assert_eq!((stats.pings_sent, stats.misses, stats.late_calls), (pings, 0, 0), "{stats:?}");
        assert_eq!(machine.liveness(), Liveness::Alive);
    }
}

/// The same for the share of the interval by which jitter shortens it: it does not add up either,
/// and no gap is longer than the interval.
#[test]
fn after_a_year_of_jitter_no_gap_was_longer_than_the_interval() {
    let mut solo = Solo::new(Config::default());
    let days = if cfg!(debug_assertions) { 30 } else { 365 };
    solo.answer_to(days * 86_400 * SEC, 20 * MS);
    let config = Config::default();
    let (shortest, longest) = (nanos(config.interval()) / 100 * 90, nanos(config.interval()));
    let pings = solo.pings();
    assert!(pings.windows(2).all(|pair| (shortest..=longest).contains(&(pair[1] - pair[0]))));
    let mean = (pings[pings.len() - 1] - pings[0]) / (pings.len() as u64 - 1);
    let expected = longest / 100 * 95;
    assert!(mean.abs_diff(expected) < longest / 500, "the mean is in the middle: {mean}");
}

/// One end under its own ping numbers.
struct Numbered<L: Ledger> {
    peer: PeerState<Deadline, L>,
    /// The newest ping since the numbers were set, and when it left.
    newest: Option<(PingId, u64)>,
}

impl<L: Ledger> Numbered<L> {
    /// Started just now, as if its newest ping had that number.
    fn started(config: &Config, newest: u32) -> Self {
        let mut peer = PeerState::<Deadline, L>::new(7, at(0));
        let _ = peer.handle(config, Event::Start, at(0));
        Self { peer: peer.renumbered(newest), newest: None }
    }

    fn due(&self, config: &Config) -> u64 {
        self.peer.next_deadline(config).expect("live").0.as_nanos() - BASE
    }

    /// Tells an event; what came of it, with pings by their time and not by their number.
    fn tell(&mut self, config: &Config, event: Event, now: u64) -> Vec<String> {
        let actions: Vec<_> = self.peer.handle(config, event, at(now)).collect();
        self.newest = ping_in(&actions).map(|id| (id, now)).or(self.newest);
        let named = |action: &Action| match action {
            Action::SendPing { stamp, .. } => format!("ping {stamp:?}"),
            Action::SendBeacon { stamp, .. } => format!("beacon {stamp:?}"),
            other => format!("{other:?}"),
        };
        actions.iter().map(named).collect()
    }
}

/// The answer to a ping that left then.
fn echoed((id, sent): (PingId, u64)) -> Event {
    Event::PongReceived { id, stamp: Some(at(sent)), hold: core::time::Duration::ZERO, calm: false }
}

/// Two ends in one random life, of which one comes to the end of the numbers: not a difference.
fn wraps_without_a_trace<L: Ledger>(seed: u64) {
    let builder = Config::builder().interval(secs(1)).timeout(secs(4)).jitter_percent(0);
    let config = builder.probing(Probing::Always).reopen_after(2).build().expect("valid");
    let mut rng = Rng(seed);
    let near = u32::MAX - rng.below(8) as u32;
    let mut ends = [u32::MAX / 2, near].map(|newest| Numbered::<L>::started(&config, newest));
    let mut now = 0;
    for pings in 0..40 {
        let before = ends[1].newest;
        while ends[1].newest == before {
            let due = ends[0].due(&config);
            assert_eq!(due, ends[1].due(&config), "seed {seed}");
            let (answered, wait) = (rng.percent(50), rng.below(due - now));
            now = if answered { now + wait } else { due };
            let told = ends.each_mut().map(|end| {
                let event = end.newest.filter(|_| answered).map_or(Event::Tick, echoed);
                end.tell(&config, event, now)
            });
            assert_eq!(told[0], told[1], "seed {seed}, ping {pings}");
        }
        let newest = ends[1].newest.map_or(0, |(id, _)| id.seq());
        let expected = (u64::from(near) + pings) % u64::from(u32::MAX) + 1;
        assert_eq!(u64::from(newest), expected, "P11: after the last number comes 1, never 0");
    }
}

/// Answers overtaken by one ping or two, over the end of the numbers. Returns how many were taken
/// for unmatched: those that came after the ping with the number 1 had left.
fn wraps_under_overlap<L: Ledger>(rule: LifeRule, rtt: u64) -> usize {
    let builder = Config::builder().interval(secs(1)).timeout(secs(10)).jitter_percent(0);
    let builder = builder.probing(Probing::Always).life_rule(rule);
    let config = builder.first_ping(FirstPing::AfterInterval).build().expect("valid");
    let mut end = Numbered::<L>::started(&config, u32::MAX - 20);
    let (mut now, mut unmatched, mut pongs) = (0, 0, Vec::new());
    while now < 60 * SEC {
        let due = end.due(&config);
        let arrival = pongs.first().map_or(u64::MAX, |&(_, sent)| sent + rtt);
        now = due.min(arrival);
        let before = end.newest;
        let event = if arrival <= due { echoed(pongs.remove(0)) } else { Event::Tick };
        let told = end.tell(&config, event, now);
        pongs.extend(end.newest.filter(|&newest| Some(newest) != before));
        unmatched += told.iter().filter(|told| told.contains("pong_unmatched")).count();
        assert_ne!(end.peer.liveness(), Liveness::Lost, "{rule:?}");
    }
    assert_eq!(end.peer.liveness(), Liveness::Alive);
    unmatched
}

/// Ping numbers end after 2^32 - 1 (50 days at a ping a millisecond) and go on at 1. Where answers
/// come before the next ping nothing shows it. Answers that the wrap overtakes are "above the
/// newest" by the letter of E4, and so unmatched: those few, and no verdict.
#[test]
fn ping_numbers_wrap() {
    for seed in 0..300 {
        wraps_without_a_trace::<Table>(seed);
        wraps_without_a_trace::<Echo>(seed);
    }
    for rule in [LifeRule::AnyFrame, LifeRule::AnyPong, LifeRule::ExactPong] {
        for (rtt, overtaken) in [(900 * MS, 0), (1_500 * MS, 1), (2_500 * MS, 2)] {
            assert_eq!(wraps_under_overlap::<Table>(rule, rtt), overtaken, "{rule:?}");
            assert_eq!(wraps_under_overlap::<Echo>(rule, rtt), overtaken, "{rule:?}");
        }
    }
}

/// Counters and histograms may saturate or wrap: no rule reads them (RP2). The bare state has none,
/// and does the same as the machine whatever that has counted.
#[test]
fn counters_have_no_influence() {
    for (index, config) in configs().into_iter().enumerate() {
        let mut rng = Rng(index as u64);
        let mut machine = HeartbeatMachine::new(config, 3, at(0));
        let mut bare: PeerState = PeerState::new(3, at(0));
        let mut now = 0;
        for step in 0..20_000 {
            let seq = rng.below(9) as u32;
            let event = match rng.below(6) {
                _ if step == 0 => Event::Start,
                0 => Event::pong(PingId::new(machine.state().epoch(), seq)),
                1 => Event::FrameReceived,
                2 => Event::ping(PingId::new(7, seq)),
                3 => Event::PingDue,
                _ => Event::Tick,
            };
            let due = bare.next_deadline(&config).map(|due| due.0);
            assert_eq!(machine.next_deadline(), due);
            now += rng.below(300 * MS);
            let told: Vec<Action> = bare.handle(&config, event, at(now)).collect();
            assert_eq!(machine.handle(event, at(now)).collect::<Vec<_>>(), told);
        }
        assert_eq!(machine.state(), &bare);
    }
}

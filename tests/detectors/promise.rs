//! In the machine: however bad the link and whatever a detector makes of it, a dead peer is given
//! up in time, and none before the floor.

use core::cell::Cell;
use core::time::Duration;

use heartbeat_proto::detector::{Detector, Source};
use heartbeat_proto::{
    Action, Config, Event, FirstPing, HeartbeatMachine, LatePolicy, Liveness, Mode, PingId,
    Probing, Reason, Timestamp,
};

use crate::all::{Check, each_at_random};
use crate::common::Rng;
use crate::run::MS;

/// Of our clock.
const START: u64 = 1 << 40;

const fn at(now: u64) -> Timestamp {
    Timestamp::from_nanos(START + now)
}

const fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

fn nanos(span: Duration) -> u64 {
    span.as_nanos() as u64
}

/// Any configuration that judges and follows its own schedule.
fn any_config<D: Detector>(detector: D, rng: &mut Rng) -> Config<D> {
    let modes = [Mode::Symmetric, Mode::Initiator, Mode::Responder, Mode::Passive];
    let lates = [LatePolicy::Reprobe, LatePolicy::Strict, LatePolicy::Forgive(ns(50 * MS))];
    let firsts = [FirstPing::Phase, FirstPing::AfterInterval, FirstPing::Immediate];
    let probings = [Probing::WhenIdle, Probing::Always];
    loop {
        let interval = (1 + rng.below(200)) * 5 * MS;
        let timeout = interval + 1 + rng.below(4 * interval);
        let ceiling = timeout + rng.below(3) * rng.below(2 * timeout);
        let mut builder = Config::builder()
            .detector(detector)
            .mode(modes[rng.below(4) as usize])
            .late_policy(lates[rng.below(3) as usize])
            .first_ping(firsts[rng.below(3) as usize])
            .probing(probings[rng.below(2) as usize])
            .interval(ns(interval))
            .timeout(ns(timeout))
            .attempts(1 + rng.below(4) as u8)
            .jitter_percent(rng.below(51) as u8)
            .reopen_after(rng.below(3) as u8)
            .ceiling(ns(ceiling));
        if rng.percent(70) {
            builder = builder.floor(ns(1 + rng.below(ceiling)));
        }
        if let Ok(config) = builder.build() {
            return config;
        }
    }
}

/// The way from the peer to us.
struct Path {
    loss: u64,
    delay: u64,
    jitter: u64,
    /// In percent, and how long at most.
    spikes: (u64, u64),
    overtakes: bool,
    last: u64,
    /// The largest delay of what arrived.
    largest: u64,
}

impl Path {
    fn any(period: u64, rng: &mut Rng) -> Self {
        let even = rng.percent(25);
        let most = |periods: u64| if even { 0 } else { periods * period };
        Self {
            loss: [0, 1, 10, 40][rng.below(4) as usize],
            delay: rng.below(3 * period),
            jitter: rng.below(most(2) + 1),
            spikes: (rng.below(8), most(8)),
            overtakes: rng.percent(50),
            last: 0,
            largest: 0,
        }
    }

    /// When it arrives, if it does.
    fn arrival(&mut self, sent: u64, rng: &mut Rng) -> Option<u64> {
        let spike = if rng.percent(self.spikes.0) { rng.below(self.spikes.1 + 1) } else { 0 };
        let mut at = sent + self.delay + rng.below(self.jitter + 1) + spike;
        if !self.overtakes {
            at = at.max(self.last);
        }
        if rng.percent(self.loss) {
            return None;
        }
        self.last = self.last.max(at);
        self.largest = self.largest.max(at - sent);
        Some(at)
    }
}

/// A peer that beats in its own time until it dies.
struct Peer {
    period: u64,
    /// Its clock runs by so many parts in 10,000 faster or slower, and shows this at our zero.
    drift: i64,
    offset: u64,
    stamps: bool,
    /// What it says of itself is garbage, in percent.
    absurd: u64,
    pings: bool,
    count: u32,
    dies: u64,
}

impl Peer {
    fn any<D: Detector>(config: &Config<D>, rng: &mut Rng) -> Self {
        let interval = nanos(config.interval());
        let mut peer = Self {
            period: interval / 2 + rng.below(interval),
            drift: rng.below(101) as i64 - 50,
            offset: rng.next() >> rng.below(63),
            stamps: rng.percent(80),
            absurd: if rng.percent(30) { 5 } else { 0 },
            pings: rng.percent(50),
            count: 0,
            dies: rng.below(120 * interval),
        };
        if rng.percent(30) {
            peer.dies = peer.sends(rng.below(100) as u32); // With a beat as its last deed.
        }
        peer
    }

    /// The sending of a beat, on our clock.
    fn sends(&self, number: u32) -> u64 {
        let nominal = i128::from(self.period) * i128::from(number);
        (nominal * 10_000 / i128::from(10_000 + self.drift)) as u64
    }

    fn beat(&mut self, rng: &mut Rng) -> Event {
        let absurd = rng.percent(self.absurd);
        let sent = u64::from(self.count) * self.period;
        let stamp = if absurd { rng.next() } else { self.offset.wrapping_add(sent) };
        let stamp = self.stamps.then_some(Timestamp::from_nanos(stamp));
        self.count += 1;
        if self.pings {
            Event::PingReceived { id: PingId::new(3, self.count), stamp }
        } else if rng.percent(5) {
            Event::FrameReceived
        } else {
            let period = ns(if absurd { rng.next() } else { self.period });
            Event::BeaconReceived { stamp, period }
        }
    }
}

/// What a life came to.
struct End {
    /// From the death to the verdict that stands.
    took: u64,
    /// From the last life to it.
    silence: u64,
    largest: u64,
}

struct World<'r, D: Detector> {
    machine: HeartbeatMachine<D>,
    peer: Peer,
    path: Path,
    rng: &'r mut Rng,
    /// What comes, by its time.
    coming: Vec<(u64, Event)>,
    heard: u64,
    /// Since when it stands, and where nothing but silence led to it.
    lost: Option<u64>,
}

impl<D: Detector> World<'_, D> {
    /// The peer dies, and the last verdict is the one that counts. The driver is punctual.
    fn live(mut self) -> End {
        let ceiling = nanos(self.machine.config().ceiling());
        self.tell(Event::Start, 0);
        loop {
            let beat = Some(self.peer.sends(self.peer.count)).filter(|&at| at <= self.peer.dies);
            let due = self.machine.next_deadline().map(|due| due.as_nanos() - START);
            let coming = self.coming.first().map(|&(at, _)| at);
            let Some(now) = [beat, due, coming].into_iter().flatten().min() else { break };
            if now > self.peer.dies + self.path.largest + 10 * ceiling {
                break;
            }
            if beat == Some(now) {
                let event = self.peer.beat(self.rng);
                self.send(event, now);
            } else if coming == Some(now) {
                let (_, event) = self.coming.remove(0);
                self.tell(event, now);
            } else {
                self.tell(Event::Tick, now);
            }
        }
        let lost = self.lost.expect("a verdict that stands");
        let took = lost.saturating_sub(self.peer.dies);
        End { took, silence: lost - self.heard, largest: self.path.largest }
    }

    fn send(&mut self, event: Event, sent: u64) {
        let Some(arrival) = self.path.arrival(sent, self.rng) else { return };
        let index = self.coming.partition_point(|&(other, _)| other <= arrival);
        self.coming.insert(index, (arrival, event));
    }

    fn tell(&mut self, event: Event, now: u64) {
        let actions = self.machine.handle(event, at(now));
        let epoch = self.machine.state().epoch();
        let life = match event {
            Event::PongReceived { id, .. } => id.epoch() == epoch,
            Event::Tick | Event::Start => false,
            _ => true,
        };
        if life && self.machine.liveness() != Liveness::Lost {
            self.heard = now;
        }
        for action in actions {
            match action {
                Action::SendPing { id, stamp } => self.answer(id, stamp, now),
                Action::Notify(change) if change.to == Liveness::Lost => {
                    self.lose(now, change.reason);
                }
                Action::Notify(_) => self.lost = None,
                _ => {}
            }
        }
    }

    /// The peer answers a ping, if it comes to that.
    fn answer(&mut self, id: PingId, stamp: Timestamp, now: u64) {
        let there = now + self.rng.below(2 * self.path.delay + 1);
        if there < self.peer.dies && !self.rng.percent(self.path.loss) {
            let calm = self.rng.percent(2);
            let hold = Duration::ZERO;
            self.send(Event::PongReceived { id, stamp: Some(stamp), hold, calm }, there);
        }
    }

    fn lose(&mut self, now: u64, reason: Reason) {
        let judged = matches!(reason, Reason::Silence | Reason::NoResponse);
        let (silence, floor) = (now - self.heard, nanos(self.machine.config().floor()));
        assert!(judged && silence > floor, "{reason:?} after {silence}, the floor is {floor}");
        self.lost = Some(now);
        let last = self.machine.next_deadline().is_none();
        if last && now < self.peer.dies {
            // Wrong: the next connection.
            self.machine = self.machine.reconnected(at(now));
            (self.heard, self.lost) = (now, None);
            self.tell(Event::Tick, now);
        }
    }
}

/// Lives in all, those that took longer than the ceiling and the interval, and those that took all
/// that is promised.
#[derive(Default)]
struct Promise {
    seed: u64,
    lives: Cell<u32>,
    delayed: Cell<u32>,
    longest: Cell<u32>,
}

fn count(cell: &Cell<u32>, when: bool) {
    cell.set(cell.get() + u32::from(when));
}

impl Check for Promise {
    fn check<D: Detector>(&self, name: &str, _: Source, _: u32, detector: D) {
        let mut rng = Rng(self.seed << 16 | u64::from(self.lives.get()));
        let config = any_config(detector, &mut rng);
        let peer = Peer::any(&config, &mut rng);
        let world = World {
            machine: HeartbeatMachine::new(config, rng.next(), at(0)),
            path: Path::any(peer.period, &mut rng),
            peer,
            rng: &mut rng,
            coming: Vec::new(),
            heard: 0,
            lost: None,
        };
        let end = world.live();
        let ceiling = nanos(config.ceiling());
        let probes = matches!(config.mode(), Mode::Symmetric | Mode::Initiator);
        let waits = probes && config.late_policy() == LatePolicy::Reprobe;
        let window = if waits { nanos(config.response_window()) + 1 } else { 0 };
        let bound = end.largest + ceiling + 1 + window;
        let story = || format!("{name}, seed {}: {detector:?}, {config:?}", self.seed);
        assert!(end.took <= bound, "{} after the death, {bound} promised; {}", end.took, story());
        let most = ceiling + 1 + window;
        assert!(end.silence <= most, "{} after the last life; {}", end.silence, story());
        count(&self.lives, true);
        count(&self.delayed, end.took > ceiling + nanos(config.interval()) + 1);
        count(&self.longest, end.took == end.largest + ceiling + 1);
    }
}

/// CF5, CF7, J2: a death is told within the interval, the largest delay and the ceiling, and a
/// nanosecond, since a limit must be passed (T4). More exactly: within the largest delay, after
/// which no life comes any more, and the ceiling; only where a verdict may wait for the window of a
/// ping (J6, Reprobe) also within that window, which is the interval at most in usual
/// configurations.
#[test]
fn the_dead_are_given_up_in_time() {
    let mut promise = Promise::default();
    for seed in 0..100 {
        promise.seed = seed;
        each_at_random(&mut Rng(seed), &promise);
    }
    let Promise { lives, delayed, longest, .. } = promise;
    let found = (lives.get(), delayed.get(), longest.get());
    println!("{found:?} lives, later than ceiling and interval, as late as promised");
    assert!(found.0 >= 2_500 && found.1 > 300 && found.2 > 30, "no part of it is spare: {found:?}");
}

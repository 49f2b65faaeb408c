//! Defects of keepalive loops: what counts as life, whose clock, who was late.

use heartbeat_proto::{
    Config, Event, Fault, FirstPing, HeartbeatMachine, LatePolicy, LifeRule, Liveness, Mode,
    Probing,
};

use crate::common::{MS, SEC, at, nanos, secs};
use crate::script::{Design, FixedLimit, Input, Script, ours, play};

/// The HTTP/2 keepalive of hyper: a ping an interval after the last frame, and while it is out
/// only its pong saves the connection. Before the fix of #2310 nothing led on from `PingSent`.
struct HyperKeepAlive {
    interval: u64,
    timeout: u64,
    goes_on: bool,
    last_read_at: u64,
    state: HyperState,
}

enum HyperState {
    Scheduled(u64),
    PingSent(u64),
    Ponged,
    TimedOut,
}

impl HyperKeepAlive {
    fn new(interval: u64, timeout: u64, goes_on: bool) -> Self {
        let state = HyperState::Scheduled(interval);
        Self { interval, timeout, goes_on, last_read_at: 0, state }
    }
}

impl Design for HyperKeepAlive {
    fn due(&self) -> Option<u64> {
        match self.state {
            HyperState::Scheduled(at) | HyperState::PingSent(at) => Some(at),
            HyperState::Ponged | HyperState::TimedOut => None,
        }
    }

    fn call(&mut self, input: Input, now: u64) -> Option<u64> {
        match (input, &self.state) {
            (Input::Frame, _) => self.last_read_at = now,
            (Input::Pong(_), HyperState::PingSent(_)) => {
                self.last_read_at = now;
                self.state = if self.goes_on {
                    HyperState::Scheduled(now + self.interval)
                } else {
                    HyperState::Ponged
                };
            }
            (Input::Tick, &HyperState::Scheduled(at)) if self.last_read_at + self.interval > at => {
                self.state = HyperState::Scheduled(self.last_read_at + self.interval);
            }
            (Input::Tick, HyperState::Scheduled(_)) => {
                self.state = HyperState::PingSent(now + self.timeout);
                return Some(1);
            }
            (Input::Tick, HyperState::PingSent(_)) => self.state = HyperState::TimedOut,
            _ => {}
        }
        None
    }

    fn is_dead(&self) -> bool {
        matches!(self.state, HyperState::TimedOut)
    }
}

/// Every 10 s a ping, which has 20 s.
fn like_hyper() -> Config {
    let builder = Config::builder().interval(secs(10)).timeout(secs(30)).jitter_percent(0);
    builder.first_ping(FirstPing::AfterInterval).build().expect("valid")
}

/// Lesson: what arrives is life, whatever it is. A pong that waits behind 50 s of data does not
/// make the sender of the data dead.
#[test]
fn defect_01_blocked_pong_kills_a_busy_connection() {
    // Idle for 10 s; with the first ping a large response begins. The pong is behind it.
    let answer = |sent: u64| Some(sent.max(60 * SEC) + 20 * MS);
    let frames = (1..500).map(|frame| 10 * SEC + frame * 100 * MS).collect();
    let script = Script { answer: &answer, frames, until: 300 * SEC, ..Script::default() };

    let mut theirs = HyperKeepAlive::new(10 * SEC, 20 * SEC, true);
    assert_eq!(play(&script, &mut theirs).lost_at, Some(30 * SEC), "in the midst of the data");

    let mut machine = ours(like_hyper(), 1);
    assert_eq!(play(&script, &mut machine).lost_at, None);
    assert_eq!(machine.liveness(), Liveness::Alive);
    assert!(machine.stats().pongs_late > 0, "the pong was late, and that is told");
}

/// Lesson: traffic makes a ping needless, and a slow answer to it harmless.
#[test]
fn defect_02_keepalive_under_traffic_that_other_packets_do_not_clear() {
    /// The MQTT client `rumqttc`: a ping every interval; if the last one is open then, an error.
    struct PingEveryInterval {
        interval: u64,
        next: u64,
        await_pingresp: bool,
        dead: bool,
    }
    impl Design for PingEveryInterval {
        fn due(&self) -> Option<u64> {
            Some(self.next)
        }
        fn call(&mut self, input: Input, now: u64) -> Option<u64> {
            match input {
                Input::Frame => return None,
                Input::Pong(_) => {
                    self.await_pingresp = false;
                    return None;
                }
                Input::Tick => {}
            }
            self.dead = self.await_pingresp;
            self.await_pingresp = true;
            self.next = now + self.interval;
            Some(1)
        }
        fn is_dead(&self) -> bool {
            self.dead
        }
    }
    // A frame every second. After ten minutes the broker takes 7 s for one answer.
    let slow = |sent: u64| (600 * SEC..605 * SEC).contains(&sent);
    let answer = |sent: u64| Some(sent + if slow(sent) { 7 * SEC } else { 20 * MS });
    let frames = (1..900).map(|second| second * SEC + 500 * MS).collect();
    let script = Script { answer: &answer, frames, until: 900 * SEC, ..Script::default() };

    let mut theirs =
        PingEveryInterval { interval: 5 * SEC, next: 5 * SEC, await_pingresp: false, dead: false };
    let played = play(&script, &mut theirs);
    assert_eq!(played.lost_at, Some(605 * SEC));
    assert_eq!(played.pings.len(), 121, "and a ping every interval, for nothing");

    let builder = Config::builder().interval(secs(5)).timeout(secs(10));
    let mut machine = ours(builder.build().expect("valid"), 1);
    let played = play(&script, &mut machine);
    assert_eq!((played.lost_at, machine.liveness()), (None, Liveness::Alive));
    assert!(played.pings.len() <= 900 / 15, "one of four at most: {}", played.pings.len());
}

/// What the wall clock shows: it is stepped by an hour at 102 s, on or back.
fn wall_clock(now: u64, forwards: bool) -> u64 {
    let wall = 1_000_000 * SEC + now;
    match (now >= 102 * SEC, forwards) {
        (false, _) => wall,
        (true, true) => wall + 3_600 * SEC,
        (true, false) => wall - 3_600 * SEC,
    }
}

/// Lesson: time that can be set is no measure of silence.
#[test]
fn defect_03_wall_clock_in_keepalive_arithmetic() {
    /// `if time.Now().UnixNano() - lastRead > limit`, checked at each ping.
    struct OnWallClock {
        forwards: bool,
        last_read: u64,
        next: u64,
        dead: bool,
    }
    impl Design for OnWallClock {
        fn due(&self) -> Option<u64> {
            Some(self.next)
        }
        fn call(&mut self, input: Input, now: u64) -> Option<u64> {
            let wall = wall_clock(now, self.forwards);
            if !matches!(input, Input::Tick) {
                self.last_read = wall;
                return None;
            }
            self.dead = wall.saturating_sub(self.last_read) > 12 * SEC;
            self.next = now + 5 * SEC;
            Some(1)
        }
        fn is_dead(&self) -> bool {
            self.dead
        }
    }
    /// A caller that gives the machine the wall clock all the same, every second.
    struct Misused(HeartbeatMachine, bool, u64);
    impl Design for Misused {
        fn due(&self) -> Option<u64> {
            Some(self.2)
        }
        fn call(&mut self, input: Input, now: u64) -> Option<u64> {
            if matches!(input, Input::Tick) {
                self.2 = now + SEC;
            }
            self.0.call(input, wall_clock(now, self.1))
        }
        fn is_dead(&self) -> bool {
            self.0.is_dead()
        }
    }
    let builder = Config::builder().interval(secs(5)).timeout(secs(12));
    let config = builder.build().expect("valid");
    let promise = nanos(config.worst_case_detection()) + 1;
    for (forwards, dies) in [(true, u64::MAX), (false, u64::MAX), (false, 101 * SEC)] {
        let answer = |sent: u64| (sent < dies).then_some(sent + 20 * MS);
        let script = Script { answer: &answer, until: 5_000 * SEC, ..Script::default() };
        let last_read = wall_clock(0, forwards);
        let mut theirs = OnWallClock { forwards, last_read, next: 5 * SEC, dead: false };
        let lost_at = play(&script, &mut theirs).lost_at;
        match (forwards, dies) {
            (true, _) => assert_eq!(lost_at, Some(105 * SEC), "a living peer killed by a clock"),
            (_, u64::MAX) => assert_eq!(lost_at, None),
            _ => assert!(lost_at > Some(3_700 * SEC), "a dead one kept for an hour: {lost_at:?}"),
        }
        // Ours is told a monotonic time (`StdClock`); there is no wall clock in it to be set.
        let lost_at = play(&script, &mut ours(config, 1)).lost_at;
        assert_eq!(lost_at.is_some(), dies != u64::MAX);
        assert!(lost_at.is_none_or(|at| (dies..dies + promise).contains(&at)), "{lost_at:?}");
        if dies == u64::MAX {
            let mut misused = Misused(HeartbeatMachine::new(config, 1, at(0)), forwards, SEC);
            let _ = misused.0.handle(Event::Start, at(wall_clock(0, forwards)));
            assert_eq!(play(&script, &mut misused).lost_at, None, "not even then");
            // And it is told: one late call, or an hour of calls in the past (T1).
            let stats = misused.0.stats();
            assert!(!forwards || stats.late_calls > 0, "{stats:?}");
            assert!(forwards || stats.clock_regressions >= 3_600 - 5, "{stats:?}");
        }
    }
}

/// Lesson: after a sleep read first, and if you did not, ask before you convict. (A browser's hub
/// was respawned 1600 times a day by timers that ran before its first beat after the wake-up.)
#[test]
fn defect_08_verdict_after_resume_before_the_buffer_is_read() {
    let (mut recovered, mut lost) = (0, 0);
    for episode in 0..100 {
        // A beat every 2 s, which freezes with us. It comes again 100 ms after the wake-up, or lies
        // in the buffer at once.
        let (sleeps, wakes) = (20 * SEC + episode * 17 * MS, 20 * SEC + (60 + episode * 30) * SEC);
        let first = if episode % 2 == 0 { wakes + 100 * MS } else { sleeps + 1 };
        let before = (1..=9).map(|beat| beat * 2 * SEC);
        let after = (0..20).map(|beat| first.max(wakes) + beat * 2 * SEC);
        let script = Script {
            frames: before.chain([first]).chain(after).collect(),
            pauses: vec![(sleeps, wakes)],
            timers_first: true,
            until: wakes + 30 * SEC,
            ..Script::default()
        };
        // `if (Date.now() - lastHeartbeat > timeout) recover()`, checked every 5 s.
        recovered +=
            u32::from(play(&script, &mut FixedLimit::new(5 * SEC, 10 * SEC)).lost_at.is_some());
        let builder = Config::builder().mode(Mode::Passive).interval(secs(2)).timeout(secs(10));
        let mut machine = ours(builder.build().expect("valid"), episode);
        lost += u32::from(play(&script, &mut machine).lost_at.is_some());
        assert_eq!(machine.stats().reprobes, 1, "one window of grace, and it is told");
    }
    assert_eq!((recovered, lost), (100, 0));
}

/// Lesson: a monitor that cannot run must know it, and say it.
#[test]
fn defect_09_starved_heartbeat_producer_that_nobody_notices() {
    // The timer that is due at 60 s fires 9 s late: the thread had no processor.
    let late = |due: u64| if (60 * SEC..61 * SEC).contains(&due) { 9 * SEC } else { MS };
    let answer = |sent: u64| Some(sent + 5 * MS);
    let script = Script { answer: &answer, late: &late, until: 120 * SEC, ..Script::default() };
    let longest = |pings: &[u64]| pings.windows(2).map(|pair| pair[1] - pair[0]).max();

    // It kills the living peer, and its own peer has missed nine beats: no trace of either.
    let theirs = play(&script, &mut FixedLimit::new(SEC, 5 * SEC));
    assert!(theirs.lost_at.is_some_and(|at| (69 * SEC..71 * SEC).contains(&at)), "{theirs:?}");

    let builder = Config::builder().interval(secs(1)).timeout(secs(5)).probing(Probing::Always);
    let mut machine = ours(builder.build().expect("valid"), 1);
    let played = play(&script, &mut machine);
    assert_eq!(played.lost_at, None);
    assert!(longest(&played.pings) >= Some(9 * SEC), "it was starved all the same");
    assert_eq!(machine.lateness().max(), secs(9));
    assert!(machine.lateness().percentile(99) < secs(1), "once, and not always");
    assert_eq!(machine.stats().late_calls, 1);

    // Under Strict it charges the peer, and still names itself.
    let builder = Config::builder().interval(secs(1)).timeout(secs(5));
    let mut strict = ours(builder.late_policy(LatePolicy::Strict).build().expect("valid"), 1);
    assert!(play(&script, &mut strict).lost_at.is_some());
    let report = strict.report().expect("a verdict");
    assert_eq!((report.fault(), report.own_lateness), (Fault::Observer, secs(9)));
}

/// Lesson: who pings must go on pinging. One ping, answered, and silence for ever after.
#[test]
fn defect_12_only_one_ping_is_ever_sent() {
    const DIES: u64 = 3_600 * SEC;
    let answer = |sent: u64| (sent < DIES).then_some(sent + 20 * MS);
    let script = Script { answer: &answer, until: 7_200 * SEC, ..Script::default() };

    let played = play(&script, &mut HyperKeepAlive::new(10 * SEC, 20 * SEC, false));
    assert_eq!((played.pings.len(), played.lost_at), (1, None), "the dead peer is never found");

    // In every mode of probing, with and without ids, and whatever counts as life.
    let builder = Config::builder().interval(secs(10)).timeout(secs(30));
    for builder in [
        builder,
        builder.probing(Probing::Always),
        builder.mode(Mode::Initiator),
        builder.ids(false),
        builder.life_rule(LifeRule::ExactPong),
        builder.late_policy(LatePolicy::Strict),
    ] {
        let config = builder.build().expect("valid");
        let mut machine = ours(config, 1);
        let played = play(&script, &mut machine);
        assert!(played.pings.len() >= 360, "{} in an hour", played.pings.len());
        let lost_at = played.lost_at.expect("a verdict");
        let promise = nanos(config.worst_case_detection()) + 20 * MS + 1;
        assert!((DIES - 10 * SEC..=DIES + promise).contains(&lost_at), "{lost_at}");
    }
}

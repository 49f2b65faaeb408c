//! Incidents of timers, schedules and units.

use core::time::Duration;

use heartbeat_proto::{Config, Event, Findings, FirstPing, HeartbeatMachine, PingId, Probing};

use crate::common::{MS, Rng, SEC, Solo, at, ms, nanos, ping_in, secs};
use crate::script::{Design, Input, Script, ours, play};

/// Lesson: one deadline for each peer, that moves; not one timer for each beat, that stays.
#[test]
fn inc_2023_1152_timer_leaked_per_beat() {
    /// `ticker := time.NewTicker(limit)` at each beat, and no `Stop`.
    struct TickerPerBeat {
        limit: u64,
        tickers: Vec<u64>,
        fired: u64,
    }
    impl Design for TickerPerBeat {
        fn due(&self) -> Option<u64> {
            self.tickers.iter().min().copied()
        }
        fn call(&mut self, input: Input, now: u64) -> Option<u64> {
            if matches!(input, Input::Frame) {
                self.tickers.push(now + self.limit);
            }
            for ticker in self.tickers.iter_mut().filter(|ticker| **ticker <= now) {
                *ticker += self.limit;
                self.fired += 1;
            }
            None
        }
        fn is_dead(&self) -> bool {
            false
        }
    }
    const BEATS: u64 = 2_000;
    let beats: Vec<u64> = (1..=BEATS).map(|beat| beat * 100 * MS).collect();
    let until = BEATS * 100 * MS;
    let script = Script { frames: beats.clone(), until, ..Script::default() };
    let mut theirs = TickerPerBeat { limit: SEC, tickers: Vec::new(), fired: 0 };
    let _ = play(&script, &mut theirs);
    assert_eq!(theirs.tickers.len() as u64, BEATS, "one for each beat");
    assert!(theirs.fired > BEATS * BEATS / 25, "all of them fire for ever: {}", theirs.fired);

    let builder = Config::builder().interval(ms(300)).timeout(secs(1));
    let config = builder.build().expect("valid");
    let mut machine = ours(config, 1);
    let played = play(&script, &mut machine);
    // Woken for its own slots and the signs of life it owes, whatever comes in: twice an interval.
    assert!(played.ticks <= 2 * until / nanos(config.interval()), "{}", played.ticks);
    let mut again = ours(config, 1);
    let counted = allocation_counter::measure(|| {
        for &beat in &beats {
            while again.due().is_some_and(|due| due < beat) {
                let _ = again.call(Input::Tick, again.due().unwrap_or(beat));
            }
            let _ = again.call(Input::Frame, beat);
        }
    });
    assert_eq!(counted.count_total, 0, "and nothing is held but the machine");
    assert!(!core::mem::needs_drop::<HeartbeatMachine>());
}

/// Lesson: the next beat follows from the schedule, not from the last wake-up; and the schedule
/// ends with the connection. 266 microseconds late 8640 times a day are 2.3 s.
#[test]
fn inc_2021_089_and_2022_144_ticker_drifts_and_never_ends() {
    /// `for { beat(conn); time.Sleep(interval) }`.
    struct SleepLoop {
        interval: u64,
        next: u64,
        open: bool,
        sent: u64,
    }
    impl Design for SleepLoop {
        fn due(&self) -> Option<u64> {
            Some(self.next) // Whoever has closed the connection.
        }
        fn call(&mut self, input: Input, now: u64) -> Option<u64> {
            if !matches!(input, Input::Tick) {
                return None;
            }
            self.next = now + self.interval;
            self.sent += 1;
            self.open.then_some(self.sent)
        }
        fn is_dead(&self) -> bool {
            false
        }
    }
    const INTERVAL: u64 = 10 * SEC;
    const DAY: u64 = 86_400 * SEC;
    // How late a wake-up is: 166 to 366 microseconds.
    let late = |due: u64| 166_000 + Rng(due).below(200_000);
    let answer = |sent: u64| Some(sent + 5 * MS);
    let day = |until| Script { answer: &answer, late: &late, until, ..Script::default() };
    let off_grid = |ping: Option<&u64>| ping.expect("pings") % INTERVAL;

    let mut theirs = SleepLoop { interval: INTERVAL, next: INTERVAL, open: true, sent: 0 };
    let drift = off_grid(play(&day(DAY), &mut theirs).pings.last());
    assert!((2_200 * MS..2_400 * MS).contains(&drift), "2.3 s a day: {drift}");
    theirs.open = false;
    let still = play(&day(DAY + 3_600 * SEC), &mut theirs).ticks;
    assert!(still >= 359, "an hour after the end it still wakes up: {still}");

    let builder = Config::builder().interval(secs(10)).timeout(secs(40)).jitter_percent(0);
    let builder = builder.first_ping(FirstPing::AfterInterval).probing(Probing::Always);
    let mut machine = ours(builder.build().expect("valid"), 1);
    let played = play(&day(DAY), &mut machine);
    assert_eq!(played.pings.len(), 8_639, "the one of midnight comes a moment after it");
    assert!(played.pings.iter().all(|ping| ping % INTERVAL < 366_000), "no drift at all");
    let _ = machine.handle(Event::Close, at(DAY));
    assert_eq!(machine.due(), None);
    assert_eq!(play(&day(DAY + 3_600 * SEC), &mut machine).ticks, 0);
}

/// The most pings of any 10 ms, and how many there are in all.
fn peak_and_count(pings: impl Iterator<Item = u64>) -> (usize, usize) {
    let mut slots: Vec<u64> = pings.map(|ping| ping / (10 * MS)).collect();
    slots.sort_unstable();
    let peak = slots.chunk_by(|one, other| one == other).map(<[u64]>::len).max();
    (peak.unwrap_or(0), slots.len())
}

/// Lesson: a number without a unit is read in the wrong one, a compiled-in one cannot be mended,
/// and a thousand clients that start together beat together.
#[test]
fn inc_2021_277_and_2023_166_interval_without_unit_makes_a_storm() {
    // The operator means seconds: "30" at the start, "60" after ten minutes.
    const CLIENTS: u64 = 1_000;
    let settings = [(0, "30"), (600 * SEC, "60")];
    let until = 1_200 * SEC;
    let [_, (change, _)] = settings;

    // `const INTERVAL = 30`, read as milliseconds, and for ever. (A tenth of a second of it.)
    let compiled_in: u64 = settings[0].1.parse().expect("a number");
    let beats = |from: u64| {
        let period = compiled_in * MS;
        (0..CLIENTS).flat_map(move |_| (1..4).map(move |beat| from + beat * period))
    };
    let (peak, count) = peak_and_count(beats(0));
    assert_eq!((peak, count), (1_000, 3_000), "30 000 a second, in bursts of a thousand");
    assert_eq!(peak_and_count(beats(change)), (peak, count), "the new setting changes nothing");

    // Ours: a `Duration` has its unit (`interval(30)` does not compile), the phase is each
    // client's own, and a new interval is put in force while the connections live.
    let seconds = |text: &str| Duration::from_secs(text.parse().expect("a number"));
    let config = |text: &str| {
        Config::builder().interval(seconds(text)).timeout(3 * seconds(text)).build().expect("valid")
    };
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for client in 0..CLIENTS {
        let mut solo = Solo::idle(config(settings[0].1), client);
        let _ = solo.tell(Event::Start);
        solo.answer_to(change, 20 * MS);
        let _ = solo.machine.reconfigure(config(settings[1].1), at(change));
        solo.answer_to(until, 20 * MS);
        assert_eq!(solo.verdict(), None);
        let (early, late) = solo.pings().into_iter().partition::<Vec<_>, _>(|&at| at < change);
        assert!(late.len() <= 600 / 54 + 1, "{} at the new interval", late.len());
        before.extend(early);
        after.extend(late);
    }
    let (peak, count) = peak_and_count(before.into_iter());
    assert!(count <= 23_000 && peak <= 10, "{count} in ten minutes, at most {peak} in 10 ms");
    let (peak, count) = peak_and_count(after.into_iter());
    assert!(count <= 12_000 && peak <= 10, "{count} in ten minutes, at most {peak} in 10 ms");
}

/// Lesson: what no connection can mean is refused, and what a careless client does is bounded by
/// the floor of the server.
#[test]
fn inc_2021_277_and_2023_166_wrong_unit_meets_floors() {
    // Milliseconds for seconds in one of the two knobs: more pings than the windows can hold.
    for (interval, timeout) in [(ms(30), secs(90)), (secs(30), ms(90))] {
        let error = Config::builder().interval(interval).timeout(timeout).build().unwrap_err();
        assert!(error.to_string().contains("timeout") || error.to_string().contains("min_gap"));
    }
    // In both: that is a valid configuration, of a client that pings 30 times a second. A server
    // without a floor answers each; ours advertises one, and answers what it admits.
    let careless = Config::builder().interval(ms(30)).timeout(ms(90)).build().expect("valid");
    let mut asks = Vec::new();
    for (floor, most) in [(None, 40_000), (Some(secs(5)), 300)] {
        let builder = Config::builder();
        let builder = floor.map_or(builder, |gap| builder.accept_gap(gap));
        let mut server = Solo::new(builder.build().expect("valid"));
        let mut client = Solo::new(careless);
        while client.now < 600 * SEC {
            let due = client.due().expect("live");
            if let Some(id) = ping_in(&client.tell_at(due, Event::Tick)) {
                server.run_to(due);
                let _ = server.tell(Event::ping(PingId::new(7, id.seq())));
                let _ = client.tell(Event::FrameReceived); // It lives, whoever answers.
            }
        }
        let stats = server.machine.stats();
        assert!(stats.pongs_sent <= most, "{stats:?}");
        assert_eq!(stats.strikes > 0, floor.is_some());
        asks.push(stats.pongs_sent);
    }
    assert!(asks[0] > 40 * asks[1], "{asks:?}");
    // And a client that is told the floor keeps to it, as far as its own ceiling lets it.
    let mut told = Solo::new(careless);
    let actions = told.tell(Event::LimitReceived { min_gap: secs(5) });
    assert!(crate::common::findings_in(&actions).contains(Findings::LIMIT_EXCEEDED));
    assert!(told.machine.effective_interval() > careless.interval());
}

//! What holds for every detector.

use heartbeat_proto::detector::{Detector, Sign, Source};

use crate::all::{Check, each};
use crate::common::Rng;
use crate::link::{Beat, PERIOD, rough, steady, steady_beat};
use crate::run::{MS, Run};

impl<D: Detector> Run<D> {
    /// A beat of the detector's source.
    pub(crate) fn hear(&mut self, source: Source, beat: Beat) {
        match source {
            Source::Pongs => self.pong(beat.number, beat.sent, beat.at),
            _ => self.beat(beat.number, beat.sent, beat.at),
        }
    }

    fn play(&mut self, source: Source, beats: &[Beat]) {
        for &beat in beats {
            self.hear(source, beat);
        }
    }

    /// Trust that is left after the last evidence.
    fn left(&self) -> i64 {
        self.end() - i64::try_from(self.since).expect("a time")
    }
}

/// What is told beside the beats: anything, as it may come.
fn disturb<D: Detector>(run: &mut Run<D>, source: Source, rng: &mut Rng, beat: Beat) {
    let now = run.since + rng.below(beat.at - run.since + 1);
    match rng.below(12) {
        0 => run.tell(Sign::Traffic, now, |_| ()),
        1 => run.tell(Sign::Miss, now, |_| ()),
        2 => run.tell(Sign::Pause, now, |_| ()),
        3 => run.tell(Sign::Pong, now, |_| ()),
        4 => run.tell(Sign::Beat, now, |evidence| evidence.in_pause = true),
        5 => {
            let old = Beat { number: beat.number / 2, sent: beat.sent / 2, at: now };
            run.hear(source, old);
        }
        _ => {}
    }
}

struct Suspicion;

impl Check for Suspicion {
    fn check<D: Detector>(&self, name: &str, source: Source, _: u32, detector: D) {
        let mut rng = Rng(11);
        let mut run = Run::new(detector, PERIOD);
        for beat in rough(4, 400) {
            disturb(&mut run, source, &mut rng, beat);
            run.hear(source, beat);
            let end = run.end();
            let (last, next) = (run.suspicion(end), run.suspicion(end + 1));
            assert!(last <= 1.0, "{name}: {last:e} at the deadline");
            assert!(next > 1.0, "{name}: {next:e} after the deadline");
            let start = i64::try_from(run.since).expect("a time");
            let mut moments: Vec<i64> = [-1, 0, 1, 2].map(|by| end + by).to_vec();
            moments.extend((0..30).map(|_| start + rng.below(20 * PERIOD) as i64));
            moments.extend([start, start + (1 << 50), i64::MAX]);
            moments.sort_unstable();
            let mut before = 0.0;
            for now in moments {
                let suspicion = run.suspicion(now);
                assert!(suspicion.is_finite(), "{name}: {suspicion} at {now}");
                assert!(suspicion.is_sign_positive(), "{name}: {suspicion} at {now}");
                assert!(suspicion >= before, "{name}: {suspicion} at {now}, after {before}");
                before = suspicion;
            }
        }
    }
}

/// DT1, in all states that a rough link and other evidence bring about.
#[test]
fn suspicion_and_deadline_are_inverse() {
    each(&Suspicion);
}

struct Traffic;

impl Check for Traffic {
    fn check<D: Detector>(&self, name: &str, source: Source, lessons: u32, detector: D) {
        let link = rough(2, 300);
        let mut quiet = Run::new(detector, PERIOD);
        let mut busy = Run::new(detector, PERIOD);
        let mut longer = 0;
        for (count, pair) in (1..).zip(link.windows(2)) {
            quiet.hear(source, pair[0]);
            busy.hear(source, pair[0]);
            assert_eq!(busy.end(), quiet.end(), "{name}: traffic teaches, beat {count}");
            let now = pair[0].at + (pair[1].at - pair[0].at) / 2;
            let other = match (count % 3, source) {
                (0, Source::Beats) => Sign::Pong,
                (0, _) => Sign::Beat,
                _ => Sign::Traffic,
            };
            let before = busy.end();
            busy.tell(other, now, |_| ());
            assert!(busy.end() >= before, "{name}: traffic ends trust");
            if count > lessons {
                longer += u32::from(busy.end() > before);
                assert!(busy.left() > 0, "{name}: no trust after traffic");
            }
        }
        assert!(longer > 100, "{name}: traffic renews no trust");
    }
}

/// DT2.
#[test]
fn other_traffic_renews_trust_and_teaches_nothing() {
    each(&Traffic);
}

struct Overtaken;

impl Check for Overtaken {
    fn check<D: Detector>(&self, name: &str, source: Source, _: u32, detector: D) {
        let link = rough(3, 200);
        let mut straight = Run::new(detector, PERIOD);
        let mut crossed = Run::new(detector, PERIOD);
        for (count, pair) in (1..).zip(link.windows(3)) {
            straight.hear(source, pair[1]);
            crossed.hear(source, pair[1]);
            let before = crossed.end();
            assert_eq!(before, straight.end(), "{name}: an old beat teaches");
            let now = pair[1].at + (pair[2].at - pair[1].at) / 3;
            for old in [pair[0], pair[1]] {
                crossed.hear(source, Beat { at: now, ..old });
                assert_eq!(crossed.end(), before, "{name}: an old beat renews trust");
            }
            if name.starts_with("phi") && count > 20 {
                let phi = |run: &Run<D>| run.suspicion((now + PERIOD / 3) as i64).to_bits();
                assert_eq!(phi(&crossed), phi(&straight), "{name}: an old beat calms");
            }
        }
    }
}

/// DT3: one that was sent before the newest, and the newest once more; also before anything is
/// learnt.
#[test]
fn overtaken_beats_do_nothing() {
    each(&Overtaken);
}

struct Paused;

impl Check for Paused {
    /// A steady link, whose beats 300 to 329 wait for us.
    fn check<D: Detector>(&self, name: &str, source: Source, _: u32, detector: D) {
        for (told, in_call) in [(true, false), (false, true), (true, true)] {
            let mut paused = Run::new(detector, PERIOD);
            let mut usual = Run::new(detector, PERIOD);
            usual.play(source, &steady(300));
            paused.play(source, &steady(300));
            let now = steady_beat(329).at;
            if told {
                paused.tell(Sign::Pause, now, |_| ());
            }
            if in_call {
                paused.tell(Sign::Traffic, now, |evidence| evidence.in_pause = true);
            }
            for number in 300..330 {
                paused.hear(source, Beat { at: now, ..steady_beat(number) });
            }
            usual.play(source, &steady(330)[300..]);
            for number in 330..335 {
                paused.hear(source, steady_beat(number));
                usual.hear(source, steady_beat(number));
                let (found, wanted) = (paused.left(), usual.left());
                assert_eq!(found, wanted, "{name}: learnt from a pause, beat {number}");
            }
        }
        // The same burst where the network stood still.
        let mut jammed = Run::new(detector, PERIOD);
        jammed.play(source, &steady(300));
        let usual = jammed.left();
        for number in 300..330 {
            jammed.hear(source, Beat { at: steady_beat(329).at, ..steady_beat(number) });
        }
        jammed.hear(source, steady_beat(330));
        // A mean of gaps forgets the jam with the burst after it; ticks and timeouts learn nothing.
        let learns = !["misses", "rfc", "phi, exponential"].iter().any(|no| name.starts_with(no));
        assert!(!learns || jammed.left() != usual, "{name}: that is a lesson");
    }
}

/// DT4: the pause is told, or the call was late, or both.
#[test]
fn pauses_teach_nothing() {
    each(&Paused);
}

struct PauseInGap;

impl Check for PauseInGap {
    /// The beats of the pause are lost, and the next one comes more than a period after it.
    fn check<D: Detector>(&self, name: &str, source: Source, _: u32, detector: D) {
        let mut run = Run::new(detector, PERIOD);
        run.play(source, &steady(300));
        let usual = run.left();
        run.tell(Sign::Pause, steady_beat(310).at, |_| ());
        for number in 312..315 {
            run.hear(source, steady_beat(number));
            assert_eq!(run.left(), usual, "{name}: beat {number}");
        }
    }
}

/// DT4: the gap that held the pause.
#[test]
fn a_gap_with_a_pause_in_it_teaches_nothing() {
    each(&PauseInGap);
}

struct Cold;

impl Check for Cold {
    fn check<D: Detector>(&self, name: &str, source: Source, lessons: u32, detector: D) {
        let mut run = Run::new(detector, PERIOD);
        assert_eq!(run.left(), run.timeout as i64, "{name}: before any beat");
        run.tell(Sign::Traffic, 5 * MS, |_| ());
        assert_eq!(run.left(), run.timeout as i64, "{name}: after traffic");
        for beat in steady(40) {
            run.hear(source, beat);
            let cold = run.left() == run.timeout as i64;
            assert_eq!(cold, beat.number + 1 < lessons, "{name}: after {} beats", beat.number + 1);
        }
        // A peer that promises one second to a watcher that expects 100 ms.
        let mut slow = Run::new(detector, PERIOD);
        slow.tell(Sign::Beat, 5 * MS, |evidence| {
            evidence.period_nanos = 10 * PERIOD;
            evidence.seq = Some(1);
        });
        if source == Source::Beats && lessons > 0 {
            assert_eq!(slow.left(), (slow.timeout + 9 * PERIOD) as i64, "{name}: a slow peer");
        }
    }
}

/// DT5.
#[test]
fn trust_starts_with_the_fixed_limit() {
    each(&Cold);
}

struct Shifted;

impl Check for Shifted {
    fn check<D: Detector>(&self, name: &str, source: Source, _: u32, detector: D) {
        let run = |origin: u64| {
            let mut rng = Rng(7);
            let mut run = Run::on_clock(detector, PERIOD, origin);
            for beat in rough(9, 250) {
                disturb(&mut run, source, &mut rng, beat);
                run.hear(source, beat);
            }
            run
        };
        let (here, there) = (run(1 << 40), run(1 << 61));
        assert_eq!(here.end(), there.end(), "{name}: the deadline");
        let normal = |run: &Run<D>| run.detector.normalized(&run.state, run.origin);
        assert_eq!(normal(&here), normal(&there), "{name}: the state");
    }
}

/// DT6, and T3.
#[test]
fn clocks_may_start_anywhere() {
    each(&Shifted);
}

struct Exact;

impl Check for Exact {
    /// Windows and averages forget: after a long steady time they are what they would be without
    /// the rough one before it.
    fn check<D: Detector>(&self, name: &str, source: Source, _: u32, detector: D) {
        let mut old = Run::new(detector, PERIOD);
        let mut young = Run::new(detector, PERIOD);
        let rough = rough(6, 20_000);
        old.play(source, &rough);
        let steady: Vec<Beat> = (20_100..20_800).map(steady_beat).collect();
        old.play(source, &steady);
        young.play(source, &steady);
        if !name.starts_with("misses") {
            let off = old.left().abs_diff(young.left());
            assert!(off <= 1, "{name}: {off} ns are left of old times");
        }
    }
}

/// DT6: no error grows, and all is forgotten.
#[test]
fn nothing_is_left_of_old_times() {
    each(&Exact);
}

struct Small;

impl Check for Small {
    fn check<D: Detector>(&self, name: &str, _: Source, _: u32, _: D) {
        let bytes = size_of::<D::State>();
        println!("{name}: {bytes} bytes");
        assert!(bytes <= 2048, "{name}: {bytes} bytes");
    }
}

/// At most 2 KB a peer; `-- --nocapture` prints how many.
#[test]
fn states_are_small() {
    each(&Small);
}

//! [`Shadow`]: one detector acts, another is judged silently beside it.

use super::{Detector, Evidence, Sign, Trust};
use crate::quality::Quality;
use crate::rtt::Rtt;
use crate::time::Timestamp;

/// The first detector acts, as if it were alone; the second sees the same evidence, and what its
/// verdicts would have been is kept beside it: to try a detector on live peers before trusting it
/// (rules DT42 and DT43).
///
/// Both are judged by the same rule, so they can be compared with each other: a detector is
/// mistaken when its deadline had passed and life was heard all the same; the mistake lasts from
/// the deadline until evidence gives trust back. A silence with a local pause in it is held against
/// neither. (The machine's own count, in [`Stats`](crate::Stats) and [`quality`](crate::quality),
/// is another: it also has misses, lost probes, floor and ceiling.)
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::detector::{Deadline, Shadow};
/// use heartbeat_proto::{Config, Event, HeartbeatMachine, Mode, Timestamp};
///
/// let config = Config::builder()
///     .mode(Mode::Passive)
///     .detector(Shadow::new(Deadline::fixed(), Deadline::fixed()))
///     .interval(Duration::from_secs(1))
///     .timeout(Duration::from_secs(3))
///     .build()?;
/// let mut machine = HeartbeatMachine::new(config, 1, Timestamp::EPOCH);
/// let _ = machine.handle(Event::Start, Timestamp::EPOCH);
/// let _ = machine.handle(Event::FrameReceived, Timestamp::EPOCH);
///
/// let judged = machine.state().detector_state();
/// assert_eq!(judged.acting(), judged.silent(), "they are the same, so neither is better");
/// // When would each give up the present silence?
/// let opinions = machine.config().detector().opinions(judged, &machine.trust());
/// assert_eq!(opinions.acting, Timestamp::from_nanos(3_000_000_000));
/// assert_eq!(opinions.lag_nanos(), 0);
/// # Ok::<(), heartbeat_proto::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shadow<A, B> {
    acting: A,
    silent: B,
}

/// What both detectors of a [`Shadow`] think of the present silence. Also after the verdict: then
/// it says when the silent one would have given the peer up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opinions {
    /// The last moment of the acting one's trust.
    pub acting: Timestamp,
    /// The last moment of the silent one's trust.
    pub silent: Timestamp,
}

impl Opinions {
    /// By how much the silent one is later, in nanoseconds; negative if it is earlier. Saturates.
    pub const fn lag_nanos(&self) -> i64 {
        let lag = self.silent.as_nanos() as i128 - self.acting.as_nanos() as i128;
        match lag {
            ..0 if lag < i64::MIN as i128 => i64::MIN,
            0.. if lag > i64::MAX as i128 => i64::MAX,
            _ => lag as i64,
        }
    }
}

/// The states of both detectors, and how they did: 256 bytes more than these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ShadowState<S, T> {
    states: (S, T),
    acting: Side,
    silent: Side,
    /// Both were mistaken about the same silence.
    shared: u32,
    /// The peer was heard before.
    heard: bool,
    /// This process was paused in the present silence.
    paused: bool,
    /// As it was before the evidence: that has the newest round trip in it already.
    rtt: Rtt,
    /// By how much the silent one's deadlines lay later, and of how many.
    lag: i64,
    compared: i64,
}

impl<S, T> ShadowState<S, T> {
    /// How the acting detector did. (No detections: a detector is not told of the end.)
    pub const fn acting(&self) -> Quality {
        self.acting.quality
    }

    /// How the silent one would have done.
    pub const fn silent(&self) -> Quality {
        self.silent.quality
    }

    /// How often both were mistaken about the same silence.
    pub const fn shared_mistakes(&self) -> u32 {
        self.shared
    }

    /// By how many nanoseconds the silent one would have found a death later than the acting one,
    /// on average over all moments at which it was heard; negative if earlier; `None` before the
    /// first. This is the price of fewer mistakes, or the gain for more.
    pub const fn mean_lag_nanos(&self) -> Option<i64> {
        if self.compared == 0 { None } else { Some(self.lag / self.compared) }
    }

    /// What the acting detector has learnt.
    pub const fn acting_state(&self) -> &S {
        &self.states.0
    }

    /// What the silent one has learnt.
    pub const fn silent_state(&self) -> &T {
        &self.states.1
    }
}

impl<A: Detector, B: Detector> Shadow<A, B> {
    /// `acting` acts, `silent` is judged beside it.
    pub const fn new(acting: A, silent: B) -> Self {
        Self { acting, silent }
    }

    /// When each would give up the present silence.
    pub fn opinions(&self, state: &ShadowState<A::State, B::State>, trust: &Trust) -> Opinions {
        Opinions {
            acting: self.acting.deadline(&state.states.0, trust),
            silent: self.silent.deadline(&state.states.1, trust),
        }
    }
}

impl<A: Detector, B: Detector> Detector for Shadow<A, B> {
    type State = ShadowState<A::State, B::State>;

    /// Teaches both and judges neither: what is judged needs [`learn_in`](Self::learn_in).
    fn learn(&self, state: &mut Self::State, evidence: &Evidence) {
        self.acting.learn(&mut state.states.0, evidence);
        self.silent.learn(&mut state.states.1, evidence);
    }

    fn learn_in(&self, state: &mut Self::State, evidence: &Evidence, trust: &Trust) {
        state.paused |= evidence.in_pause || evidence.sign == Sign::Pause;
        let before = self.opinions(state, &Trust { rtt: state.rtt, ..*trust });
        self.acting.learn_in(&mut state.states.0, evidence, trust);
        self.silent.learn_in(&mut state.states.1, evidence, trust);
        if !evidence.sign.renews() {
            return;
        }
        let at = evidence.at;
        let after = self.opinions(state, &Trust { since: at.as_nanos(), ..*trust });
        let silence = Silence {
            since: trust.since.min(at.as_nanos()),
            at: at.as_nanos(),
            counts: state.heard && !state.paused,
        };
        let mistaken = state.acting.judge(&silence, before.acting, after.acting);
        let shared = state.silent.judge(&silence, before.silent, after.silent) && mistaken;
        state.shared = state.shared.saturating_add(shared.into());
        state.lag = state.lag.saturating_add(after.lag_nanos());
        state.compared = state.compared.saturating_add(1);
        (state.heard, state.paused, state.rtt) = (true, false, trust.rtt);
    }

    fn deadline(&self, state: &Self::State, trust: &Trust) -> Timestamp {
        self.acting.deadline(&state.states.0, trust)
    }

    fn beat_deadline(&self, state: &Self::State, trust: &Trust) -> Option<Timestamp> {
        self.acting.beat_deadline(&state.states.0, trust)
    }

    fn suspicion(&self, state: &Self::State, trust: &Trust, now: Timestamp) -> f64 {
        self.acting.suspicion(&state.states.0, trust, now)
    }

    /// The silent one influences nothing.
    fn normalized(&self, state: &Self::State, by: u64) -> Self::State {
        let acting = self.acting.normalized(&state.states.0, by);
        ShadowState { states: (acting, B::State::default()), ..ShadowState::default() }
    }
}

/// A silence that evidence has just ended.
struct Silence {
    since: u64,
    at: u64,
    /// The peer was known to live, and this process was not paused.
    counts: bool,
}

/// How one of both did. Spans are nanoseconds before the last evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Side {
    quality: Quality,
    /// How long the present mistake has lasted.
    open: u64,
    /// The present mistake is counted already: the evidence gave no trust back.
    counted: bool,
    /// How long ago the last mistake began, if there was one.
    last_mistake: Option<u64>,
}

impl Side {
    /// Judges it by the deadlines before and after the evidence; whether a mistake began (rule
    /// DT43).
    fn judge(&mut self, silence: &Silence, before: Timestamp, after: Timestamp) -> bool {
        let span = silence.at - silence.since;
        let wrong = silence.at.saturating_sub(before.as_nanos().max(silence.since));
        let ago = self.last_mistake.map(|ago| ago.saturating_add(span));
        let mistaken = silence.counts && silence.at > before.as_nanos();
        let began = mistaken && !self.counted;
        self.last_mistake = if began { Some(wrong) } else { ago };
        if began {
            self.counted = true;
            self.quality.mistook(ago.map(|ago| ago.saturating_sub(wrong)));
        }
        if silence.counts {
            self.quality.lived(span, wrong);
        }
        if mistaken {
            self.open = self.open.saturating_add(wrong);
            self.quality.mistaken_for(self.open);
        }
        if silence.at <= after.as_nanos() {
            (self.open, self.counted) = (0, false);
        }
        began
    }
}

/// Sizes are told in the documentation.
const _: () = assert!(size_of::<ShadowState<(), ()>>() <= 256);

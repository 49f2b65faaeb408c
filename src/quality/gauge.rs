//! [`Gauge`]: measures the quality of detection of one peer, over all its connections.

use super::Quality;
use crate::action::Actions;
use crate::finding::Findings;
use crate::liveness::{Liveness, Reason, Transition};
use crate::time::Timestamp;

/// No such moment.
const NEVER: u64 = u64::MAX;

/// Measures one peer: 120 bytes, no allocation, no floats. Give it what each call of the machine
/// returned, before the actions are taken out, with the same `now`; the next connection to the same
/// peer goes on with the same gauge. (The adapters' `Driver` has one.)
///
/// What it cannot see: life that no connection carries any more. A verdict on a stream is proved
/// wrong only by what is still received on that stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gauge {
    quality: Quality,
    /// The last call.
    last: u64,
    /// The last life on this connection; `NEVER` before the first, and after the end.
    life: u64,
    /// Since when the peer is suspected or lost.
    suspect_since: u64,
    /// When the last mistake began.
    last_mistake: u64,
    /// The silence of the verdict that stands so far.
    pending: u64,
    liveness: Liveness,
    /// Life has proved the present suspicion wrong already.
    proven: bool,
}

impl Default for Gauge {
    fn default() -> Self {
        Self::new()
    }
}

impl Gauge {
    /// Nothing measured yet.
    pub const fn new() -> Self {
        Self {
            quality: Quality::NONE,
            last: 0,
            life: NEVER,
            suspect_since: NEVER,
            last_mistake: NEVER,
            pending: NEVER,
            liveness: Liveness::Idle,
            proven: false,
        }
    }

    /// What was measured so far. A verdict that stands counts as a detection until life proves it
    /// wrong.
    pub const fn quality(&self) -> Quality {
        let mut quality = self.quality;
        if self.pending != NEVER {
            quality.detected(self.pending);
        }
        quality
    }

    /// Takes what a call at `now` returned. Never panics; a `now` below the last one counts as it.
    #[inline]
    pub fn observe(&mut self, actions: &Actions, now: Timestamp) {
        let now = now.as_nanos().max(self.last);
        if actions.heard && !actions.has_news() {
            self.lived(now); // The usual call.
        } else if actions.has_news() {
            self.take_news(actions, now);
        }
        self.last = now;
    }

    #[cold]
    fn take_news(&mut self, actions: &Actions, now: u64) {
        let found = actions.findings();
        let change = actions.transition();
        if found.contains(Findings::RESUMED) {
            self.skip(now - self.last);
        }
        if change.is_some_and(|change| change.from != self.liveness) {
            self.begin_anew();
        }
        // A goodbye is a sign of life, too.
        if actions.heard || change.is_some_and(|change| change.reason == Reason::Goodbye) {
            self.lived(now);
        }
        if let Some(change) = change {
            self.changed(change, now);
        }
        if found.contains(Findings::MISTAKE) {
            self.lived(now); // QL1: also what a final verdict does not heed.
        }
    }

    /// The host slept, or nobody knows: that time is nobody's (rule QL4).
    fn skip(&mut self, by: u64) {
        for stamp in [&mut self.life, &mut self.suspect_since] {
            if *stamp != NEVER {
                *stamp += by;
            }
        }
    }

    /// Another connection than the one that was observed last.
    fn begin_anew(&mut self) {
        if self.pending != NEVER {
            self.quality.detected(self.pending);
        }
        (self.pending, self.life, self.suspect_since) = (NEVER, NEVER, NEVER);
    }

    /// The peer lives, so it has lived since the last sign of it (rules QL1 to QL3).
    #[inline]
    fn lived(&mut self, now: u64) {
        if self.life != NEVER {
            let span = now - self.life;
            if self.suspect_since == NEVER {
                self.quality.lived(span, 0);
            } else {
                self.lived_suspected(span, now);
            }
        }
        self.life = now;
    }

    #[cold]
    fn lived_suspected(&mut self, span: u64, now: u64) {
        self.quality.lived(span, now - self.suspect_since.max(self.life));
        self.quality.mistaken_for(now - self.suspect_since);
        if !self.proven {
            self.proven = true;
            let after = match self.last_mistake {
                NEVER => None,
                last => Some(self.suspect_since.saturating_sub(last)),
            };
            self.quality.mistook(after);
            self.last_mistake = self.suspect_since;
        }
        if self.pending != NEVER {
            self.pending = NEVER;
            self.quality.lost_wrongly();
        }
    }

    fn changed(&mut self, change: Transition, now: u64) {
        self.liveness = change.to;
        match change.to {
            Liveness::Suspect => self.suspect(now),
            Liveness::Lost if is_by_silence(change.reason) && self.life != NEVER => {
                if self.suspect_since == NEVER {
                    self.suspect(now);
                }
                self.pending = now - self.life;
            }
            // Nobody judges silence any more.
            Liveness::Lost | Liveness::Closed => {
                (self.life, self.suspect_since) = (NEVER, NEVER);
            }
            _ => self.suspect_since = NEVER,
        }
    }

    fn suspect(&mut self, now: u64) {
        (self.suspect_since, self.proven) = (now, false);
    }
}

/// Verdicts that say "the peer is gone"; the others say what is wrong with one that is there.
const fn is_by_silence(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NoResponse
            | Reason::Silence
            | Reason::Missed
            | Reason::Detector
            | Reason::NotProbed
    )
}

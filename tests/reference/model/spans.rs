//! CF4: the spans in effect, and the shares of P2.

use super::{Nanos, Reference, Twist};

impl Reference {
    /// `C - W`: how far a peer can push us (CF4).
    pub(super) fn push_limit(&self) -> Nanos {
        self.rules.c - self.rules.w
    }

    /// `peer_gap'` (CF4).
    fn pushed_gap(&self) -> Nanos {
        self.peer_gap.min(self.push_limit())
    }

    /// `Ie` (CF4).
    pub(super) fn ie(&self) -> Nanos {
        if !self.rules.sends_on_plan() {
            return self.rules.i;
        }
        let calmed = (self.rules.i << self.calm).min(self.push_limit());
        self.rules.i.max(self.pushed_gap()).max(calmed)
    }

    /// `ge` (CF4).
    pub(super) fn ge(&self) -> Nanos {
        if !self.rules.sends_on_plan() {
            return self.rules.g;
        }
        self.rules.g.max(self.pushed_gap())
    }

    /// `Se` (CF4).
    pub(super) fn se(&self) -> Nanos {
        self.rules.s.max(self.ge())
    }

    /// `Fe` (CF4).
    pub(super) fn fe(&self) -> Nanos {
        if self.twist == Some(Twist::FloorIgnored) {
            0
        } else if self.rules.probes() {
            self.rules.f.max(self.ie() + self.rules.w)
        } else {
            self.rules.f
        }
    }

    /// `share(x, e, k)` (P2).
    pub(super) fn share(&self, x: Nanos, k: u32) -> Nanos {
        let h = mix((u64::from(self.epoch) << 32).wrapping_add(u64::from(k))) >> 32;
        x * Nanos::from(h) / (1 << 32)
    }

    /// `I'(k)` (P2).
    pub(super) fn jittered(&self, k: u32) -> Nanos {
        self.ie() - self.share(self.ie() / 100 * self.rules.jitter, k)
    }
}

/// The SplitMix64 step (P2).
pub(super) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

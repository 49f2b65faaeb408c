//! [`Scope`]: a group of peers, or all of them: how many are silent, and what is done about it.

use super::Counted;
use super::config::GuardConfig;
use super::report::{Doubt, GuardReport, GuardState};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scope {
    members: u32,
    silent: u32,
    /// Held members that were heard since the hold began.
    back: u32,
    state: GuardState,
    /// The sink is to hear of a change.
    noted: bool,
    /// Since when the state is what it is.
    since: u64,
    /// When it was last released; 0: never.
    released: u64,
    /// Members probed since `sampled_since`.
    sampled: u32,
    sampled_since: u64,
    /// Members probed since `round` who had not been asked since it began.
    turns: u32,
    round: u64,
}

impl Scope {
    pub(super) fn count(&mut self, before: Counted, after: Counted) {
        let moved = |count: u32, was: bool, is: bool| count + u32::from(is) - u32::from(was);
        self.members = moved(self.members, before.member, after.member);
        self.silent = moved(self.silent, before.silent, after.silent);
        let back = before.held && after.member && !after.silent;
        self.back = self.back.saturating_add(u32::from(back));
    }

    /// All but the members of `part`.
    pub(super) fn without(&self, part: &Self) -> Self {
        let (members, silent) = (self.members - part.members, self.silent - part.silent);
        Self { members, silent, ..Self::default() }
    }

    /// Whether so many are silent that it is not for themselves (rule GD2).
    pub(super) fn is_silent(&self, config: &GuardConfig) -> bool {
        let share = u64::from(config.share_percent()) * u64::from(self.members);
        self.members >= config.least_members() && u64::from(self.silent) * 100 >= share
    }

    /// The same, but too few say nothing against it.
    pub(super) fn is_silent_if_any(&self, config: &GuardConfig) -> bool {
        self.members < config.least_members() || self.is_silent(config)
    }

    /// After a count: whether the state has changed by it (rules GD5, GD6).
    pub(super) fn settle(&mut self, config: &GuardConfig, now: u64) -> bool {
        let silent = self.is_silent(config);
        match self.state {
            GuardState::Holding if !silent || self.back >= config.least_members() => {
                self.release(now)
            }
            GuardState::Condemned if !silent => self.enter(GuardState::Quiet, now),
            _ => false,
        }
    }

    /// A verdict is due while so many are silent: whether it is held, and whether that is news.
    /// `may`: this peer was not put off for too long yet; `lasts`: nor was the scope held for so long.
    pub(super) fn hold(&mut self, may: bool, lasts: bool, now: u64) -> (bool, bool) {
        match self.state {
            GuardState::Condemned => (false, false),
            GuardState::Holding if !lasts => (false, self.enter(GuardState::Condemned, now)),
            GuardState::Holding => (may, false),
            GuardState::Quiet | GuardState::Released if !may => (false, false),
            GuardState::Quiet | GuardState::Released => {
                (self.back, self.turns, self.round) = (0, 0, now);
                (true, self.enter(GuardState::Holding, now))
            }
        }
    }

    /// Whether this member, last asked at `asked`, is probed in this window (rule GD4). Who was asked
    /// in this round already leaves room for those who were not: or, if the same were due first in
    /// each window, and dead, nobody else would ever be heard.
    pub(super) fn samples(
        &mut self,
        config: &GuardConfig,
        asked: u64,
        window: u64,
        now: u64,
    ) -> bool {
        if now - self.sampled_since > window {
            if self.sampled < config.sample_size() || self.turns >= self.silent {
                (self.turns, self.round) = (0, now);
            }
            (self.sampled, self.sampled_since) = (0, now);
        }
        let room = config.sample_size() - self.sampled;
        let is_turn = asked < self.round;
        let probe = room > 0 && (is_turn || room > self.silent.saturating_sub(self.turns));
        self.sampled += u32::from(probe);
        self.turns += u32::from(probe && is_turn);
        probe
    }

    /// Each member is asked anew before it is judged.
    pub(super) fn release(&mut self, now: u64) -> bool {
        self.released = now;
        self.enter(GuardState::Released, now)
    }

    fn enter(&mut self, state: GuardState, now: u64) -> bool {
        (self.state, self.since) = (state, now);
        true
    }

    /// Since when the state is what it is.
    pub(super) const fn since(&self) -> u64 {
        self.since
    }

    /// When it was last released; 0: never.
    pub(super) const fn released(&self) -> u64 {
        self.released
    }

    pub(super) const fn is_noted(&self) -> bool {
        self.noted
    }

    pub(super) const fn set_noted(&mut self, noted: bool) {
        self.noted = noted;
    }

    pub(super) const fn report(&self, doubt: Doubt) -> GuardReport {
        GuardReport {
            doubt,
            state: self.state,
            members: self.members,
            silent: self.silent,
            since: crate::Timestamp::from_nanos(self.since),
        }
    }
}

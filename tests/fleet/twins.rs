//! A fleet and its twins: for each peer a state of its own that is told the same events at the same
//! times. After each operation they are compared (`compare.rs`), bit for bit. With a guard, its holds
//! are events too.

use std::collections::BTreeMap;

use heartbeat_proto::detector::Detector;
use heartbeat_proto::fleet::{Fleet, GuardConfig, Handle, Input, Profile, Progress};
use heartbeat_proto::{Actions, Config, Event, Liveness, Reason, Timestamp};

use super::heard::{Heard, joined, listed};
use super::ops::{MS, Op, Say};
use super::twin::Twin;

pub(crate) struct Pair<D: Detector> {
    pub(super) configs: Vec<Config<D>>,
    profiles: Vec<Profile>,
    pub(crate) fleet: Fleet<D>,
    pub(super) twins: BTreeMap<Handle, Twin<D>>,
    /// Handles that were given up.
    pub(super) old: Vec<Handle>,
    /// The caller's clock, and the largest it has shown.
    now: u64,
    pub(super) shown: u64,
}

impl<D: Detector> Pair<D> {
    pub(crate) fn new(configs: Vec<Config<D>>, guard: Option<GuardConfig>) -> Self {
        let now = 777 * MS;
        let mut fleet = Fleet::new(configs[0], 42, Timestamp::from_nanos(now)).expect("valid");
        for config in &configs[1..] {
            fleet.add_profile(*config).expect("valid");
        }
        if let Some(guard) = guard {
            fleet.set_shard(200).expect("empty"); // The others are in shard 0.
            fleet.set_guard(guard).expect("valid");
        }
        let profiles = fleet.profiles().collect();
        Self { configs, profiles, fleet, twins: BTreeMap::new(), old: Vec::new(), now, shown: now }
    }

    fn now(&mut self) -> Timestamp {
        self.shown = self.shown.max(self.now);
        Timestamp::from_nanos(self.now)
    }

    fn who(&self, who: usize) -> Option<Handle> {
        let n = self.twins.len().max(1);
        self.twins.keys().nth(who % n).copied()
    }

    fn tell(&mut self, handle: Handle, event: Event) -> Actions {
        let now = Timestamp::from_nanos(self.shown);
        self.twins.get_mut(&handle).expect("a twin").tell(&self.configs, event, now)
    }

    /// What the guard said before the event is told to the twin, too, where the event alone would
    /// have convicted it; then there may be what two calls yield.
    fn tell_held(
        &mut self,
        handle: Handle,
        event: Event,
        holds: &mut Vec<(Handle, Event)>,
    ) -> Vec<Actions> {
        let twin = &self.twins[&handle];
        let mut alone = twin.state;
        let now = Timestamp::from_nanos(self.shown);
        let actions = alone.handle(&self.configs[twin.profile], event, now);
        let by_silence = [Reason::NoResponse, Reason::Silence, Reason::NotProbed];
        let falls = actions
            .transition()
            .is_some_and(|to| to.to == Liveness::Lost && by_silence.contains(&to.reason));
        let hold = holds.iter().position(|(of, _)| *of == handle).filter(|_| falls);
        let Some(hold) = hold else { return vec![self.tell(handle, event)] };
        let (_, hold) = holds.remove(hold);
        let first = self.tell(handle, hold);
        if event == Event::Tick { vec![first] } else { vec![first, self.tell(handle, event)] }
    }

    pub(crate) fn play(&mut self, op: &Op) {
        match op {
            Op::Pass { nanos } => return self.now += nanos,
            Op::Back { nanos } => return self.now = self.now.saturating_sub(*nanos),
            Op::Remove { who } => return self.remove(*who),
            Op::Insert { .. } | Op::Advance { .. } | Op::Finish => {}
            _ if self.twins.is_empty() => return,
            _ => {}
        }
        match op {
            Op::Insert { profile, peers: 1 } => {
                let now = self.now();
                let handle = self.fleet.insert(self.profiles[*profile], now).expect("room");
                assert!(!self.old.contains(&handle), "{handle} again");
                let state = self.fleet.peer(handle).expect("there");
                assert_eq!(state.liveness(), Liveness::Idle);
                let group = handle.place() as u16 % 3;
                self.fleet.set_group(handle, group).expect("there");
                let (profile, pings) = (*profile, Vec::new());
                let twin = Twin { profile, state, pings, drained: false, answered: 0 };
                assert!(self.twins.insert(handle, twin).is_none());
            }
            Op::Insert { profile, peers } => {
                for _ in 0..*peers {
                    self.play(&Op::Insert { profile: *profile, peers: 1 });
                }
            }
            Op::Reconnect { who } => {
                let Some(handle) = self.who(*who) else { return };
                let now = self.now();
                let next = self.fleet.reconnected(handle, now).expect("there");
                let twin = self.twins.remove(&handle).expect("a twin");
                let shown = Timestamp::from_nanos(self.shown);
                let state = twin.state.next_connection(&self.configs[twin.profile], shown);
                let pings = Vec::new();
                self.twins.insert(next, Twin { state, pings, drained: false, answered: 0, ..twin });
                self.old.push(handle);
            }
            Op::Tell { who, say } => {
                let Some(handle) = self.who(*who) else { return };
                self.say(handle, *say);
            }
            Op::Live { rounds } => {
                for _ in 0..*rounds {
                    self.play(&Op::Pass { nanos: 20 * MS });
                    self.play(&Op::Finish);
                    self.play(&Op::Answer { but: 1000 });
                }
            }
            Op::Start => {
                for handle in self.twins.keys().copied().collect::<Vec<_>>() {
                    if self.twins[&handle].state.liveness() == Liveness::Idle {
                        self.say(handle, Say::Start);
                    }
                }
            }
            Op::Answer { but } => {
                for (n, handle) in self.twins.keys().copied().collect::<Vec<_>>().iter().enumerate()
                {
                    let twin = self.twins.get_mut(handle).expect("there");
                    if n % but != but - 1 && twin.profile == 2 {
                        self.say(*handle, if n % 2 == 0 { Say::Beacon } else { Say::Ping });
                    } else if n % but != but - 1 && twin.answered < twin.pings.len() {
                        twin.answered = twin.pings.len();
                        if self.twins[handle].profile == 1 {
                            self.say(*handle, Say::Written);
                        }
                        self.say(*handle, Say::Pong(0));
                    }
                }
            }
            Op::Batch { tells, enough } => self.batch(tells, *enough),
            Op::Advance { budget, enough } => {
                let _ = self.advance(*budget, *enough);
            }
            Op::Finish => while self.advance(100, 100) == Progress::Pending {},
            Op::Pass { .. } | Op::Back { .. } | Op::Remove { .. } => {}
        }
    }

    fn say(&mut self, handle: Handle, say: Say) {
        let now = self.now();
        let event = self.twins[&handle].event(say);
        let told = self.fleet.handle(handle, event, now).expect("there");
        let mut hold = self.fleet.last_hold().map(|hold| (handle, hold)).into_iter().collect();
        let expected = joined(&self.tell_held(handle, event, &mut hold));
        assert_eq!(listed(told), expected, "{event:?}");
        assert_eq!(hold, [], "a hold where nobody would have been convicted");
    }

    fn remove(&mut self, who: usize) {
        let Some(handle) = self.who(who) else { return };
        let state = self.fleet.remove(handle).expect("there");
        assert_eq!(state, self.twins.remove(&handle).expect("a twin").state);
        self.old.push(handle);
    }

    fn batch(&mut self, tells: &[(usize, Say)], enough: usize) {
        let now = self.now();
        let mut inputs = Vec::new();
        for (who, say) in tells {
            let Some(handle) = self.who(*who) else { return };
            inputs.push(Input { handle, event: self.twins[&handle].event(*say) });
        }
        if let Some(stale) = self.old.last() {
            inputs.push(Input { handle: *stale, event: Event::FrameReceived });
        }
        let mut heard = Heard { enough, ..Heard::default() };
        let taken = self.fleet.handle_batch(&inputs, now, &mut heard);
        assert!(taken == inputs.len() || heard.actions.len() == enough);
        let mut told = Vec::new();
        let mut stale = Vec::new();
        for Input { handle, event } in &inputs[..taken] {
            if self.twins.contains_key(handle) {
                let actions = joined(&self.tell_held(*handle, *event, &mut heard.holds));
                if !actions.is_empty() {
                    told.push((*handle, actions));
                }
            } else {
                stale.push(*handle);
            }
        }
        assert_eq!(heard.holds, [], "a hold where nobody would have been convicted");
        let heard_actions = heard.actions.into_iter().map(|(who, all)| (who, listed(all)));
        assert_eq!(heard_actions.collect::<Vec<_>>(), told);
        assert_eq!(heard.stale, stale);
    }

    /// Which peers a part of an advance has reached is the fleet's to say: those whose state has
    /// changed. In the end it must be all that are due (FL3, FL4).
    fn advance(&mut self, budget: usize, enough: usize) -> Progress {
        let now = self.now();
        let mut heard = Heard { enough, ..Heard::default() };
        let progress = self.fleet.advance(now, budget, &mut heard);
        assert!(heard.actions.len() <= budget.min(enough));
        let step = u64::try_from(self.fleet.step().as_nanos()).expect("short");
        let ended = self.shown / step * step;
        let mut told = Vec::new();
        let handles: Vec<Handle> = self.twins.keys().copied().collect();
        for handle in handles {
            let twin = &self.twins[&handle];
            let due = twin.state.next_deadline(&self.configs[twin.profile]);
            let due_by = |end| due.is_some_and(|(at, _)| at.as_nanos() < end);
            let reached = self.fleet.peer(handle).expect("there") != twin.state;
            assert!(!reached || due_by(self.shown + 1), "{handle} was ticked before {due:?}");
            let done = progress == Progress::Done;
            assert!(reached || !done || !due_by(ended), "{handle} was forgotten");
            if reached {
                let actions = self.tell_held(handle, Event::Tick, &mut heard.holds).remove(0);
                if !actions.is_empty() {
                    told.push((handle, actions));
                }
            }
        }
        assert_eq!(heard.holds, [], "a hold where nobody would have been convicted");
        heard.actions.sort_by_key(|(handle, _)| *handle);
        assert_eq!(heard.actions, told);
        for (handle, report) in heard.reports {
            assert_eq!(report.liveness, self.twins[&handle].state.liveness());
            assert_eq!(report.observed_at.as_nanos(), self.shown);
        }
        progress
    }
}

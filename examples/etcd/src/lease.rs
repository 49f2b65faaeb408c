//! [`Lease`]: a lease that a heartbeat machine keeps alive. No clock, no socket.
//!
//! etcd counts a lease's TTL from the keepalive that it took last; when it has passed, the lease's
//! keys are deleted and others take over. The holder must have stopped by then, whatever it
//! can hear. So it counts from the *sending* of the last keepalive that was answered, and two bounds
//! hold, of which the first is the sooner one:
//!
//! * the machine's verdict, `2/3 TTL` after the last answer came, which is at most `1/6 TTL` (the
//!   response window) after it was asked for: `5/6 TTL`. It is strict: a process that was late is
//!   not granted another probe, since etcd grants none;
//! * `TTL` itself, by the clock, for a process that was frozen and has not looked at its machine yet.
//!
//! Keepalives are `1/3 TTL` apart, so two may be lost.

use std::time::Duration;

use anyhow::{Result, ensure};
use heartbeat_proto::{
    Action, Config, Event, FirstPing, HeartbeatMachine, LatePolicy, Mode, PingId, Timestamp,
};

/// What etcd has granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub id: i64,
    /// When the observer's key was created: it is in no later life of the same observer.
    pub revision: i64,
    pub ttl: Duration,
    /// When it was asked for.
    pub asked: Timestamp,
}

#[derive(Debug)]
pub struct Lease {
    grant: Grant,
    machine: HeartbeatMachine,
    /// By then etcd may have freed our peers.
    until: Timestamp,
}

impl Lease {
    /// The rules that keep a lease of this TTL.
    pub fn config(ttl: Duration) -> Result<Config> {
        let config = Config::builder()
            .mode(Mode::Initiator)
            .interval(ttl / 3)
            .response_window(ttl / 6)
            .attempts(2)
            .jitter_percent(0)
            .first_ping(FirstPing::AfterInterval)
            .late_policy(LatePolicy::Strict)
            .build()?;
        let bound = config.worst_case_detection() + config.response_window();
        ensure!(bound < ttl, "fenced after {bound:?}, which is too late for {ttl:?}");
        Ok(config)
    }

    pub fn new(grant: Grant, now: Timestamp) -> Result<Self> {
        let mut machine = HeartbeatMachine::new(Self::config(grant.ttl)?, grant.id as u64, now);
        let _ = machine.handle(Event::Start, now);
        let _ = machine.handle(Event::FrameReceived, now); // The grant.
        Ok(Self { grant, machine, until: grant.asked.saturating_add(grant.ttl) })
    }

    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// How long a keepalive may take: one that takes longer is given up.
    pub fn patience(&self) -> Duration {
        self.machine.config().response_window()
    }

    /// Whether the holder may act on it. Ask this last of all before anything is done.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.machine.liveness().is_live() && now < self.until
    }

    /// When to call [`turn`](Self::turn) next.
    pub fn next_deadline(&self) -> Timestamp {
        self.machine.next_deadline().map_or(self.until, |due| due.min(self.until))
    }

    /// Does what is due; a keepalive is to be sent now if one is returned.
    pub fn turn(&mut self, now: Timestamp) -> Option<PingId> {
        let mut actions = self.machine.handle(Event::Tick, now);
        actions.find_map(|action| match action {
            Action::SendPing { id, .. } => Some(id),
            _ => None,
        })
    }

    /// The keepalive that was sent at `sent` was answered: the lease lives, or there is none.
    pub fn answered(&mut self, id: PingId, sent: Timestamp, is_alive: bool, now: Timestamp) {
        if !is_alive {
            let _ = self.machine.handle(Event::Close, now);
            return;
        }
        self.until = self.until.max(sent.saturating_add(self.grant.ttl));
        let (stamp, hold, calm) = (Some(sent), Duration::ZERO, false);
        let _ = self.machine.handle(Event::PongReceived { id, stamp, hold, calm }, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(6);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos((1_000_000 + millis) * 1_000_000)
    }

    fn lease() -> Lease {
        let grant = Grant { id: 7, revision: 3, ttl: TTL, asked: at(0) };
        Lease::new(grant, at(10)).expect("valid")
    }

    /// Punctual, answered after `rtt`, until `silent`; when it was fenced.
    fn fenced(rtt: u64, silent: u64) -> (u64, Vec<u64>) {
        let (mut lease, mut sent) = (lease(), Vec::new());
        let mut answers: Vec<(u64, PingId)> = Vec::new();
        for millis in 10.. {
            while let Some(&(asked, id)) = answers.first().filter(|it| it.0 + rtt <= millis) {
                answers.remove(0);
                lease.answered(id, at(asked), true, at(millis));
            }
            if let Some(id) = lease.turn(at(millis)) {
                sent.push(millis);
                if millis < silent {
                    answers.push((millis, id));
                }
            }
            if !lease.is_valid(at(millis)) {
                return (millis, sent);
            }
        }
        unreachable!("it is fenced")
    }

    #[test]
    fn keepalives_are_a_third_apart() {
        let (_, sent) = fenced(5, 30_000);
        assert!(sent.len() > 15);
        for pair in sent.windows(2).take(14) {
            assert_eq!(pair[1] - pair[0], 2000, "{sent:?}");
        }
    }

    #[test]
    fn it_ends_before_etcd_ends_it() {
        for rtt in [1, 5, 300, 990] {
            for silent in [0, 2500, 10_000, 14_300] {
                let (end, sent) = fenced(rtt, silent);
                let answered = sent.iter().rfind(|it| **it < silent).copied().unwrap_or(0);
                let bound = answered + 5000;
                assert!(end <= bound + 1, "fenced at {end}, not {bound}: {sent:?}");
                assert!(end >= answered + 4000, "too soon: {end} after {answered}");
                // Two were sent that nobody answered.
                assert!(sent.iter().filter(|it| **it > answered).count() >= 2, "{end} {sent:?}");
            }
        }
    }

    #[test]
    fn a_frozen_holder_has_none() {
        let mut frozen = lease();
        let id = frozen.turn(at(2010)).expect("due");
        frozen.answered(id, at(2010), true, at(2020));
        assert!(frozen.is_valid(at(8009)));
        assert!(!frozen.is_valid(at(8010)), "before it has looked at its machine");
        // An answer that lay in the socket all that time is of no use.
        let id = frozen.turn(at(4020)).expect("due");
        frozen.answered(id, at(4020), true, at(20_000));
        assert!(!frozen.is_valid(at(20_000)));
        // Nor is there a second chance for the one who was late.
        let mut late = lease();
        let _ = late.turn(at(5000));
        assert!(!late.is_valid(at(5000)));
    }

    #[test]
    fn a_lease_that_is_gone_is_gone() {
        let mut lease = lease();
        let id = lease.turn(at(2010)).expect("due");
        lease.answered(id, at(2010), false, at(2020));
        assert!(!lease.is_valid(at(2020)));
    }

    #[test]
    fn all_ttls_of_etcd_can_be_kept() {
        for seconds in [1, 2, 3, 5, 10, 60, 600] {
            assert!(Lease::config(Duration::from_secs(seconds)).is_ok(), "{seconds}");
        }
    }
}

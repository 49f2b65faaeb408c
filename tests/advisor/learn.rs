//! What the advisor learns, and what it proposes.

use heartbeat_proto::advisor::{Advisor, AdvisorError};
use heartbeat_proto::qos::{Qos, QosError};
use heartbeat_proto::{Action, Actions, Config, Event, HeartbeatMachine, PingId, Timestamp};

use crate::common::{MS, Rng, SEC, at, ms, secs};

/// A machine, its advisor, and a link that loses in bursts.
struct Taught {
    machine: HeartbeatMachine,
    advisor: Advisor,
    rng: Rng,
    now: u64,
    /// Pongs on the way.
    wire: Vec<(u64, PingId)>,
    /// What the test counts: pings answered, pings lost before one that was answered.
    answered: u64,
    lost: u64,
    /// Lost since the last answer.
    silent: u64,
    /// Of a round trip: at least, and up to so much more.
    delay: (u64, u64),
}

impl Taught {
    fn new(seed: u64) -> Self {
        // Twelve in a row must be lost before it dies.
        let builder = Config::builder().interval(secs(5)).response_window(secs(2)).attempts(12);
        Self::with(builder.build().expect("valid"), seed)
    }

    fn with(config: Config, seed: u64) -> Self {
        let machine = HeartbeatMachine::new(config, seed, at(0));
        let (advisor, rng) = (Advisor::new(), Rng(seed));
        let mut taught = Self {
            machine,
            advisor,
            rng,
            now: 0,
            wire: vec![],
            answered: 0,
            lost: 0,
            silent: 0,
            delay: (30 * MS, 20 * MS),
        };
        let _ = taught.tell(Event::Start);
        taught
    }

    fn tell(&mut self, event: Event) -> Actions {
        let actions = self.machine.handle(event, at(self.now));
        self.advisor.observe(&actions, at(self.now));
        actions
    }

    /// Until then a ping is lost with `percent`, or with `repeat` after one that was.
    fn run(&mut self, until: u64, percent: u64, repeat: u64) {
        while let Some(due) = self.machine.next_deadline() {
            let due = due.as_nanos() - at(0).as_nanos();
            let arrival = self.wire.first().map_or(u64::MAX, |pong| pong.0);
            let next = due.min(arrival);
            if next > until {
                break;
            }
            self.now = next;
            if arrival <= due {
                let (_, id) = self.wire.remove(0);
                self.answered += 1;
                let _ = self.tell(Event::pong(id));
                continue;
            }
            for action in self.tell(Event::Tick) {
                if let Action::SendPing { id, .. } = action {
                    let chance = if self.silent > 0 { repeat } else { percent };
                    if self.rng.percent(chance) {
                        self.silent += 1;
                    } else {
                        let delay = self.delay.0 + self.rng.below(self.delay.1);
                        self.wire.push((self.now + delay, id));
                        self.wire.sort_unstable_by_key(|pong| pong.0);
                        self.lost += core::mem::take(&mut self.silent);
                    }
                }
            }
        }
        self.now = self.now.max(until);
    }
}

fn wish() -> Qos {
    Qos::new(secs(10), secs(24 * 3600), secs(60)).expect("a wish")
}

/// AD1: answers, losses and their bursts are those of the link; a death is none of its losses.
#[test]
fn it_counts_what_was_lost_and_not_who_died() {
    let mut taught = Taught::new(3);
    taught.run(20_000 * SEC, 10, 30);
    assert!(taught.lost > 100, "{}", taught.lost);
    let (answered, lost) = (taught.advisor.answered(), taught.advisor.lost());
    assert!(answered <= taught.answered && answered + 4 >= taught.answered, "{answered}");
    assert!(lost <= taught.lost && lost + 4 >= taught.lost, "{lost} of {}", taught.lost);
    assert_eq!(taught.advisor.rtts().count(), taught.answered);
    assert_eq!(taught.advisor.watched().as_secs() / 10, 1_999);

    let before = taught.lost;
    taught.run(30_000 * SEC, 100, 100);
    assert!(taught.machine.next_deadline().is_none(), "it died");
    // The next connection goes on, and owes nothing to the last.
    taught.machine = taught.machine.reconnected(at(taught.now));
    (taught.silent, taught.wire) = (0, vec![]);
    let _ = taught.tell(Event::Tick);
    taught.run(taught.now + 1_000 * SEC, 0, 0);
    assert_eq!(taught.advisor.lost(), before);
    assert!(taught.advisor.answered() + 4 >= taught.answered);
}

/// AD1: an outage that ends is so many losses in one run, however many.
#[test]
fn it_counts_a_long_outage() {
    let mut taught = Taught::new(3);
    taught.run(1_000 * SEC, 0, 0);
    let pings = taught.machine.stats().pings_sent;
    while taught.machine.stats().pings_sent < pings + 11 {
        taught.run(taught.now + SEC, 100, 100);
    }
    assert!(taught.machine.next_deadline().is_some(), "it lived");
    taught.run(taught.now + 1_000 * SEC, 0, 0);
    assert_eq!(taught.advisor.lost(), 11);
    // So long a burst leaves little that can be promised.
    assert!(taught.advisor.propose(&wish()).is_err());
    let wish = Qos::new(secs(60), secs(60), secs(600)).expect("a wish");
    let advice = taught.advisor.propose(&wish).expect("possible");
    assert!((advice.repeat_loss() - 10.0 / 11.0).abs() < 1e-9, "{}", advice.repeat_loss());
}

/// AD1: several pings under way at a time, whose pongs overtake each other: none is taken as lost
/// that is not, and bursts are seen as such.
#[test]
fn it_counts_under_long_round_trips() {
    for (percent, repeat) in [(0, 0u8), (5, 5), (5, 30)] {
        let mut taught = Taught::with(Config::service_mesh(), 3);
        taught.delay = (400 * MS, 400 * MS);
        taught.run(4_000 * SEC, percent, repeat.into());
        let (answered, lost) = (taught.advisor.answered(), taught.advisor.lost());
        assert!(answered + 8 >= taught.answered, "{answered} of {}", taught.answered);
        assert!(taught.machine.next_deadline().is_some(), "it lived");
        assert!(lost.abs_diff(taught.lost) <= 8, "{lost}, not {}", taught.lost);
        let wish = Qos::new(secs(60), secs(3600), secs(600)).expect("a wish");
        let advice = taught.advisor.propose(&wish).expect("possible");
        let expected = (f64::from(repeat) / 100.0).max(advice.loss_at_most());
        let found = advice.repeat_loss();
        assert!((found - expected).abs() < 0.12, "{found}, not {expected}");
    }
}

/// AD2: it is silent before it knows enough, cautious with few samples, bolder with more; it says
/// why, and what it proposes keeps the promise.
#[test]
fn it_proposes_what_the_link_bears() {
    let mut taught = Taught::new(5);
    let nothing = taught.advisor.propose(&wish());
    assert!(matches!(nothing, Err(AdvisorError::NotYet { answered: 0, needed: 30 })));

    taught.run(400 * SEC, 0, 0);
    let few = taught.advisor.propose(&wish()).expect("possible");
    taught.run(40_000 * SEC, 0, 0);
    let many = taught.advisor.propose(&wish()).expect("possible");
    assert!(few.loss_at_most() > 0.02 && many.loss_at_most() < 0.001);
    assert!(many.config().interval() > few.config().interval());
    assert!(few.samples() < 200 && many.samples() > 5_000);
    for advice in [few, many] {
        assert!(advice.config().worst_case_detection() <= secs(10));
    }
    let told = many.to_string();
    assert!(told.contains("because of 0 lost of ") && told.contains("in 11.1h"), "{told}");
    let _ = taught.machine.reconfigure(many.config(), at(taught.now));
    assert_eq!(taught.machine.config().interval(), many.config().interval());

    // A link that loses, and loses again once it does, bears less.
    let mut lossy = Taught::new(7);
    lossy.run(40_000 * SEC, 5, 40);
    assert!(lossy.machine.next_deadline().is_some(), "it lived");
    let lossy = lossy.advisor.propose(&wish()).expect("possible");
    assert!(lossy.repeat_loss() > 0.3 && lossy.repeat_loss() < 0.5, "{}", lossy.repeat_loss());
    assert!(lossy.loss_at_most() > 0.05 && lossy.loss_at_most() < 0.15);
    assert!(lossy.config().interval() < many.config().interval());
    assert!(lossy.config().attempts() > many.config().attempts());

    // And what no rules can give is said.
    let impossible = Qos::new(ms(60), secs(3600), secs(60)).expect("a wish");
    let error = taught.advisor.propose(&impossible).unwrap_err();
    assert!(matches!(error, AdvisorError::Wish(QosError::Impossible { .. })), "{error}");
}

/// AD1: times that run back count as the newest.
#[test]
fn an_earlier_time_is_taken_as_the_last() {
    let mut taught = Taught::new(1);
    taught.run(100 * SEC, 0, 0);
    let watched = taught.advisor.watched();
    taught.advisor.observe(&Actions::default(), Timestamp::EPOCH);
    assert_eq!(taught.advisor.watched(), watched);
}

//! A fifth of all packets is lost, each way.
//!
//! **Datagrams.** A round trip succeeds with `0.8 * 0.8`, so it fails with `f = 0.36`. Of a silence
//! that begins with an answer, the peer is given up exactly if all N pings of it fail (the gap
//! between pings is longer than a window here, so that no ping more fits into the limit): with the
//! probability `f^N`. Two things are checked. Exactly: as many verdicts as the relay, which knows
//! every datagram's fate, counts runs of N failed round trips. And by chance: that their number
//! out of n silences is what `f^N` gives. By the Chernoff bound it deviates so far that
//! `n * KL(found || f^N) > ln(2 / 10^-6)` with a probability below 10^-6; that is the rate at which
//! a sound run fails (with the seed fixed, as it is here, it does not vary).
//!
//! **TCP** sends again, so nobody dies. Every fifth packet of each direction is lost: no two in a
//! row, so a sound run does not fail by chance.

use core::time::Duration;

use heartbeat_proto::{FirstPing, LatePolicy, Liveness, Mode, Reason};

use crate::hosts::Hosts;
use crate::measure::{clock, ms};
use crate::relay::UdpRelay;
use crate::stage::{
    Peer, alive, both_live, listen, live, observe, observe_on, patient, quick, responder, warm_up,
};
use crate::subject::{Listener, Socket, Subject};
use crate::table::Row;

const LOSS_PERCENT: u8 = 20;

/// What one connection went through.
#[derive(Clone, Copy, Default)]
struct Tally {
    /// Silences: runs of pings that began after an answer.
    silences: u32,
    /// Of those, where N pings in a row failed, by the relay's book.
    fatal: u32,
    /// Verdicts.
    lost: u32,
}

/// Eight connections for six seconds, for each N.
pub(super) fn loss_on_datagrams(subject: &'static Subject) -> Row {
    datagrams(subject, 8, ms(6000))
}

/// Twenty connections for a minute.
pub(super) fn loss_on_datagrams_for_long(subject: &'static Subject) -> Row {
    datagrams(subject, 20, ms(60_000))
}

fn datagrams(subject: &'static Subject, connections: u64, span: Duration) -> Row {
    let mut told = Vec::new();
    for attempts in 1..=3 {
        let found = std::thread::scope(|scope| {
            let play = |seed| scope.spawn(move || undisturbed(subject, attempts, seed, span));
            let trials: Vec<_> = (1..=connections).map(play).collect();
            trials.into_iter().map(|trial| trial.join().expect("see above")).collect::<Vec<_>>()
        });
        let sum = |count: fn(&Tally) -> u32| found.iter().map(count).sum::<u32>();
        let (silences, fatal, lost) =
            (sum(|it| it.silences), sum(|it| it.fatal), sum(|it| it.lost));
        assert_eq!(fatal, lost, "a verdict for each run of {attempts} lost round trips");
        let failed = 1.0 - (1.0 - f64::from(LOSS_PERCENT) / 100.0).powi(2);
        let expected = failed.powi(i32::from(attempts));
        let rate = f64::from(lost) / f64::from(silences);
        let deviation = f64::from(silences) * divergence(rate, expected);
        assert!(deviation <= (2.0 / 1e-6_f64).ln(), "{rate} instead of {expected}: {deviation}");
        told.push(format!("N = {attempts}: {rate:.3} of {silences}, computed {expected:.3}"));
    }
    let verdict = Reason::NoResponse.to_string();
    Row { note: told.join(", "), verdict, ..Row::default() }
}

/// The Kullback-Leibler divergence of two coins.
fn divergence(found: f64, expected: f64) -> f64 {
    let part = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    part(found, expected) + part(1.0 - found, 1.0 - expected)
}

/// The windows are short: where a thread waits too long for a processor, the books differ, and it is
/// repeated. The seed decides every datagram's fate, so a verdict that is wrong by itself is wrong
/// again.
fn undisturbed(subject: &'static Subject, attempts: u8, seed: u64, span: Duration) -> Tally {
    let mut tally = Tally::default();
    for _ in 0..4 {
        tally = lossy(subject, attempts, seed, span);
        if tally.fatal == tally.lost {
            break;
        }
        eprintln!("{} verdicts for {} runs of lost round trips; again", tally.lost, tally.fatal);
    }
    tally
}

fn lossy(subject: &'static Subject, attempts: u8, seed: u64, span: Duration) -> Tally {
    let (listener, address) = listen(subject);
    let _peer = Peer::spawn(subject, listener, responder(), live);
    let relay = UdpRelay::new(address, seed).expect("a relay");
    // Pings after 150, 270 and 390 ms of silence; the next would leave at 510, after the verdict
    // at 420. Strict, since a re-probe is one ping more.
    let rules = quick()
        .mode(Mode::Initiator)
        .interval(ms(150))
        .timeout(ms(150) + ms(90) * u32::from(attempts))
        .attempts(attempts)
        .suspect_interval(ms(120))
        .jitter_percent(0)
        .first_ping(FirstPing::Immediate)
        .late_policy(LatePolicy::Strict)
        .no_keepalive()
        .reopen_after(1)
        .down_interval(ms(150));
    let mut end = observe(subject, relay.address, rules);
    warm_up(&mut *end, ms(400));
    // The books are kept from the first datagram on: an answer may be under way at this moment.
    let warm = relay.to_server().fates.len();
    relay.lose(LOSS_PERCENT);
    let until = clock() + span;
    while clock() < until {
        end.run_for(ms(100)).expect("on datagrams nothing is final");
    }
    // To the end of a silence, so that no verdict is still to come.
    relay.lose(0);
    end.run_for(ms(900)).expect("on datagrams nothing is final");
    assert_eq!(end.driver().liveness(), Liveness::Alive);
    let lost = u32::try_from(end.driver().machine().stats().losses).expect("few");
    let there = relay.to_server().fates.clone();
    let mut back = relay.to_client().fates.clone().into_iter();
    let mut tally = Tally { lost, ..Tally::default() };
    let mut run = 0;
    for (place, lost_there) in there.into_iter().enumerate() {
        tally.silences += u32::from(run == 0 && place >= warm);
        // A ping that got there has its answer's fate next.
        if lost_there || back.next().unwrap_or(false) {
            run += 1;
            tally.fatal += u32::from(run == attempts);
        } else {
            run = 0;
        }
    }
    tally
}

/// Every fifth packet, with limits of a second.
pub(super) fn loss_on_streams(subject: &'static Subject) -> Row {
    let hosts = match Hosts::new() {
        Ok(hosts) => hosts,
        Err(why) => return Row::skipped(&why),
    };
    hosts.hurry();
    let listener = hosts.at_peer(|| Listener::bind(subject.kind, Hosts::PEER)).expect("a listener");
    let peer = Peer::spawn(subject, listener, patient(), live);
    let socket = hosts.at_observer(|| Socket::connect(subject.kind, Hosts::PEER));
    let mut end = observe_on(subject, socket.expect("a connection"), quick().timeout(ms(1100)));
    warm_up(&mut *end, ms(500));
    hosts.drop_by("numgen inc mod 5 == 0 counter drop");
    end.run_for(ms(6000)).expect("a living peer");
    let dropped = hosts.dropped();
    assert!(dropped >= 5, "packets were lost: {dropped}");
    both_live(&*end, peer);
    Row { note: format!("alive, {dropped} packets lost"), ..alive() }
}

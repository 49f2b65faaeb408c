//! Defects of existing heartbeat code, as regression tests. Each is shown twice: a small model of
//! the defect fails, and under the same script the machine holds. (The models are written anew from
//! the facts: the code, its issues, and measured behaviour.)
//!
//! | no. | test (`defect_` + ...) | what the faulty design does, and where | what prevents it (SPEC.md) |
//! |---|---|---|---|
//! | 1 | `01_blocked_pong_kills_a_busy_connection` | only the pong clears the timeout, and it waits behind data (hyper; mended in Envoy, PR 21077) | E1, E3, P8: a window that ends after life is no miss |
//! | 2 | `02_keepalive_under_traffic_that_other_packets_do_not_clear` | pings under traffic, dead when the next ping finds the last one open (rumqttc) | P5, E3, J5 |
//! | 3 | `03_wall_clock_in_keepalive_arithmetic` | measures silence on a clock that can be set (grpc-go, NATS, Redis, engine.io) | T1, T2, J6 |
//! | 4 | `04_overflow_of_a_declared_ttl` | 16 bits times 100 in 16 bits: 70 s become 4.464 s (libzmq) | M2, CF4, A6 |
//! | 5 | `05_tails_and_windows_of_phi` | infinite, minus zero, not a number, of the wrong window (three crates) | DT1, DT6, DT20; J2: a deadline, clamped |
//! | 6 | `06_no_jitter_although_the_rfc_says_must` | a bare interval timer (holo-bfd; RFC 5880, 6.8.7) | P2 |
//! | 7 | `07_id_wraps_at_256` | an old ack has the number of the new probe (foca) | E4, P11 |
//! | 8 | `08_verdict_after_resume_before_the_buffer_is_read` | the overdue timer runs first (tab-election, PR 13) | J6, E10, S5 |
//! | 9 | `09_starved_heartbeat_producer_that_nobody_notices` | was late itself, and tells nobody (GEODE-9180) | RP1, J6, J12 |
//! | 10 | `10_ping_flood_grows_the_queue_of_pongs` | queues a pong for each ping (CVE-2019-9512) | A1, R2, R3 |
//! | | `10_over_long_echo` | echoes as many bytes as are claimed (Heartbleed) | C6, C7 |
//! | 11 | `11_long_mean_after_one_outage` | one outage among a hundred intervals: patient for the next hundred | DT13; DT12 and DT14 where told to; CF5, E7 |
//! | 12 | `12_only_one_ping_is_ever_sent` | nothing leads on from the answered ping (hyper, issue 2310) | T5, P2, L2 |
//!
//! # Gaps
//!
//! * Defect 11: the phi detectors of a normal distribution record outages unless they are told not
//!   to, as published; the test shows both.
//! * Defect 11: the round-trip estimate takes the samples of pongs that an outage, or a pause of
//!   our own, held up (E6), so that an `rtt_adaptive` deadline rests at its ceiling until about 25
//!   answers later. The promise CF5 holds all the while.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/script.rs"]
mod script;

mod detectors;
mod keepalives;
#[cfg(all(feature = "std", feature = "codec"))]
mod wire;

//! The incidents of the source articles, one scenario each. Every one is shown twice: a small model
//! of the faulty design fails, and under the same script the machine holds. The script (times and
//! events) is written once and fed to both; most of them go through `play` of `common/script.rs`.
//!
//! | incident | test (`inc_` + ...) | what the faulty design does | what prevents it (SPEC.md) |
//! |---|---|---|---|
//! | INC-2023-0891 | `2023_0891_fixed_limit_under_slow_network` | a limit of 3 s, whatever the round trip: kills 200 of 200 living peers | J2 with an adaptive detector, E7, CF5 |
//! | INC-2024-0117 | `2024_0117_blocking_call_delays_the_answer` | answers after a query | A1, S8, R4 |
//! | | `2024_0117_blocking_call_in_the_observer_kills_the_peer` | judges before it has read what waits | J6, E10, S5 |
//! | INC-2023-1152 | `2023_1152_timer_leaked_per_beat` | one ticker a beat, never stopped | T2, R3, L2, P5 |
//! | INC-2024-0334 | `2024_0334_unsynchronised_health_flag` | flag and stamp written step by step by two threads | T8: one call is one step; `&mut self` |
//! | | `2024_0334_snapshots_from_other_threads_are_whole` | (the same with real threads) | T1, J12 |
//! | INC-2023-0977 | `2023_0977_tls_renewal_counted_as_silence` | counts a handshake as silence | LC1, LC2, LC5, LC6 |
//! | INC-2021-089, INC-2022-144 | `2021_089_and_2022_144_ticker_drifts_and_never_ends` | sleeps an interval after each beat: 2.3 s a day; outlives its owner | P2, T5, L2, S7 |
//! | INC-2022-307, INC-2023-012 | `2022_307_and_2023_012_half_open_connection_reused` | trusts a write, and its idle limit | RP3, P7, E2 |
//! | INC-2021-155, INC-2023-226 | `2021_155_and_2023_226_ok_with_business_code_503_counted_as_healthy` | 200 is healthy | the status in PROTOCOL.md |
//! | INC-2022-418, INC-2023-093 | `2022_418_and_2023_093_failed_initialisation_remembered_for_ever` | keeps the first error | CF2 (a refused value), LC1, LC8 |
//! | INC-2021-277, INC-2023-166 | `2021_277_and_2023_166_interval_without_unit_makes_a_storm` | 30 is milliseconds, compiled in, and all beat at once | P2 (phase, jitter), LC9 |
//! | | `2021_277_and_2023_166_wrong_unit_meets_floors` | (the same with our types) | CF2, A2, A3, A6 |
//! | INC-2022-052, INC-2023-281 | `2022_052_and_2023_281_handshake_without_limit` | waits for the last byte for ever | LC1 |
//! | INC-2023-004 | `2023_004_probe_and_server_speak_different_protocols` | takes another protocol for death | C5 (partly: see below) |
//! | INC-2022-199 | `2022_199_datagram_beats_without_ack_or_retransmission` | beats without ids, answers and repeats | P6, P8, E4, S4 |
//! | INC-2021-333, INC-2022-265 | `2021_333_and_2022_265_log_without_trace_id_and_peer` | one line for every cause | J12 (partly: see below) |
//! | INC-2023-117, INC-2023-188 | `2023_117_and_2023_188_active_and_passive_beats_in_one_metric` | one counter for both | RP2, J10 |
//! | INC-2022-074 | `2022_074_one_jittered_observer_takes_down_all_services` | takes its own stall for 300 deaths | J6, S5; a region: GD1 to GD7, `tests/fleet/guard.rs` |
//! | INC-2023-242 | `2023_242_heartbeat_path_not_traced` | one error at the end | J12 (partly: see below) |
//!
//! # Gaps
//!
//! What an incident demands and the crate does not have yet; the tests show the rest.
//!
//! * INC-2023-242: there are no tracing spans yet; the adapters tell every step as a `Notice`.
//! * INC-2023-004: the machine does not answer HTTP or gRPC health probes yet (Y31). What holds is
//!   that a protocol it does not know is told as such, and is no verdict on the peer.
//! * INC-2021-333: a report carries the evidence; peer name and trace id are added by the caller
//!   (Y33). The epoch of the pings joins the logs of both ends.
//! * INC-2022-199: repeats are paced by the suspect interval and the gap; they do not back off
//!   exponentially, because only `attempts` of them fit into the limit.
//! * INC-2023-0891: the adaptive limit is `interval + attempts * factor * RTO` of RFC 6298, in
//!   place of 3 x P99 + 50 ms over 100 samples, which needs the samples.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/script.rs"]
mod script;

#[cfg(all(feature = "std", feature = "codec"))]
mod health;
mod pacing;
mod process;
mod verdicts;

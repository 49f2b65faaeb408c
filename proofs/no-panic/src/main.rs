//! Every function here carries `#[no_panic]`: if any way to a panic is left in one after
//! optimisation, the program does not link. It prints what is thereby proved.

use core::hint::black_box;
use core::time::Duration;

use heartbeat_proto::codec::auth::{AuthError, KeyRing, Opener, SealError, Sealer};
use heartbeat_proto::codec::{
    ByteLink, DecodeError, Decoder, EncodeError, Encoder, Frame, HEADER_LEN, Hello, Item, Link,
    LoadError, Status, UnknownByte, datagram,
};
use heartbeat_proto::detector::{Compact, Deadline, Detector, Hazard, Trust};
use heartbeat_proto::{
    Action, Actions, Config, ConfigBuilder, ConfigError, DeadlineReason, Echo, Effective, Event,
    Fault, HeartbeatMachine, Histogram, Limits, LimitsError, NegotiateError, PeerState, Report,
    Timestamp, Wish, negotiate,
};
use no_panic::no_panic;

macro_rules! prove {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty = $body:expr;)+) => {
        $(
            #[no_panic]
            #[inline(never)]
            fn $name($($arg: $type),*) -> $result {
                $body
            }
        )+

        fn main() {
            $(
                black_box($name as fn($($type),*) -> $result);
                println!("PROVED {}", stringify!($name));
            )+
            #[cfg(feature = "panics")]
            black_box(panics as fn(&[u8], usize) -> u8);
        }
    };
}

prove! {
    // The machine, with both ledgers.
    machine_new(config: Config, seed: u64, now: Timestamp) -> HeartbeatMachine =
        HeartbeatMachine::new(config, seed, now);
    machine_handle(machine: &mut HeartbeatMachine, event: Event, now: Timestamp) -> Actions =
        machine.handle(event, now);
    machine_next_deadline(machine: &HeartbeatMachine) -> Option<Timestamp> =
        machine.next_deadline();
    machine_deadline_reason(machine: &HeartbeatMachine) -> Option<DeadlineReason> =
        machine.deadline_reason();
    machine_reconfigure(machine: &mut HeartbeatMachine, to: Config, now: Timestamp) -> Actions =
        machine.reconfigure(to, now);
    machine_reconnected(machine: &HeartbeatMachine, now: Timestamp) -> HeartbeatMachine =
        machine.reconnected(now);
    machine_suspicion(machine: &HeartbeatMachine, now: Timestamp) -> f64 = machine.suspicion(now);
    machine_verified(machine: &HeartbeatMachine, since: Timestamp) -> bool =
        machine.is_verified_since(since);
    machine_report(machine: &HeartbeatMachine) -> Option<Report> = machine.report();
    machine_interval(machine: &HeartbeatMachine) -> Duration = machine.effective_interval();
    report_fault(report: &Report) -> Fault = report.fault();
    echo_machine_handle(machine: &mut EchoMachine, event: Event, now: Timestamp) -> Actions =
        machine.handle(event, now);
    state_new(seed: u64, now: Timestamp) -> PeerState = PeerState::new(seed, now);
    state_handle(state: &mut PeerState, config: &Config, event: Event, now: Timestamp) -> Actions =
        state.handle(config, event, now);
    state_next_deadline(state: &PeerState, config: &Config) -> Wake = state.next_deadline(config);
    state_reconfigure(state: &mut PeerState, config: &Config, now: Timestamp) -> Actions =
        state.reconfigure(config, now);
    state_next_connection(state: &PeerState, config: &Config, now: Timestamp) -> PeerState =
        state.next_connection(config, now);
    echo_state_handle(state: &mut EchoState, config: &Config, event: Event, now: Timestamp)
        -> Actions = state.handle(config, event, now);
    actions_next(actions: &mut Actions) -> Option<Action> = actions.next();
    histogram_record(histogram: &mut Histogram, span: Duration) -> () = histogram.record(span);
    histogram_percentile(histogram: &Histogram, percent: u8) -> Duration =
        histogram.percentile(percent);

    // What the recommended detectors answer. (Not how they learn: the optimiser cannot see that the
    // divisors of `lateness.rs` are above zero.)
    hazard_deadline(hazard: &Hazard, state: &HazardState, trust: &Trust) -> Timestamp =
        hazard.deadline(state, trust);
    hazard_suspicion(hazard: &Hazard, state: &HazardState, trust: &Trust, now: Timestamp)
        -> f64 = hazard.suspicion(state, trust, now);
    compact_deadline(compact: &Compact, state: &CompactState, trust: &Trust) -> Timestamp =
        compact.deadline(state, trust);
    compact_suspicion(compact: &Compact, state: &CompactState, trust: &Trust, now: Timestamp)
        -> f64 = compact.suspicion(state, trust, now);

    // Configurations and limits.
    config_build(builder: ConfigBuilder) -> Result<Config, ConfigError> = builder.build();
    config_behind(limit: Duration) -> Result<Config, ConfigError> = Config::behind(limit);
    config_detect_within(wish: Duration) -> Result<Config, ConfigError> =
        Config::detect_within(wish);
    config_default() -> Config = Config::default();
    config_promise(config: &Config) -> Duration = config.worst_case_detection();
    limits_new(interval: Wish, timeout: Option<Duration>, gap: Duration)
        -> Result<Limits, LimitsError> = Limits::new(interval, timeout, gap);
    limits_negotiate(ours: &Limits, theirs: &Limits) -> Result<Effective, NegotiateError> =
        negotiate(ours, theirs);

    // The codec on slices.
    frame_decode(bytes: &[u8]) -> Result<Option<(Frame, usize)>, DecodeError> =
        Frame::decode(bytes);
    frame_encode(frame: &Frame, out: &mut [u8]) -> Result<usize, EncodeError> =
        frame.encode_into(out);
    frame_answer(frame: &Frame, hold: Duration, calm: bool) -> Option<Frame> =
        frame.answer(hold, calm);
    hello_new(epoch: u32, nonce: u64, limits: Limits) -> Hello = Hello::new(epoch, nonce, limits);
    status_load(status: Status, load: u8) -> Result<Status, LoadError> = status.with_load(load);
    datagram_decode(bytes: &[u8]) -> Result<Frame, DecodeError> = datagram::decode(bytes);
    decoder_feed(decoder: &mut Decoder, input: &[u8])
        -> Result<(usize, Option<Item>), DecodeError> = decoder.feed(input);
    decoder_frame_bytes(decoder: &Decoder, input: &[u8]) -> usize =
        decoder.frame_bytes(input, input.len()).len();
    decoder_finish(decoder: &Decoder) -> Result<(), DecodeError> = decoder.finish();
    item_data(item: &Item, input: &[u8]) -> usize = item.data(input).len();
    encoder_begin(encoder: &mut Encoder, waiting: usize) -> Option<([u8; HEADER_LEN], usize)> =
        encoder.begin(waiting);
    encoder_wrote(encoder: &mut Encoder, len: usize) -> () = encoder.wrote(len);
    link_event(link: &mut Link, frame: &Frame, now: Timestamp) -> Option<Event> =
        link.event(frame, now);
    link_frame(link: &mut Link, action: &Action, now: Timestamp) -> Option<Frame> =
        link.frame(action, now);
    byte_event(link: &mut ByteLink, byte: u8) -> Result<Event, UnknownByte> = link.event(byte);
    byte_of(link: &ByteLink, action: &Action) -> Option<u8> = link.byte(action);

    // Authenticated frames, with HMAC-SHA-256 of RustCrypto in them.
    sealer_seal(sealer: &mut Sealer, keys: &KeyRing, frame: &Frame, out: &mut [u8])
        -> Result<usize, SealError> = sealer.seal(keys, frame, out);
    opener_open(opener: &mut Opener, keys: &KeyRing, bytes: &[u8], now: Timestamp)
        -> Result<Frame, AuthError> = opener.open(keys, bytes, now);
}

type HazardState = <Hazard as Detector>::State;
type CompactState = <Compact as Detector>::State;
type EchoMachine = HeartbeatMachine<Deadline, Echo>;
type EchoState = PeerState<Deadline, Echo>;
type Wake = Option<(Timestamp, DeadlineReason)>;

/// Must not link, or the proof proves nothing.
#[cfg(feature = "panics")]
#[no_panic]
#[inline(never)]
fn panics(bytes: &[u8], at: usize) -> u8 {
    bytes[at]
}

//! [`Turns`]: how long a thread reads before it judges again.

use core::time::Duration;

use heartbeat_proto::fleet::Progress;

/// Reading goes before judging, but not for longer than half of the usual slack: a peer whose call
/// is later than that is asked once more before it is given up.
const MOST: Duration = Duration::from_millis(25);

/// Where more comes than can be read, and more is due than is judged at a time, both get the same
/// time: a flood takes half of a thread, and not what is due.
#[derive(Debug)]
pub(super) struct Turns {
    reading: Duration,
}

impl Turns {
    pub(super) const fn new() -> Self {
        Self { reading: MOST }
    }

    /// For so long is read at the most.
    pub(super) const fn reading(&self) -> Duration {
        self.reading
    }

    /// So long it took to judge, and to send what came of it.
    pub(super) fn judged(&mut self, progress: Progress, took: Duration) {
        self.reading = match progress {
            Progress::Done => MOST,
            Progress::Pending => took.min(MOST),
        };
    }
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use heartbeat_proto::codec::{Frame, MAX_FRAME, datagram};
    use heartbeat_proto::fleet::Fleet;
    use heartbeat_proto::gateway::{Gateway, GatewayConfig};
    use heartbeat_proto::{Config, PingId, Timestamp};

    use super::*;

    const PEERS: u32 = 20_000;
    /// Those that are judged at a time, and how long that takes.
    const BUDGET: usize = 1000;
    const STEP: Duration = Duration::from_millis(1);

    fn bytes(frame: &Frame) -> Vec<u8> {
        let mut out = [0; MAX_FRAME];
        let len = frame.encode_into(&mut out).unwrap();
        out[..len].to_vec()
    }

    /// All of whom are due.
    fn gateway(now: Timestamp) -> (Gateway, Timestamp) {
        let fleet = Fleet::new(Config::lan(), 7, now).unwrap();
        let caps = GatewayConfig::new().joins_per_second(PEERS).challenges_per_second(PEERS);
        let mut gateway = Gateway::new(fleet, caps, 1).unwrap();
        let ping = Frame::Ping { id: PingId::new(9, 1), handle: 0, stamp: 0, status: None };
        for n in 0..PEERS {
            let from = SocketAddr::from(((0x0a00_0000 + n).to_be_bytes(), 7));
            let mut challenge = Vec::new();
            let mut out = |_: SocketAddr, bytes: &[u8]| challenge = bytes.to_vec();
            gateway.datagram(now, from, &bytes(&ping), &mut out);
            let answer = datagram::decode(&challenge).unwrap().answer(Duration::ZERO, false);
            let mut none = |_: SocketAddr, _: &[u8]| {};
            gateway.datagram(now, from, &bytes(&answer.unwrap()), &mut none);
        }
        (gateway, now.saturating_add(Config::lan().interval()))
    }

    /// In virtual time, with a flood that never leaves the socket empty.
    #[test]
    fn what_is_due_gets_half_of_the_time_in_a_flood() {
        let (mut gateway, begin) = gateway(Timestamp::from_nanos(5_000_000_000));
        let (mut now, mut turns, mut pings) = (begin, Turns::new(), 0);
        loop {
            now = now.saturating_add(turns.reading());
            let mut out = |_: SocketAddr, _: &[u8]| pings += 1;
            let progress = gateway.advance(now, BUDGET, &mut out);
            turns.judged(progress, STEP);
            now = now.saturating_add(STEP);
            if progress == Progress::Done {
                break;
            }
        }
        assert!(pings >= PEERS, "{pings}");
        let (took, steps) = (now.saturating_duration_since(begin), pings.div_ceil(BUDGET as u32));
        assert!(took <= MOST + 2 * STEP * (steps + 2), "{took:?} for {steps} steps");
        assert_eq!(turns.reading(), MOST, "nothing is due any more");
    }

    #[test]
    fn one_turn_is_never_longer_than_half_of_the_slack() {
        let mut turns = Turns::new();
        turns.judged(Progress::Pending, Duration::from_secs(1));
        assert_eq!(turns.reading(), MOST);
    }
}

//! A reflector of UDP heartbeats, without state.

use core::time::Duration;

use heartbeat_proto::codec::{MAX_FRAME, datagram};
use tokio::net::UdpSocket;

use crate::lines::Lines;
use crate::stop::Stop;

/// After an error of the socket that is not about one datagram.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers each ping with its pong and drops everything else, until `stop`. A table of peers would
/// find those that are gone, but could be filled by forged senders; whoever needs one end's verdict
/// pings from that end.
pub(crate) async fn reflect(socket: UdpSocket, log: Lines, mut stop: Stop) {
    // One byte more than a frame may have, so that longer ones are seen to be.
    let mut space = [0; MAX_FRAME + 1];
    loop {
        let received = tokio::select! {
            () = stop.wanted() => return,
            received = socket.recv_from(&mut space) => received,
        };
        match received {
            Ok((len, peer)) => {
                let frame = datagram::decode(space.get(..len).unwrap_or_default()).ok();
                let Some(pong) = frame.and_then(|frame| frame.answer(Duration::ZERO, false)) else {
                    continue;
                };
                let mut bytes = [0; MAX_FRAME];
                if let Ok(len) = pong.encode_into(&mut bytes) {
                    // A full socket buffer: the pong is lost, as datagrams may be.
                    let _ = socket.try_send_to(bytes.get(..len).unwrap_or_default(), peer);
                }
            }
            // Word of an earlier pong that found nobody.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => {
                log.line(format_args!("udp: {error}"));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

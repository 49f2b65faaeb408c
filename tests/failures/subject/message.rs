//! `adapter::message`, on a WebSocket of tokio-tungstenite; handshakes are not what is tested here.

use core::time::Duration;
use std::io::{self, ErrorKind};

use futures_util::{SinkExt, StreamExt};
use heartbeat_proto::adapter::message::{Error, Format, Heartbeat, Kind as Sort, Meter, Metered};
use heartbeat_proto::adapter::tokio::TokioTimer;
use heartbeat_proto::adapter::{Driver, Setup};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{self, Bytes, Message};

use super::tokio::{runtime, so_far, tuned};
use super::{End, Kind, Side, Socket, Subject};

pub(super) const WEBSOCKET: Subject = Subject {
    name: "WebSocket",
    kind: Kind::Stream,
    wrap: |socket, side, setup| {
        let role = if side == Side::Client { Role::Client } else { Role::Server };
        let (runtime, meter) = (runtime()?, Meter::default());
        let socket = connect(&runtime, socket, role, &meter)?;
        let beat = runtime.block_on(async { beating(socket, setup) }).metered(meter);
        Ok(Box::new(WebSocket { beat, role, runtime }))
    },
};

struct Tungstenite;

impl Format for Tungstenite {
    type Message = Message;

    fn kind(message: &Message) -> Sort<'_> {
        match message {
            Message::Ping(payload) => Sort::Ping(payload),
            Message::Pong(payload) => Sort::Pong(payload),
            Message::Close(_) => Sort::Close,
            _ => Sort::Data,
        }
    }

    fn ping(payload: &[u8]) -> Message {
        Message::Ping(Bytes::copy_from_slice(payload))
    }
}

type Raw = WebSocketStream<Metered<TcpStream>>;

fn connect(runtime: &Runtime, socket: Socket, role: Role, meter: &Meter) -> io::Result<Raw> {
    runtime.block_on(async {
        let socket = meter.wrap(tuned(socket)?);
        Ok(Raw::from_raw_socket(socket, role, None).await)
    })
}

fn beating(socket: Raw, setup: Setup) -> Heartbeat<Raw, Tungstenite, TokioTimer> {
    Heartbeat::over(Tungstenite, socket, TokioTimer::new(), setup)
}

struct WebSocket {
    beat: Heartbeat<Raw, Tungstenite, TokioTimer>,
    role: Role,
    runtime: Runtime,
}

fn told(error: Error<tungstenite::Error>) -> io::Error {
    match error {
        Error::Ended(ended) => ended.into(),
        Error::Library(tungstenite::Error::Io(error)) => error,
        Error::Library(error) => io::Error::other(error),
        error => io::Error::other(error),
    }
}

impl End for WebSocket {
    fn driver(&self) -> &Driver {
        self.beat.driver()
    }

    fn run_for(&mut self, span: Duration) -> io::Result<()> {
        let drive = async { timeout(span, self.beat.drive()).await };
        so_far(self.runtime.block_on(drive).map(|ended| ended.map_err(told))).map(drop)
    }

    /// All of them, as one message.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let message = Message::Binary(Bytes::copy_from_slice(bytes));
        self.runtime.block_on(self.beat.send(message)).map_err(told)?;
        Ok(bytes.len())
    }

    /// One message.
    fn read(&mut self, buf: &mut [u8], span: Duration) -> io::Result<Option<usize>> {
        let next = async { timeout(span, self.beat.next()).await };
        let Ok(message) = self.runtime.block_on(next) else { return Ok(None) };
        let message = message.transpose().map_err(told)?;
        let bytes = message.ok_or(ErrorKind::UnexpectedEof)?.into_data();
        buf.get_mut(..bytes.len()).ok_or(ErrorKind::InvalidInput)?.copy_from_slice(&bytes);
        Ok(Some(bytes.len()))
    }

    fn close(mut self: Box<Self>) -> io::Result<()> {
        self.runtime.block_on(self.beat.close()).map_err(told)
    }

    fn reconnected(self: Box<Self>, socket: Socket) -> io::Result<Box<dyn End>> {
        let Self { beat, role, runtime } = *self;
        let meter = Meter::default();
        let socket = connect(&runtime, socket, role, &meter)?;
        let beat = runtime.block_on(async { beat.reconnected(socket) }).metered(meter);
        Ok(Box::new(Self { beat, role, runtime }))
    }
}

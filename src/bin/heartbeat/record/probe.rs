//! Steady pings to one address, over whatever lies below.

use alloc::collections::VecDeque;
use core::hash::{BuildHasher, Hasher};
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::hash::RandomState;
use std::io;

use heartbeat_proto::adapter::TokioClock;
use heartbeat_proto::codec::{Decoder, Frame, Item, MAX_FRAME, datagram};
use heartbeat_proto::{PingId, Timestamp};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;

use super::file::Note;
use crate::tls::Trust;
use crate::watch;

/// What lies below.
#[derive(Clone)]
pub(crate) enum Way {
    Udp,
    Tcp,
    Tls(Trust),
}

pub(crate) struct Probe {
    pub(crate) index: usize,
    pub(crate) address: String,
    pub(crate) way: Way,
    pub(crate) interval: Duration,
    pub(crate) patience: Duration,
    pub(crate) tell: UnboundedSender<(usize, Note)>,
}

/// Segments have numbers of their own.
static SEGMENTS: AtomicU32 = AtomicU32::new(0);

/// A timer that fires so late shows a pause of this program.
const PAUSE: Duration = Duration::from_millis(500);

/// What came in of one read.
enum Input {
    Frames(Vec<Frame>),
    End,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An end that frames go in at and come out of.
enum End {
    Socket(UdpSocket),
    Stream(Box<dyn Stream>, Box<Decoder>),
}

impl Probe {
    /// Connects, pings until the connection breaks, and does it again.
    pub(crate) async fn run(self) {
        loop {
            let connected = tokio::time::timeout(self.patience, self.connect()).await;
            if let Ok(Ok(mut end)) = connected {
                let mut segment = Segment::new(&self);
                segment.run(&mut end).await;
                // What was under way on a broken connection never arrives.
                segment.expire(segment.clock.now(), Duration::ZERO);
            }
            sleep(self.interval).await;
        }
    }

    async fn connect(&self) -> io::Result<End> {
        if matches!(self.way, Way::Udp) {
            return Ok(End::Socket(watch::connect_udp(&self.address).await?));
        }
        let socket = TcpStream::connect(&self.address).await?;
        socket.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.way {
            Way::Tls(trust) => Box::new(trust.shake(&self.address, socket).await?),
            _ => Box::new(socket),
        };
        Ok(End::Stream(stream, Box::default()))
    }
}

impl End {
    async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        let mut bytes = [0; MAX_FRAME];
        let len = frame.encode_into(&mut bytes).map_err(io::Error::other)?;
        let bytes = bytes.get(..len).unwrap_or_default();
        match self {
            // A datagram that finds nobody, or no room, is a lost ping.
            Self::Socket(socket) => drop(socket.send(bytes).await),
            Self::Stream(stream, _) => {
                stream.write_all(bytes).await?;
                stream.flush().await?;
            }
        }
        Ok(())
    }

    /// Cancel-safe: what was read is handed out at once.
    async fn receive(&mut self) -> Input {
        let mut space = [0; 4096];
        match self {
            Self::Socket(socket) => {
                let Ok(len) = socket.recv(&mut space).await else {
                    // Word of a ping that found nobody.
                    sleep(Duration::from_millis(1)).await;
                    return Input::Frames(Vec::new());
                };
                let frame = datagram::decode(space.get(..len).unwrap_or_default());
                Input::Frames(frame.into_iter().collect())
            }
            Self::Stream(stream, decoder) => match stream.read(&mut space).await {
                Ok(len) if len > 0 => frames(decoder, space.get(..len).unwrap_or_default()),
                _ => Input::End,
            },
        }
    }
}

fn frames(decoder: &mut Decoder, mut bytes: &[u8]) -> Input {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let Ok((consumed, item)) = decoder.feed(bytes) else { return Input::End };
        bytes = bytes.get(consumed..).unwrap_or_default();
        if let Some(Item::Frame(frame)) = item {
            frames.push(frame);
        }
    }
    Input::Frames(frames)
}

/// One connection.
struct Segment<'p> {
    probe: &'p Probe,
    id: u32,
    epoch: u32,
    handle: u64,
    clock: TokioClock,
    /// Number and time of the pings that are not answered.
    open: VecDeque<(u32, Timestamp)>,
}

impl<'p> Segment<'p> {
    fn new(probe: &'p Probe) -> Self {
        let random = RandomState::new().build_hasher().finish();
        let id = SEGMENTS.fetch_add(1, Ordering::Relaxed);
        let segment = Self {
            probe,
            id,
            epoch: (random >> 32) as u32,
            handle: random,
            clock: TokioClock::new(),
            open: VecDeque::new(),
        };
        segment.tell(Note::Segment { id, address: probe.address.clone() });
        segment
    }

    fn tell(&self, note: Note) {
        // Nobody listens only when the program ends.
        let _ = self.probe.tell.send((self.probe.index, note));
    }

    /// Pings until the connection breaks.
    async fn run(&mut self, end: &mut End) {
        let mut due = self.clock.now();
        let mut seq = 0;
        loop {
            let wait = due.saturating_duration_since(self.clock.now());
            tokio::select! {
                biased;
                input = end.receive() => match input {
                    Input::Frames(frames) => {
                        let now = self.clock.now();
                        for frame in frames {
                            // The peer may judge us; so may it be judged by its own program.
                            if let Some(pong) = frame.answer(Duration::ZERO, false) {
                                if end.send(&pong).await.is_err() {
                                    return;
                                }
                            }
                            self.received(&frame, now);
                        }
                    }
                    Input::End => return,
                },
                () = sleep(wait) => {
                    let now = self.clock.now();
                    if now > due.saturating_add(PAUSE) {
                        let [from, until] = [due, now].map(since);
                        self.tell(Note::Pause { id: self.id, from, until });
                    }
                    self.expire(now, self.probe.patience);
                    seq += 1;
                    self.open.push_back((seq, now));
                    let id = PingId::new(self.epoch, seq);
                    let stamp = now.as_nanos();
                    let ping = Frame::Ping { id, handle: self.handle, stamp, status: None };
                    if end.send(&ping).await.is_err() {
                        return;
                    }
                    // On the grid, without repaying what was missed.
                    while due <= now {
                        due = due.saturating_add(self.probe.interval);
                    }
                }
            }
        }
    }

    fn received(&mut self, frame: &Frame, now: Timestamp) {
        let Frame::Pong { id, .. } = frame else { return };
        let found = self.open.iter().position(|(seq, _)| *seq == id.seq());
        if let (Some(place), true) = (found, id.epoch() == self.epoch) {
            if let Some((seq, sent)) = self.open.remove(place) {
                let delay = Some(now.saturating_duration_since(sent));
                self.tell(Note::Beat { id: self.id, seq, sent: since(sent), delay });
            }
        }
    }

    /// Pings that are older than `patience` are lost.
    fn expire(&mut self, now: Timestamp, patience: Duration) {
        while let Some(&(seq, sent)) = self.open.front() {
            if now.saturating_duration_since(sent) < patience {
                return;
            }
            self.open.pop_front();
            self.tell(Note::Beat { id: self.id, seq, sent: since(sent), delay: None });
        }
    }
}

fn since(at: Timestamp) -> Duration {
    at.saturating_duration_since(Timestamp::EPOCH)
}

//! A relay between two ends on loopback that does to their bytes what networks do: delay, a rate,
//! a queue, swallowing, standing still, a reset ([`TcpRelay`]); loss ([`UdpRelay`]).
//!
//! User-space, threads of the standard library. It knows when it last let something through, so
//! that a test can say when life ended without asking the one who judges it.
#![allow(dead_code, reason = "every test program uses another part of this")]
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread;
use std::time::Instant;

/// How often a waiting thread looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(10);

#[expect(clippy::disallowed_methods, reason = "a relay keeps real time")]
fn clock() -> Instant {
    Instant::now()
}

/// What becomes of the bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They go on.
    Pass,
    /// They are read and forgotten, as by a host that is cut off.
    Swallow,
    /// They are not read: the sender's buffers fill.
    Hold,
}

/// One direction.
#[derive(Debug)]
pub(crate) struct Way {
    now: Mutex<State>,
    queued: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
struct State {
    fate: Fate,
    delay: Duration,
    /// Bytes a second.
    rate: usize,
    /// No more is read while so many bytes wait.
    queue: usize,
    last: Option<Instant>,
    passed: usize,
}

impl Way {
    fn new() -> Self {
        let (rate, queue) = (usize::MAX, usize::MAX);
        let state =
            State { fate: Fate::Pass, delay: Duration::ZERO, rate, queue, last: None, passed: 0 };
        Self { now: Mutex::new(state), queued: AtomicUsize::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.now.lock().expect("no panic in the relay")
    }

    /// From the return of this call on; nothing is half-way then.
    pub(crate) fn set(&self, fate: Fate) {
        self.state().fate = fate;
    }

    /// Every byte takes so long.
    pub(crate) fn delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// At most so many bytes a second.
    pub(crate) fn rate(&self, bytes: usize) {
        self.state().rate = bytes;
    }

    /// No more is read while so many bytes wait. Default: no limit.
    pub(crate) fn queue(&self, bytes: usize) {
        self.state().queue = bytes;
    }

    /// Just before bytes were last let through.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.state().last
    }

    /// How many bytes were let through.
    pub(crate) fn passed(&self) -> usize {
        self.state().passed
    }
}

/// Passes TCP connections on to one address.
pub(crate) struct TcpRelay {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    to_server: Way,
    to_client: Way,
    over: AtomicBool,
    streams: Mutex<Vec<Arc<TcpStream>>>,
}

impl TcpRelay {
    pub(crate) fn new(server: SocketAddr) -> io::Result<Self> {
        Self::with_buffer(server, None)
    }

    /// With so small a receive buffer towards the client; see also [`Way::queue`].
    pub(crate) fn with_buffer(server: SocketAddr, bytes: Option<usize>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        if let Some(bytes) = bytes {
            // The sockets inherit it.
            socket2::SockRef::from(&listener).set_recv_buffer_size(bytes)?;
        }
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            to_server: Way::new(),
            to_client: Way::new(),
            over: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let acceptor = Arc::clone(&shared);
        thread::spawn(move || {
            while !acceptor.over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((client, _)) => {
                        // A server that is not there closes the client's connection.
                        let _ =
                            TcpStream::connect(server).and_then(|it| join(&acceptor, client, it));
                    }
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        Ok(Self { address, shared })
    }

    /// The way from the client to the server.
    pub(crate) fn to_server(&self) -> &Way {
        &self.shared.to_server
    }

    /// The way back.
    pub(crate) fn to_client(&self) -> &Way {
        &self.shared.to_client
    }

    pub(crate) fn set(&self, fate: Fate) {
        self.to_server().set(fate);
        self.to_client().set(fate);
    }

    /// Ends all connections with a reset, and accepts no others.
    pub(crate) fn reset(self) {
        for stream in self.shared.streams.lock().expect("no panic").iter() {
            let _ = socket2::SockRef::from(&**stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl Drop for TcpRelay {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        // The sockets close when the last thread lets go of them.
        self.shared.streams.lock().expect("no panic").clear();
    }
}

fn join(shared: &Arc<Shared>, client: TcpStream, server: TcpStream) -> io::Result<()> {
    for socket in [&client, &server] {
        socket.set_nonblocking(false)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(LOOK))?;
        socket.set_write_timeout(Some(LOOK))?;
    }
    let (client, server) = (Arc::new(client), Arc::new(server));
    let mut streams = shared.streams.lock().expect("no panic");
    streams.extend([Arc::clone(&client), Arc::clone(&server)]);
    pass(shared, &client, &server, |shared| &shared.to_server);
    pass(shared, &server, &client, |shared| &shared.to_client);
    Ok(())
}

/// Bytes, and when they came in; empty: the end.
type Piece = (Instant, Vec<u8>);

fn pass(
    shared: &Arc<Shared>,
    from: &Arc<TcpStream>,
    to: &Arc<TcpStream>,
    way: fn(&Shared) -> &Way,
) {
    let (put, take) = mpsc::channel::<Piece>();
    let (both, from) = (Arc::clone(shared), Arc::clone(from));
    thread::spawn(move || read(&both, way(&both), &from, &put));
    let (both, to) = (Arc::clone(shared), Arc::clone(to));
    thread::spawn(move || write(&both, way(&both), &take, &to));
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn read(shared: &Shared, way: &Way, mut from: &TcpStream, put: &mpsc::Sender<Piece>) {
    let mut buf = vec![0; 16 * 1024];
    while !shared.over.load(Ordering::Relaxed) {
        let State { fate, queue, .. } = *way.state();
        let room = queue.saturating_sub(way.queued.load(Ordering::Relaxed)).min(buf.len());
        if fate == Fate::Hold || room == 0 {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        let len = match from.read(&mut buf[..room]) {
            Ok(len) => len,
            Err(error) if is_timeout(&error) => continue,
            Err(_) => 0,
        };
        way.queued.fetch_add(len, Ordering::Relaxed);
        if put.send((clock(), buf[..len].to_vec())).is_err() || len == 0 {
            return;
        }
    }
}

fn write(shared: &Shared, way: &Way, take: &mpsc::Receiver<Piece>, to: &TcpStream) {
    let mut ready = clock();
    while !shared.over.load(Ordering::Relaxed) {
        let Ok((since, bytes)) = take.recv_timeout(LOOK) else { continue };
        wait(since + way.state().delay);
        if bytes.is_empty() {
            let resets = shared.over.load(Ordering::Relaxed);
            if way.state().fate != Fate::Swallow && !resets {
                let _ = to.shutdown(Shutdown::Write);
            }
            return;
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() && !shared.over.load(Ordering::Relaxed) {
            // Fifty pieces a second make a rate.
            let rate = way.state().rate;
            let most = rest.len().min((rate / 50).max(1));
            wait(ready);
            let Some(len) = write_some(way, to, &rest[..most]) else { return };
            rest = &rest[len..];
            way.queued.fetch_sub(len, Ordering::Relaxed);
            // Not more than a look's worth is made up for.
            ready = (ready + LOOK).max(clock()).checked_sub(LOOK).expect("time went on");
            let nanos = len as u128 * 1_000_000_000 / rate as u128;
            ready += Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        }
    }
}

/// How many bytes went or were swallowed; `None` if the other side is gone. Under the lock, so that
/// a change of fate finds nothing half-way.
fn write_some(way: &Way, mut to: &TcpStream, bytes: &[u8]) -> Option<usize> {
    let mut state = way.state();
    if state.fate == Fate::Swallow {
        return Some(bytes.len());
    }
    let before = clock();
    match to.write(bytes) {
        Ok(len) => {
            state.last = Some(before);
            state.passed += len;
            Some(len)
        }
        Err(error) if is_timeout(&error) => Some(0),
        Err(_) => None,
    }
}

fn wait(until: Instant) {
    thread::sleep(until.saturating_duration_since(clock()));
}

/// Passes the datagrams of one client on to one address, and loses some.
pub(crate) struct UdpRelay {
    pub(crate) address: SocketAddr,
    shared: Arc<Losses>,
}

struct Losses {
    lost: [Mutex<Lost>; 2],
    over: AtomicBool,
}

/// One direction: what becomes of the next datagrams, and what became of the last ones.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) percent: u8,
    pub(crate) delay: Duration,
    random: u64,
    pub(crate) last: Option<Instant>,
    /// Of each datagram, whether it was lost.
    pub(crate) fates: Vec<bool>,
}

impl Lost {
    /// The `SplitMix64` step decides.
    fn next(&mut self) -> bool {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let lost = (z ^ (z >> 31)) % 100 < u64::from(self.percent);
        self.fates.push(lost);
        lost
    }
}

impl UdpRelay {
    pub(crate) fn new(server: SocketAddr, seed: u64) -> io::Result<Self> {
        let front = UdpSocket::bind("127.0.0.1:0")?;
        let back = UdpSocket::bind("127.0.0.1:0")?;
        back.connect(server)?;
        let address = front.local_addr()?;
        let lost = [seed, !seed].map(|random| {
            let (delay, fates) = (Duration::ZERO, Vec::new());
            Mutex::new(Lost { percent: 0, delay, random, last: None, fates })
        });
        let shared = Arc::new(Losses { lost, over: AtomicBool::new(false) });
        let client: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
        let (in_front, behind) = (front.try_clone()?, back.try_clone()?);
        let (known, there) = (Arc::clone(&client), Arc::clone(&shared));
        thread::spawn(move || {
            datagrams(&there, 0, &in_front, |bytes, from| {
                *known.lock().expect("no panic") = Some(from);
                let _ = behind.send(bytes); // Nobody there is no news.
            });
        });
        let back_again = Arc::clone(&shared);
        thread::spawn(move || {
            datagrams(&back_again, 1, &back, |bytes, _| {
                let to = *client.lock().expect("no panic");
                let _ = to.map(|to| front.send_to(bytes, to));
            });
        });
        Ok(Self { address, shared })
    }

    pub(crate) fn to_server(&self) -> MutexGuard<'_, Lost> {
        self.shared.lost[0].lock().expect("no panic in the relay")
    }

    pub(crate) fn to_client(&self) -> MutexGuard<'_, Lost> {
        self.shared.lost[1].lock().expect("no panic in the relay")
    }

    /// Both directions lose so many datagrams of a hundred.
    pub(crate) fn lose(&self, percent: u8) {
        self.to_server().percent = percent;
        self.to_client().percent = percent;
    }
}

impl Drop for UdpRelay {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

fn datagrams(shared: &Losses, way: usize, from: &UdpSocket, send: impl Fn(&[u8], SocketAddr)) {
    from.set_read_timeout(Some(LOOK)).expect("a timeout");
    let mut buf = [0; 2048];
    while !shared.over.load(Ordering::Relaxed) {
        let Ok((len, source)) = from.recv_from(&mut buf) else { continue };
        let delay = shared.lost[way].lock().expect("no panic").delay;
        thread::sleep(delay); // Heartbeats are rare: they wait for each other.
        let mut lost = shared.lost[way].lock().expect("no panic");
        if !lost.next() {
            lost.last = Some(clock());
            send(&buf[..len], source);
        }
    }
}

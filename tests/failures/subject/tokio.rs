//! `adapter::tokio`, each end in a runtime of one thread that turns while a call of [`End`] is
//! made.

use core::time::Duration;
use std::io;

use heartbeat_proto::adapter::tokio::{Heartbeat, UdpHeartbeat};
use heartbeat_proto::adapter::{Driver, Setup};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::{End, Kind, Socket, Subject};

pub(super) const TCP: Subject = Subject {
    name: "tokio",
    kind: Kind::Stream,
    wrap: |socket, _, setup| {
        let runtime = runtime()?;
        let beat = runtime.block_on(async { Heartbeat::tcp(tcp(socket)?, setup) })?;
        Ok(Box::new(Stream { beat, connect: |_, socket| tcp(socket), runtime }))
    },
};

pub(super) const UDP: Subject = Subject {
    name: "tokio UDP",
    kind: Kind::Datagrams,
    wrap: |socket, _, setup| {
        let (runtime, socket) = (runtime()?, socket.udp()?);
        socket.set_nonblocking(true)?;
        let context = runtime.enter();
        let beat = UdpHeartbeat::new(UdpSocket::from_std(socket)?, setup);
        drop(context);
        Ok(Box::new(Datagrams { beat, runtime }))
    },
};

pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

pub(super) fn tcp(socket: Socket) -> io::Result<TcpStream> {
    let socket = socket.tcp()?;
    socket.set_nonblocking(true)?;
    TcpStream::from_std(socket)
}

/// For what is wrapped once more before the adapter sees it, and so tuned by its owner: without a
/// small unsent backlog a system with megabytes of buffers lets a writer wait until a third of them
/// is free, which looks like a stall.
pub(super) fn tuned(socket: Socket) -> io::Result<TcpStream> {
    let socket = tcp(socket)?;
    socket.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(&socket).set_tcp_notsent_lowat(128 * 1024)?;
    Ok(socket)
}

/// A heartbeat on any stream, with the runtime that it lives in.
struct Stream<S: AsyncRead + AsyncWrite + Unpin> {
    beat: Heartbeat<S>,
    /// Makes the transport of the next connection.
    connect: fn(&Runtime, Socket) -> io::Result<S>,
    runtime: Runtime,
}

/// Wraps a transport of tokio's that has to be made first.
pub(super) fn wrap<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    socket: Socket,
    setup: Setup,
    connect: fn(&Runtime, Socket) -> io::Result<S>,
) -> io::Result<Box<dyn End>> {
    let runtime = runtime()?;
    let transport = connect(&runtime, socket)?;
    let context = runtime.enter();
    let beat = Heartbeat::new(transport, setup);
    drop(context);
    Ok(Box::new(Stream { beat, connect, runtime }))
}

/// What a future under a timeout gave; `Ok` if it goes on.
pub(super) fn so_far<T>(ended: Result<io::Result<T>, impl Sized>) -> io::Result<Option<T>> {
    ended.map_or(Ok(None), |ended| ended.map(Some))
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> End for Stream<S> {
    fn driver(&self) -> &Driver {
        self.beat.driver()
    }

    fn run_for(&mut self, span: Duration) -> io::Result<()> {
        let beat = &mut self.beat;
        so_far(self.runtime.block_on(async { timeout(span, beat.drive()).await })).map(drop)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.runtime.block_on(self.beat.write(bytes))
    }

    fn read(&mut self, buf: &mut [u8], span: Duration) -> io::Result<Option<usize>> {
        let beat = &mut self.beat;
        so_far(self.runtime.block_on(async { timeout(span, beat.read(buf)).await }))
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        let Self { beat, runtime, .. } = *self;
        runtime.block_on(beat.close())
    }

    fn reconnected(self: Box<Self>, socket: Socket) -> io::Result<Box<dyn End>> {
        let Self { beat, connect, runtime } = *self;
        let context = runtime.enter();
        let transport = connect(&runtime, socket)?;
        let beat = beat.reconnected(transport);
        drop(context);
        Ok(Box::new(Self { beat, connect, runtime }))
    }
}

struct Datagrams {
    beat: UdpHeartbeat,
    runtime: Runtime,
}

impl End for Datagrams {
    fn driver(&self) -> &Driver {
        self.beat.driver()
    }

    fn run_for(&mut self, span: Duration) -> io::Result<()> {
        let beat = &mut self.beat;
        so_far(self.runtime.block_on(async { timeout(span, beat.drive()).await })).map(drop)
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        let Self { beat, runtime } = *self;
        runtime.block_on(beat.close());
        Ok(())
    }
}

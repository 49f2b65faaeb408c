//! What is tested: each adapter, behind one small interface, so that a scenario is written once.
//!
//! A new adapter is a file beside these with an [`End`] and one line in [`ALL`].

mod blocking;
mod futures_io;
mod message;
mod tls;
mod tokio;

pub(crate) use self::tls::{IDENTITY, identity};

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream, UdpSocket};

use heartbeat_proto::adapter::{Driver, Setup};

/// Every adapter.
pub(crate) const ALL: &[Subject] = &[
    blocking::TCP,
    tokio::TCP,
    futures_io::TCP,
    message::WEBSOCKET,
    tls::TCP,
    blocking::UDP,
    tokio::UDP,
];

/// An adapter.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Wraps a connected socket; with a handshake, if there is one.
    pub(crate) wrap: fn(Socket, Side, Setup) -> io::Result<Box<dyn End>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stream,
    Datagrams,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// One end of a connection. Each call does what a program does in it, and no more goes on between
/// two calls: a thread that sleeps there is an application that is stuck.
pub(crate) trait End {
    fn driver(&self) -> &Driver;
    /// Keeps the connection alive for so long. An error once it has ended but by a goodbye.
    fn run_for(&mut self, span: Duration) -> io::Result<()>;
    /// Writes some of these bytes.
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::Unsupported.into())
    }
    /// Reads some bytes, if there are any within `span`.
    fn read(&mut self, _buf: &mut [u8], _span: Duration) -> io::Result<Option<usize>> {
        Err(ErrorKind::Unsupported.into())
    }
    fn close(self: Box<Self>) -> io::Result<()>;
    /// The next connection to the same peer.
    fn reconnected(self: Box<Self>, _socket: Socket) -> io::Result<Box<dyn End>> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// A connected socket.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Socket {
    pub(crate) fn connect(kind: Kind, to: SocketAddr) -> io::Result<Self> {
        match kind {
            Kind::Stream => TcpStream::connect(to).map(Self::Tcp),
            Kind::Datagrams => {
                let any = if to.ip().is_loopback() { "127.0.0.1:0" } else { "0.0.0.0:0" };
                let socket = UdpSocket::bind(any)?;
                socket.connect(to)?;
                Ok(Self::Udp(socket))
            }
        }
    }

    /// So little is taken from the application at once.
    pub(crate) fn send_buffer(&self, bytes: usize) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket2::SockRef::from(socket).set_send_buffer_size(bytes),
            Self::Udp(socket) => socket2::SockRef::from(socket).set_send_buffer_size(bytes),
        }
    }

    fn tcp(self) -> io::Result<TcpStream> {
        match self {
            Self::Tcp(socket) => Ok(socket),
            Self::Udp(_) => Err(ErrorKind::InvalidInput.into()),
        }
    }

    fn udp(self) -> io::Result<UdpSocket> {
        match self {
            Self::Udp(socket) => Ok(socket),
            Self::Tcp(_) => Err(ErrorKind::InvalidInput.into()),
        }
    }
}

/// Where one client is waited for.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Listener {
    pub(crate) fn bind(kind: Kind, address: SocketAddr) -> io::Result<Self> {
        match kind {
            Kind::Stream => TcpListener::bind(address).map(Self::Tcp),
            Kind::Datagrams => UdpSocket::bind(address).map(Self::Udp),
        }
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            Self::Udp(socket) => socket.local_addr(),
        }
    }

    /// The first client. One of datagrams is there with its first datagram, which stays unread.
    pub(crate) fn accept(self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => Ok(Socket::Tcp(listener.accept()?.0)),
            Self::Udp(socket) => {
                let (_, client) = socket.peek_from(&mut [0; 1])?;
                socket.connect(client)?;
                Ok(Socket::Udp(socket))
            }
        }
    }
}

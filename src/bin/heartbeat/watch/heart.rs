//! One heart, whatever its transport.

use core::net::SocketAddr;
use std::io;

use heartbeat_proto::Timestamp;
use heartbeat_proto::adapter::tokio::{Heartbeat, UdpHeartbeat};
use heartbeat_proto::adapter::{Driver, Setup};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UdpSocket};

#[derive(Debug)]
pub(crate) enum Heart {
    Tcp(Box<Heartbeat<TcpStream>>),
    Udp(Box<UdpHeartbeat>),
}

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Transport {
    /// Connects to `host`. Has no time limit of its own.
    pub(crate) async fn connect(host: &str, udp: bool) -> io::Result<Self> {
        if !udp {
            return TcpStream::connect(host).await.map(Self::Tcp);
        }
        let to = tokio::net::lookup_host(host).await?.next();
        let to = to.ok_or_else(|| io::Error::other("the name has no address"))?;
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(to).await?;
        Ok(Self::Udp(socket))
    }

    pub(crate) fn peer(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.peer_addr(),
            Self::Udp(socket) => socket.peer_addr(),
        }
    }
}

impl Heart {
    /// Begins to beat.
    pub(crate) fn start(transport: Transport, setup: Setup) -> io::Result<Self> {
        Ok(match transport {
            Transport::Tcp(socket) => Self::Tcp(Box::new(Heartbeat::tcp(socket, setup)?)),
            Transport::Udp(socket) => Self::Udp(Box::new(UdpHeartbeat::new(socket, setup))),
        })
    }

    pub(crate) fn driver(&self) -> &Driver {
        match self {
            Self::Tcp(heart) => heart.driver(),
            Self::Udp(heart) => heart.driver(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        match self {
            Self::Tcp(heart) => heart.now(),
            Self::Udp(heart) => heart.now(),
        }
    }

    /// Beats until the peer says goodbye or the connection ends in another way. What the peer sends
    /// besides is dropped. Cancel-safe.
    pub(crate) async fn beat(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(heart) => {
                let mut space = [0; 4096];
                while heart.read(&mut space).await? > 0 {}
                Ok(())
            }
            Self::Udp(heart) => heart.drive().await,
        }
    }

    /// Says goodbye, and over TCP waits for the peer to close as well. Has no time limit of its own.
    pub(crate) async fn goodbye(self) -> io::Result<()> {
        match self {
            Self::Tcp(heart) => heart.close().await,
            Self::Udp(heart) => {
                heart.close().await;
                Ok(())
            }
        }
    }
}

//! `adapter::futures_io`, on smol's streams; its reactor has a thread of its own.

use core::time::Duration;
use std::io;

use heartbeat_proto::adapter::Driver;
use heartbeat_proto::adapter::futures_io::Heartbeat;
use smol::Timer;
use smol::future::or;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;

use super::{End, Kind, Socket, Subject};

pub(super) const TCP: Subject = Subject {
    name: "futures-io",
    kind: Kind::Stream,
    wrap: |socket, _, setup| Ok(Box::new(Heartbeat::tcp(tcp(socket)?, setup)?)),
};

fn tcp(socket: Socket) -> io::Result<TcpStream> {
    socket.tcp()?.try_into()
}

/// What a future gives within `span`, if it does.
fn within<T>(span: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<Option<T>> {
    let late = async {
        Timer::after(span).await;
        Ok(None)
    };
    smol::block_on(or(async { work.await.map(Some) }, late))
}

impl End for Heartbeat<TcpStream> {
    fn driver(&self) -> &Driver {
        self.driver()
    }

    fn run_for(&mut self, span: Duration) -> io::Result<()> {
        within(span, self.drive()).map(drop)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        smol::block_on(AsyncWriteExt::write(self, bytes))
    }

    fn read(&mut self, buf: &mut [u8], span: Duration) -> io::Result<Option<usize>> {
        within(span, AsyncReadExt::read(self, buf))
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        smol::block_on(Self::close(*self))
    }

    fn reconnected(self: Box<Self>, socket: Socket) -> io::Result<Box<dyn End>> {
        Ok(Box::new((*self).reconnected(tcp(socket)?)))
    }
}

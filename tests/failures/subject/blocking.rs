//! `adapter::blocking`.

use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use heartbeat_proto::adapter::Driver;
use heartbeat_proto::adapter::blocking::{Heartbeat, UdpHeartbeat};

use super::{End, Kind, Socket, Subject};

pub(super) const TCP: Subject = Subject {
    name: "blocking",
    kind: Kind::Stream,
    wrap: |socket, _, setup| Ok(Box::new(Heartbeat::new(socket.tcp()?, setup)?)),
};

pub(super) const UDP: Subject = Subject {
    name: "blocking UDP",
    kind: Kind::Datagrams,
    wrap: |socket, _, setup| Ok(Box::new(UdpHeartbeat::new(socket.udp()?, setup)?)),
};

impl End for Heartbeat<TcpStream> {
    fn driver(&self) -> &Driver {
        self.driver()
    }

    fn run_for(&mut self, span: Duration) -> io::Result<()> {
        self.run_for(span).map(drop)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn read(&mut self, buf: &mut [u8], span: Duration) -> io::Result<Option<usize>> {
        if self.wait_readable(span)? { Read::read(self, buf).map(Some) } else { Ok(None) }
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        (*self).close()
    }

    fn reconnected(self: Box<Self>, socket: Socket) -> io::Result<Box<dyn End>> {
        Ok(Box::new((*self).reconnected(socket.tcp()?)?))
    }
}

impl End for UdpHeartbeat {
    fn driver(&self) -> &Driver {
        self.driver()
    }

    fn run_for(&mut self, span: Duration) -> io::Result<()> {
        self.run_for(span).map(drop)
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        (*self).close();
        Ok(())
    }
}

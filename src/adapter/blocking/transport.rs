//! [`Transport`]: what a blocking stream must be able to do.

use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

/// A blocking byte stream with timeouts. Implemented for TCP and Unix sockets; implement it for
/// your own wrapper of one.
pub trait Transport: Read + Write {
    /// Sets how long a read may wait; `wait` is never zero. Such a read then fails with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) or [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// # Errors
    ///
    /// The system refuses.
    fn set_read_timeout(&self, wait: Duration) -> io::Result<()>;

    /// The same for writes. A write that could take some bytes in its time says how many.
    ///
    /// # Errors
    ///
    /// The system refuses.
    fn set_write_timeout(&self, wait: Duration) -> io::Result<()>;

    /// Reads what is there, without waiting; [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing
    /// is. What one cannot do without waiting may wait a millisecond.
    ///
    /// # Errors
    ///
    /// As [`Read::read`].
    fn read_now(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.set_read_timeout(Duration::from_millis(1))?;
        self.read(buf)
    }

    /// Gets ready for small, urgent frames, and to give up by itself what is not acknowledged for
    /// `limit`: the longest that the connection's own verdicts can take, of silence, of a stalled
    /// writer or of a drain. Default: nothing.
    ///
    /// # Errors
    ///
    /// The system refuses.
    fn prepare(&self, limit: Duration) -> io::Result<()> {
        let _ = limit;
        Ok(())
    }

    /// Ends both directions at once, without waiting for anybody; it is dropped afterwards.
    fn abort(&self);

    /// Ends the own direction after what was written.
    ///
    /// # Errors
    ///
    /// The system refuses.
    fn finish(&self) -> io::Result<()>;
}

macro_rules! socket {
    ($socket:ty) => {
        fn set_read_timeout(&self, wait: Duration) -> io::Result<()> {
            <$socket>::set_read_timeout(self, Some(wait))
        }

        fn set_write_timeout(&self, wait: Duration) -> io::Result<()> {
            <$socket>::set_write_timeout(self, Some(wait))
        }

        fn read_now(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.set_nonblocking(true)?;
            let read = self.read(buf);
            self.set_nonblocking(false)?;
            read
        }

        fn finish(&self) -> io::Result<()> {
            match self.shutdown(Shutdown::Write) {
                // The peer was faster.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
                done => done,
            }
        }
    };
}

impl Transport for TcpStream {
    socket!(TcpStream);

    fn prepare(&self, limit: Duration) -> io::Result<()> {
        self.set_nonblocking(false)?;
        self.set_nodelay(true)?;
        #[cfg(feature = "tcp")]
        crate::adapter::tcp::tune_for(self, limit)?;
        #[cfg(not(feature = "tcp"))]
        let _ = limit;
        Ok(())
    }

    /// With the feature `tcp`, by a reset. Without it both directions are shut down, and the system
    /// goes on trying to deliver what was written; the standard library offers no more.
    fn abort(&self) {
        #[cfg(feature = "tcp")]
        crate::adapter::tcp::reset_on_close(self);
        #[cfg(not(feature = "tcp"))]
        let _ = self.shutdown(Shutdown::Both);
    }
}

#[cfg(unix)]
impl Transport for std::os::unix::net::UnixStream {
    socket!(Self);

    fn prepare(&self, _: Duration) -> io::Result<()> {
        self.set_nonblocking(false)
    }

    fn abort(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

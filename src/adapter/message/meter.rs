//! [`Meter`]: counts the bytes below a library that frames them.

use alloc::sync::Arc;
use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll};
use std::io::{self, IoSlice};

/// How many bytes have passed a [`Metered`] stream. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    read: AtomicU64,
    written: AtomicU64,
}

impl Meter {
    /// The stream, counted by this meter, to be given to the library.
    pub fn wrap<S>(&self, stream: S) -> Metered<S> {
        Metered { stream, meter: self.clone() }
    }

    /// How many bytes were read so far.
    pub fn read(&self) -> u64 {
        self.0.read.load(Ordering::Relaxed)
    }

    /// How many bytes were written so far.
    pub fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    fn count_read(&self, len: usize) {
        self.0.read.fetch_add(len as u64, Ordering::Relaxed);
    }

    fn count_written(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(len)) = written {
            self.0.written.fetch_add(*len as u64, Ordering::Relaxed);
        }
    }
}

/// A stream whose bytes are counted: see [`Meter::wrap`]. Otherwise it is the stream.
#[derive(Debug)]
pub struct Metered<S> {
    stream: S,
    meter: Meter,
}

impl<S> Metered<S> {
    /// The stream.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }
}

#[cfg(feature = "tokio")]
mod with_tokio {
    use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::{Context, IoSlice, Metered, Pin, Poll, io};

    impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let Self { stream, meter } = self.get_mut();
            let before = buf.filled().len();
            let read = Pin::new(stream).poll_read(cx, buf);
            meter.count_read(buf.filled().len().saturating_sub(before));
            read
        }
    }

    impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let Self { stream, meter } = self.get_mut();
            let written = Pin::new(stream).poll_write(cx, buf);
            meter.count_written(&written);
            written
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let Self { stream, meter } = self.get_mut();
            let written = Pin::new(stream).poll_write_vectored(cx, bufs);
            meter.count_written(&written);
            written
        }

        fn is_write_vectored(&self) -> bool {
            self.stream.is_write_vectored()
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.get_mut().stream).poll_flush(cx)
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
        }
    }
}

#[cfg(feature = "futures-io")]
mod with_futures_io {
    use futures_io::{AsyncRead, AsyncWrite};

    use super::{Context, IoSlice, Metered, Pin, Poll, io};

    impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let Self { stream, meter } = self.get_mut();
            let read = Pin::new(stream).poll_read(cx, buf);
            if let Poll::Ready(Ok(len)) = read {
                meter.count_read(len);
            }
            read
        }
    }

    impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let Self { stream, meter } = self.get_mut();
            let written = Pin::new(stream).poll_write(cx, buf);
            meter.count_written(&written);
            written
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let Self { stream, meter } = self.get_mut();
            let written = Pin::new(stream).poll_write_vectored(cx, bufs);
            meter.count_written(&written);
            written
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.get_mut().stream).poll_flush(cx)
        }

        fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.get_mut().stream).poll_close(cx)
        }
    }
}

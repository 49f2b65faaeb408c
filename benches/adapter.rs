//! What the tokio adapter costs: a bulk transfer and small messages over loopback, with the adapter
//! and without, in turns. Prints the ratio of the medians.
//!
//!     cargo bench --features tokio --bench adapter [-- ROUNDS]
#![allow(clippy::disallowed_methods, reason = "this is a measurement")]

use core::time::Duration;
use std::time::Instant;

use heartbeat_proto::Config;
use heartbeat_proto::adapter::tokio::Heartbeat;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BULK: usize = 1 << 30;
const PIECE: usize = 64 * 1024;
const MESSAGES: usize = 100_000;
const MESSAGE: usize = 64;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let here = TcpStream::connect(address).await.expect("loopback");
    let there = listener.accept().await.expect("loopback").0;
    here.set_nodelay(true).expect("TCP");
    there.set_nodelay(true).expect("TCP");
    (here, there)
}

fn clock() -> Instant {
    Instant::now()
}

/// A gigabyte one way.
async fn bulk(mut from: impl Stream, mut to: impl Stream) -> Duration {
    let since = clock();
    let send = tokio::spawn(async move {
        let piece = vec![7; PIECE];
        for _ in 0..BULK / PIECE {
            from.write_all(&piece).await.expect("healthy");
        }
        from.flush().await.expect("healthy");
        from
    });
    let mut space = vec![0; PIECE];
    let mut left = BULK;
    while left > 0 {
        left -= to.read(&mut space).await.expect("healthy");
    }
    let took = since.elapsed();
    drop(send.await);
    took
}

/// Small messages there and back.
async fn echo(mut here: impl Stream, mut there: impl Stream) -> Duration {
    tokio::spawn(async move {
        let mut message = [0; MESSAGE];
        while there.read_exact(&mut message).await.is_ok() {
            if there.write_all(&message).await.is_err() || there.flush().await.is_err() {
                return;
            }
        }
    });
    let mut message = [7; MESSAGE];
    let since = clock();
    for _ in 0..MESSAGES {
        here.write_all(&message).await.expect("healthy");
        here.flush().await.expect("healthy");
        here.read_exact(&mut message).await.expect("healthy");
    }
    since.elapsed()
}

/// Small messages one way, as fast as they go.
async fn stream(mut from: impl Stream, mut to: impl Stream) -> Duration {
    let since = clock();
    let send = tokio::spawn(async move {
        for _ in 0..MESSAGES {
            from.write_all(&[7; MESSAGE]).await.expect("healthy");
        }
        from.flush().await.expect("healthy");
        from
    });
    let mut space = vec![0; PIECE];
    let mut left = MESSAGES * MESSAGE;
    while left > 0 {
        left -= to.read(&mut space).await.expect("healthy");
    }
    let took = since.elapsed();
    drop(send.await);
    took
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

macro_rules! compare {
    ($name:literal, $run:ident, $rounds:expr) => {
        let (mut bare, mut beating) = (Vec::new(), Vec::new());
        for _ in 0..$rounds {
            let (here, there) = pair().await;
            bare.push($run(here, there).await);
            let (here, there) = pair().await;
            let wrap = |socket| Heartbeat::<TcpStream>::tcp(socket, Config::lan()).expect("TCP");
            beating.push($run(wrap(here), wrap(there)).await);
        }
        let (bare, beating) = (median(bare), median(beating));
        let ratio = bare.as_secs_f64() / beating.as_secs_f64();
        println!(
            "{:28} bare {bare:>10.1?}  adapter {beating:>10.1?}  speed {ratio:.3} of bare",
            $name
        );
    };
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let rounds = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(9);
    compare!("1 GiB in 64 KiB pieces", bulk, rounds);
    compare!("100,000 echoes of 64 B", echo, rounds);
    compare!("100,000 messages of 64 B", stream, rounds);
}

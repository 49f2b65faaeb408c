//! A connection that cannot hang, on async-std (with its feature `io_safety`): an echo server and
//! its client.

use core::time::Duration;

use async_std::io::{ReadExt, WriteExt};
use async_std::net::{TcpListener, TcpStream};
use async_std::task;
use futures_util::AsyncReadExt;
use heartbeat_proto::Config;
use heartbeat_proto::adapter::Setup;
use heartbeat_proto::adapter::futures_io::Heartbeat;

fn main() -> Result<(), Box<dyn core::error::Error>> {
    task::block_on(run())
}

async fn run() -> Result<(), Box<dyn core::error::Error>> {
    let config = Config::detect_within(Duration::from_secs(5))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = task::spawn(async move {
        let (socket, peer) = listener.accept().await?;
        let setup = Setup::new(config).observer(move |notice| println!("server: {peer}: {notice}"));
        let (mut from, mut to) = AsyncReadExt::split(Heartbeat::tcp(socket, setup)?);
        async_std::io::copy(&mut from, &mut to).await?;
        futures_util::AsyncWriteExt::close(&mut to).await
    });

    let setup = Setup::new(config).observer(|notice| println!("client: {notice}"));
    let mut stream = Heartbeat::tcp(TcpStream::connect(address).await?, setup)?;
    for line in ["hello", "is anybody there?", "goodbye"] {
        stream.write_all(line.as_bytes()).await?;
        let mut answer = vec![0; line.len()];
        // Bytes, or an error within five seconds of silence.
        ReadExt::read_exact(&mut stream, &mut answer).await?;
        println!("client: {}", String::from_utf8_lossy(&answer));
        // Nothing to say, but alive: `drive` ends only when the connection does.
        if let Ok(ended) = async_std::future::timeout(Duration::from_secs(1), stream.drive()).await
        {
            ended?;
        }
    }
    println!("client: {:?}", stream.driver().machine().rtt());
    stream.close().await?;
    server.await?;
    Ok(())
}

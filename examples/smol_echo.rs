//! A connection that cannot hang, on smol: an echo server and its client.

use core::time::Duration;

use heartbeat_proto::Config;
use heartbeat_proto::adapter::Setup;
use heartbeat_proto::adapter::futures_io::Heartbeat;
use smol::Timer;
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn core::error::Error>> {
    smol::block_on(run())
}

async fn run() -> Result<(), Box<dyn core::error::Error>> {
    let config = Config::detect_within(Duration::from_secs(5))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = smol::spawn(async move {
        let (socket, peer) = listener.accept().await?;
        let setup = Setup::new(config).observer(move |notice| println!("server: {peer}: {notice}"));
        let (from, mut to) = smol::io::split(Heartbeat::tcp(socket, setup)?);
        smol::io::copy(from, &mut to).await?;
        to.close().await
    });

    let setup = Setup::new(config).observer(|notice| println!("client: {notice}"));
    let mut stream = Heartbeat::tcp(TcpStream::connect(address).await?, setup)?;
    for line in ["hello", "is anybody there?", "goodbye"] {
        stream.write_all(line.as_bytes()).await?;
        let mut answer = vec![0; line.len()];
        stream.read_exact(&mut answer).await?; // Bytes, or an error within five seconds of silence.
        println!("client: {}", String::from_utf8_lossy(&answer));
        // Nothing to say, but alive: `drive` ends only when the connection does.
        let second = async {
            Timer::after(Duration::from_secs(1)).await;
            Ok(())
        };
        stream.drive().or(second).await?;
    }
    println!("client: {:?}", stream.driver().machine().rtt());
    stream.close().await?;
    server.await?;
    Ok(())
}

//! A connection that cannot hang, on tokio: an echo server and its client.

use core::time::Duration;

use heartbeat_proto::Config;
use heartbeat_proto::adapter::Setup;
use heartbeat_proto::adapter::tokio::Heartbeat;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn core::error::Error>> {
    let config = Config::detect_within(Duration::from_secs(5))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        let (socket, peer) = listener.accept().await?;
        let setup = Setup::new(config).observer(move |notice| println!("server: {peer}: {notice}"));
        let (mut from, mut to) = tokio::io::split(Heartbeat::tcp(socket, setup)?);
        tokio::io::copy(&mut from, &mut to).await?;
        to.shutdown().await
    });

    let setup = Setup::new(config).observer(|notice| println!("client: {notice}"));
    let mut stream = Heartbeat::tcp(TcpStream::connect(address).await?, setup)?;
    for line in ["hello", "is anybody there?", "goodbye"] {
        stream.write_all(line.as_bytes()).await?;
        let mut answer = vec![0; line.len()];
        stream.read_exact(&mut answer).await?; // Bytes, or an error within five seconds of silence.
        println!("client: {}", String::from_utf8_lossy(&answer));
        // Nothing to say, but alive: `drive` ends only when the connection does.
        if let Ok(ended) = tokio::time::timeout(Duration::from_secs(1), stream.drive()).await {
            ended?;
        }
    }
    println!("client: {:?}", stream.driver().machine().rtt());
    stream.close().await?;
    server.await??;
    Ok(())
}

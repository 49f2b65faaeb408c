//! A client that outlives its server: it asks questions while the server is killed and started
//! again, and then hangs. Every question gets its answer. It ends by itself.

#![allow(clippy::std_instead_of_alloc, reason = "a program has std")]

use core::future::pending;
use core::mem::replace;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use heartbeat_proto::Config;
use heartbeat_proto::adapter::tokio::{Heartbeat, Supervised};
use heartbeat_proto::backoff::{Policies, Policy};
use heartbeat_proto::supervisor::Plan;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How fast a dead server is found.
const DETECT: Duration = Duration::from_millis(600);

fn config() -> Config {
    Config::detect_within(DETECT).expect("within the allowed range")
}

/// An echo server. Its handler deadlocks when told: the sockets stay open, and nobody beats.
async fn serve(listener: TcpListener, deadlock: Arc<AtomicBool>) -> io::Result<()> {
    let mut clients = JoinSet::new(); // They die with this task.
    loop {
        let (socket, _) = listener.accept().await?;
        let deadlock = Arc::clone(&deadlock);
        clients.spawn(async move {
            let mut stream = Heartbeat::tcp(socket, config())?;
            while let Ok(byte) = stream.read_u8().await {
                if deadlock.swap(false, Ordering::Relaxed) {
                    println!("server: deadlocked over question {byte}");
                    return pending().await;
                }
                stream.write_u8(byte).await?;
                stream.flush().await?;
            }
            stream.close().await
        });
    }
}

async fn restart(at: SocketAddr, deadlock: Arc<AtomicBool>) -> io::Result<()> {
    sleep(Duration::from_secs(1)).await;
    serve(TcpListener::bind(at).await?, deadlock).await
}

/// One question on this connection. Whatever is wrong with it comes as an error, in time.
async fn ask(stream: &mut Heartbeat<TcpStream>, question: u8) -> io::Result<u8> {
    stream.write_u8(question).await?;
    stream.flush().await?;
    stream.read_u8().await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn core::error::Error>> {
    let deadlock = Arc::new(AtomicBool::new(false));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut server = tokio::spawn(serve(listener, Arc::clone(&deadlock)));

    // One client and its own server: short delays will do. For a fleet, `Policies::fleet`.
    let patient = Policy::constant(Duration::from_millis(200)).tries(50).build()?;
    let plan = Plan::builder().policies(Policies::all(patient)).build()?;
    let mut client = Supervised::tcp(config(), plan).on_step(|step| println!("client: {step}"));

    let (mut question, mut killed, mut hung) = (0, false, false);
    while question < 20 {
        if question == 5 && !replace(&mut killed, true) {
            println!("server: killed, and back in a second");
            server.abort();
            server = tokio::spawn(restart(address, Arc::clone(&deadlock)));
        }
        if question == 12 && !replace(&mut hung, true) {
            deadlock.store(true, Ordering::Relaxed);
        }
        // Connects, waits and connects, or is at once the connection that lives.
        let stream = client.connected(|| TcpStream::connect(address)).await?;
        match ask(stream, question).await {
            Ok(answer) => {
                assert_eq!(answer, question);
                question += 1;
                // Between two questions: alive, and nothing to do.
                let _ = timeout(Duration::from_millis(50), stream.drive()).await;
            }
            Err(error) => println!("client: question {question} again: {error}"),
        }
    }
    println!("client: {question} questions, {question} answers");
    client.close().await?;
    server.abort();
    Ok(())
}

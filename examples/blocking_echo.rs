//! A connection that cannot hang, with blocking sockets: an echo server and its client.

use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use heartbeat_proto::Config;
use heartbeat_proto::adapter::Setup;
use heartbeat_proto::adapter::blocking::Heartbeat;

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let config = Config::detect_within(Duration::from_secs(5))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || serve(&listener, config));

    let setup = Setup::new(config).observer(|notice| println!("client: {notice}"));
    let mut stream = Heartbeat::new(TcpStream::connect(address)?, setup)?;
    for line in ["hello", "is anybody there?", "goodbye"] {
        stream.write_all(line.as_bytes())?;
        let mut answer = vec![0; line.len()];
        stream.read_exact(&mut answer)?; // Bytes, or an error within five seconds of silence.
        println!("client: {}", String::from_utf8_lossy(&answer));
        stream.run_for(Duration::from_secs(1))?; // Nothing to say, but alive.
    }
    println!("client: {:?}", stream.driver().machine().rtt());
    stream.close()?;
    server.join().map_err(|_| "the server panicked")??;
    Ok(())
}

fn serve(listener: &TcpListener, config: Config) -> io::Result<()> {
    let (socket, peer) = listener.accept()?;
    let setup = Setup::new(config).observer(move |notice| println!("server: {peer}: {notice}"));
    let mut stream = Heartbeat::new(socket, setup)?;
    let mut buf = [0; 1024];
    loop {
        match stream.read(&mut buf)? {
            0 => return stream.close(),
            len => stream.write_all(&buf[..len])?,
        }
    }
}

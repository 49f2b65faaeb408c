//! A worker that computes for longer than its peer waits for a sign of life; and one that hangs.
//!
//! The pulse beats while the worker computes, because the worker shows progress. When it shows none,
//! the pulse falls silent, and the boss finds out: alive is not the same as making progress.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use heartbeat_proto::Config;
use heartbeat_proto::adapter::Setup;
use heartbeat_proto::adapter::blocking::Heartbeat;

const SECOND: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let config = Config::detect_within(SECOND)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let worker = thread::spawn(move || work(address, config));

    let setup = Setup::new(config).observer(|notice| println!("boss: {notice}"));
    let mut boss = Heartbeat::new(listener.accept()?.0, setup)?;
    for job in ["honest", "hopeless"] {
        println!("boss: a job: {job}");
        boss.write_all(&[job.len() as u8])?;
        boss.write_all(job.as_bytes())?;
        let mut result = [0; 4];
        match boss.read_exact(&mut result) {
            Ok(()) => println!("boss: {}", String::from_utf8_lossy(&result)),
            Err(error) => println!("boss: no worker any more: {error}"),
        }
    }
    match worker.join().map_err(|_| "the worker panicked")? {
        Ok(()) => println!("worker: no more jobs"),
        Err(error) => println!("worker: no boss any more: {error}"),
    }
    Ok(())
}

fn work(boss: SocketAddr, config: Config) -> io::Result<()> {
    let setup = Setup::new(config).observer(|notice| println!("worker: {notice}"));
    let stream = Heartbeat::new(TcpStream::connect(boss)?, setup)?;
    // No step of the work takes longer than half a second.
    let (pulse, mut watch) = stream.into_pulse(SECOND / 2)?;
    thread::spawn(|| pulse.run());
    loop {
        let mut len = [0];
        if watch.read(&mut len)? == 0 {
            return watch.close();
        }
        let mut job = vec![0; len[0].into()];
        watch.read_exact(&mut job)?;
        if job == b"hopeless" {
            thread::sleep(4 * SECOND); // A deadlock, or a query without end.
        } else {
            for _step in 0..40 {
                thread::sleep(SECOND / 10);
                watch.progress()?; // Four times as long as the boss would wait for an idle worker.
            }
        }
        watch.write_all(b"done")?;
    }
}

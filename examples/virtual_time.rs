//! Tests without sleeping: an hour of heartbeats passes in milliseconds, and the same way each time.
//!
//! Twice: the machine alone with a clock that is a number, and whole adapters in tokio's paused time.

use core::time::Duration;

use heartbeat_proto::adapter::StdClock;
use heartbeat_proto::adapter::tokio::Heartbeat;
use heartbeat_proto::{Action, Config, Event, HeartbeatMachine, Report, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::{sleep, timeout};

const HOUR: Duration = Duration::from_secs(3600);

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let stopwatch = StdClock::new();
    by_hand();
    println!(
        "by hand: {:?} of real time",
        stopwatch.now().saturating_duration_since(Timestamp::EPOCH)
    );
    let stopwatch = StdClock::new();
    in_paused_time()?;
    println!(
        "in paused time: {:?} of real time",
        stopwatch.now().saturating_duration_since(Timestamp::EPOCH)
    );
    Ok(())
}

/// The sans-IO way: time is what you say it is.
fn by_hand() {
    let config = Config::wan(); // Every 5 s, lost after 20 s.
    let mut now = Timestamp::EPOCH;
    let mut machine = HeartbeatMachine::new(config, 1, now); // The seed decides phase and jitter.
    let death = now.saturating_add(HOUR);
    let mut pongs: Vec<(Timestamp, Event)> = Vec::new(); // On their way to us.
    let mut event = Event::Start;
    loop {
        for action in machine.handle(event, now) {
            match action {
                // The peer answers after 80 ms, for an hour.
                Action::SendPing { id, .. } if now < death => {
                    pongs.push((now.saturating_add(Duration::from_millis(80)), Event::pong(id)));
                }
                Action::Notify(change) => println!("by hand: {now}: {change}"),
                _ => {}
            }
        }
        // Jump to whatever comes first: a pong, or the machine's own deadline.
        let Some(wake) = machine.next_deadline() else { break }; // The verdict has fallen.
        (now, event) = match pongs.first() {
            Some(&(at, _)) if at <= wake => pongs.remove(0),
            _ => (wake, Event::Tick),
        };
    }
    let report = machine.report().expect("there is a verdict");
    println!("by hand: {report}");
    assert!(machine.stats().pings_sent > 650);
    assert!(report.silence <= config.worst_case_detection());
}

/// Your program and ours on a runtime whose clock jumps to the next timer when all are idle.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn in_paused_time() -> Result<(), Box<dyn core::error::Error>> {
    let (here, there) = duplex(4096); // A connection in memory.
    let server = tokio::spawn(async move {
        let mut stream = Heartbeat::new(there, Config::wan());
        let echo = async {
            while let Ok(byte) = stream.read_u8().await {
                stream.write_u8(byte).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let _ = timeout(HOUR, echo).await; // Then it hangs, and keeps the connection open.
        sleep(HOUR).await;
    });
    let mut client = Heartbeat::new(here, Config::wan());
    let error = loop {
        match timeout(Duration::from_secs(60), client.drive()).await {
            Err(_a_minute_has_passed) => {
                client.write_u8(7).await?;
                client.flush().await?;
                if let Err(error) = client.read_u8().await {
                    break error;
                }
            }
            Ok(ended) => break ended.expect_err("nobody closes it"),
        }
    };
    let at = client.now().saturating_duration_since(Timestamp::EPOCH);
    println!("in paused time: {at:?}: {error}");
    let verdict: Option<Report> = client.driver().report();
    assert!(verdict.is_some_and(|report| report.silence <= Duration::from_secs(28)));
    server.abort();
    Ok(())
}

//! Watches one peer over UDP, from the first socket to the last end.

use core::hash::{BuildHasher, Hasher};
use core::time::Duration;
use std::hash::RandomState;
use std::io;

use heartbeat_proto::adapter::tokio::UdpHeartbeat;
use heartbeat_proto::backoff::Cause;
use heartbeat_proto::supervisor::{Step, Supervisor};
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{sleep, timeout};

use super::news::{News, Over};
use super::task::Task;
use crate::stop::DRAIN_LIMIT;
use crate::trace;

pub(crate) async fn watch(task: Task) {
    let over = keep(task.clone()).await;
    task.tell(News::Over(over));
}

async fn keep(mut task: Task) -> Over {
    let clock = task.clock;
    let seed = RandomState::new().build_hasher().finish();
    let mut supervisor = Supervisor::new(task.plan, seed, clock.now());
    let mut gone = Some(clock.now());
    let mut last = None;
    loop {
        let step = supervisor.next(clock.now());
        task.step(&step, clock.now());
        let (attempt, limit) = match step {
            Step::Connect { attempt, until } => {
                (attempt, until.saturating_duration_since(clock.now()))
            }
            Step::Wait { until, .. } => {
                tokio::select! {
                    () = sleep(until.saturating_duration_since(clock.now())) => continue,
                    halt = task.halt(gone) => return Task::ended_without(halt, last.is_some()),
                }
            }
            _ => return last.unwrap_or_else(|| Over::Unreachable("never tried".to_owned())),
        };
        let address = task.address.clone();
        let socket = tokio::select! {
            socket = timeout(limit, connect(&address)) => socket,
            halt = task.halt(gone) => return Task::ended_without(halt, last.is_some()),
        };
        let over = match socket {
            Ok(Ok(socket)) => match converse(&mut task, &mut supervisor, attempt, socket).await {
                Ok((over, verified)) => {
                    if verified {
                        gone = Some(clock.now());
                    }
                    over
                }
                Err(over) => return over,
            },
            Ok(Err(error)) => {
                trace::connect_failed(&task.address, &error);
                supervisor.ended(attempt, (&error).into(), clock.now());
                Over::Unreachable(format!("cannot connect: {error}"))
            }
            Err(_) => {
                supervisor.ended(attempt, Cause::HandshakeTimeout, clock.now());
                let limit: Duration = task.plan.handshake_limit();
                Over::Unreachable(format!("cannot connect within {limit:?} (start-up limit)"))
            }
        };
        last = Some(over);
    }
}

/// Until the peer is lost, and whether it had ever answered; an error is the end of all.
async fn converse(
    task: &mut Task,
    supervisor: &mut Supervisor,
    attempt: u64,
    socket: UdpSocket,
) -> Result<(Over, bool), Over> {
    if !supervisor.established(attempt, task.clock.now()) {
        return Ok((Over::Unreachable("cannot connect in time".to_owned()), false));
    }
    if let Ok(peer) = socket.peer_addr() {
        task.connected(peer);
    }
    let mut heart = UdpHeartbeat::new(socket, task.setup());
    match task.beat(&mut heart).await {
        Ok(over) => {
            let now = task.clock.now();
            let proof = heart.driver().machine().verified_at();
            if let Some(proof) = proof {
                // The two clocks differ in their epochs.
                let age = heart.now().saturating_duration_since(proof);
                supervisor.verified(attempt, now.saturating_sub(age));
            }
            let cause = match &over {
                Over::Lost { ended, .. } => (*ended).into(),
                _ => Cause::Goodbye,
            };
            supervisor.ended(attempt, cause, now);
            Ok((over, proof.is_some()))
        }
        Err(halt) => {
            let over = Task::halted(&heart, halt);
            let _ = timeout(DRAIN_LIMIT, heart.close()).await;
            Err(over)
        }
    }
}

pub(crate) async fn connect(host: &str) -> io::Result<UdpSocket> {
    let to = lookup_host(host).await?.next();
    let to = to.ok_or_else(|| io::Error::other("the name has no address"))?;
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    Ok(socket)
}

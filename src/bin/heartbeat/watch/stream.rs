//! Watches one peer over a stream, from the first connect to the last end.

use core::future::Future;
use std::io;

use heartbeat_proto::adapter::Ended;
use heartbeat_proto::adapter::tcp::{reset_on_close, tune};
use heartbeat_proto::adapter::tokio::{GaveUp, Supervised, TokioIo};
use heartbeat_proto::backoff::Cause;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::news::{News, Over};
use super::task::Task;
use crate::over_tcp::OverTcp;
use crate::stop::DRAIN_LIMIT;
use crate::tls::Trust;
use crate::trace;

pub(crate) async fn watch(task: Task, tls: Option<Trust>) {
    let address = task.address.clone();
    let over = match tls {
        None => Box::pin(keep(task.clone(), || connect(&address))).await,
        Some(trust) => {
            let connect = || async {
                let socket = connect(&address).await?;
                trust.shake(&address, socket).await
            };
            Box::pin(keep(task.clone(), connect)).await
        }
    };
    task.tell(News::Over(over));
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    TcpStream::connect(address).await
}

async fn keep<S, C>(mut task: Task, connect: impl Fn() -> C) -> Over
where
    S: OverTcp,
    C: Future<Output = io::Result<S>>,
{
    let told = task.clone();
    let mut client = Supervised::new(task.setup(), task.plan)
        .on_abort(|stream: &TokioIo<S>| reset_on_close(stream.tcp()))
        .on_step(move |step| told.step(step, told.clock.now()));
    let mut last = None;
    let mut gone = Some(task.clock.now());
    loop {
        let told = task.clone();
        let connecting = client.connected(|| {
            let connecting = connect();
            async {
                let stream = connecting.await.and_then(|stream| {
                    tune(stream.tcp(), &told.config())?;
                    told.connected(stream.tcp().peer_addr()?);
                    Ok(stream)
                });
                stream.inspect_err(|error| trace::connect_failed(&told.address, error))
            }
        });
        let connected = tokio::select! {
            connected = connecting => connected.map(drop),
            halt = task.halt(gone) => {
                let failed = client.supervisor().retries() > 0;
                let _ = timeout(DRAIN_LIMIT, client.close()).await;
                return match last {
                    // It was the end already.
                    Some(over) if !failed => over,
                    last => Task::ended_without(halt, failed || last.is_some()),
                };
            }
        };
        if let Err(gave_up) = connected {
            return given_up(gave_up, last, &task);
        }
        // It has just been there.
        let Some(heart) = client.heartbeat() else { continue };
        match task.beat(heart).await {
            Ok(over) => {
                if heart.driver().machine().verified_at().is_some() {
                    gone = Some(task.clock.now());
                }
                last = Some(over);
            }
            Err(halt) => {
                let over = Task::halted(heart, halt);
                // It is over anyway; a peer that cannot take the goodbye finds out by itself.
                let _ = timeout(DRAIN_LIMIT, client.close()).await;
                return over;
            }
        }
    }
}

/// The end that nobody wanted: of the last connection, or of the last try.
fn given_up(gave_up: GaveUp, last: Option<Over>, task: &Task) -> Over {
    let outcome = gave_up.outcome;
    match (last, gave_up.last_error) {
        (Some(over), Some(error)) if Ended::of(&error).is_some() => over,
        (Some(over), _) if outcome.cause == Cause::Goodbye => over,
        (_, Some(error)) if outcome.cause != Cause::HandshakeTimeout => {
            Over::Unreachable(format!("cannot connect: {error}"))
        }
        _ => {
            let limit = task.plan.handshake_limit();
            Over::Unreachable(format!("cannot connect within {limit:?} (start-up limit)"))
        }
    }
}

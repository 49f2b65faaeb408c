//! The server of the demo: that of `heartbeat serve`, which can be killed and started again.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use heartbeat_proto::adapter::Setup;
use heartbeat_proto::{Config, ConfigError, Mode};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::lines;
use crate::say;
use crate::serve::tcp::{self, Manner};
use crate::stop::{self, Stopper};

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stopper: Stopper,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let config = patient()?;
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (stopper, stop) = stop::pair();
        // It tells nothing but errors of `accept`.
        let log = lines::start(|line| say::line(line));
        let setup = move |_| Setup::new(config);
        let manner = Manner { setup, tls: None, rules: None };
        let task = tokio::spawn(tcp::serve(listener, 16, manner, log, stop));
        Ok(Self { address, stopper, task })
    }

    /// Dies without a word: the system closes its sockets.
    pub(crate) async fn crash(self) -> io::Result<SocketAddr> {
        self.task.abort();
        match self.task.await {
            Err(error) if !error.is_cancelled() => Err(io::Error::other(error)),
            _ => Ok(self.address),
        }
    }

    /// Says goodbye to every client.
    pub(crate) fn say_goodbye(&self) {
        self.stopper.stop();
    }
}

/// It only answers, and judges after half a minute, so that every verdict of the demo is the
/// client's.
fn patient() -> Result<Config, ConfigError> {
    Config::builder()
        .mode(Mode::Responder)
        .interval(Duration::from_secs(10))
        .timeout(Duration::from_secs(30))
        .build()
}

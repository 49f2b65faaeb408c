//! One heart, whatever its transport.

use std::io;

use heartbeat_proto::adapter::Driver;
use heartbeat_proto::adapter::tokio::{Heartbeat, UdpHeartbeat};
use heartbeat_proto::{Config, Timestamp};
use tokio::io::AsyncReadExt;

use crate::over_tcp::OverTcp;
use crate::serve::tcp::adapt;

pub(crate) trait Heart {
    fn driver(&self) -> &Driver;

    fn now(&self) -> Timestamp;

    /// Goes on under other rules.
    fn adapt(&mut self, config: Config);

    /// Beats until the peer says goodbye or the connection ends in another way. What the peer sends
    /// besides is dropped. Cancel-safe.
    fn beat(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

impl<S: OverTcp> Heart for Heartbeat<S> {
    fn driver(&self) -> &Driver {
        self.driver()
    }

    fn now(&self) -> Timestamp {
        self.now()
    }

    fn adapt(&mut self, config: Config) {
        adapt(self, config);
    }

    async fn beat(&mut self) -> io::Result<()> {
        let mut space = [0; 4096];
        while self.read(&mut space).await? > 0 {}
        Ok(())
    }
}

impl Heart for UdpHeartbeat {
    fn driver(&self) -> &Driver {
        self.driver()
    }

    fn now(&self) -> Timestamp {
        self.now()
    }

    fn adapt(&mut self, config: Config) {
        let now = self.now();
        self.driver_mut().reconfigure(config, now);
    }

    async fn beat(&mut self) -> io::Result<()> {
        self.drive().await
    }
}

//! [`Setup`]: what an adapter needs to know beside its transport.

use alloc::boxed::Box;
use core::fmt;
use core::hash::{BuildHasher, Hasher};
use core::time::Duration;
use std::hash::RandomState;

use super::notice::Notice;
use crate::codec::Status;
use crate::config::Config;
use crate::detector::{Deadline, Detector};

pub(super) type Observer = Box<dyn FnMut(Notice) + Send>;

/// A [`Config`] with what only adapters use: who is told, and the randomness of the connection.
///
/// Every constructor of an adapter takes `impl Into<Setup>`, so a plain [`Config`] will do.
///
/// ```
/// use heartbeat_proto::{Config, adapter::Setup};
///
/// let setup = Setup::new(Config::lan()).observer(|notice| eprintln!("{notice}"));
/// # let _ = setup;
/// ```
#[must_use]
pub struct Setup<D: Detector = Deadline> {
    pub(super) config: Config<D>,
    pub(super) seed: Option<u64>,
    pub(super) status: Option<Status>,
    pub(super) observer: Option<Observer>,
}

impl<D: Detector> Setup<D> {
    /// Observed by nobody, with a random seed.
    ///
    /// The adapters report every write, so they set
    /// [`write_reports`](crate::ConfigBuilder::write_reports) themselves, whatever `config` says:
    /// a blocked writer is then told from a silent peer, and nobody can forget it.
    ///
    /// Where `config` does not set [`write_stall`](crate::ConfigBuilder::write_stall), it is 30
    /// seconds here, or the timeout if that is longer. It convicts a peer that answers and does not
    /// read. A shorter one would kill slow readers: a kernel takes bytes again only once a good part
    /// of its buffer is free, which at 10 kB/s takes many seconds. (Over a blocked writer a *silent*
    /// peer is found by its silence, as ever.)
    pub fn new(config: Config<D>) -> Self {
        let patience = Duration::from_secs(30).as_nanos() as u64;
        let write_stall = config.write_stall.or(Some(config.timeout.max(patience)));
        let config = Config { write_reports: true, write_stall, ..config };
        Self { config, seed: None, status: None, observer: None }
    }

    /// The rules that will be in force. Their promise
    /// ([`worst_case_detection`](Config::worst_case_detection)) counts the reported writes.
    pub const fn config(&self) -> &Config<D> {
        &self.config
    }

    /// Decides the epoch, the first phase and the jitter, which are otherwise random. For tests
    /// and replays: two connections with one seed beat together.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// The health to tell the peer with every ping, pong and beacon. Default: none.
    pub fn status(self, status: Status) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Who is told what happens. Called from within the adapter's calls, so it must not block; it
    /// replaces an earlier one.
    pub fn observer(self, observer: impl FnMut(Notice) + Send + 'static) -> Self {
        Self { observer: Some(Box::new(observer)), ..self }
    }
}

impl<D: Detector> From<Config<D>> for Setup<D> {
    fn from(config: Config<D>) -> Self {
        Self::new(config)
    }
}

impl<D: Detector + fmt::Debug> fmt::Debug for Setup<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("config", &self.config)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// When whatever is under way is given up at the latest, by one verdict or another: of silence, of a
/// stalled writer, of a drain. A peer that was never heard has its grace besides. No kernel should
/// give up a connection before.
pub(super) const fn longest_wait<D: Detector>(config: &Config<D>) -> Duration {
    let silence = config.worst_case_detection().as_nanos() as u64 + config.startup_grace;
    let stall = match config.write_stall {
        Some(stall) if stall > config.drain_limit => stall,
        _ => config.drain_limit,
    };
    Duration::from_nanos(if silence > stall { silence } else { stall })
}

/// A random number, from the operating system's randomness by way of the keys of the standard
/// library's hash maps (each call has keys of its own).
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

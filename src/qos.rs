//! A configuration from a wish: how soon a death must be found, how seldom a living peer may be
//! given up, and for how long at most.
//!
//! [`Qos`] is the wish, [`Link`] what is known of the network. [`Qos::beats`] is the configurator
//! of Chen, Toueg and Aguilera (*On the Quality of Service of Failure Detectors*, IEEE Transactions
//! on Computers 51(5), 2002) for one-way beats; [`Qos::pings`] does the same for the pings of this
//! crate's machine, whose faster probing of a suspect peer needs an inequality of its own. Both
//! give the longest interval that grants the wish, or say which part of it is impossible and what
//! would be possible instead. Rules QS1 to QS7 of `docs/SPEC.md`.
//!
//! ```
//! use core::time::Duration;
//! use heartbeat_proto::qos::{Link, Qos};
//!
//! // Found within 10 s, at most one wrong verdict in 30 days.
//! let wish = Qos::new(
//!     Duration::from_secs(10),
//!     Duration::from_secs(30 * 24 * 3600),
//!     Duration::from_secs(60),
//! )?;
//! // 2 % of the round trips are lost; the others take 80 ms, give or take 40 ms.
//! let link = Link::moments(0.02, Duration::from_millis(80), Duration::from_millis(40))?;
//! let pings = wish.pings(&link)?;
//! let config = pings.config();
//! assert!(config.worst_case_detection() <= Duration::from_secs(10));
//! assert!(config.interval() > Duration::from_secs(2));
//!
//! // Faster than a round trip: that is not to be had, and the error says what is.
//! let error = Qos::new(
//!     Duration::from_millis(50),
//!     Duration::from_secs(3600),
//!     Duration::from_secs(60),
//! )?.pings(&link).unwrap_err();
//! assert!(error.to_string().starts_with("detect_within of 50ms is impossible"), "{error}");
//! # Ok::<(), heartbeat_proto::qos::QosError>(())
//! ```
//!
//! # What is assumed
//!
//! That the losses and delays of different beats do not depend on each other beyond what
//! [`Link::repeat_loss`] says, and that this process runs. Both are only nearly true: a longer
//! outage of the network is a mistake whatever the numbers say. [`quality`](crate::quality)
//! measures what became of the wish.

mod beats;
mod error;
mod link;
mod pings;
mod search;

use core::time::Duration;

pub use beats::Beats;
pub use error::QosError;
pub use link::Link;
pub use pings::Pings;

use crate::config::MAX_SPAN;

/// A wish: what the user of a failure detector wants of it, whatever the network. Valid by
/// construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Qos {
    detect_within: Duration,
    mistake_every: Duration,
    mean_mistake: Duration,
}

impl Qos {
    /// The wish that
    ///
    /// * a death is found within `detect_within` (`T_D^U`), at most
    ///   [`MAX_SPAN`];
    /// * there is at least `mistake_every` (`T_MR^L`) from one mistake to the next, on average;
    /// * a mistake lasts at most `mean_mistake` (`T_M^U`), on average.
    ///
    /// # Errors
    ///
    /// If a part is zero, or `detect_within` above [`MAX_SPAN`].
    pub const fn new(
        detect_within: Duration,
        mistake_every: Duration,
        mean_mistake: Duration,
    ) -> Result<Self, QosError> {
        if detect_within.is_zero() {
            return Err(QosError::Zero { part: "detect_within" });
        }
        if mistake_every.is_zero() {
            return Err(QosError::Zero { part: "mistake_every" });
        }
        if mean_mistake.is_zero() {
            return Err(QosError::Zero { part: "mean_mistake" });
        }
        if detect_within.as_nanos() > MAX_SPAN.as_nanos() {
            return Err(QosError::TooLong { found: detect_within, most: MAX_SPAN });
        }
        Ok(Self { detect_within, mistake_every, mean_mistake })
    }

    /// `T_D^U`.
    pub const fn detect_within(&self) -> Duration {
        self.detect_within
    }

    /// `T_MR^L`.
    pub const fn mistake_every(&self) -> Duration {
        self.mistake_every
    }

    /// `T_M^U`.
    pub const fn mean_mistake(&self) -> Duration {
        self.mean_mistake
    }

    /// The longest interval, and the margin with it, of one-way beats that grants the wish (rules
    /// QS2 and QS3).
    ///
    /// The link's loss and delay are those of one way. With [`Link::variance`], where the mean
    /// delay is unknown, `detect_within` is meant beyond it, and the margin is that of NFD-E.
    ///
    /// # Errors
    ///
    /// [`QosError::Impossible`] if no interval from 1 ms up grants it.
    pub fn beats(&self, link: &Link<'_>) -> Result<Beats, QosError> {
        beats::configure(self, link)
    }

    /// The longest interval, the response window and the number of pings with it, that grants the
    /// wish to the fixed verdict of the machine (rules QS4 and QS5).
    ///
    /// The link's loss and delay are those of the round trip. `detect_within` bounds
    /// [`worst_case_detection`](crate::Config::worst_case_detection), from the last sign of life
    /// that was heard on; the peer can have died no earlier than that sign left it.
    ///
    /// # Errors
    ///
    /// [`QosError::Impossible`] if no interval grants it, [`QosError::NeedsDelay`] with
    /// [`Link::variance`].
    pub fn pings(&self, link: &Link<'_>) -> Result<Pings, QosError> {
        pings::configure(self, link)
    }

    fn parts(&self) -> Parts {
        Parts {
            within: self.detect_within.as_secs_f64(),
            every: self.mistake_every.as_secs_f64(),
            mean: self.mean_mistake.as_secs_f64(),
        }
    }
}

/// The parts of a wish in seconds.
#[derive(Clone, Copy)]
struct Parts {
    within: f64,
    every: f64,
    mean: f64,
}

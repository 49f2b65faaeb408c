//! All detectors but the fixed one and the one that follows the round trip, and what they are made
//! of: the feature `detectors`.

mod bertier;
mod bits;
mod chen;
mod compact;
mod delays;
mod formula;
mod gaps;
mod hazard;
mod jacobson;
mod k_of_n;
mod lateness;
mod misses;
mod phi;
mod phi_exponential;
mod phi_logistic;
mod phi_normal;
mod ranked;
mod retransmission;
mod satzger;
mod shadow;
mod source;
pub mod tail;
mod two_windows;
mod window;

pub use bertier::Bertier;
pub use bits::ParameterError;
pub use chen::Chen;
pub use compact::Compact;
pub use formula::{Beat, Formula, Learnt, Term};
pub use hazard::Hazard;
pub use jacobson::Jacobson;
pub use k_of_n::KOfN;
pub use misses::Misses;
pub use phi::Accrual;
pub use phi_exponential::PhiExponential;
pub use phi_logistic::PhiLogistic;
pub use phi_normal::PhiNormal;
pub use retransmission::Retransmission;
pub use satzger::Satzger;
pub use shadow::{Opinions, Shadow, ShadowState};
pub use source::Source;
pub use two_windows::TwoWindows;

use super::{Detector, Evidence, Sign, Trust, linear_suspicion, on_its_side};

/// What formulas remember: opaque values, named so that states can be.
pub mod memory {
    pub use super::bertier::Errors;
    pub use super::compact::Gist;
    pub use super::delays::Delays;
    pub use super::gaps::Gaps;
    pub use super::jacobson::Averages;
    pub use super::k_of_n::Probes;
    pub use super::lateness::Lateness;
    pub use super::misses::Ticks;
    pub use super::ranked::Ranked;
    pub use super::retransmission::RoundTrips;
}

//! Detectors and configurations over recorded traces: how often would they have been wrong, and how
//! fast would they have been right?
//!
//! A [`Reader`] makes [`Trace`]s of CSV files, of the output of `ping` and of what `heartbeat record`
//! wrote; [`synthetic`] makes them of a seed. A [`Contender`] is a detector of any type with a knob; a
//! [`Field`] runs it over a trace and gives an [`Outcome`] for each value of the knob; [`Points`]
//! compare contenders at equal mean detection time; a [`Score`] adds that up over traces and budgets,
//! [`Unseen`] without hindsight.
//! [`play`] lets a whole configuration live through a segment.
//! Nothing here prints, and nothing reads a clock. The rules are those of `docs/SPEC.md`, section
//! 15.6.
//!
//! ```
//! use heartbeat_proto::replay::{Field, Points, contenders, synthetic};
//!
//! let lan = &synthetic(1)[0];
//! let field = Field::new(lan).expect("long enough");
//! let contenders = contenders();
//! let fixed = contenders.iter().find(|c| c.name() == "fixed").expect("a baseline");
//! let points: Vec<_> =
//!     fixed.grid().iter().filter_map(|&knob| field.point(fixed, knob, false)).collect();
//! // Two periods more than nobody can avoid are enough on such a link.
//! let budget = field.budget(2.0);
//! let best = Points(points).best("fixed", budget, 1.0).expect("a point").outcome.clone();
//! assert!(best.mean <= budget && best.rate() < 1.0);
//! ```

mod contender;
mod field;
mod play;
mod probes;
mod read;
mod registry;
mod score;
mod synthetic;
mod tally;
mod trace;
mod unseen;

pub use contender::{Contender, Role, Trial};
pub use field::{Field, Point, Points};
pub use play::{PlayError, Played, Turn, play};
pub use read::{Mistake, ReadError, Reader, TextError};
pub use registry::contenders;
pub use score::{BUDGETS, Cell, Row, Score};
pub use synthetic::synthetic;
pub use tally::{Outcome, Tally};
pub use trace::{Arrival, Kind, Link, Sample, Segment, Trace};
pub use unseen::{Unseen, UnseenRow};

//! The bodies of the fuzz targets: what each does with its bytes, and what must hold then. They
//! live here once; the targets call them under libFuzzer, and `tests/fuzz_corpus.rs` replays the
//! kept inputs through them in every `cargo test`.
//!
//! Assertions name the invariant (`docs/SPEC.md`, section 10) that they check.
#![allow(missing_docs, unreachable_pub, unnameable_types, reason = "programs, not a library")]
#![allow(clippy::std_instead_of_alloc, clippy::missing_panics_doc, reason = "checks panic")]
#![allow(clippy::struct_excessive_bools, clippy::large_types_passed_by_value, reason = "scripts")]
#![allow(
    clippy::many_single_char_names,
    clippy::cast_possible_wrap,
    clippy::items_after_statements,
    clippy::unused_self,
    clippy::use_self,
    clippy::doc_markdown,
    reason = "of the reference model"
)]

#[path = "../../tests/fleet/alike.rs"]
mod alike;
pub mod auth;
#[path = "../../tests/reference/compare.rs"]
mod compare;
pub mod config;
pub mod datagram;
pub mod detector;
pub mod differential;
pub mod fleet;
pub mod gateway;
#[path = "../../tests/fleet/heard.rs"]
mod heard;
mod input;
pub mod machine;
#[path = "../../tests/reference/model/mod.rs"]
#[allow(dead_code, reason = "more of it is asked where it lives")]
mod model;
#[path = "../../tests/gateway/naive.rs"]
mod naive;
#[path = "../../tests/fleet/ops.rs"]
mod ops;
pub mod pair;
mod rules;
#[path = "../../tests/reference/script.rs"]
mod script;
mod silence;
pub mod snapshot;
pub mod stream;
pub mod supervisor;
pub mod trace;
#[path = "../../tests/fleet/twin.rs"]
mod twin;
#[path = "../../tests/fleet/twins.rs"]
#[allow(dead_code, reason = "more of it is asked where it lives")]
mod twins;
mod watch;
pub mod wish;
#[path = "../../tests/gateway/world.rs"]
#[allow(dead_code, reason = "more of it is asked where it lives")]
mod world;

/// Whether every call is printed: the script of a finding.
pub static TRACE: core::sync::atomic::AtomicBool = core::sync::atomic::AtomicBool::new(false);

/// `TRACE=1 fuzz/run machine path/to/the/finding` prints its script.
pub fn trace_if_asked() {
    TRACE.store(std::env::var_os("TRACE").is_some(), core::sync::atomic::Ordering::Relaxed);
}

/// A body takes whatever bytes there are.
pub type Body = fn(&[u8]);

/// Every target by its name, which is that of its corpus as well.
pub const TARGETS: [(&str, Body); 14] = [
    ("machine", machine::run),
    ("pair", pair::run),
    ("differential", differential::run),
    ("stream", stream::run),
    ("datagram", datagram::run),
    ("auth", auth::run),
    ("config", config::run),
    ("supervisor", supervisor::run),
    ("detector", detector::run),
    ("trace", trace::run),
    ("wish", wish::run),
    ("fleet", fleet::run),
    ("gateway", gateway::run),
    ("snapshot", snapshot::run),
];

//! What users ask for (the needs, by their numbers), what systems have been built of, and what must
//! never be there.

mod absence;
#[path = "../common/mod.rs"]
mod common;
mod found;
mod kind;
mod spared;
mod systems;
mod told;
mod wire;

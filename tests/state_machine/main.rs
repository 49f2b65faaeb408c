//! `docs/STATE_MACHINE.md` is what the code does: the table of every state and every event, and the
//! diagram of all changes of liveness that random walks over many configurations have found.
//!
//! `UPDATE_DOCS=1 cargo test --test state_machine` writes both anew.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

#[path = "../common/mod.rs"]
mod common;
mod diagram;
#[path = "../common/document.rs"]
mod document;
mod table;
mod walks;

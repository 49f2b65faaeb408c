//! `docs/STATE_MACHINE.md` is what the code does: the table of every state and every event, and the
//! diagram of all changes of liveness that random walks over many configurations have found.
//!
//! `UPDATE_DOCS=1 cargo test --test state_machine` writes both anew.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

#[path = "../common/mod.rs"]
mod common;
mod diagram;
mod table;
mod walks;

use std::{env, fs};

/// Compares a document with what it must be, or writes it.
fn keep(path: &str, new: &str) {
    let path = format!("{}/docs/{path}", env!("CARGO_MANIFEST_DIR"));
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, new).expect("a writable document");
    } else {
        let old = fs::read_to_string(&path).expect("a readable document");
        assert!(old == new, "{path} is stale: UPDATE_DOCS=1 cargo test --test state_machine");
    }
}

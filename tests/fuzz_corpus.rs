//! The bodies of the fuzz targets (`fuzz/bodies`) in plain `cargo test`: every kept input of each
//! corpus is replayed, and some thousand pseudo-random ones are tried besides.
#![cfg(all(
    feature = "auth",
    feature = "arbitrary",
    feature = "replay",
    feature = "gateway",
    feature = "snapshot"
))]
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

use std::fs;
use std::path::Path;

#[path = "../fuzz/bodies/lib.rs"]
#[allow(dead_code, reason = "a crate of its own under the fuzzer")]
mod bodies;

use bodies::{Body, TARGETS};

/// Runs a body, and says which input it was that it refused.
fn run(name: &str, body: Body, what: &str, data: &[u8]) {
    let passes = std::panic::catch_unwind(|| body(data)).is_ok();
    assert!(passes, "{name} fails on {what}: {data:?}");
}

#[test]
fn every_kept_input_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, body) in TARGETS {
        let files = fs::read_dir(corpus.join(name)).expect("each target has a corpus");
        let mut replayed = 0;
        for file in files {
            let path = file.expect("a readable corpus").path();
            let data = fs::read(&path).expect("a readable input");
            run(name, body, &path.display().to_string(), &data);
            replayed += 1;
        }
        assert!(replayed >= 30, "the corpus of {name} has only {replayed} inputs");
    }
}

#[test]
fn random_inputs_pass() {
    for (name, body) in TARGETS {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut byte = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 56) as u8
        };
        // Many a wish is refused, and only after thousands of intervals were tried.
        // A snapshot is forty thousand bytes, however few of them are made up.
        let rounds = match name {
            "wish" => 30,
            "snapshot" => 200,
            _ => 3000,
        };
        for round in 0..rounds {
            let len = usize::from(byte()) / 2 + 8;
            let data: Vec<u8> = (0..len).map(|_| byte()).collect();
            run(name, body, &format!("random input {round}"), &data);
        }
    }
}

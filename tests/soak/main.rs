//! What connections leave behind when they are gone: no descriptor, no task, no byte.
//!
//! `cargo test --features tokio --test soak` for a small one; `tests/long.sh soak` for a million
//! connects and kills, and ten thousand live connections for five minutes; `churn` or `crowd` names
//! one of the two. Everything runs on one thread, so that its allocations can be counted exactly.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod churn;
mod crowd;

use std::fs;

/// How much of it.
struct Size {
    connects: u32,
    connections: u64,
    seconds: u64,
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let full = has("--full");
    let size = if full {
        Size { connects: 1_000_000, connections: 10_000, seconds: 300 }
    } else {
        Size { connects: 10_000, connections: 500, seconds: 6 }
    };
    if !has("crowd") {
        churn::run(size.connects);
    }
    if !has("churn") {
        crowd::run(size.connections, size.seconds);
    }
}

/// What this process holds of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    threads: u64,
    resident_kb: u64,
}

/// Linux tells; elsewhere there is nothing to compare.
fn held() -> Held {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let descriptors = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let [threads, resident_kb] = ["Threads:", "VmRSS:"].map(|name| field(name).unwrap_or(0));
    Held { descriptors, threads, resident_kb }
}

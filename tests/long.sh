#!/usr/bin/env bash
# The checks that take too long for .ci/run; docs/TESTING.md says what each is and what it last gave.
#   tests/long.sh [PART ...]     parts: features random sim model detectors faults fuzz mutants failures etcd soak gateway; all of them take most of a day
# PROPTEST_CASES and FUZZ_SECONDS (for each target) override the defaults. What cannot be had says SKIP.
set -euo pipefail
cd "$(dirname "$0")/.."

# Every pair of features builds, and the program with the oldest compiler.
features() {
    bash .ci/msrv cli
    command -v cargo-hack >/dev/null || cargo install --quiet --locked cargo-hack
    cargo hack clippy --quiet --locked --feature-powerset --depth 2 -- -D warnings
}

random() {
    PROPTEST_CASES="${PROPTEST_CASES:-20000}" cargo test --locked --release --all-features \
        --test properties --test normalized --test codec --test negotiate --test reference
    CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true cargo test --locked --release --features fleet \
        --test wheel -- --include-ignored
}

# A million seeds, and the digest they must give.
sim() { cargo test --locked --release --features sim --test sim -- --include-ignored; }

# The closed model with larger constants: about eleven million states, under 2 GB.
model() { cargo test --locked --release --all-features --test model large_worlds -- --ignored --nocapture; }

# The detectors on scenarios of other seeds, and each trace with a knob chosen on the others.
detectors() {
    for seed in 1 2 3 4 5 6; do
        cargo run --locked --release --features cli -- replay "--synthetic=$seed" --score
    done
    cargo run --locked --release --features cli -- replay tests/data/traces --synthetic --score
}

# Each fault made by hand against every layer of tests, as a table.
faults() { mutants faults; }

fuzz() {
    for body in fuzz/fuzz_targets/*.rs; do
        fuzz/run "$(basename "$body" .rs)" "${FUZZ_SECONDS:-3600}"
    done
}

# Every mutant of the code against the tests until one fails.
mutants() {
    command -v cargo-mutants >/dev/null || cargo install --locked cargo-mutants ||
        { echo "SKIP: cargo-mutants cannot be installed" && return; }
    tests/mutants/run "$@"
}

# Real failures, with minutes of lost datagrams.
failures() { cargo test --locked --all-features --test failures -- --include-ignored; }

# Ten minutes of observers that are killed, frozen and cut off by chance.
etcd() { HEARTBEAT_ETCD_SECONDS="${HEARTBEAT_ETCD_SECONDS:-600}" .ci/etcd --include-ignored; }

# A million connects and kills, ten thousand live connections for five minutes.
soak() { cargo test --locked --features tokio --test soak -- --full; }

# A gateway with a million peers and their generator share this machine for ten minutes; no verdict
# may be false or late. PEERS and SPAN override the defaults. Takes half a gigabyte, and a quiet machine.
gateway() {
    cargo build --locked --release --features cli --bin heartbeat
    local program="${CARGO_TARGET_DIR:-target}/release/heartbeat" log server address code=0
    log="$(mktemp)"
    "$program" serve --udp 127.0.0.1:0 --fleet --profile messaging-30-90 \
        --joins-per-second 100000 >"$log" &
    server=$!
    until address="$(grep -oE '127\.0\.0\.1:[0-9]+' "$log" | head -1)" && [ -n "$address" ]; do
        kill -0 "$server" || return 1
        sleep 0.1
    done
    "$program" load "$address" --peers "${PEERS:-1000000}" --ramp 60s --for "${SPAN:-10m}" \
        --kill 100 --churn 1000 || code=$?
    kill -INT "$server" && wait "$server" || code=$?
    grep census "$log"
    rm "$log"
    return "$code"
}

for part in "${@:-features random sim model detectors faults fuzz mutants failures etcd soak gateway}"; do
    for name in $part; do
        printf '\n=== %s\n' "$name"
        "$name"
    done
done

#!/usr/bin/env bash
# The checks that take too long for .ci/run: the random tests with many more cases, optimised.
# About ten minutes on two cores. PROPTEST_CASES overrides the number of cases.
set -euo pipefail
cd "$(dirname "$0")/.."
export PROPTEST_CASES="${PROPTEST_CASES:-20000}"
cargo test --locked --release --all-features --test properties --test normalized \
    --test codec_properties --test negotiate --test model
# The closed model with larger constants: about eleven million states, under 2 GB.
cargo test --locked --release --all-features --test model large_worlds -- --ignored --nocapture

#!/usr/bin/env bash
# The checks that take too long for .ci/run: the random tests with many more cases, optimised.
# And a million worlds of the simulator. About a quarter of an hour on two cores. PROPTEST_CASES
# overrides the number of cases.
set -euo pipefail
cd "$(dirname "$0")/.."
export PROPTEST_CASES="${PROPTEST_CASES:-20000}"
cargo test --locked --release --all-features --test properties --test normalized \
    --test codec_properties --test negotiate --test model
cargo test --locked --release --features sim --test sim -- --include-ignored

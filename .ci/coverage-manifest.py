"""The manifest without the targets and test dependencies that coverage does not need."""

import sys

UNNEEDED = """async-std axum divan futures-util libtest-mimic rcgen smol stateright tokio
tokio-rustls tokio-tungstenite tokio-util tungstenite""".split()

section = ""
for line in sys.stdin:
    if line.startswith("["):
        section = line.strip()
    if section in ("[[example]]", "[[bench]]", "[[test]]"):
        continue
    if section == "[dev-dependencies]" and line.split(" ")[0] in UNNEEDED:
        continue
    sys.stdout.write(line)
print("[workspace]")

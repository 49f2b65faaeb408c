"""Prints the coverage in a report of `cargo llvm-cov --json`, and fails if something is missed.

A region counts as reached if any instance of a generic function reached it."""

import json
import pathlib
import re
import sys
from collections import defaultdict

# Every region of these; of codec and detectors every line. (There a `?` or an `else` that what came
# before makes impossible is reached by nothing.)
REGIONS = """action config deadlines event evidence finding heartbeat histogram jitter judge
ledger liveness machine normal probe report rtt state stats steady time negotiate""".split()
LINES = ["codec", "detector"]
# The first fails the build, and so cannot run; the second guards frames longer than any there is; the
# third is reached, but the compiler counts nothing for the constant in a guard.
UNREACHED = {
    'Err(_) => panic!("a preset of this crate is invalid"),',
    "return Err(EncodeError::TooLong { found: needed }.into());",
    "if self.own_lateness > self.silence / 4 =>",
}
# Always inlined: it runs at every call, but what is counted is a copy of its own that nothing calls;
# and what runs while compiling alone.
INLINED = ["9judgement", "6config6preset", "6steadyNtB2_8Answered4tell"]
# A generic function that no test program makes: for some reason some are told, and most are not.
NEVER_MADE = re.compile(r"p+E")

regions = defaultdict(int)
for function in json.load(open(sys.argv[1]))["data"][0]["functions"]:
    if any(name in function["name"] for name in INLINED):
        continue
    if function["count"] == 0 and NEVER_MADE.search(function["name"]):
        continue
    for line, column, end, end_column, count, _, _, kind in function["regions"]:
        if kind == 0:
            regions[function["filenames"][0], (line, column, end, end_column)] += count

table, missed = defaultdict(lambda: [0, 0, set(), set()]), []
for (path, (line, column, end, _)), count in sorted(regions.items()):
    name = path.partition("/src/")[2]
    part = pathlib.PurePath(name).parts[0].removesuffix(".rs") if name else ""
    if part not in REGIONS + LINES:
        continue
    row = table[name]
    row[0] += count > 0
    row[1] += 1
    row[2].add(line)
    if count:
        row[3].update(range(line, end + 1))
        continue
    source = pathlib.Path(path).read_text().splitlines()[line - 1].strip()
    if source in UNREACHED:
        row[3].add(line)
    elif part in REGIONS:
        missed.append(f"{name}:{line}:{column}: {source}")

print(f"{'':28} {'regions':>14} {'lines':>8}")
totals = [0, 0, 0, 0]
for name, (hit, all_regions, lines, reached) in table.items():
    hit_lines = len(lines & reached)
    print(f"{name:28} {hit:>6} of {all_regions:>4} {100 * hit_lines / len(lines):>7.1f}%")
    totals = [a + b for a, b in zip(totals, (hit, all_regions, hit_lines, len(lines)))]
    if hit_lines < len(lines) and name.startswith(tuple(LINES)):
        missed += [f"{name}:{line}: not reached" for line in sorted(lines - reached)]
print(f"{'all':28} {totals[0]:>6} of {totals[1]:>4} {100 * totals[2] / totals[3]:>7.1f}%")
print("\n".join(missed))
sys.exit(bool(missed))

"""Runs of the transcribed step, as plain integers, for the Rust test `tests/induction.rs`.

`python3 proofs/vectors.py > tests/data/induction.txt`. Needs no z3. Each run is one line of
configuration, and one line for each call: what was told, when, and what must come of it.
"""

import random

import machine as m
from words import Ints

RUNS, CALLS = 160, 24
EVENTS = ["tick", "other", "pong", "frame", "due", "suspend", "resume", "hold"]
PHASES = {m.STARTING: "starting", m.ALIVE: "alive", m.SUSPECT: "suspect", m.LOST: "lost"}
WORD = 2**64 - 1


class Fixed:
    """The fixed detector (J2)."""

    def __init__(self, c):
        self.c = c

    def trust_ends(self, s):
        return min(s["ev"] + self.c["T"] + self.c["Ie"] - self.c["I"], WORD)

    def learn(self, s, sign):
        return 0


def mix(word):
    """P2."""
    word = word + 0x9E3779B97F4A7C15 & WORD
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB & WORD
    return word ^ word >> 31


def share(span, epoch, k):
    return span * (mix(epoch << 32 | k) >> 32) >> 32


def configuration(draw):
    """CF2 and CF3, from the smallest spans to the longest."""
    scale = draw.choice([1, 1, 1_000, 10**9, m.MAX_SPAN // 60])
    window = draw.randint(1, 9) * scale
    interval = draw.randint(2, 12) * scale + draw.randint(0, 1)
    attempts = draw.randint(1, 3)
    jitter = draw.choice([0, 10, 50])
    shortest = interval - interval // 100 * jitter
    suspect = min(window, shortest)
    gap = max(-(-suspect // 2), -(-window // 4))
    timeout = interval + attempts * window
    ceiling = timeout + draw.choice([0, 0, window])
    if gap > suspect or ceiling > m.MAX_SPAN:
        return configuration(draw)
    c = {
        "I": interval, "W": window, "N": attempts, "T": timeout, "C": ceiling, "F": interval + window,
        "g": gap, "S": suspect, "slack": min(50_000_000, window // 4), "jitter": jitter,
        "policy": draw.randint(0, 2), "forgive": draw.randint(1, 20) * scale,
        "grace": draw.choice([0, 0, scale]), "times": draw.randint(1, 3),
    }
    return {**c, "Ie": interval, "ge": gap, "Fe": c["F"], "Se": suspect, "verify": c["times"] * interval}


def moment(draw, s, due):
    """Mostly about the wake-up, sometimes anywhere, and now and then in the past."""
    now = s["now"]
    at = draw.choices(
        [due - 1, due, due + 1, (now + due) // 2, due + draw.randint(0, 3 * s["span"]),
         now + draw.randint(0, s["span"]), now - draw.randint(0, s["span"])],
        [1, 8, 2, 4, 3, 2, 1],
    )[0]
    return max(0, min(at, WORD))


def run(draw, number):
    seed = draw.getrandbits(64)
    c = configuration(draw)
    machine = m.Machine(Ints(), c, Fixed(c))
    epoch, k = mix(seed) >> 32, 0
    start = draw.choice([0, 5 * 10**12, m.END_OF_TIME - 3 * c["C"]])
    x = c["Ie"] - c["Ie"] // 100 * c["jitter"]
    s = machine.start(start, x - (x * epoch >> 32))
    names = ["I", "T", "N", "C", "slack", "policy", "forgive", "grace", "jitter", "times"]
    print("run", seed, start, *(c[name] for name in names))
    for _ in range(CALLS):
        due = machine.wake_up(s)
        near = due if due != m.NEVER else s["now"] + c["W"]
        time = moment(draw, {**s, "span": c["C"]}, near)
        event = draw.choices(range(8), [12, 1, 3, 3, 1, 1, 1, 2])[0]
        if event == m.PONG and not s["pinged"]:
            event = m.FRAME
        slept = draw.choice([0, 0, draw.randint(0, 2 * c["C"])]) if event == m.RESUME else 0
        interval = c["Ie"] - share(c["Ie"] // 100 * c["jitter"], epoch, k)
        probe = event == m.HOLD and draw.random() < 0.5
        s, pinged, _ = machine.step(s, event, time, slept, probe, interval)
        k += pinged
        wake_up = machine.wake_up(s)
        told = ["probe" if probe else EVENTS[event], time, slept, PHASES[s["phase"]], "ping" if pinged else "-"]
        print(*told, "-" if wake_up == m.NEVER else wake_up)
        if wake_up == m.NEVER and s["waiting"] != m.FOR_RESUME:
            break


def main():
    print("# From proofs/vectors.py: what the transcription that is proved says of these runs.")
    draw = random.Random(7)
    for number in range(RUNS):
        run(draw, number)


if __name__ == "__main__":
    main()

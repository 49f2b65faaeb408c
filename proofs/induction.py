"""Proofs by induction over all 64-bit values: see README.md.

Prints `PROVED name` or `REFUTED name` with a counter-example for each lemma, and then the lemmas that
must be refuted because a precondition is dropped or a formula broken. The exit code tells.
"""

import multiprocessing
import sys
import time

import z3

import machine as m
from words import MAX, Symbols

SPAN = m.MAX_SPAN


class AnyDetector:
    """Whatever a detector has learnt, and whatever it answers."""

    def __init__(self):
        word = z3.IntSort()
        self.answer = z3.Function("trust_ends", word, word, word)
        self.lesson = {sign: z3.Function(sign, word, word) for sign in ("life", "miss", "pause")}

    def trust_ends(self, s):
        return self.answer(as_word(s["detector"]), as_word(s["ev"]))

    def learn(self, s, sign):
        return self.lesson[sign](as_word(s["detector"]))


def as_word(value):
    return z3.IntVal(value) if isinstance(value, int) else value


def word(name):
    return z3.Int(name)


def in_range(low, value, high):
    return z3.And(le(as_word(low), value), le(value, as_word(high)))


def le(a, b):
    return a <= b


def lt(a, b):
    return a < b


def ge(a, b):
    return a >= b


def gt(a, b):
    return a > b


def least(a, b):
    return z3.If(a < b, a, b)


def most(a, b):
    return z3.If(a < b, b, a)


# ----- What is assumed of a configuration -----


def accepted(c, without=()):
    """CF2, by name, so that each can be dropped."""
    spans = [c[k] for k in ("I", "T", "F", "C", "g", "S", "forgive")]
    rules = {
        "words": z3.And(*(in_range(0, value, MAX) for value in c.values() if z3.is_expr(value))),
        "spans": z3.And(*(in_range(1, span, SPAN) for span in spans)),
        "no grace above the longest span": le(c["grace"], SPAN),
        "I < T": lt(c["I"], c["T"]),
        # CF1: (T - I) / N is at most T - I (as words wrap), and no lemma needs more of it.
        "CF1": z3.And(in_range(1, c["N"], 15), le(c["W"], (c["T"] - c["I"]) % 2**64)),
        "W >= 1": ge(c["W"], 1),
        "T <= C": le(c["T"], c["C"]),
        "I + W <= F": le(c["I"] + c["W"], c["F"]),
        "F <= C": le(c["F"], c["C"]),
        "g <= S": le(c["g"], c["S"]),
        "S <= I": le(c["S"], c["I"]),
        "slack": le(4 * c["slack"], c["W"]),
    }
    return [rule for name, rule in rules.items() if name not in without]


def in_force(c):
    """What CF4 makes of it, for whatever the peer asked: proved from CF2 below, used elsewhere."""
    limit = c["C"] - c["W"]
    return [
        le(c["W"], c["C"]),
        in_range(c["I"], c["Ie"], limit),
        le(c["g"], c["ge"]),
        le(c["ge"], c["Ie"]),
        c["Se"] == most(c["S"], c["ge"]),
        c["Fe"] == most(c["F"], c["Ie"] + c["W"]),
        in_range(c["F"], c["Fe"], c["C"]),
        in_range(c["Ie"], c["verify"], 255 * SPAN),
    ]


def slowed(c, calm, peer_gap):
    """CF4 itself, for one calm level."""
    limit = c["C"] - c["W"]
    asked = least(peer_gap, limit)
    interval = most(most(c["I"], asked), least(c["I"] * 2**calm, limit))
    return [
        c["Ie"] == interval,
        c["ge"] == most(c["g"], asked),
        c["Se"] == most(c["S"], c["ge"]),
        c["Fe"] == most(c["F"], c["Ie"] + c["W"]),
        in_range(c["Ie"], c["verify"], 255 * c["Ie"]),
    ]


# ----- The inductive invariant -----

LATER = "L2 the wake-up is strictly later (T5)"


def promise(c, base):
    """CF5 and CF6: the last moment of a silence. `base`: the last evidence, plus the caller's
    lateness and what resumes add to it."""
    again = z3.If(c["policy"] == m.REPROBE, c["W"] + c["ge"] + 1, as_word(0))
    return base + c["C"] + 1 + again


def live(s):
    return z3.Or(*(s["phase"] == phase for phase in (m.STARTING, m.ALIVE, m.SUSPECT)))


def frozen(s):
    return s["waiting"] == m.FOR_RESUME


def invariant(machine, s, base):
    c, end = machine.c, as_word(m.END_OF_TIME)
    runs = z3.And(live(s), z3.Not(frozen(s)))
    due = machine.wake_up(s)
    return {
        "values": z3.And(
            z3.Or(live(s), s["phase"] == m.LOST),
            z3.Or(*(s["waiting"] == w for w in (m.NOTHING, m.FOR_PONG, m.FOR_WINDOW, m.FOR_RESUME))),
            le(s["reprobe"], 3),
            le(s["misses"], c["N"]),
        ),
        "stamps before the end": z3.And(
            le(s["last_ping"], end),
            le(s["since"], end),
            le(s["ev"], end + SPAN),
            le(s["plan"], end + c["Ie"]),
        ),
        "stamps before now": z3.And(
            le(s["last_ping"], s["now"]),
            le(s["since"], s["now"]),
            z3.Or(le(s["ev"], s["now"]), le(s["ev"] - s["now"], SPAN)),
            z3.Or(le(s["plan"], s["now"]), le(s["plan"] - s["now"], c["Ie"])),
            z3.Implies(s["traffic"], le(s["ev"], s["now"])),
            z3.Implies(z3.And(s["traffic"], frozen(s)), le(s["ev"], s["since"])),
        ),
        "pings": z3.And(
            z3.Implies(s["waiting"] == m.FOR_PONG, s["pinged"]),
            z3.Implies(s["open"], s["pinged"]),
            z3.Implies(gt(s["misses"], 0), s["pinged"]),
        ),
        "a running re-probe has a window": z3.Implies(
            z3.And(runs, s["reprobe"] == m.RUNNING),
            z3.Or(s["waiting"] == m.FOR_PONG, s["waiting"] == m.FOR_WINDOW),
        ),
        "an exhausted clock": z3.Implies(s["exhausted"], gt(s["now"], m.END_OF_TIME)),
        "signs": z3.Implies(
            z3.And(runs, z3.Not(s["exhausted"])),
            z3.And(
                z3.Implies(s["phase"] == m.ALIVE, s["misses"] == 0),
                z3.Implies(
                    s["phase"] == m.SUSPECT,
                    z3.Or(gt(s["misses"], 0), lt(machine.detector.trust_ends(s), s["now"])),
                ),
            ),
        ),
        "what is over waits for nothing": z3.Implies(s["phase"] == m.LOST, s["waiting"] == m.NOTHING),
        LATER: z3.Implies(z3.And(runs, z3.Not(s["exhausted"])), gt(due, s["now"])),
        "in time": z3.Implies(
            live(s),
            z3.And(
                le(base, end + SPAN),
                le(s["ev"], base),
                z3.Implies(frozen(s), le(s["since"], promise(c, base))),
                z3.Implies(
                    z3.And(runs, s["reprobe"] == m.WANTED),
                    lt(s["last_ping"] + c["ge"] + c["W"], promise(c, base)),
                ),
                z3.Implies(
                    z3.And(runs, s["reprobe"] == m.RUNNING),
                    lt(s["since"] + c["W"], promise(c, base)),
                ),
                # A ping may still leave in it, whose window is granted then.
                z3.Implies(
                    z3.And(runs, s["reprobe"] == m.RUNNING, s["waiting"] == m.FOR_WINDOW),
                    lt(s["since"] + 2 * c["W"], promise(c, base)),
                ),
            ),
        ),
    }


class Setting:
    """One step from any state that the invariant allows."""

    def __init__(self, event, policy, without=(), broken=None, uncredited=False, unheld=False):
        self.uncredited, self.unheld = uncredited, unheld
        self.o = Symbols(z3)
        self.c = {name: word(name) for name in m.CONFIG} | {"policy": policy}
        self.m = m.Machine(self.o, self.c, AnyDetector(), broken)
        self.s = {name: word(name) for name in m.STATE}
        self.s |= {name: z3.Bool(name) for name in m.FLAGS}
        self.base, self.event, self.time = word("base"), event, word("time")
        self.slept, self.probe, self.next_interval = word("slept"), z3.Bool("probe"), word("next_interval")
        # The invariant's own sums wrap where a rule's would: they are no steps of the machine.
        before = invariant(self.m, self.s, self.base)
        self.o.obligations.clear()
        self.after, self.pinged, self.now = self.m.step(
            self.s, self.event, self.time, self.slept, self.probe, self.next_interval
        )
        self.after = {k: v if z3.is_expr(v) else as_word(v) for k, v in self.after.items()}
        self.obligations = list(self.o.obligations)
        self.due = self.m.wake_up(self.s)
        self.base_after = self.next_base()
        self.held = accepted(self.c, without) + in_force(self.c) + list(before.values())
        words = [v for v in self.s.values() if z3.is_int(v)] + [self.time, self.slept, self.base]
        self.held += [in_range(0, value, MAX) for value in words]
        self.held += self.o.facts + [
            in_range(0, self.c["Ie"] - 2 * (self.c["Ie"] - self.next_interval), self.c["Ie"]),
        ]
        self.later = invariant(self.m, self.after, self.base_after)
        self.later_due = self.m.wake_up(self.after)

    def next_base(self):
        """Evidence begins a new silence; lateness and resumes prolong it (CF5, CF6)."""
        s, c = self.s, self.c
        cap = as_word(m.END_OF_TIME + SPAN)
        overdue = z3.And(live(s), z3.Not(frozen(s)), le(self.due, self.now))
        late = z3.If(z3.And(overdue, self.event != m.RESUME), self.now - self.due, as_word(0))
        resumed = z3.And(live(s), z3.Or(
            self.event == m.RESUME, z3.And(frozen(s), self.event != m.SUSPEND)
        ))
        paused = z3.If(frozen(s), self.now - s["since"], as_word(0))
        # What a resume credits beyond the time since the suspension is a pause, too; and so is the
        # lateness of a caller who says of it that he slept.
        overslept = z3.If(le(self.due, self.now), self.now - self.due, as_word(0))
        slept = self.slept if self.event == m.RESUME and not self.uncredited else as_word(0)
        credit = most(most(paused, slept), overslept)
        again = c["W"] + c["ge"] + 2
        more = z3.If(resumed, credit + again, late)
        if self.event == m.HOLD and not self.unheld:
            held = c["W"] + 2 + z3.If(self.probe, c["ge"], c["W"])
            more += z3.If(live(s), held, as_word(0))
        longer = least(self.base + more, cap)
        heard = z3.And(live(s), z3.Or(self.event == m.PONG, self.event == m.FRAME))
        next_base = z3.If(z3.And(heard, live(self.after)), self.now, longer)
        return z3.If(gt(self.now, m.END_OF_TIME), self.base, next_base)


# ----- The lemmas -----


def changes(t):
    """Anything but the newest time."""
    return z3.Or(*(t.after[k] != t.s[k] for k in t.s if k != "now"))


def lemmas(t):
    c, s, after = t.c, t.s, t.after
    lost = z3.And(live(s), after["phase"] == m.LOST)
    runs_after = z3.And(live(after), z3.Not(frozen(after)), z3.Not(after["exhausted"]))
    ended = z3.Or(s["phase"] == m.LOST, s["exhausted"])
    for name, holds in t.later.items():
        yield name if name == LATER else f"inductive: {name}", holds
    yield "S1 no verdict before the floor (CF7)", z3.Implies(
        lost, z3.And(gt(t.now, after["ev"]), gt(t.now - after["ev"], c["F"]))
    )
    yield "S7 nothing after the end", z3.Implies(
        ended,
        z3.And(
            after["phase"] == s["phase"], z3.Not(t.pinged), t.later_due == m.NEVER,
        ),
    )
    if t.event == m.HOLD:
        yield "J14 a hold gives no verdict by silence within a window", z3.Implies(
            z3.And(live(s), z3.Not(s["exhausted"]), le(t.now, m.END_OF_TIME)),
            z3.And(live(after), gt(t.m.deadlines(after)["verdict"], t.now + c["W"])),
        )
    yield "R1 pings are the gap apart (P4)", z3.Implies(
        z3.And(t.pinged, s["pinged"]), ge(t.now - s["last_ping"], c["ge"])
    )
    yield "L3 a call at the wake-up moves it on (T8)", z3.Implies(
        z3.And(runs_after, t.now == t.due), gt(t.later_due, t.due)
    )
    yield "L4 a call that says nothing does nothing before the wake-up (T7)", z3.Implies(
        z3.And(
            t.event == m.OTHER, live(s), z3.Not(frozen(s)), z3.Not(s["exhausted"]),
            lt(t.now, t.due), le(t.now, m.END_OF_TIME),
        ),
        z3.And(z3.Not(changes(t)), z3.Not(t.pinged)),
    )
    yield "M1 time does not run backwards (T1)", z3.And(
        ge(after["now"], s["now"]), ge(after["now"], t.time)
    )
    yield "M2 no sum overflows (T6)", z3.And(*t.obligations)
    yield "T6 an exhausted clock judges and sends nothing", z3.Implies(
        gt(t.time, m.END_OF_TIME), z3.And(after["phase"] == s["phase"], z3.Not(t.pinged))
    )
    yield "CF5 every live wake-up lies within the promise (L1, CF6)", z3.Implies(
        runs_after, le(t.later_due, promise(c, t.base_after))
    )
    yield "CF5 no call of a silence comes after the promise (L1, CF6)", z3.Implies(
        z3.And(
            live(s), le(t.now, m.END_OF_TIME), t.event not in (m.PONG, m.FRAME),
            z3.Not(z3.And(frozen(s), t.event == m.SUSPEND)),
        ),
        le(t.now, promise(c, t.base_after)),
    )


def of_a_configuration(without=()):
    """CF4 keeps what the other lemmas assume of the numbers in force."""
    c = {name: word(name) for name in m.CONFIG}
    claims = []
    for calm in range(16):
        slow = z3.And(0 <= word("peer_gap"), *slowed(c, calm, word("peer_gap")))
        claims.append(z3.Implies(slow, z3.And(c["I"] * 2**calm <= MAX, *in_force(c))))
    return accepted(c, without), z3.And(*claims)


def of_the_beginning():
    """The first state fulfils the invariant."""
    o = Symbols(z3)
    c = {name: word(name) for name in m.CONFIG}
    machine = m.Machine(o, c, AnyDetector())
    now, first = word("now"), word("first")
    s = machine.start(now, first)
    obligations = list(o.obligations)
    s = {k: v if z3.is_expr(v) else z3.BoolVal(v) if isinstance(v, bool) else as_word(v) for k, v in s.items()}
    # The event that starts does also what is due; the first ping may leave in its call.
    held = accepted(c) + in_force(c) + [le(now, m.END_OF_TIME), le(first, c["Ie"])]
    holds = invariant(machine, s, s["ev"])
    awake = z3.Implies(gt(first, 0), holds.pop(LATER))
    return held, z3.And(awake, *holds.values(), *obligations)


EVENTS = ["tick", "other", "pong", "frame", "ping due", "suspend", "resume", "hold"]
POLICIES = ["strict", "forgive", "reprobe"]


def solver_of(held):
    solver = z3.SolverFor("QF_UFLIA")
    solver.set("timeout", 60_000)
    solver.add(*held)
    return solver


def shown(model):
    values = sorted((str(d), model[d]) for d in model.decls() if d.arity() == 0)
    return ", ".join(f"{name}={value}" for name, value in values if "!" not in name)


BROKEN = [
    # What is dropped or broken, and the lemma that must fall with it.
    ({"broken": "the clock has no end"}, "M2"),
    ({"broken": "time may run backwards"}, "M1"),
    ({"broken": "a limit is passed when it is reached"}, "L2"),
    ({"without": ("spans",)}, "M2"),
    ({"broken": "the gap is forgotten"}, "R1"),
    # The promise counts what `slept` credits as a pause.
    ({"uncredited": True}, "inductive: in time"),
    ({"broken": "the re-probe has no end"}, "CF5 every"),
]
# Of holds alone.
BROKEN_HOLDS = [
    ({"broken": "a hold comes too late"}, "J14"),
    ({"broken": "one hold a silence"}, "J14"),
    ({"broken": "a hold renews"}, "inductive: in time"),
    # The promise counts what a hold puts off.
    ({"unheld": True}, "inductive: in time"),
]


def ask(solver, claim):
    """`unsat` if the claim holds always; and how long that took, and a counter-example."""
    start = time.monotonic()
    solver.push()
    solver.add(z3.Not(claim))
    found = str(solver.check())
    example = shown(solver.model()) if found == "sat" else ""
    solver.pop()
    return found, time.monotonic() - start, example


def one_case(case):
    """All lemmas (or the one whose name begins so) for one kind of event under one late policy."""
    event, policy, only, change = case
    t = Setting(event, policy, **change)
    solver = solver_of(t.held)
    about = f"{EVENTS[event]}, {POLICIES[policy]}"
    asked = [(name, claim) for name, claim in lemmas(t) if only is None or name.startswith(only)]
    # From false hypotheses everything follows: there must be a state to start from.
    assert only or str(solver.check()) == "sat", f"nothing fulfils the hypotheses: {about}"
    return [(name, *ask(solver, claim), about) for name, claim in asked]


def tell(name, answers, expected="PROVED"):
    """Answers: found, seconds, counter-example, case; for all cases of one lemma."""
    worst = max(answers, key=lambda answer: ["unsat", "unknown", "sat"].index(answer[0]))
    verdict = {"unsat": "PROVED", "sat": "REFUTED", "unknown": "UNKNOWN"}[worst[0]]
    good = verdict == expected
    print(f"{verdict} {name} ({sum(answer[1] for answer in answers):.1f} s)", flush=True)
    if not good:
        print(f"    WRONG, in the case {worst[3]}: {worst[2]}")
    return good


def prove(pool):
    good = True
    for name, question in [
        ("CF4 the numbers in force", of_a_configuration),
        ("inductive: the first state", of_the_beginning),
    ]:
        held, claim = question()
        good &= tell(name, [(*ask(solver_of(held), claim), "")])
    cases = [(event, policy, None, {}) for event in range(len(EVENTS)) for policy in range(3)]
    answers = {}
    for found in pool.imap(one_case, cases):
        for name, *answer in found:
            answers.setdefault(name, []).append(answer)
    return good & all([tell(name, found) for name, found in answers.items()])


def refute():
    """What must fall, falls; the first case that shows it is enough."""
    good = True
    # (Either of the first two keeps the window below the ceiling.)
    for rules in [("I < T", "I + W <= F"), ("F <= C",)]:
        held, claim = of_a_configuration(rules)
        answer = (*ask(solver_of(held), claim), "")
        good &= tell(f"CF4 the numbers in force, without {' and '.join(rules)}", [answer], "REFUTED")
    broken = [(range(m.HOLD), *one) for one in BROKEN]
    broken += [((m.HOLD,), *one) for one in BROKEN_HOLDS]
    for events, change, lemma in broken:
        cases = ((event, policy, lemma, change) for event in events for policy in range(3))
        answers = []
        for (name, *answer), in map(one_case, cases):
            answers.append(answer)
            if answer[0] == "sat":
                break
        good &= tell(f"{name} {change}", answers, "REFUTED")
    return good


def main():
    began = time.monotonic()
    with multiprocessing.Pool() as pool:
        good = prove(pool)
    print("What must be refuted:")
    good &= refute()
    print(f"{time.monotonic() - began:.0f} s: {'all as expected' if good else 'NOT AS EXPECTED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

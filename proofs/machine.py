"""The timing rules of the machine, transcribed line by line from `src/` over `words.py`.

One end that probes on its own schedule, with ids, whose life rule counts every frame. Left out (see
README.md): write reports, the keepalive, k-of-n windows, draining, reopening, the caller's schedule.

A state is a dict of words (see `STATE`) and truth values; `now` is the newest time that was given.
"""

MAX_SPAN = 24 * 60 * 60 * 10**9
NEVER = 2**64 - 1
END_OF_TIME = NEVER - 4 * MAX_SPAN

TICK, OTHER, PONG, FRAME, PING_DUE, SUSPEND, RESUME, HOLD = range(8)
STARTING, ALIVE, SUSPECT, LOST = 1, 2, 3, 5
NOTHING, FOR_PONG, FOR_WINDOW, FOR_RESUME = 0, 1, 3, 4
NONE, WANTED, RUNNING, SPENT = range(4)
STRICT, FORGIVE, REPROBE = range(3)

# `detector` stands for all that a detector has learnt.
STATE = ["now", "phase", "ev", "plan", "last_ping", "since", "waiting", "reprobe", "misses", "detector"]
FLAGS = ["pinged", "open", "wanted", "traffic", "exhausted"]
CONFIG = [
    "I", "T", "W", "N", "F", "C", "g", "S", "slack", "policy", "forgive", "grace",
    "Ie", "ge", "Fe", "Se",  # in force (CF4)
    "verify",  # verify_every * Ie
]


class Machine:
    """`o`: the meaning of words; `c`: the configuration; `detector`: an object with `trust_ends(state)`
    and `learn(state, sign)`; `broken`: the name of a deliberate mistake."""

    def __init__(self, o, c, detector, broken=None):
        self.o, self.c, self.detector, self.broken = o, c, detector, broken

    # ----- Words -----

    def least(self, *words):
        first = words[0]
        for word in words[1:]:
            first = self.o.ite(self.o.lt(word, first), word, first)
        return first

    def most(self, a, b):
        return self.o.ite(self.o.lt(a, b), b, a)

    def saturating_add(self, a, b):
        return self.o.ite(self.o.lt(NEVER, a + b), NEVER, a + b)

    def merge(self, condition, a, b):
        return {key: a[key] if a[key] is b[key] else self.o.ite(condition, a[key], b[key]) for key in a}

    def live(self, s):
        return self.o.any(*(self.o.eq(s["phase"], phase) for phase in (STARTING, ALIVE, SUSPECT)))

    # ----- Deadlines (deadlines.rs) -----

    def limits(self, s):
        """When the detector's trust ends, and the limit of silence V (J2)."""
        o, c = self.o, self.c
        trust_ends = self.detector.trust_ends(s)
        floor, ceiling = o.add(s["ev"], c["Fe"]), o.add(s["ev"], c["C"])
        return trust_ends, self.least(self.most(trust_ends, floor), ceiling)

    def deadlines(self, s):
        """Verdict, suspicion, window, probe; NEVER where there is none."""
        o, c = self.o, self.c
        counts = o.all(self.live(s), o.no(s["exhausted"]), o.no(o.eq(s["waiting"], FOR_RESUME)))
        passed = 0 if self.broken == "a limit is passed when it is reached" else 1
        with o.when(counts):
            trust_ends, limit = self.limits(s)
            in_window = o.any(*(o.eq(s["waiting"], it) for it in (FOR_PONG, FOR_WINDOW)))
            runs = o.eq(s["reprobe"], RUNNING)
            with o.when(runs):
                running = o.add(self.most(limit, o.add(s["since"], c["W"])), passed)
            verdict = o.ite(runs, running, o.add(limit, passed))
            verdict = o.ite(o.eq(s["reprobe"], WANTED), NEVER, verdict)
            suspicion = o.add(self.least(trust_ends, NEVER - 1), 1)
            suspicion = o.ite(o.eq(s["phase"], ALIVE), suspicion, NEVER)
            with o.when(in_window):
                window = o.add(o.add(s["since"], c["W"]), 1)
            window = o.ite(in_window, window, NEVER)
            due = {"verdict": verdict, "suspicion": suspicion, "window": window}
            due["probe"] = self.probe(s, limit)
        return {key: o.ite(counts, at, NEVER) for key, at in due.items()}

    def wake_up(self, s):
        return self.least(*self.deadlines(s).values())

    def probe(self, s, limit):
        """The next ping (P4, P6)."""
        o, c = self.o, self.c
        at_once = o.any(s["wanted"], o.eq(s["reprobe"], WANTED))
        with o.when(o.no(at_once)):
            planned = self.planned_or_fast(s, limit)
        due = o.ite(at_once, 0, planned)
        with o.when(s["pinged"]):
            gapped = self.most(due, o.add(s["last_ping"], c["ge"]))
        if self.broken == "the gap is forgotten":
            return due
        return o.ite(s["pinged"], gapped, due)

    def planned_or_fast(self, s, limit):
        o, c = self.o, self.c
        unheard = o.all(o.eq(s["waiting"], FOR_PONG), o.le(s["ev"], s["since"]))
        bad = o.any(o.lt(0, s["misses"]), o.eq(s["phase"], SUSPECT))

        def in_time(due):
            return o.ite(o.lt(due, limit), due, NEVER)

        with o.when(o.all(s["pinged"], o.any(bad, unheard))):
            after_last = o.add(s["last_ping"], c["Se"])
        with o.when(o.all(s["pinged"], o.no(bad), unheard)):
            after_window = self.most(after_last, o.add(s["since"], c["W"]))
        early = self.least(s["plan"], in_time(after_window))
        fast = o.ite(bad, in_time(after_last), o.ite(unheard, early, s["plan"]))
        return o.ite(s["pinged"], fast, s["plan"])

    # ----- One call (machine.rs) -----

    def step(self, s, event, time, slept, probe, next_interval):
        """The state after a call, whether a ping left, and the time of the call. `slept` is what a resume
        says, `probe` what a hold says."""
        o = self.o
        now = self.most(time, s["now"])  # M1
        if self.broken == "time may run backwards":
            now = time
        due = self.wake_up(s)
        ended = o.lt(END_OF_TIME, now)
        if self.broken == "the clock has no end":
            ended = o.lt(NEVER, now)
        early = o.all(o.eq(event, TICK), o.lt(now, due), o.no(o.eq(due, NEVER)))  # T7
        same = {**s, "now": now}
        with o.when(o.all(o.no(early), o.no(ended))):
            called, pinged = self.call(same, event, now, slept, probe, next_interval, due)
        over = {**same, "exhausted": True}
        after = self.merge(ended, over, called)
        after = self.merge(early, same, after)
        return after, o.all(pinged, o.no(early), o.no(ended)), now

    def call(self, s, event, now, slept, probe, next_interval, due):
        o, c = self.o, self.c
        frozen = o.eq(s["waiting"], FOR_RESUME)
        resumes = o.eq(event, RESUME)
        implied = o.all(frozen, o.no(resumes), o.no(o.eq(event, SUSPEND)))
        overdue = o.all(o.no(frozen), o.le(due, now), o.no(resumes), self.live(s))
        lateness = o.ite(overdue, now - due, 0)
        late = o.lt(c["slack"], lateness)
        with o.when(implied):
            resumed = self.resume(s, now, 0)
        with o.when(late):
            forgiven = self.late(s, now, lateness)
        s = self.merge(implied, resumed, self.merge(late, forgiven, s))
        strict = o.all(
            overdue, o.eq(c["policy"], STRICT), o.no(o.eq(event, HOLD)),
            o.le(self.deadlines(s)["verdict"], now),
        )
        with o.when(strict):
            s = self.merge(strict, self.judge(s, now, False, False), s)  # E10
        s, heard = self.apply(s, event, now, slept, probe, late)
        s = self.judge(s, now, late, heard)
        return self.act(s, now, next_interval)

    def late(self, s, now, lateness):
        o, c = self.o, self.c
        moved = self.shift(s, now, self.least(lateness, c["forgive"]), o.sub(now, lateness))
        s = self.merge(o.eq(c["policy"], FORGIVE), moved, s)
        return {**s, "detector": self.detector.learn(s, "pause")}

    def apply(self, s, event, now, slept, probe, late):
        o = self.o
        live = self.live(s)
        answered = o.all(o.eq(event, PONG), s["open"])
        heard = o.all(live, o.any(o.eq(event, PONG), o.eq(event, FRAME)))
        asked = o.all(live, o.eq(event, PING_DUE))
        frozen = o.all(live, o.eq(event, SUSPEND), o.no(o.eq(s["waiting"], FOR_RESUME)))
        resumes = o.all(live, o.eq(event, RESUME))
        with o.when(resumes):
            resumed = self.resume(s, now, slept)
        judged = o.eq(s["waiting"], FOR_PONG)
        pong = {**s, "open": False}
        pong["waiting"] = o.ite(judged, NOTHING, s["waiting"])
        pong["since"] = o.ite(judged, now, s["since"])
        s = self.merge(resumes, resumed, self.merge(answered, pong, s))
        life = {
            **s,
            "detector": self.detector.learn(s, "life"),
            "ev": now,
            "misses": 0,
            "reprobe": NONE,
            "traffic": o.no(answered),
            "phase": o.ite(o.eq(s["phase"], STARTING), ALIVE, s["phase"]),
        }
        s = self.merge(heard, life, s)
        s = self.merge(frozen, {**s, "waiting": FOR_RESUME, "since": now}, s)
        s = self.hold(s, event, now, probe, late)
        return {**s, "wanted": o.any(asked, s["wanted"])}, heard

    # ----- Pauses (state.rs, ledger.rs; J7, LC6) -----

    def shifted(self, stamp, by, now):
        o = self.o
        moved = self.saturating_add(stamp, by)
        return o.ite(o.le(moved, now), moved, o.ite(o.le(stamp, now), now, stamp))

    def shift(self, s, now, by, began):
        o = self.o
        farthest = self.saturating_add(now, MAX_SPAN)
        ahead = self.least(self.saturating_add(s["ev"], by), farthest)
        plan = self.least(self.saturating_add(s["plan"], by), farthest)
        past = self.shift_past(s, now, by)
        return {
            **past,
            "plan": self.least(plan, o.add(now, self.c["Ie"])),
            "ev": o.ite(o.lt(began, s["ev"]), ahead, past["ev"]),
        }

    def shift_past(self, s, now, by):
        return {**s, **{name: self.shifted(s[name], by, now) for name in ("ev", "last_ping", "since")}}

    def resume(self, s, now, slept):
        o = self.o
        frozen = o.eq(s["waiting"], FOR_RESUME)
        with o.when(frozen):
            lasted = o.sub(now, s["since"])
        lasted = o.ite(frozen, lasted, 0)
        rest = o.ite(o.lt(slept, lasted), 0, slept - lasted)
        s = self.shift(s, now, lasted, o.ite(frozen, s["since"], now))
        s = self.shift_past(s, now, rest)
        s = {**s, "waiting": NOTHING, "since": now, "reprobe": WANTED}
        return {**s, "detector": self.detector.learn(s, "pause")}

    # ----- Holds (judge.rs; J14) -----

    def hold(self, s, event, now, probe, late):
        o, c = self.o, self.c
        forgiven = o.all(late, o.eq(c["policy"], REPROBE), o.eq(s["reprobe"], NONE))
        may = o.all(o.eq(event, HOLD), self.live(s), o.no(forgiven))
        before = s
        with o.when(may):
            s = self.end_windows(s, now)
            _, limit = self.limits(s)
            near = o.lt(limit, o.add(now, c["W"]))
        if self.broken == "a hold comes too late":
            near = o.lt(limit, now)
        grants = o.all(near, o.no(o.eq(s["reprobe"], WANTED)))
        if self.broken == "one hold a silence":
            grants = o.all(near, o.eq(s["reprobe"], NONE))
        wanted = {**s, "reprobe": WANTED}
        window = {**s, "reprobe": RUNNING, "waiting": FOR_WINDOW, "since": now}
        if self.broken == "a hold renews":
            window["ev"] = now
        granted = self.merge(probe, wanted, window)
        return self.merge(may, self.merge(grants, granted, s), before)

    # ----- Judgement (judge.rs) -----

    def judge(self, s, now, late, heard):
        o, c = self.o, self.c
        counts = o.all(self.live(s), o.no(o.eq(s["waiting"], FOR_RESUME)))
        before = s
        with o.when(counts):
            s = self.end_windows(s, now)
            _, limit = self.limits(s)
            grants = o.all(
                late, o.no(heard), o.eq(c["policy"], REPROBE), o.eq(s["reprobe"], NONE),
                o.lt(limit, o.add(now, c["W"])),
            )
            s = {**s, "reprobe": o.ite(grants, WANTED, s["reprobe"])}  # J6
            passed = o.le(self.deadlines(s)["verdict"], now)
            waits = o.all(
                passed, o.eq(c["policy"], REPROBE), o.eq(s["reprobe"], NONE),
                o.eq(s["misses"], 0), o.eq(s["waiting"], FOR_PONG),
            )
            lost = {**s, "waiting": NOTHING, "since": now, "reprobe": NONE, "wanted": False}
            lost["phase"] = LOST
            s = {**s, "reprobe": o.ite(waits, RUNNING, s["reprobe"])}
            trust_ends, _ = self.limits(s)
            bad = o.any(o.lt(0, s["misses"]), o.lt(trust_ends, now))
            known = o.any(o.eq(s["phase"], ALIVE), o.eq(s["phase"], SUSPECT))
            phase = o.ite(known, o.ite(bad, SUSPECT, ALIVE), s["phase"])
            s = self.merge(o.all(passed, o.no(waits)), lost, {**s, "phase": phase})
        return self.merge(counts, s, before)

    def end_windows(self, s, now):
        o, c = self.o, self.c
        goes_on = True
        for _ in range(2):
            ends = o.all(goes_on, o.lt(o.add(s["since"], c["W"]), now))
            over = NONE if self.broken == "the re-probe has no end" else SPENT
            spent = o.ite(o.eq(s["reprobe"], RUNNING), over, s["reprobe"])
            s = {**s, "reprobe": o.ite(ends, spent, s["reprobe"])}
            goes_on = o.all(ends, o.eq(s["waiting"], FOR_PONG))
            over = o.all(ends, o.eq(s["waiting"], FOR_WINDOW))
            s = self.merge(over, {**s, "waiting": NOTHING, "since": now}, s)
            s = self.merge(goes_on, self.end_window(s, now), s)
        return s

    def end_window(self, s, now):
        """The judged ping is unanswered, and a miss if nothing was heard since (P8)."""
        o, c = self.o, self.c
        last = o.any(o.eq(s["since"], s["last_ping"]), o.no(s["open"]))
        missed = o.le(s["ev"], s["since"])
        misses = self.least(s["misses"] + 1, c["N"])
        ended = {
            **s,
            "waiting": o.ite(last, NOTHING, FOR_PONG),
            "since": o.ite(last, now, s["last_ping"]),
            "misses": o.ite(missed, misses, s["misses"]),
        }
        learnt = {**ended, "detector": self.detector.learn(ended, "miss")}
        return self.merge(missed, learnt, ended)

    # ----- Probing (probe.rs) -----

    def act(self, s, now, next_interval):
        o = self.o
        due = o.le(self.deadlines(s)["probe"], now)
        with o.when(due):
            moved, excused = self.excuse(s, now, next_interval)
            sent = self.send_ping(moved, now, next_interval)
        sends = o.all(due, o.no(excused))
        return self.merge(sends, sent, self.merge(due, moved, s)), sends

    def excuse(self, s, now, next_interval):
        """P5: the state with the slot moved, and whether nothing is due any more."""
        o = self.o
        moved = self.saturating_add(s["ev"], next_interval)
        verify_at = self.saturating_add(s["last_ping"], self.c["verify"])
        excused = o.all(
            o.le(s["plan"], now), s["traffic"], o.no(s["wanted"]),
            o.no(o.eq(s["reprobe"], WANTED)), o.lt(now, moved), o.lt(now, verify_at),
        )
        s = {**s, "plan": o.ite(excused, self.least(moved, verify_at), s["plan"])}
        return s, o.all(excused, o.lt(now, self.deadlines(s)["probe"]))

    def send_ping(self, s, now, next_interval):
        o = self.o
        judged = o.any(o.no(o.eq(s["waiting"], FOR_PONG)), o.eq(s["reprobe"], WANTED))
        return {
            **s,
            "plan": self.next_slot(s, now, next_interval),
            "last_ping": now,
            "pinged": True,
            "open": True,
            "wanted": False,
            "waiting": FOR_PONG,
            "since": o.ite(judged, now, s["since"]),
            "reprobe": o.ite(o.eq(s["reprobe"], WANTED), RUNNING, s["reprobe"]),
        }

    def next_slot(self, s, now, next_interval):
        """P2 and P3."""
        o, c = self.o, self.c
        earliest = o.add(now, c["ge"])
        ahead = o.lt(now, s["plan"])
        near = o.ite(o.lt(s["plan"], earliest), o.add(now, next_interval), s["plan"])
        slot = self.saturating_add(s["plan"], next_interval)
        short = o.lt(slot, earliest)
        with o.when(o.all(o.no(ahead), short)):
            mended = o.add(slot, o.multiple(o.sub(earliest, slot), c["Ie"]))
        slot = self.least(o.ite(short, mended, slot), o.add(now, c["Ie"]))
        return o.ite(ahead, near, slot)

    # ----- The beginning (machine.rs `begin`; J1, P2) -----

    def start(self, now, first):
        o, c = self.o, self.c
        words = {
            "now": now, "phase": STARTING, "ev": o.add(now, c["grace"]), "plan": o.add(now, first),
            "last_ping": now, "since": now, "waiting": NOTHING, "reprobe": NONE, "misses": 0,
            "detector": 0,
        }
        return {**words, **dict.fromkeys(FLAGS, False)}

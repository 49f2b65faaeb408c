"""Two meanings of the same 64-bit arithmetic: plain integers, and all of them at once (z3).

`machine.py` is written over these operations alone, so that the step that is proved and the step
whose runs the Rust test replays are the same lines. A `+` of Rust must not overflow: each one leaves
an obligation, which holds under the conditions it stands under.
"""

from contextlib import contextmanager

MAX = 2**64 - 1


class Ints:
    """Plain integers; an obligation that fails raises."""

    def __init__(self):
        self.guards = [True]

    @contextmanager
    def when(self, condition):
        self.guards.append(condition)
        yield
        self.guards.pop()

    def oblige(self, holds, what):
        if all(self.guards) and not holds:
            raise OverflowError(what)

    def add(self, a, b):
        self.oblige(a + b <= MAX, "add")
        return (a + b) & MAX

    def sub(self, a, b):
        self.oblige(a >= b, "sub")
        return (a - b) & MAX

    def ite(self, condition, a, b):
        return a if condition else b

    def lt(self, a, b):
        return a < b

    def le(self, a, b):
        return a <= b

    def eq(self, a, b):
        return a == b

    def all(self, *conditions):
        return all(conditions)

    def any(self, *conditions):
        return any(conditions)

    def no(self, condition):
        return not condition

    def multiple(self, short, unit):
        """The fewest whole `unit`s that make up `short`."""
        return -(-short // unit) * unit if unit else short


class Symbols:
    """Integers of z3 between 0 and 2^64 - 1: every value of 64 bits. Where every obligation holds
    (that is lemma M2) nothing wraps, and these are the words of the machine.

    What is known is folded at once, so that a lemma can be asked for one kind of event at a time.
    """

    def __init__(self, z3):
        self.z3 = z3
        self.guards = []
        self.obligations = []
        self.facts = []

    @contextmanager
    def when(self, condition):
        self.guards.append(condition)
        yield
        self.guards.pop()

    def oblige(self, holds, what):
        if holds is not True and not any(guard is False for guard in self.guards):
            self.obligations.append(self.z3.Implies(self.z3.And(*self.guards), holds))

    def add(self, a, b):
        self.oblige(self.le(a + b, MAX), "add")
        return a + b

    def sub(self, a, b):
        self.oblige(self.le(b, a), "sub")
        return a - b

    def ite(self, condition, a, b):
        if condition is True or a is b:
            return a
        if condition is False:
            return b
        return self.z3.If(condition, a, b)

    def lt(self, a, b):
        return a < b

    def le(self, a, b):
        return a <= b

    def eq(self, a, b):
        return a == b

    def all(self, *conditions):
        unknown = [one for one in conditions if one is not True]
        if any(one is False for one in unknown):
            return False
        return self.z3.And(*unknown) if unknown else True

    def any(self, *conditions):
        return self.no(self.all(*(self.no(one) for one in conditions)))

    def no(self, condition):
        return not condition if isinstance(condition, bool) else self.z3.Not(condition)

    def multiple(self, short, unit):
        """Anything from `short` to less than a unit above it: more than the machine may choose."""
        least = self.z3.FreshInt("multiple")
        self.add(short, unit)
        self.facts.append(self.z3.And(short <= least, least < short + unit))
        return least

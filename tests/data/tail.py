#!/usr/bin/env python3
"""Writes tail.csv: phi(z) = -log10 P(X > z) of a standard normal X, to 25 digits (reckoned with 60
beyond those that cancel). Needs mpmath. `python3 tail.py > tail.csv`"""
from mpmath import mp, mpf, erfc, log10, log1p, log, sqrt, nstr


def phi(z):
    mp.dps = 60
    if z <= 0:
        return -log1p(-erfc(-z / sqrt(2)) / 2) / log(mpf(10))
    return -log10(erfc(z / sqrt(2)) / 2)


def points():
    """The floats as they are, so that no reader rounds them."""
    yield from (mpf(n * 0.1) for n in range(-400, 451))
    yield from (mpf(n * n * 1e-5) for n in range(1, 400))
    # Around the seam of two formulas, and where floats end.
    yield from (mpf(30) + mpf(n) / 4096 for n in range(-8, 9))
    z = mpf(45)
    while z < 10**6:
        yield mpf(round(z))
        z *= mpf("1.07")
    yield mpf(10**6)


print("z,phi")
for z in points():
    print(f"{float(z)!r},{nstr(phi(z), 25, min_fixed=0, max_fixed=0)}")

//! The upper tail of the normal distribution, by its logarithm: [`phi`], and [`z`], its inverse
//! (rule DT20).
//!
//! Beyond 38 deviations the tail itself is below the smallest float; its logarithm is not. Both are
//! finite for every argument, never minus zero, never not a number, and monotone: also between
//! neighbouring floats, because the argument is rounded first, to 46 bits, far more coarsely than
//! the result is wrong. `tests/data/tail.csv` holds it to 25 digits.

use core::f64::consts::{FRAC_1_SQRT_2, LN_10, PI};

/// From here on the series below is exact to the last bit, and a division cheaper.
const FAR: f64 = 30.0;

/// Squares beyond it would not be finite.
const FARTHEST: f64 = 1e150;

/// `-log10 P(X > z)` of a standard normal `X`: 0.301 at 0, 1 at 1.28, 8 at 5.6, 22 at 9.6. The
/// relative error is below 3e-14 above 0 (nearly all of it is the rounding of `z`); below 0, where
/// the result is nearly the chance of the lower tail, below 2e-14 times `z^2 + 10`. What is not a
/// number counts as 0.
///
/// ```
/// use heartbeat_proto::detector::tail;
///
/// assert!((tail::phi(5.612) - 8.0).abs() < 0.001);
/// assert_eq!(tail::phi(1e6).round(), 217_147_240_958.0);
/// ```
pub fn phi(z: f64) -> f64 {
    let z = rounded(z);
    if z >= FAR {
        // Abramowitz and Stegun, 26.2.12: the tail is e^(-z^2 / 2) / (z sqrt(2 pi)) times a series.
        let t = 1.0 / (z * z);
        let series = t * (-1.0 + t * (3.0 + t * (-15.0 + t * (105.0 - t * 945.0))));
        let density = z * z / 2.0 + libm::log(z) + libm::log(2.0 * PI) / 2.0;
        (density - libm::log1p(series)) / LN_10
    } else if z > 0.0 {
        -libm::log10(upper(z))
    } else {
        // Far out `log1p` is minus zero, and this zero.
        -libm::log1p(-upper(-z)) / LN_10
    }
}

/// `P(X > z)`.
fn upper(z: f64) -> f64 {
    libm::erfc(z * FRAC_1_SQRT_2) / 2.0
}

/// Neighbours, up to 2^-46 of their size (of 1, if they are smaller), become one.
fn rounded(z: f64) -> f64 {
    if z.is_nan() {
        return 0.0;
    }
    let z = z.clamp(-FARTHEST, FARTHEST);
    if libm::fabs(z) < 1.0 {
        const ULP_2_46: f64 = 96.0;
        (z + ULP_2_46) - ULP_2_46
    } else {
        f64::from_bits(z.to_bits() & !0x3f)
    }
}

/// The `z` whose [`phi`] is this, by bisection: the largest one whose phi is not above it; at least
/// -40. Less than 0 and what is not a number count as 0, more than 10^300 as that.
///
/// ```
/// use heartbeat_proto::detector::tail;
///
/// assert!((tail::z(tail::phi(4.5)) - 4.5).abs() < 1e-13);
/// ```
pub fn z(phi: f64) -> f64 {
    let phi = if phi > 0.0 { phi.min(1e300) } else { 0.0 };
    let mut low = -40.0;
    let mut high = libm::sqrt(2.0 * LN_10 * phi) + 1.0;
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return low;
        }
        if self::phi(middle) <= phi {
            low = middle;
        } else {
            high = middle;
        }
    }
}

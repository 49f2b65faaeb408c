//! The normal tail against `tests/data/tail.csv`, which has 25 digits.

use heartbeat_proto::detector::tail::{phi, z};

use crate::common::Rng;

/// `z`, phi.
fn table() -> Vec<(f64, f64)> {
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let lines = include_str!("../data/tail.csv").lines().skip(1);
    let row = |line: &str| line.split_once(',').map(|(z, phi)| (number(z), number(phi)));
    let rows: Vec<_> = lines.filter_map(row).collect();
    assert!(rows.len() > 1_400, "{}", rows.len());
    rows
}

/// DT20. `cargo test --test detectors tail -- --nocapture` prints what was measured.
#[test]
fn the_tail_is_exact() {
    let (mut above, mut below): (f64, f64) = (0.0, 0.0);
    for (z, exact) in table() {
        let found = phi(z);
        if exact < f64::MIN_POSITIVE {
            assert!((found - exact).abs() < 1e-307, "phi({z}) is {found}, not {exact}");
            continue;
        }
        let error = (found - exact).abs() / exact;
        if z > 0.0 {
            above = above.max(error);
        } else {
            below = below.max(error / (z * z + 10.0));
        }
    }
    println!("largest relative error: {above:e} above 0; {below:e} (z^2 + 10) below");
    assert!(above < 3e-14, "{above:e}");
    assert!(below < 2e-14, "{below:e}");
}

/// DT20.
#[test]
fn the_tail_is_a_number_everywhere() {
    let odd = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.0, -0.0, f64::MAX, f64::MIN];
    let mut rng = Rng(3);
    let random = (0..100_000).map(|_| f64::from_bits(rng.next()));
    for argument in odd.into_iter().chain(random) {
        let found = phi(argument);
        assert!(found.is_finite() && found.is_sign_positive(), "phi({argument}) is {found}");
        let back = z(argument);
        assert!(back.is_finite() && back >= -40.0, "z({argument}) is {back}");
    }
}

/// DT20, between neighbouring floats too, and over the seam of the two formulas.
#[test]
fn the_tail_is_monotone() {
    let mut rng = Rng(5);
    let starts =
        [-39.0, -20.0, -5.0, -1.0, -1e-9, 0.0, 0.5, 1.0, 5.0, 29.999_999_999_99, 1e5, 1e20];
    let random = (0..300).map(|_| rng.below(70_000_000) as f64 / 1e6 - 35.0);
    for start in starts.into_iter().chain(random) {
        let mut z: f64 = start;
        let mut before = phi(z);
        for _ in 0..2_000 {
            z = z.next_up();
            let now = phi(z);
            assert!(now >= before, "phi falls from {before:e} to {now:e} at {z:e}");
            before = now;
        }
    }
    let mut before = 0.0;
    for step in 0..200_000 {
        let now = phi(-40.0 + f64::from(step) * 4e-4);
        assert!(now >= before);
        before = now;
    }
}

/// DT20: to the resolution of phi and of its argument.
#[test]
fn the_inverse_is_one() {
    for (number, _) in table() {
        if number < -8.0 {
            continue; // Phi is below 10^-15: thresholds start at 10^-3.
        }
        let back = z(phi(number));
        let size = number.abs().max(1.0);
        assert!((back - number).abs() <= 1e-13 * size, "{number} becomes {back}");
        assert!(phi(back) <= phi(number));
    }
    for exponent in -30..60 {
        let wanted = 10_f64.powf(f64::from(exponent) / 10.0);
        assert!((phi(z(wanted)) - wanted).abs() <= 3e-13 * wanted, "{wanted}");
    }
}

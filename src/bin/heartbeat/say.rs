//! What goes to standard output, one line at a time.

use core::fmt::Display;
use core::time::Duration;
use std::io::{ErrorKind, Write};
use std::time::SystemTime;

use serde::Serialize;

/// Prints a line. When nobody reads any more (`| head`), the program ends: it was wanted.
pub(crate) fn line(text: impl Display) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        std::process::exit(i32::from(error.kind() != ErrorKind::BrokenPipe));
    }
}

/// Prints an object on a line of its own.
pub(crate) fn json(object: &impl Serialize) {
    match serde_json::to_string(object) {
        Ok(text) => line(text),
        // Strings, numbers and maps with string keys: none of them can fail.
        Err(error) => eprintln!("heartbeat: {error}"),
    }
}

/// The date and time, for logs: `2026-01-31T12:00:00.000Z`.
#[expect(clippy::disallowed_methods, reason = "for people and logs; no rule sees it")]
pub(crate) fn wall_clock() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

/// For people: to the millisecond from ten of them on, finer below: `1.95s`, `643ms`, `2.1ms`,
/// `87µs`.
pub(crate) fn span(span: Duration) -> String {
    match span.as_micros() {
        0 => "0ms".to_owned(),
        1..1_000 => format!("{span:.0?}"),
        1_000..10_000 => format!("{span:.1?}"),
        micros => {
            format!("{:?}", Duration::from_millis((micros as u64).saturating_add(500) / 1000))
        }
    }
}

/// Milliseconds to three decimals, for JSON.
pub(crate) fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}

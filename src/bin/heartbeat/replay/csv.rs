//! Points and traces as CSV.

use core::fmt::Write;
use std::path::Path;

use anyhow::Context;
use heartbeat_proto::replay::{Segment, Trace};

use super::race::Race;

const MILLI: f64 = 1e6;

/// One row a point.
pub(crate) fn points(races: &[Race]) -> String {
    let mut text = String::from(
        "trace,detector,parameter,mean_td_ms,p99_td_ms,worst_td_ms,mistakes,mistakes_per_h,\
         mean_tm_ms,P_A,hours\n",
    );
    for race in races {
        for point in &race.points.0 {
            let o = &point.outcome;
            let _ = writeln!(
                text,
                "{},{},{},{:.6},{:.6},{:.6},{},{:.6},{:.6},{:.9},{:.6}",
                quoted(&race.field.name),
                quoted(&point.contender),
                quoted(&point.label),
                o.mean / MILLI,
                o.p99.unwrap_or(f64::NAN) / MILLI,
                o.worst / MILLI,
                o.mistakes,
                o.rate(),
                o.mean_mistake() / MILLI,
                o.accuracy(),
                o.observed / 3.6e12,
            );
        }
    }
    text
}

/// Names may have commas.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Every segment as `seq,send_us,delay_us`, in a folder a trace.
pub(crate) fn export(folder: &Path, traces: &[Trace]) -> anyhow::Result<()> {
    for trace in traces {
        let folder = folder.join(file_name(&trace.name));
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        for segment in &trace.segments {
            super::write(&folder.join(file_name(&segment.name) + ".csv"), &rows(segment))?;
        }
    }
    Ok(())
}

fn file_name(name: &str) -> String {
    name.replace(['/', '\\', ':', '\0'], "_")
}

fn rows(segment: &Segment) -> String {
    let mut text = String::from("seq,send_us,delay_us\n");
    for sample in &segment.samples {
        let delay =
            sample.delay.map_or(-1, |delay| i64::try_from(delay / 1000).unwrap_or(i64::MAX));
        let _ = writeln!(text, "{},{},{delay}", sample.seq, sample.sent / 1000);
    }
    text
}

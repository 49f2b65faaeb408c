//! The lines of `--json`.

use alloc::collections::BTreeMap;

use heartbeat_proto::Report;
use heartbeat_proto::adapter::Ended;
use serde::Serialize;

use super::news::{News, Over, Snapshot};
use crate::rules::Change;
use crate::rules::reload::Reloaded;
use crate::say::{millis, wall_clock};

/// One line. Spans are milliseconds; what is not known is `null`.
#[derive(Debug, Serialize)]
pub(crate) struct Record<'a> {
    time: String,
    /// `null` where it is about the program.
    address: Option<&'a str>,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum What {
    Connecting { attempt: u64 },
    Connected { to: String, interval_ms: f64, timeout_ms: f64, promise_ms: f64 },
    Transition { from: &'static str, to: &'static str, report: ReportRecord },
    Found { findings: Vec<&'static str> },
    Snapshot(SnapshotRecord),
    Waiting { cause: &'static str, delay_ms: f64 },
    Reconfigured { changes: Vec<Change> },
    Rules { accepted: bool, changes: BTreeMap<String, Vec<Change>>, text: String },
    Ended { on_purpose: bool, code: &'static str, text: String, last: Option<SnapshotRecord> },
}

/// The evidence of a change.
#[derive(Debug, Serialize)]
struct ReportRecord {
    reason: &'static str,
    fault: &'static str,
    silence_ms: f64,
    missed: u8,
    attempts: u8,
    last_rtt_ms: Option<f64>,
    own_lateness_ms: f64,
    unwritten_ms: Option<f64>,
    text: String,
}

#[derive(Debug, Serialize)]
struct SnapshotRecord {
    state: &'static str,
    suspicion: f64,
    rtt_ms: Option<f64>,
    rtt_p50_ms: Option<f64>,
    rtt_p99_ms: Option<f64>,
    pings: u64,
    pongs: u64,
    misses: u64,
    suspicions: u64,
    late_calls: u64,
    own_lateness_p99_ms: f64,
    own_lateness_max_ms: f64,
    mistakes: u32,
    mean_mistake_ms: Option<f64>,
    accuracy: Option<f64>,
}

impl<'a> Record<'a> {
    pub(crate) fn new(address: &'a str, news: &'a News) -> Self {
        let what = match news {
            News::Connected { to, config } => What::Connected {
                to: to.to_string(),
                interval_ms: millis(config.interval()),
                timeout_ms: millis(config.timeout()),
                promise_ms: millis(config.worst_case_detection()),
            },
            News::Changed { from, report } => What::Transition {
                from: from.code(),
                to: report.liveness.code(),
                report: report.into(),
            },
            News::Found(findings) => What::Found { findings: findings.names().collect() },
            News::Snapshot(snapshot) => What::Snapshot((&**snapshot).into()),
            News::Connecting(attempt) => What::Connecting { attempt: *attempt },
            News::Waiting { cause, delay } => {
                What::Waiting { cause: cause.code(), delay_ms: millis(*delay) }
            }
            News::Reconfigured(changes) => What::Reconfigured { changes: changes.clone() },
            News::Over(over) => ended(over),
        };
        Self { time: wall_clock(), address: Some(address), what }
    }

    pub(crate) fn of_rules(reloaded: &Reloaded) -> Self {
        let (accepted, changes) = match reloaded {
            Reloaded::Changed(changes) => (true, changes.clone()),
            Reloaded::Refused(_) => (false, BTreeMap::new()),
        };
        let what = What::Rules { accepted, changes, text: reloaded.to_string() };
        Self { time: wall_clock(), address: None, what }
    }
}

fn ended(over: &Over) -> What {
    match over {
        Over::OnPurpose { what, last } => What::Ended {
            on_purpose: true,
            code: "closed",
            text: (*what).to_owned(),
            last: last.as_deref().map(Into::into),
        },
        Over::Lost { ended, last } => What::Ended {
            on_purpose: false,
            code: code(ended),
            text: ended.to_string(),
            last: Some((&**last).into()),
        },
        Over::Gone(text) => What::Ended {
            on_purpose: false,
            code: "not_regained",
            text: (*text).to_owned(),
            last: None,
        },
        Over::Unreachable(text) => {
            What::Ended { on_purpose: false, code: "unreachable", text: text.clone(), last: None }
        }
    }
}

/// A stable name of an end: the reason of the verdict, or what befell the transport.
pub(crate) fn code(ended: &Ended) -> &'static str {
    match ended {
        Ended::Lost(report) => report.code(),
        Ended::Closed(_) => "closed",
        Ended::Abrupt => "abrupt",
        Ended::BadFrame { .. } => "bad_frame",
        Ended::Transport(_) => "transport",
        _ => "other",
    }
}

impl From<&Report> for ReportRecord {
    fn from(report: &Report) -> Self {
        Self {
            reason: report.code(),
            fault: report.fault().code(),
            silence_ms: millis(report.silence),
            missed: report.missed,
            attempts: report.attempts,
            last_rtt_ms: report.last_rtt.map(millis),
            own_lateness_ms: millis(report.own_lateness),
            unwritten_ms: report.unwritten.map(millis),
            text: report.to_string(),
        }
    }
}

impl From<&Snapshot> for SnapshotRecord {
    fn from(snapshot: &Snapshot) -> Self {
        let measured = snapshot.rtt.count() > 0;
        let percentile = |percent| measured.then(|| millis(snapshot.rtt.percentile(percent)));
        Self {
            state: snapshot.liveness.code(),
            suspicion: (snapshot.suspicion * 1000.0).round() / 1000.0,
            rtt_ms: snapshot.smoothed.map(millis),
            rtt_p50_ms: percentile(50),
            rtt_p99_ms: percentile(99),
            pings: snapshot.stats.pings_sent,
            pongs: snapshot.stats.pongs_received,
            misses: snapshot.stats.misses,
            suspicions: snapshot.stats.suspicions,
            late_calls: snapshot.stats.late_calls,
            own_lateness_p99_ms: millis(snapshot.lateness.percentile(99)),
            own_lateness_max_ms: millis(snapshot.lateness.max()),
            mistakes: snapshot.quality.mistakes(),
            mean_mistake_ms: snapshot.quality.mean_mistake().map(millis),
            accuracy: snapshot.quality.accuracy(),
        }
    }
}

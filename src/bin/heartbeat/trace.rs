//! The events of the log.

use core::fmt::Display;
use core::time::Duration;

use heartbeat_proto::adapter::{Ended, Notice};
use heartbeat_proto::supervisor::{Outcome, Why};
use heartbeat_proto::{Liveness, Report};
use tracing::{debug, info, warn};

use crate::rules::reload::Reloaded;

/// What a heart told of its `peer`.
pub(crate) fn notice(peer: &dyn Display, notice: &Notice) {
    match notice {
        Notice::Changed { from, report } => changed(peer, *from, report),
        Notice::Found(findings) => debug!(%peer, %findings, "found"),
        // The change of liveness before it said so.
        Notice::Ended(Ended::Lost(_) | Ended::Closed(_)) => {}
        Notice::Ended(ended) => warn!(%peer, %ended, "ended"),
        other => info!(%peer, notice = %other, "notice"),
    }
}

fn changed(peer: &dyn Display, from: Liveness, report: &Report) {
    macro_rules! event {
        ($level:ident) => {
            $level!(
                %peer,
                %from,
                liveness = report.liveness.code(),
                reason = report.code(),
                fault = report.fault().code(),
                silence = ?report.silence,
                own_lateness = ?report.own_lateness,
                "liveness"
            )
        };
    }
    if report.liveness == Liveness::Lost { event!(warn) } else { event!(info) }
}

pub(crate) fn connecting(peer: &dyn Display, attempt: u64) {
    info!(%peer, attempt, "connect");
}

pub(crate) fn connected(peer: &dyn Display, to: &dyn Display) {
    info!(%peer, %to, "connected");
}

pub(crate) fn connect_failed(peer: &dyn Display, error: &dyn Display) {
    warn!(%peer, %error, "connect failed");
}

pub(crate) fn waiting(peer: &dyn Display, delay: Duration, cause: &str) {
    info!(%peer, ?delay, cause, "back off");
}

pub(crate) fn over(peer: &dyn Display, outcome: &Outcome) {
    if outcome.why == Why::Stopped {
        info!(%peer, %outcome, "over");
    } else {
        warn!(%peer, %outcome, "over");
    }
}

pub(crate) fn rules(reloaded: &Reloaded) {
    match reloaded {
        Reloaded::Refused(why) => warn!(%why, "rules refused"),
        Reloaded::Changed(_) => info!(what = %reloaded, "rules"),
    }
}

/// A peer of a fleet was admitted.
pub(crate) fn joined(peer: &dyn Display, handle: &dyn Display) {
    info!(%peer, %handle, "joined");
}

/// What a fleet believes of a peer since now. There are many: only a loss is told at warn.
pub(crate) fn believed(peer: &dyn Display, report: &Report) {
    macro_rules! event {
        ($level:ident) => {
            $level!(
                %peer,
                liveness = report.liveness.code(),
                reason = report.code(),
                fault = report.fault().code(),
                silence = ?report.silence,
                own_lateness = ?report.own_lateness,
                "liveness"
            )
        };
    }
    if report.liveness == Liveness::Lost { event!(warn) } else { event!(debug) }
}

/// A fleet forgot a peer.
pub(crate) fn gone(peer: &dyn Display, handle: &dyn Display, why: &str) {
    info!(%peer, %handle, why, "gone");
}

//! Sets of rules that fit a purpose.

use clap::ValueEnum;
use heartbeat_proto::Config;

use super::knob::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// A ping every second, dead after 4 s of silence
    Lan,
    /// Every 5 s, dead after 20 s
    Wan,
    /// Every 300 ms, overlapping, dead after 3.9 s
    ServiceMesh,
    /// Every 25 s (keeps NATs and proxies open), dead after 55 s
    Keepalive,
    /// Every 15 s, dead after 45 s
    #[value(name = "messaging-15-45")]
    Messaging15,
    /// Every 30 s, dead after 90 s
    #[value(name = "messaging-30-90")]
    Messaging30,
    /// Every 60 s, dead after 120 s
    #[value(name = "messaging-60-120")]
    Messaging60,
}

impl Profile {
    pub(crate) fn config(self) -> Config {
        match self {
            Self::Lan => Config::lan(),
            Self::Wan => Config::wan(),
            Self::ServiceMesh => Config::service_mesh(),
            Self::Keepalive => Config::default(),
            Self::Messaging15 => Config::messaging_15_45(),
            Self::Messaging30 => Config::messaging_30_90(),
            Self::Messaging60 => Config::messaging_60_120(),
        }
    }

    /// The knobs that make it.
    pub(crate) fn knobs(self) -> Vec<(&'static str, Value)> {
        let config = self.config();
        let mut knobs = vec![
            ("interval", Value::Span(config.interval())),
            ("timeout", Value::Span(config.timeout())),
            ("attempts", Value::Number(config.attempts())),
        ];
        if self == Self::ServiceMesh {
            // Its pings overlap, which leaves no room for jitter.
            knobs.push(("jitter_percent", Value::Number(0)));
        }
        knobs
    }
}

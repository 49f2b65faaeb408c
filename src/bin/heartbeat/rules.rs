//! The options that make a [`Config`].

use core::time::Duration;

use clap::ValueEnum;
use heartbeat_proto::{Config, ConfigBuilder, ConfigError};

use crate::say::span;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Rules of the heartbeat")]
pub(crate) struct Rules {
    /// A set of rules that fits a purpose
    #[arg(long, value_enum, default_value_t = Profile::Lan)]
    profile: Profile,
    /// Find a silent peer within this time, and choose the rest to suit
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    #[arg(conflicts_with_all = ["profile", "interval", "timeout", "attempts"])]
    within: Option<Duration>,
    /// Longest time between two pings, in place of the profile's
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    interval: Option<Duration>,
    /// Silence after which the peer is given up, in place of the profile's
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Pings that go unanswered before that, in place of the profile's
    #[arg(long, value_name = "N")]
    attempts: Option<u8>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Profile {
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
    fn config(self) -> Config {
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
}

impl Rules {
    /// The rules that were asked for, on top of `base`.
    pub(crate) fn config(&self, base: &ConfigBuilder) -> Result<Config, ConfigError> {
        if let Some(wish) = self.within {
            let promise = Config::detect_within(wish)?;
            let window = promise.response_window();
            return base.interval(promise.interval()).response_window(window).build();
        }
        let profile = self.profile.config();
        let builder = base
            .interval(self.interval.unwrap_or(profile.interval()))
            .timeout(self.timeout.unwrap_or(profile.timeout()))
            .attempts(self.attempts.unwrap_or(profile.attempts()));
        match self.profile {
            // Its pings overlap, which leaves no room for jitter.
            Profile::ServiceMesh => builder.jitter_percent(0).build(),
            _ => builder.build(),
        }
    }
}

/// `ping every 1s, dead after 4s of silence (3 unanswered), found within 6.45s`.
pub(crate) fn describe(config: &Config) -> String {
    format!(
        "ping every {}, dead after {} of silence ({} unanswered), found within {}",
        span(config.interval()),
        span(config.timeout()),
        config.attempts(),
        span(config.worst_case_detection()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(profile: Profile) -> Rules {
        Rules { profile, within: None, interval: None, timeout: None, attempts: None }
    }

    #[test]
    fn a_profile_is_the_preset_of_its_name() {
        for &profile in Profile::value_variants() {
            let config = rules(profile).config(&Config::builder());
            assert_eq!(config, Ok(profile.config()), "{profile:?}");
        }
    }

    #[test]
    fn a_wish_is_the_promise_of_the_rules_made_of_it() {
        for wish in [6_000_000, 6_000_001, 1_000_000_000, 9_999_999_999, 86_400_000_000_000] {
            let within = Some(Duration::from_nanos(wish));
            let rules = Rules { within, ..rules(Profile::Lan) };
            let config = rules.config(&Config::builder()).expect("a possible wish");
            assert!(Some(config.worst_case_detection()) <= within, "{wish}");
        }
    }
}

//! The options that make a [`Plan`]: whether and when to come back.

use core::str::FromStr;
use core::time::Duration;

use heartbeat_proto::Config;
use heartbeat_proto::backoff::{BackoffError, Cause, Jitter, Policies, Policy};
use heartbeat_proto::supervisor::Plan;

use crate::usage::Usage;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "After a loss")]
pub(crate) struct Comeback {
    /// Connect again so many times in a row: a number, or forever [default: 0, or forever with
    /// --give-up]
    ///
    /// A connection whose peer still answers after 30 s begins the count anew. A peer that rejects
    /// us (a certificate that is not accepted, say) is not tried again.
    #[arg(long, value_name = "N")]
    retries: Option<Retries>,
    /// Wait a random part of this before the first retry, and twice as much each time, up to 30 s
    /// [default: 2s]
    ///
    /// Ten times as long where the peer does not speak our language.
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    backoff: Option<Duration>,
    /// Stop trying when a peer has been gone for so long
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub(crate) give_up: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum Retries {
    Number(u32),
    Forever,
}

impl FromStr for Retries {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("forever", _) => Ok(Self::Forever),
            (_, Ok(number)) => Ok(Self::Number(number)),
            _ => Err("a number, or forever".to_owned()),
        }
    }
}

impl Comeback {
    /// A connect may take as long as the rules' start-up limit.
    pub(crate) fn plan(&self, config: &Config) -> Result<Plan, Usage> {
        let policies = self.policies().map_err(|error| Usage::of("--backoff", error))?;
        let builder = Plan::builder().policies(policies).handshake_limit(config.startup_limit());
        builder.build().map_err(|error| Usage::of("--config", error))
    }

    fn policies(&self) -> Result<Policies, BackoffError> {
        const CAP: Duration = Duration::from_secs(30);
        let tries = match self.retries {
            Some(Retries::Forever) => None,
            Some(Retries::Number(0)) => return Ok(Policies::all(Policy::NEVER)),
            Some(Retries::Number(number)) => Some(number),
            None if self.give_up.is_some() => None,
            None => return Ok(Policies::all(Policy::NEVER)),
        };
        let base = self.backoff.unwrap_or(Duration::from_secs(2));
        let policy = |base: Duration| {
            let policy = Policy::exponential(base).cap(CAP.max(base)).jitter(Jitter::FULL);
            tries.map_or(policy, |tries| policy.tries(tries)).build()
        };
        let (usual, long) = (policy(base)?, policy(base.saturating_mul(10))?);
        let policies = Policies::all(usual).on(Cause::Rejected, Policy::NEVER);
        Ok(policies.on(Cause::BadFrame, long).on(Cause::Abuse, long))
    }
}

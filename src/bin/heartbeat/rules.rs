//! The rules of the heartbeat: from the command line, and from a file that may change.

mod file;
mod knob;
mod layer;
mod profile;
pub(crate) mod reload;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use core::time::Duration;
use std::path::{Path, PathBuf};

use heartbeat_proto::{Config, ConfigBuilder};

use self::file::File;
use self::knob::Value;
use self::layer::{Base, Layer, Place, Settings};
pub(crate) use self::layer::{Change, Refused};
use self::profile::Profile;
use self::reload::Stamp;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Rules of the heartbeat")]
pub(crate) struct Rules {
    /// A set of rules that fits a purpose [default: lan]
    #[arg(long, value_enum)]
    profile: Option<Profile>,
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
    /// A file with rules (TOML), read again when it changes and at SIGHUP
    ///
    /// Each knob of the library by its name, spans as text; `profile` or `within` to begin with;
    /// and other rules for some peers, who are named as `host:port` or `host`:
    ///
    ///     profile = "wan"
    ///     timeout = "25s"
    ///     probe_loss = { k = 3, n = 10, verdict = "report" }
    ///     [address."10.0.0.7:7007"]
    ///     interval = "500ms"
    ///     timeout = "2s"
    ///
    /// What the command line says goes above the file. A `profile` or `within` puts away whatever
    /// lies below it. Changes are told and take effect at once, on living connections as well; a
    /// file with a mistake is refused with its line, and the old rules stay in force.
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    config: Option<PathBuf>,
}

/// All rules that are in force, checked.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    builder: ConfigBuilder,
    flags: Layer,
    everybody: Resolved,
    /// By `host:port` or `host`.
    own: BTreeMap<String, Resolved>,
}

/// The rules for a peer.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) config: Config,
    pub(crate) settings: Settings,
}

/// The book that is in force now, and the file to follow.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) book: Arc<Book>,
    pub(crate) file: Option<(PathBuf, Stamp)>,
}

impl Rules {
    /// The rules that were asked for, with `builder` for what nobody has set.
    pub(crate) fn open(&self, builder: &ConfigBuilder) -> Result<Opened, Refused> {
        // Before it is read: a change meanwhile is a change.
        let file = self.config.clone().map(|path| {
            let stamp = Stamp::of(&path);
            (path, stamp)
        });
        // First the flags alone, so that a file is not blamed for them.
        let mut book = Book::new(builder, self.flags(), &File::default())?;
        if let Some((path, _)) = &file {
            book = book.with(&File::read(path)?)?;
        }
        Ok(Opened { book: Arc::new(book), file })
    }

    fn flags(&self) -> Layer {
        let profile = self.profile.map(|one| (Base::Profile(one), Place::Flag("--profile")));
        let within = self.within.map(|wish| (Base::Within(wish), Place::Flag("--within")));
        let span = |name, flag, span: Option<Duration>| Some((name, flag, Value::Span(span?)));
        let knobs = [
            span("interval", "--interval", self.interval),
            span("timeout", "--timeout", self.timeout),
            self.attempts.map(|number| ("attempts", "--attempts", Value::Number(number))),
        ];
        let knobs = knobs.into_iter().flatten();
        Layer {
            base: within.or(profile),
            knobs: knobs.map(|(name, flag, value)| (name, (value, Place::Flag(flag)))).collect(),
        }
    }
}

impl Book {
    /// The rules of a file alone, with `builder` for what it does not set.
    pub(crate) fn of_file(path: &Path, builder: &ConfigBuilder) -> Result<Self, Refused> {
        Self::new(builder, Layer::default(), &File::read(path)?)
    }

    fn new(builder: &ConfigBuilder, flags: Layer, file: &File) -> Result<Self, Refused> {
        let resolve = |own: Option<&Layer>| {
            let layers = [Some(&file.all), own, Some(&flags)];
            let settings = Settings::of(layers.into_iter().flatten())?;
            Ok(Resolved { config: settings.config(builder)?, settings })
        };
        let everybody = resolve(None)?;
        let own = file.by_address.iter();
        let own = own.map(|(address, layer)| Ok((address.clone(), resolve(Some(layer))?)));
        let own = own.collect::<Result<_, Refused>>()?;
        Ok(Self { builder: *builder, flags, everybody, own })
    }

    /// The book with another file.
    fn with(&self, file: &File) -> Result<Self, Refused> {
        Self::new(&self.builder, self.flags.clone(), file)
    }

    /// The rules for the peer at `host:port`.
    pub(crate) fn of(&self, address: &str) -> &Resolved {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let names = [address, host, host.trim_matches(['[', ']'])];
        names.iter().find_map(|name| self.own.get(*name)).unwrap_or(&self.everybody)
    }

    /// What is different in `new`, for everybody and for those with rules of their own.
    pub(crate) fn changes(&self, new: &Self) -> BTreeMap<String, Vec<Change>> {
        let own: BTreeSet<_> = self.own.keys().chain(new.own.keys()).collect();
        let own = own.into_iter().map(|name| (&**name, self.of(name), new.of(name)));
        let changes = [("", &self.everybody, &new.everybody)].into_iter().chain(own);
        let changes =
            changes.map(|(name, old, new)| (name.to_owned(), old.settings.changes(&new.settings)));
        changes.filter(|(_, changes)| !changes.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    fn rules(profile: Option<Profile>) -> Rules {
        let (within, interval, timeout, attempts, config) = (None, None, None, None, None);
        Rules { profile, within, interval, timeout, attempts, config }
    }

    fn config(rules: &Rules) -> Config {
        let opened = rules.open(&Config::builder()).expect("valid");
        opened.book.of("").config
    }

    #[test]
    fn a_profile_is_the_preset_of_its_name() {
        for &profile in Profile::value_variants() {
            assert_eq!(config(&rules(Some(profile))), profile.config(), "{profile:?}");
        }
        assert_eq!(config(&rules(None)), Config::lan());
    }

    #[test]
    fn a_wish_is_the_promise_of_the_rules_made_of_it() {
        for wish in [6_000_000, 6_000_001, 1_000_000_000, 9_999_999_999, 86_400_000_000_000] {
            let within = Some(Duration::from_nanos(wish));
            let config = config(&Rules { within, ..rules(None) });
            assert!(Some(config.worst_case_detection()) <= within, "{wish}");
        }
    }
}

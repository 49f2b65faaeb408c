//! [`Layer`]: some rules from one place. Layers lie upon each other, and the upper one wins.

use alloc::collections::BTreeMap;
use core::time::Duration;

use heartbeat_proto::{Config, ConfigBuilder, ConfigError};

use super::knob::{self, RIVALS, Value};
use super::profile::Profile;

/// Where a rule stands: what an error names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a profile that nobody has named.
    Nowhere,
    /// On the command line.
    Flag(&'static str),
    /// In a file.
    Line(String),
}

/// What the rules of a layer are changes of.
#[derive(Clone, Debug)]
pub(crate) enum Base {
    Profile(Profile),
    /// Whatever finds a silent peer within this time.
    Within(Duration),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    /// Whoever names one puts away all that lies below.
    pub(crate) base: Option<(Base, Place)>,
    pub(crate) knobs: BTreeMap<&'static str, (Value, Place)>,
}

/// Layers in one: what each knob is set to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings(BTreeMap<&'static str, (Value, Place)>);

/// A rule that cannot be, and where it stands.
#[derive(Debug, thiserror::Error)]
#[error("{}{text}", match place {
    Place::Nowhere => String::new(),
    Place::Flag(flag) => format!("{flag}: "),
    Place::Line(line) => format!("{line}: "),
})]
pub(crate) struct Refused {
    pub(crate) place: Place,
    pub(crate) text: String,
}

impl Settings {
    /// The `layers` upon each other, the lowest first, upon the profile `lan`.
    pub(crate) fn of<'l>(layers: impl Iterator<Item = &'l Layer>) -> Result<Self, Refused> {
        let mut settings = Self::default();
        settings.begin(&Base::Profile(Profile::Lan), &Place::Nowhere)?;
        for layer in layers {
            if let Some((base, place)) = &layer.base {
                settings.0.clear();
                settings.begin(base, place)?;
            }
            if let Some((Base::Within(_), _)) = &layer.base {
                let decided = ["interval", "timeout", "response_window", "attempts"];
                if let Some(name) = decided.iter().find(|name| layer.knobs.contains_key(**name)) {
                    let place = layer.knobs.get(name).map_or(Place::Nowhere, |(_, p)| p.clone());
                    return Err(Refused { place, text: format!("within decides {name} as well") });
                }
            }
            for (one, other) in RIVALS {
                match (layer.knobs.get(one), layer.knobs.contains_key(other)) {
                    (Some((_, place)), true) => {
                        let text = format!("{one} and {other} exclude each other");
                        return Err(Refused { place: place.clone(), text });
                    }
                    (Some(_), false) => drop(settings.0.remove(other)),
                    (None, true) => drop(settings.0.remove(one)),
                    (None, false) => {}
                }
            }
            let knobs = layer.knobs.iter();
            settings.0.extend(knobs.map(|(name, set)| (*name, set.clone())));
        }
        Ok(settings)
    }

    fn begin(&mut self, base: &Base, place: &Place) -> Result<(), Refused> {
        let knobs = match base {
            Base::Profile(profile) => profile.knobs(),
            Base::Within(wish) => {
                let promise = Config::detect_within(*wish)
                    .map_err(|error| Refused { place: place.clone(), text: error.to_string() })?;
                vec![
                    ("interval", Value::Span(promise.interval())),
                    ("response_window", Value::Span(promise.response_window())),
                ]
            }
        };
        self.0.extend(knobs.into_iter().map(|(name, value)| (name, (value, place.clone()))));
        Ok(())
    }

    /// The rules that they make, with `builder` for what is not set.
    pub(crate) fn config(&self, builder: &ConfigBuilder) -> Result<Config, Refused> {
        let mut builder = *builder;
        for (name, (value, _)) in &self.0 {
            if let Some((_, knob)) = knob::find(name) {
                builder = knob.set(&builder, value);
            }
        }
        builder
            .build()
            .map_err(|error| Refused { place: self.blame(&error), text: error.to_string() })
    }

    /// Where the first knob stands that the error names and that somebody has set.
    fn blame(&self, error: &ConfigError) -> Place {
        let fields = match *error {
            ConfigError::NotBelow { field, other, .. }
            | ConfigError::Above { field, other, .. }
            | ConfigError::Below { field, other, .. }
            | ConfigError::Conflict { field, other } => [field, other],
            ConfigError::Zero { field }
            | ConfigError::TooLong { field, .. }
            | ConfigError::OutOfRange { field, .. } => [field, ""],
            _ => ["", ""],
        };
        let words = fields.into_iter().flat_map(|field| field.split([' ', '(', ')', ':']));
        let names = words.map(|word| match word {
            "accept_burst" | "max_strikes" => "police",
            "Forgive" => "forgive",
            "life" | "LifeRule" => "life_rule",
            word => word,
        });
        let mut places = names.filter_map(|name| self.0.get(name)).map(|(_, place)| place);
        places.find(|place| **place != Place::Nowhere).cloned().unwrap_or(Place::Nowhere)
    }

    /// `interval: 1s -> 2s` for each knob that is another one in `new`.
    pub(crate) fn changes(&self, new: &Self) -> Vec<Change> {
        let mut names: Vec<_> = self.0.keys().chain(new.0.keys()).copied().collect();
        names.sort_unstable();
        names.dedup();
        let told = |settings: &Self, name| match settings.0.get(name) {
            Some((value, _)) => value.to_string(),
            None => "default".to_owned(),
        };
        let change = |knob| Change { knob, old: told(self, knob), new: told(new, knob) };
        names.into_iter().map(change).filter(|change| change.old != change.new).collect()
    }
}

/// What became of a knob.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Change {
    pub(crate) knob: &'static str,
    pub(crate) old: String,
    pub(crate) new: String,
}

impl core::fmt::Display for Change {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {} -> {}", self.knob, self.old, self.new)
    }
}

//! The configuration file.

use alloc::collections::BTreeMap;
use core::ops::Range;
use std::path::Path;

use clap::ValueEnum;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::knob;
use super::layer::{Base, Layer, Place, Refused};
use super::profile::Profile;

/// Rules for all, and for some.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    pub(crate) all: Layer,
    pub(crate) by_address: BTreeMap<String, Layer>,
}

impl File {
    pub(crate) fn read(path: &Path) -> Result<Self, Refused> {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&name, &text),
            Err(error) => Err(Refused { place: Place::Line(name), text: error.to_string() }),
        }
    }

    fn parse(name: &str, text: &str) -> Result<Self, Refused> {
        let source = Source { name, text };
        let table = DeTable::parse(text).map_err(|error| {
            source.refused(error.span().unwrap_or_default(), error.message().to_owned())
        })?;
        let mut file = Self::default();
        for (key, value) in table.get_ref() {
            if key.get_ref() != "address" {
                source.set(&mut file.all, key, value)?;
                continue;
            }
            for (address, rules) in source.table(key, value)? {
                let layer = file.by_address.entry(address.get_ref().to_string()).or_default();
                for (key, value) in source.table(address, rules)? {
                    source.set(layer, key, value)?;
                }
            }
        }
        Ok(file)
    }
}

type Key<'t> = Spanned<alloc::borrow::Cow<'t, str>>;

struct Source<'t> {
    name: &'t str,
    text: &'t str,
}

impl Source<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        Place::Line(format!("{}:{}", self.name, before.matches('\n').count() + 1))
    }

    fn refused(&self, span: Range<usize>, text: String) -> Refused {
        Refused { place: self.place(span), text }
    }

    fn table<'v, 'd>(
        &self,
        key: &Key<'_>,
        value: &'v Spanned<DeValue<'d>>,
    ) -> Result<&'v DeTable<'d>, Refused> {
        value.get_ref().as_table().ok_or_else(|| {
            let text = format!("`{}` must be a table: [address.\"host:port\"]", key.get_ref());
            self.refused(key.span(), text)
        })
    }

    /// One line of rules.
    fn set(
        &self,
        layer: &mut Layer,
        key: &Key<'_>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), Refused> {
        let (name, place) = (key.get_ref(), self.place(key.span()));
        let refused = |text: String| Refused { place: place.clone(), text };
        let text = value.get_ref().as_str();
        let base = match name.as_ref() {
            "profile" => {
                let profile = Profile::from_str(text.unwrap_or_default(), false);
                Base::Profile(profile.map_err(|_| refused(format!("profile {}", profiles())))?)
            }
            "within" => {
                let wish = humantime::parse_duration(text.unwrap_or_default());
                Base::Within(wish.map_err(|error| refused(format!("within: {error}")))?)
            }
            name => {
                let (name, knob) = knob::find(name).ok_or_else(|| {
                    let known = knob::names();
                    refused(format!(
                        "no knob is called `{name}`; there are profile, within, {known}"
                    ))
                })?;
                let value = knob.read(value.get_ref());
                let value = value.map_err(|text| refused(format!("{name} {text}")))?;
                layer.knobs.insert(name, (value, place));
                return Ok(());
            }
        };
        if layer.base.is_some() {
            return Err(refused("profile and within exclude each other".to_owned()));
        }
        layer.base = Some((base, place));
        Ok(())
    }
}

fn profiles() -> String {
    let names = Profile::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let names: Vec<_> = names.map(|value| format!("\"{}\"", value.get_name())).collect();
    format!("must be one of {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        match File::parse("rules.toml", text) {
            Ok(file) => panic!("accepted: {file:?}"),
            Err(refused) => refused.to_string(),
        }
    }

    #[test]
    fn every_refusal_names_the_line_and_the_reason() {
        for (text, told) in [
            ("interval = \"1s\"\ntimeout = 4", "rules.toml:2: timeout must be a span"),
            ("interval = \"soon\"", "rules.toml:1: interval must be a span like \"1s 500ms\": "),
            ("\n\nintervall = \"1s\"", "rules.toml:3: no knob is called `intervall`"),
            ("attempts = 256", "rules.toml:1: attempts must be a number in 0..=255"),
            ("mode = \"loud\"", "rules.toml:1: mode must be one of \"symmetric\""),
            ("probe_loss = { k = 1 }", "rules.toml:1: probe_loss must be like { k = 3, n = 5"),
            ("profile = \"moon\"", "rules.toml:1: profile must be one of \"lan\""),
            ("profile = \"lan\"\nwithin = \"1s\"", "exclude each other"),
            ("[address]\n\"a:1\" = 3", "rules.toml:2: `a:1` must be a table"),
            ("interval = ", "rules.toml:1: "),
        ] {
            let refusal = refusal(text);
            assert!(refusal.contains(told), "{refusal}");
        }
    }
}

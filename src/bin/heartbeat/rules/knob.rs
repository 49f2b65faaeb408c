//! The knobs of a `Config`, by the names of its builder.

use core::fmt;
use core::time::Duration;

use heartbeat_proto::{
    ConfigBuilder as Builder, FirstPing, LatePolicy, LifeRule, Mode, Probing, Verdict,
};
use toml::de::{DeInteger, DeValue};

/// What a knob takes, and how it is set.
#[derive(Clone, Copy)]
pub(crate) enum Knob {
    Span(fn(Builder, Duration) -> Builder),
    Number(fn(Builder, u8) -> Builder),
    Flag(fn(Builder, bool) -> Builder),
    Choice(&'static [Choice]),
    /// Two numbers (the same one twice: one number) and a verdict.
    Rule([&'static str; 2], fn(Builder, [u8; 2], Verdict) -> Builder),
}

/// A name, and what it chooses.
type Choice = (&'static str, fn(Builder) -> Builder);

/// What a knob is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Span(Duration),
    Number(u8),
    Flag(bool),
    Choice(&'static str),
    Rule([(&'static str, u8); 2], Verdict),
}

/// Every knob that this program can serve; pings are always its own, with ids, and reported.
const KNOBS: &[(&str, Knob)] = &[
    ("interval", Knob::Span(Builder::interval)),
    ("timeout", Knob::Span(Builder::timeout)),
    ("response_window", Knob::Span(Builder::response_window)),
    ("attempts", Knob::Number(Builder::attempts)),
    ("floor", Knob::Span(Builder::floor)),
    ("ceiling", Knob::Span(Builder::ceiling)),
    ("min_gap", Knob::Span(Builder::min_gap)),
    ("suspect_interval", Knob::Span(Builder::suspect_interval)),
    ("down_interval", Knob::Span(Builder::down_interval)),
    ("slack", Knob::Span(Builder::slack)),
    ("startup_limit", Knob::Span(Builder::startup_limit)),
    ("startup_grace", Knob::Span(Builder::startup_grace)),
    ("drain_limit", Knob::Span(Builder::drain_limit)),
    ("keepalive", Knob::Span(Builder::keepalive)),
    ("no_keepalive", Knob::Flag(|b, no| if no { b.no_keepalive() } else { b })),
    ("write_stall", Knob::Span(Builder::write_stall)),
    ("accept_gap", Knob::Span(Builder::accept_gap)),
    ("jitter_percent", Knob::Number(Builder::jitter_percent)),
    ("verify_every", Knob::Number(Builder::verify_every)),
    ("reopen_after", Knob::Number(Builder::reopen_after)),
    ("answer_each", Knob::Flag(Builder::answer_each)),
    (
        "mode",
        Knob::Choice(&[
            ("symmetric", |b| b.mode(Mode::Symmetric)),
            ("initiator", |b| b.mode(Mode::Initiator)),
            ("responder", |b| b.mode(Mode::Responder)),
            ("beacon", |b| b.mode(Mode::Beacon)),
            ("passive", |b| b.mode(Mode::Passive)),
        ]),
    ),
    (
        "probing",
        Knob::Choice(&[
            ("when_idle", |b| b.probing(Probing::WhenIdle)),
            ("always", |b| b.probing(Probing::Always)),
        ]),
    ),
    (
        "life_rule",
        Knob::Choice(&[
            ("exact_pong", |b| b.life_rule(LifeRule::ExactPong)),
            ("any_pong", |b| b.life_rule(LifeRule::AnyPong)),
            ("any_frame", |b| b.life_rule(LifeRule::AnyFrame)),
            ("any_byte", |b| b.life_rule(LifeRule::AnyByte)),
        ]),
    ),
    (
        "late_policy",
        Knob::Choice(&[
            ("reprobe", |b| b.late_policy(LatePolicy::Reprobe)),
            ("strict", |b| b.late_policy(LatePolicy::Strict)),
        ]),
    ),
    ("forgive", Knob::Span(|b, most| b.late_policy(LatePolicy::Forgive(most)))),
    (
        "first_ping",
        Knob::Choice(&[
            ("phase", |b| b.first_ping(FirstPing::Phase)),
            ("after_interval", |b| b.first_ping(FirstPing::AfterInterval)),
            ("immediate", |b| b.first_ping(FirstPing::Immediate)),
        ]),
    ),
    (
        "ping_unanswered",
        Knob::Rule(["limit", "limit"], |b, [limit, _], then| b.ping_unanswered(limit, then)),
    ),
    ("probe_loss", Knob::Rule(["k", "n"], |b, [k, n], then| b.probe_loss(k, n, then))),
    (
        "police",
        Knob::Rule(["burst", "max_strikes"], |b, [burst, most], then| b.police(burst, most, then)),
    ),
];

/// Two of which only one can be set.
pub(crate) const RIVALS: [(&str, &str); 3] =
    [("timeout", "response_window"), ("keepalive", "no_keepalive"), ("late_policy", "forgive")];

/// The knob of that name, with the name itself.
pub(crate) fn find(name: &str) -> Option<(&'static str, Knob)> {
    KNOBS.iter().find(|(known, _)| *known == name).copied()
}

/// `interval, timeout, ...`
pub(crate) fn names() -> String {
    KNOBS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

const VERDICTS: [(&str, Verdict); 3] =
    [("ignore", Verdict::Ignore), ("report", Verdict::Report), ("convict", Verdict::Convict)];

impl Knob {
    /// What a file says, or what it should say.
    pub(crate) fn read(self, value: &DeValue<'_>) -> Result<Value, String> {
        let read = match (self, value) {
            (Self::Span(_), DeValue::String(text)) => {
                return match humantime::parse_duration(text) {
                    Ok(span) => Ok(Value::Span(span)),
                    Err(error) => Err(format!("must be a span like \"1s 500ms\": {error}")),
                };
            }
            (Self::Number(_), DeValue::Integer(number)) => small(number).map(Value::Number),
            (Self::Flag(_), DeValue::Boolean(flag)) => Some(Value::Flag(*flag)),
            (Self::Choice(choices), DeValue::String(text)) => {
                choices.iter().find(|(name, _)| name == text).map(|(name, _)| Value::Choice(name))
            }
            (Self::Rule(names, _), DeValue::Table(table)) => {
                let number = |name| small(table.get(name)?.get_ref().as_integer()?);
                let all = table.len() == if names[0] == names[1] { 2 } else { 3 };
                let then = table.get("verdict").and_then(|then| then.get_ref().as_str());
                let then = VERDICTS.iter().find(|(name, _)| then == Some(*name));
                match (number(names[0]), number(names[1]), then) {
                    (Some(one), Some(two), Some((_, then))) if all => {
                        Some(Value::Rule([(names[0], one), (names[1], two)], *then))
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        read.ok_or_else(|| format!("must be {}", self.wanted()))
    }

    fn wanted(self) -> String {
        match self {
            Self::Span(_) => "a span like \"1s 500ms\"".to_owned(),
            Self::Number(_) => "a number in 0..=255".to_owned(),
            Self::Flag(_) => "true or false".to_owned(),
            Self::Choice(choices) => {
                let names = choices.iter().map(|(name, _)| format!("\"{name}\""));
                format!("one of {}", names.collect::<Vec<_>>().join(", "))
            }
            Self::Rule([one, two], _) => {
                let numbers =
                    if one == two { format!("{one} = 3") } else { format!("{one} = 3, {two} = 5") };
                format!("like {{ {numbers}, verdict = \"report\" }} (or \"ignore\", \"convict\")")
            }
        }
    }

    /// Does nothing with a value of another knob.
    pub(crate) fn set(self, builder: &Builder, value: &Value) -> Builder {
        match (self, value) {
            (Self::Span(set), Value::Span(span)) => set(*builder, *span),
            (Self::Number(set), Value::Number(number)) => set(*builder, *number),
            (Self::Flag(set), Value::Flag(flag)) => set(*builder, *flag),
            (Self::Choice(choices), Value::Choice(wanted)) => {
                let choice = choices.iter().find(|(name, _)| name == wanted);
                choice.map_or(*builder, |(_, set)| set(*builder))
            }
            (Self::Rule(_, set), Value::Rule([(_, one), (_, two)], then)) => {
                set(*builder, [*one, *two], *then)
            }
            _ => *builder,
        }
    }
}

fn small(number: &DeInteger<'_>) -> Option<u8> {
    u8::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Span(span) => write!(f, "{}", humantime::format_duration(*span)),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Choice(name) => f.write_str(name),
            Self::Rule([(one, a), (two, b)], then) => {
                write!(f, "{one} {a}")?;
                if one != two {
                    write!(f, ", {two} {b}")?;
                }
                let then = VERDICTS.iter().find(|(_, verdict)| verdict == then);
                write!(f, ", {}", then.map_or("report", |(name, _)| name))
            }
        }
    }
}

//! [`Usage`]: what the user has to put right.

use core::fmt::Display;

/// The program was asked for something that cannot be; names the flag.
#[derive(Debug, thiserror::Error)]
#[error("{flag}: {text}")]
pub(crate) struct Usage {
    flag: &'static str,
    text: String,
}

impl Usage {
    pub(crate) fn of(flag: &'static str, text: impl Display) -> Self {
        Self { flag, text: text.to_string() }
    }
}

//! The file: a line a note, written in one step.

use core::time::Duration;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::usage::Usage;

/// What becomes a line. Times are from the beginning of the segment.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    Segment { id: u32, address: String },
    Beat { id: u32, seq: u32, sent: Duration, delay: Option<Duration> },
    Pause { id: u32, from: Duration, until: Duration },
}

pub(crate) struct File {
    path: PathBuf,
    file: std::fs::File,
}

impl File {
    /// A new one: what was recorded once is not overwritten.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let created = std::fs::File::create_new(path);
        let file = match created {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Usage::of("--out", format!("{} exists", path.display())).into());
            }
            created => created.with_context(|| path.display().to_string())?,
        };
        let mut file = Self { path: path.to_owned(), file };
        file.put("heartbeat-trace 1\n")?;
        Ok(file)
    }

    pub(crate) fn write(&mut self, note: &Note) -> anyhow::Result<()> {
        self.put(&text(note))
    }

    /// A line in one call: whoever reads, or however we end, it is there or not.
    fn put(&mut self, line: &str) -> anyhow::Result<()> {
        self.file.write_all(line.as_bytes()).with_context(|| self.path.display().to_string())
    }
}

fn text(note: &Note) -> String {
    match note {
        Note::Segment { id, address } => format!("segment {id} round-trip {address}\n"),
        Note::Beat { id, seq, sent, delay } => {
            let delay = delay.map_or("lost".to_owned(), |delay| delay.as_micros().to_string());
            format!("beat {id} {seq} {} {delay}\n", sent.as_micros())
        }
        Note::Pause { id, from, until } => {
            format!("pause {id} {} {}\n", from.as_micros(), until.as_micros())
        }
    }
}

/// What to say at the end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) answered: u64,
    pub(crate) lost: u64,
    pub(crate) least: Duration,
    pub(crate) most: Duration,
}

impl Sums {
    pub(crate) fn add(&mut self, note: &Note) {
        match *note {
            Note::Beat { delay: Some(delay), .. } => {
                self.least = if self.answered == 0 { delay } else { self.least.min(delay) };
                self.most = self.most.max(delay);
                self.answered += 1;
            }
            Note::Beat { delay: None, .. } => self.lost += 1,
            _ => {}
        }
    }
}

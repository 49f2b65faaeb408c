//! Reading traces: what form a text has, and files and folders of them.

mod csv;
mod ping;
mod recorded;

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::trace::{Kind, LONGEST, Segment, Trace};

/// How to read what the text itself does not say.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reader {
    /// The time between two pings where the output of `ping` has neither times of day (`-D`) nor
    /// a summary to tell it; 1 s by default, as `ping` has it.
    pub interval: Duration,
    /// Traces (folders or files, by their name without what follows the last dot) whose delays
    /// are one-way; `loopback-vm-20ms` and `planetlab-send` by default.
    pub one_way: Vec<String>,
}

impl Default for Reader {
    fn default() -> Self {
        let one_way = ["loopback-vm-20ms", "planetlab-send"].map(ToOwned::to_owned).into();
        Self { interval: Duration::from_secs(1), one_way }
    }
}

/// The most samples that one text may hold: a hostile one must not fill the memory with pings that
/// it claims were lost.
pub(crate) const MOST_SAMPLES: usize = 20_000_000;

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mistake {
    /// No known form begins like this.
    #[error("neither `seq,send_us,delay_us` nor the output of ping nor a recorded trace")]
    UnknownForm,
    /// A line has another number of fields.
    #[error("{expected} fields are due, {found} are there")]
    Fields {
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A field is no number of its kind, or out of range.
    #[error("`{0}` is no number that fits here")]
    Number(String),
    /// The line begins with an unknown word.
    #[error("`{0}` begins no line of a recorded trace")]
    Word(String),
    /// Numbers or times of sending must rise.
    #[error("number {0} does not come after the one before it, or was sent before it")]
    Order(u32),
    /// A line names a segment that was not introduced, or introduces one twice.
    #[error("segment {0} is unknown, or known already")]
    Segment(u32),
    /// A reply without `time=`: the packet was too small to carry one.
    #[error("the reply has no time: let ping send at least 16 bytes")]
    NoTime,
    /// More samples than can be.
    #[error("more than {MOST_SAMPLES} samples")]
    TooMany,
    /// Nothing was recorded.
    #[error("there is no sample in it")]
    Empty,
}

/// Why a text is no trace, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {mistake}")]
#[non_exhaustive]
pub struct TextError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub mistake: Mistake,
}

/// Why a file or folder is no trace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It cannot be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Its text is no trace.
    #[error("{}: {error}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        error: TextError,
    },
    /// There is no trace in the folder.
    #[error("{}: no trace is in this folder", path.display())]
    None {
        /// The folder.
        path: PathBuf,
    },
}

/// The endings by which traces are known in folders.
const ENDINGS: [&str; 5] = ["csv", "trace", "ping", "txt", "log"];

impl Reader {
    /// Reads a text of any known form: its segments, and what its delays are. (RY1)
    ///
    /// # Errors
    ///
    /// [`TextError`] with the line.
    pub fn text(&self, name: &str, text: &str) -> Result<(Kind, Vec<Segment>), TextError> {
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let (kind, segments) = if first.trim() == recorded::HEADER {
            recorded::read(text)?
        } else {
            let samples = if first.trim() == csv::HEADER {
                csv::read(text)?
            } else if ping::looks_like(text) {
                ping::read(text, self.interval)?
            } else {
                return Err(TextError { line: 1, mistake: Mistake::UnknownForm });
            };
            (Kind::RoundTrip, Vec::from([Segment::new(name.to_owned(), samples)]))
        };
        if segments.iter().all(|segment| segment.samples.is_empty()) {
            let line = text.lines().count().max(1);
            return Err(TextError { line, mistake: Mistake::Empty });
        }
        let one_way = self.one_way.iter().any(|one| one == name);
        Ok((if one_way { Kind::OneWay } else { kind }, segments))
    }

    /// Reads a file, a folder of files (one trace), or a folder of such folders (a trace each).
    /// In folders, only files that end in `.csv`, `.trace`, `.ping`, `.txt` or `.log` count.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: what cannot be read, and why.
    pub fn path(&self, path: &Path) -> Result<Vec<Trace>, ReadError> {
        let io = |error| ReadError::Io { path: path.to_owned(), error };
        if !fs::metadata(path).map_err(io)?.is_dir() {
            return Ok(Vec::from([self.files(path, &[path.to_owned()])?]));
        }
        let mut inside = fs::read_dir(path)
            .map_err(io)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(io)?;
        inside.sort();
        let known = |file: &PathBuf| {
            let ending = file.extension().and_then(|ending| ending.to_str());
            file.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending))
        };
        let files: Vec<_> = inside.iter().filter(|file| known(file)).cloned().collect();
        if !files.is_empty() {
            return Ok(Vec::from([self.files(path, &files)?]));
        }
        let mut traces = Vec::new();
        for folder in inside.iter().filter(|folder| folder.is_dir()) {
            traces.extend(self.path(folder)?);
        }
        if traces.is_empty() { Err(ReadError::None { path: path.to_owned() }) } else { Ok(traces) }
    }

    /// One trace of several files.
    fn files(&self, path: &Path, files: &[PathBuf]) -> Result<Trace, ReadError> {
        let mut trace = Trace::new(stem(path), Vec::new());
        for file in files {
            let text = fs::read_to_string(file)
                .map_err(|error| ReadError::Io { path: file.clone(), error })?;
            let (kind, segments) = self
                .text(&stem(file), &text)
                .map_err(|error| ReadError::Text { path: file.clone(), error })?;
            if kind == Kind::OneWay {
                trace.kind = kind;
            }
            trace.segments.extend(segments);
        }
        if self.one_way.contains(&trace.name) {
            trace.kind = Kind::OneWay;
        }
        Ok(trace)
    }
}

fn stem(path: &Path) -> String {
    // A folder's dots belong to its name.
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().to_string())
}

/// A mistake in a line.
pub(crate) fn wrong(line: usize, mistake: Mistake) -> TextError {
    TextError { line, mistake }
}

/// A number of a field.
pub(crate) fn number<T: core::str::FromStr>(line: usize, field: &str) -> Result<T, TextError> {
    field.trim().parse().map_err(|_| no_number(line, field))
}

/// A span or time of up to two years in nanoseconds, from microseconds.
pub(crate) fn nanos(line: usize, field: &str) -> Result<u64, TextError> {
    let micros: u64 = number(line, field)?;
    let nanos = micros.checked_mul(1000).filter(|&nanos| nanos < LONGEST);
    nanos.ok_or_else(|| no_number(line, field))
}

/// As much of the field as helps to find it.
pub(crate) fn no_number(line: usize, field: &str) -> TextError {
    wrong(line, Mistake::Number(field.trim().chars().take(40).collect()))
}

//! Follows the configuration file.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::file::File;
use super::layer::Change;
use super::{Book, Opened};

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// By what a changed file is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(Option<(SystemTime, u64)>);

impl Stamp {
    pub(crate) fn of(path: &Path) -> Self {
        let meta = std::fs::metadata(path).ok();
        Self(meta.and_then(|meta| Some((meta.modified().ok()?, meta.len()))))
    }
}

/// What became of a changed file.
#[derive(Clone, Debug)]
pub(crate) enum Reloaded {
    /// What is different now, by address; for everybody where that is empty.
    Changed(BTreeMap<String, Vec<Change>>),
    /// The old rules stay in force.
    Refused(String),
}

impl core::fmt::Display for Reloaded {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Changed(changes) if changes.is_empty() => f.write_str("reloaded: no changes"),
            Self::Changed(changes) => {
                f.write_str("reloaded:")?;
                for (place, (address, changes)) in changes.iter().enumerate() {
                    let end = if place == 0 { "" } else { ";" };
                    let scope = if address.is_empty() { "" } else { " for " };
                    write!(f, "{end}{scope}{address}")?;
                    for (index, change) in changes.iter().enumerate() {
                        write!(f, "{} {change}", if index == 0 { "" } else { "," })?;
                    }
                }
                Ok(())
            }
            Self::Refused(why) => write!(f, "refused, the old rules stay: {why}"),
        }
    }
}

/// The rules in force, and a task that keeps them so. It tells each change, and each refusal.
pub(crate) fn follow(
    opened: Opened,
    tell: impl Fn(Reloaded) + Send + Sync + 'static,
) -> watch::Receiver<Arc<Book>> {
    let (sender, receiver) = watch::channel(opened.book);
    if let Some((path, stamp)) = opened.file {
        tokio::spawn(keep(path, stamp, sender, tell));
    }
    receiver
}

async fn keep(
    path: PathBuf,
    mut stamp: Stamp,
    sender: watch::Sender<Arc<Book>>,
    tell: impl Fn(Reloaded),
) {
    let mut hangup = Hangup::new();
    loop {
        let asked = tokio::select! {
            () = hangup.wanted() => true,
            () = tokio::time::sleep(PERIOD) => false,
        };
        let file = path.clone();
        // A file system may hang; no heart must.
        let read = spawn_blocking(move || {
            let new = Stamp::of(&file);
            (asked || new != stamp).then(|| (new, File::read(&file)))
        });
        let Ok(Some((new, file))) = read.await else { continue };
        stamp = new;
        let old = Arc::clone(&sender.borrow());
        match file.and_then(|file| old.with(&file)) {
            Ok(book) => {
                tell(Reloaded::Changed(old.changes(&book)));
                sender.send_replace(Arc::new(book));
            }
            Err(refused) => tell(Reloaded::Refused(refused.to_string())),
        }
    }
}

/// SIGHUP, where there is such a thing.
struct Hangup(#[cfg(unix)] Option<tokio::signal::unix::Signal>);

impl Hangup {
    #[cfg(unix)]
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};

        Self(signal(SignalKind::hangup()).ok())
    }

    #[cfg(not(unix))]
    fn new() -> Self {
        Self()
    }

    async fn wanted(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.0 {
            signal.recv().await;
            return;
        }
        core::future::pending::<()>().await;
    }
}

//! A log that never blocks whoever writes to it.

use alloc::sync::Arc;
use core::fmt::Display;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};

use crate::say;

/// Lines go to a thread that prints them. A terminal that is halted (Ctrl-S) or a full pipe then
/// stops the log, and not the hearts; lines that find no place are counted, and the count is
/// printed in their stead.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    lines: SyncSender<String>,
    dropped: Arc<AtomicU64>,
}

/// Lines that may wait to be printed.
const WAITING: usize = 4096;

/// How long the last lines may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Waits for the last lines.
#[derive(Debug)]
pub(crate) struct Printer(Receiver<()>);

pub(crate) fn start() -> (Log, Printer) {
    let (lines, queue) = sync_channel::<String>(WAITING);
    let (done, printed) = channel();
    let dropped = Arc::new(AtomicU64::new(0));
    let missing = Arc::clone(&dropped);
    std::thread::spawn(move || {
        for line in queue {
            say::line(line);
            match missing.swap(0, Ordering::Relaxed) {
                0 => {}
                lines => {
                    say::line(format_args!("{} {lines} lines were dropped", say::wall_clock()));
                }
            }
        }
        let _ = done.send(());
    });
    (Log { lines, dropped }, Printer(printed))
}

impl Log {
    /// Puts a line into the queue, with the date and time before it.
    pub(crate) fn line(&self, text: impl Display) {
        let line = format!("{} {text}", say::wall_clock());
        if let Err(TrySendError::Full(_)) = self.lines.try_send(line) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Printer {
    /// Waits until everything is printed, but not for long. All [`Log`]s must be gone.
    pub(crate) fn finish(&self) {
        let _ = self.0.recv_timeout(PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printer_that_stands_still_blocks_nobody() {
        let (lines, queue) = sync_channel(1);
        let log = Log { lines, dropped: Arc::default() };
        for number in 0..3 {
            log.line(number);
        }
        assert_eq!(log.dropped.load(Ordering::Relaxed), 2);
        assert!(queue.recv().is_ok_and(|line| line.ends_with(" 0")));
    }
}

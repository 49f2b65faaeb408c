//! Lines that never block whoever writes them.

use alloc::sync::Arc;
use core::fmt::Display;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io;
use std::sync::mpsc::{Sender, SyncSender, TrySendError, channel, sync_channel};

use crate::say;

/// Lines go to a thread that prints them. A terminal that is halted (Ctrl-S) or a full pipe then
/// stops the log, and not the hearts; lines that find no place are counted, and the count is
/// printed in their stead.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    queue: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Item {
    Line(String),
    /// Everything before it is printed.
    Printed(Sender<()>),
}

/// Lines that may wait to be printed.
const WAITING: usize = 4096;

/// How long the last lines may take.
const PATIENCE: Duration = Duration::from_millis(500);

pub(crate) fn start(print: fn(&str)) -> Lines {
    let (queue, items) = sync_channel(WAITING);
    let dropped = Arc::new(AtomicU64::new(0));
    let missing = Arc::clone(&dropped);
    std::thread::spawn(move || {
        for item in items {
            match item {
                Item::Line(line) => print(&line),
                Item::Printed(tell) => drop(tell.send(())),
            }
            match missing.swap(0, Ordering::Relaxed) {
                0 => {}
                lines => print(&format!("{} {lines} lines were dropped", say::wall_clock())),
            }
        }
    });
    Lines { queue, dropped }
}

impl Lines {
    /// Puts a line into the queue, with the date and time before it.
    pub(crate) fn line(&self, text: impl Display) {
        self.put(format!("{} {text}", say::wall_clock()));
    }

    fn put(&self, line: String) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Item::Line(line)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything is printed, but not for long.
    pub(crate) fn finish(&self) {
        let (tell, printed) = channel();
        if self.queue.try_send(Item::Printed(tell)).is_ok() {
            let _ = printed.recv_timeout(PATIENCE);
        }
    }
}

/// One line a call, as the subscriber of `tracing` writes them.
impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(String::from_utf8_lossy(bytes).trim_end().to_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printer_that_stands_still_blocks_nobody() {
        let (queue, items) = sync_channel(1);
        let lines = Lines { queue, dropped: Arc::default() };
        for number in 0..3 {
            lines.line(number);
        }
        assert_eq!(lines.dropped.load(Ordering::Relaxed), 2);
        assert!(matches!(items.recv(), Ok(Item::Line(line)) if line.ends_with(" 0")));
    }
}

//! [`Pulse`]: the half of a connection that beats while the application is busy.

use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};

use super::shared::{Core, Shared, Wish};
use super::{Heartbeat, Transport, Watch};
use crate::adapter::clock::StdClock;
use crate::adapter::notice::Ended;
#[cfg(doc)]
use crate::adapter::notice::Notice;
use crate::detector::{Deadline, Detector};

/// The longest single wait: systems differ in what they take.
const LONGEST: Duration = Duration::from_secs(3600);

/// Beats for an application that computes, while it shows progress; the [`Watch`] is that
/// application's half.
///
/// [`run`](Self::run) it in a thread of your own. It reads what comes (up to
/// [`INBOX`](crate::adapter::StreamDriver::INBOX) bytes that the application has not taken),
/// answers pings, sends them, and judges the peer, all on time, however long the application
/// computes.
///
/// # The gate
///
/// A thread that beats whatever happens is a lie: the peer of a process that is deadlocked would
/// take it for alive, for ever. So the beat has a gate. It is open while the application was seen
/// within the agreed `limit`: it calls [`progress`](Watch::progress), or any other method that needs
/// the [`Watch`] for itself alone. (While it waits in one of those, for the peer, no time counts: to
/// wait for a request is no standstill.) Then the gate **closes**: the connection is *unattended*.
/// From here on it is as if there were no pulse. Nothing is read, judged or written, no ping is
/// answered, and the peer convicts this process within `limit` and the peer's own
/// [`worst_case_detection`](crate::Config::worst_case_detection).
///
/// | who | sees |
/// |---|---|
/// | the observer | [`Notice::Unattended`] from the pulse's thread: the one who still can log, alarm or abort the process; [`Notice::Attended`] when the application comes back |
/// | the application, if it comes back | that [`lapses`](Watch::lapses) has grown; the gate opens by its call, what was received is read, and only then the peer is judged, by the rules of a late call. If the peer has hung up meanwhile, the error says so |
/// | the peer | silence, and if the application comes back in time, life again |
///
/// This is what a service manager's watchdog does for a whole process, with the peers of one
/// connection in its place.
///
/// The observer is called by either half's thread, under their lock: it must not wait, and must not
/// call the [`Watch`].
///
/// # Ends
///
/// * The [`Watch`] is dropped (by a panic of the application's thread, too): the transport is
///   closed without a goodbye, and [`run`](Self::run) returns at once.
/// * The `Pulse` is dropped, or its thread panics (in the observer): the transport is aborted, and
///   the application's calls fail with [`Ended::Abandoned`].
/// * The connection ends, by a verdict or on purpose: `run` returns; the application's calls say how.
///
/// No thread outlives its connection, except for the time the application leaves its gate closed.
#[must_use = "nothing beats unless it is run"]
pub struct Pulse<T: Transport, D: Detector = Deadline> {
    shared: Arc<Shared<T, D>>,
    clock: StdClock,
    /// The transport once more, to wait for it without the lock.
    line: OwnedFd,
    /// What the watch rings.
    ear: UnixStream,
}

impl<T: Transport + AsFd, D: Detector> Heartbeat<T, D> {
    /// Splits the connection in two, for programs that compute for longer than their peer waits:
    /// the [`Pulse`], to [`run`](Pulse::run) in a thread, beats while the [`Watch`] shows progress at
    /// least every `limit`.
    ///
    /// The transport does not block any more. A wrapper of your own must pass
    /// [`WouldBlock`](ErrorKind::WouldBlock) on, for reads, writes and flushes, and name the socket
    /// by [`AsFd`].
    ///
    /// # Errors
    ///
    /// `limit` is zero ([`ErrorKind::InvalidInput`]), or the system refuses: it is out of file
    /// descriptors, of which this needs three.
    pub fn into_pulse(self, limit: Duration) -> io::Result<(Pulse<T, D>, Watch<T, D>)> {
        split(Core::new(self.wire, limit)?)
    }
}

/// The two halves of a connection.
pub(super) fn split<T, D>(core: Core<T, D>) -> io::Result<(Pulse<T, D>, Watch<T, D>)>
where
    T: Transport + AsFd,
    D: Detector,
{
    let clock = core.wire.clock;
    let line = match &core.wire.transport {
        Some(transport) => {
            ioctl_fionbio(transport, true)?;
            transport.as_fd().try_clone_to_owned()?
        }
        None => return Err(core.end().unwrap_or(Ended::Abandoned).into()),
    };
    let (bell, ear) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    ear.set_nonblocking(true)?;
    let shared = Arc::new(Shared::new(core, bell));
    let watch = Watch::new(Arc::clone(&shared), clock);
    Ok((Pulse { shared, clock, line, ear }, watch))
}

impl<T: Transport, D: Detector> Pulse<T, D> {
    /// Beats until the connection ends or the [`Watch`] is dropped.
    pub fn run(self) {
        while let Some(wish) = self.beat() {
            if let Err(error) = self.sleep(wish) {
                let mut core = self.shared.lock();
                core.wire.stream.driver_mut().end(Ended::Transport(error.kind()));
                let _ = core.wire.check(); // Which aborts it.
            }
        }
    }

    /// One round; what to wait for until the next.
    fn beat(&self) -> Option<Wish> {
        let mut core = self.shared.lock();
        core.beat();
        self.shared.tell(&core);
        core.doze()
    }

    fn sleep(&self, wish: Wish) -> io::Result<()> {
        let wait = wish.until.saturating_duration_since(self.clock.now()).min(LONGEST);
        let wait = Timespec::try_from(wait).map_err(|_| ErrorKind::InvalidInput)?;
        let mut line = PollFlags::empty();
        line.set(PollFlags::IN, wish.read);
        line.set(PollFlags::OUT, wish.write);
        let mut both = [PollFd::new(&self.ear, PollFlags::IN), PollFd::new(&self.line, line)];
        // A connection that is reset would wake even who wants nothing of it.
        let asked = if line.is_empty() { both.get_mut(..1) } else { both.get_mut(..) };
        match poll(asked.unwrap_or_default(), Some(&wait)) {
            Err(Errno::INTR) | Ok(0) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => {
                let _ = (&self.ear).read(&mut [0; 64]); // It is silent, if it did not ring.
                Ok(())
            }
        }
    }
}

impl<T: Transport, D: Detector> Drop for Pulse<T, D> {
    fn drop(&mut self) {
        let mut core = self.shared.lock();
        if !core.is_over() {
            core.abandon();
        }
        self.shared.tell(&core);
    }
}

impl<T: Transport, D: Detector> fmt::Debug for Pulse<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse").finish_non_exhaustive()
    }
}

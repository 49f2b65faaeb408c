//! The wish to end: Ctrl-C or SIGTERM, or a limit of the program's own.

use core::time::Duration;

use tokio::sync::watch;

/// Whoever holds one learns of the wish to end.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

/// Tells every [`Stop`] made with it.
#[derive(Clone, Debug)]
pub(crate) struct Stopper(watch::Sender<bool>);

/// How long an orderly end may take before it is forced.
pub(crate) const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// What a shell reports of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

pub(crate) fn pair() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Stops at the first signal from now on. A second one ends the program on the spot. A task of
    /// its own, so that it works even while something hangs.
    pub(crate) fn stop_on_signal(self) {
        let mut signals = Signals::heard_from_now_on();
        tokio::spawn(async move {
            signals.next().await;
            self.stop();
            signals.next().await;
            std::process::exit(INTERRUPTED);
        });
    }
}

impl Stop {
    /// Whether it is time to end.
    pub(crate) fn is_wanted(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it is time to end; also when nobody could say so any more.
    pub(crate) async fn wanted(&mut self) {
        let _ = self.0.wait_for(|&stop| stop).await;
    }
}

/// Ctrl-C and SIGTERM. What cannot be had here ends the program as the system does it.
#[cfg(unix)]
struct Signals([Option<tokio::signal::unix::Signal>; 2]);

#[cfg(unix)]
impl Signals {
    fn heard_from_now_on() -> Self {
        use tokio::signal::unix::{SignalKind, signal};

        Self([SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).ok()))
    }

    async fn next(&mut self) {
        async fn one(signal: &mut Option<tokio::signal::unix::Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => core::future::pending().await,
            }
        }
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            () = one(interrupt) => {}
            () = one(terminate) => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn heard_from_now_on() -> Self {
        Self
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            core::future::pending::<()>().await;
        }
    }
}

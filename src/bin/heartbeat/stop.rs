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

    /// Stops at the first signal. A second one ends the program on the spot. A task of its own, so
    /// that it works even while something hangs.
    pub(crate) async fn stop_on_signal(self) {
        signal().await;
        self.stop();
        signal().await;
        std::process::exit(INTERRUPTED);
    }
}

impl Stop {
    /// Returns when it is time to end; also when nobody could say so any more.
    pub(crate) async fn wanted(&mut self) {
        let _ = self.0.wait_for(|&stop| stop).await;
    }
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            () = interrupt() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => interrupt().await,
    }
}

#[cfg(not(unix))]
async fn signal() {
    interrupt().await;
}

async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Signals cannot be had here; the program then ends as the system does it.
        core::future::pending::<()>().await;
    }
}

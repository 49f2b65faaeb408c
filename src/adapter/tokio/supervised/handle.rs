//! [`Handle`]: wishes from elsewhere, while the supervised connection runs.

use alloc::sync::Arc;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Poll;

use ::tokio::sync::Notify;

/// To hasten or stop a [`Supervised`](super::Supervised) from elsewhere. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Wishes>);

impl Handle {
    pub(super) fn new(wishes: &Arc<Wishes>) -> Self {
        Self(Arc::clone(wishes))
    }

    /// The network came back, or the user asks: wait no longer. While connecting it counts if that
    /// fails; while connected it changes nothing. See
    /// [`Supervisor::retry_now`](crate::supervisor::Supervisor::retry_now).
    pub fn retry_now(&self) {
        self.0.hurry.store(true, Ordering::Release);
        self.0.news.notify_one();
    }

    /// It is wanted no more: [`connected`](super::Supervised::connected) drops its `connect`, closes
    /// what there is on purpose, and returns; now, or when it is called next. For ever.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Release);
        self.0.news.notify_one();
    }
}

/// What is wished, level-triggered; `news` says that it is worth a look.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    hurry: AtomicBool,
    stop: AtomicBool,
    news: Notify,
}

impl Wishes {
    pub(super) fn stop(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Returns whether there was any.
    pub(super) fn forget_hurry(&self) -> bool {
        self.hurry.swap(false, Ordering::AcqRel)
    }

    /// `None`: stopped before.
    pub(super) async fn unless_stopped<F: Future>(&self, future: F) -> Option<F::Output> {
        self.unless(false, future).await
    }

    /// `None`: hastened or stopped before.
    pub(super) async fn unless_hastened<F: Future>(&self, future: F) -> Option<F::Output> {
        self.unless(true, future).await
    }

    async fn unless<F: Future>(&self, hastened: bool, future: F) -> Option<F::Output> {
        let (mut future, mut news) = (pin!(future), pin!(self.news.notified()));
        poll_fn(|cx| {
            loop {
                if self.stop() || (hastened && self.hurry.load(Ordering::Acquire)) {
                    return Poll::Ready(None);
                }
                if let Poll::Ready(output) = future.as_mut().poll(cx) {
                    return Poll::Ready(Some(output));
                }
                if news.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                // It may have been another wish: look again, and listen again.
                news.set(self.news.notified());
            }
        })
        .await
    }
}

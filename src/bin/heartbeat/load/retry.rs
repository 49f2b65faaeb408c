//! [`Retries`]: who asks to join again, and when.

use alloc::collections::VecDeque;
use core::time::Duration;

use heartbeat_proto::Timestamp;

/// The shortest wait for an answer.
const FIRST: Duration = Duration::from_secs(1);
/// The longest one is so many times doubled: about a minute.
const DOUBLINGS: usize = 6;

/// Peers that wait for an answer. Those that wait equally long come up in the order in which they
/// began, so each length of wait is a queue and nothing is sorted.
#[derive(Debug, Default)]
pub(super) struct Retries([VecDeque<Retry>; DOUBLINGS + 1]);

#[derive(Clone, Copy, Debug)]
struct Retry {
    at: Timestamp,
    peer: u32,
    epoch: u32,
}

impl Retries {
    /// This peer has asked under this epoch; the wait is doubled so often.
    pub(super) fn push(&mut self, now: Timestamp, peer: u32, epoch: u32, doubled: u8) {
        let level = usize::from(doubled).min(DOUBLINGS);
        let at = now.saturating_add(FIRST.saturating_mul(1 << level));
        if let Some(queue) = self.0.get_mut(level) {
            queue.push_back(Retry { at, peer, epoch });
        }
    }

    /// A peer, and the epoch under which it asked, whose wait is over.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<(u32, u32)> {
        let due = |queue: &&mut VecDeque<Retry>| queue.front().is_some_and(|next| next.at <= now);
        let next = self.0.iter_mut().find(due)?.pop_front()?;
        Some((next.peer, next.epoch))
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.0.iter().filter_map(|queue| Some(queue.front()?.at)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute() {
        let mut retries = Retries::default();
        let at = |seconds| Timestamp::EPOCH.saturating_add(Duration::from_secs(seconds));
        for (doubled, wait) in [(0, 1), (1, 2), (5, 32), (6, 64), (7, 64), (255, 64)] {
            retries.push(at(10), doubled.into(), 7, doubled);
            assert_eq!(retries.next_deadline(), Some(at(10 + wait)));
            assert_eq!(retries.pop(at(9 + wait)), None);
            assert_eq!(retries.pop(at(10 + wait)), Some((doubled.into(), 7)));
        }
        assert_eq!(retries.next_deadline(), None);
    }
}

//! [`Unsent`]: what becomes of messages while there is no connection, and of those under way when
//! it was lost. Nothing is lost silently.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::num::NonZeroUsize;

/// What to do with a message that comes while there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhileDown {
    /// It is dropped, and that is no error: for readings of which a fresher one follows.
    Drop,
    /// It fails at once: for callers that wait for an answer.
    Fail,
    /// It is kept, up to the limit; beyond it the new one is refused.
    KeepOldest,
    /// It is kept, up to the limit; beyond it the oldest one makes room.
    KeepNewest,
}

/// What to do with a message that was taken but not confirmed when the connection was lost: whether
/// the peer has it cannot be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// It is sent again, in its old place: the peer may get it twice.
    AtLeastOnce,
    /// It is handed back as uncertain: the peer may get it never.
    AtMostOnce,
}

/// What became of a message that was [pushed](Unsent::push). Whatever is not kept is handed back.
#[must_use = "it may have your message in it"]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pushed<M> {
    /// It waits for its turn.
    Kept,
    /// It waits for its turn; this one, the oldest, made room for it.
    KeptInsteadOf(M),
    /// It was dropped, as wanted while there is no connection.
    Dropped(M),
    /// It was refused: there is no room, or no connection and it should fail. An error.
    Refused(M),
}

/// What a loss hands back, oldest first.
#[must_use = "it may have your messages in it"]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Returned<M> {
    /// They were under way; the peer has got them or not. Only with [`Delivery::AtMostOnce`].
    pub uncertain: Vec<M>,
    /// They never left. Only with [`WhileDown::Drop`] and [`WhileDown::Fail`].
    pub unsent: Vec<M>,
}

/// A message to send.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outgoing<'m, M> {
    /// The message. It stays in the queue until it is [confirmed](Unsent::confirm).
    pub message: &'m M,
    /// Whether it was under way before, when a connection was lost: say so to the peer, if the
    /// protocol can (MQTT: DUP).
    pub again: bool,
}

/// How many messages took which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Tally {
    /// Confirmed by the peer.
    pub confirmed: u64,
    /// Handed back: dropped, displaced by a newer one, or dropped by a loss before they left.
    pub dropped: u64,
    /// Handed back with an error: no room, or no connection.
    pub refused: u64,
    /// Handed back by a loss while under way.
    pub uncertain: u64,
}

/// A bounded queue of messages, across connections.
///
/// Messages are [pushed](Self::push), [taken](Self::take) in that order when they can be written,
/// and [confirmed](Self::confirm) when the peer has acknowledged them. (A protocol without
/// acknowledgements confirms what it has written, and has the guarantees of that.) What is taken
/// but not confirmed is *under way*. The limit counts what waits and what is under way.
///
/// At any time, of all that was pushed each message is in the queue, or was confirmed, or was handed
/// back; and the [`Tally`] knows how many.
///
/// ```
/// use core::num::NonZeroUsize;
/// use heartbeat_proto::unsent::{Delivery, Pushed, Unsent, WhileDown};
///
/// let limit = NonZeroUsize::new(2).expect("not zero");
/// let mut unsent = Unsent::new(limit, WhileDown::KeepNewest, Delivery::AtLeastOnce);
/// // No connection yet; the queue keeps the newest two.
/// assert_eq!(unsent.push("a"), Pushed::Kept);
/// assert_eq!(unsent.push("b"), Pushed::Kept);
/// assert_eq!(unsent.push("c"), Pushed::KeptInsteadOf("a"));
/// unsent.connected();
/// assert_eq!(unsent.take().map(|out| *out.message), Some("b"));
/// // The connection is lost before "b" is acknowledged: it is sent again.
/// let returned = unsent.lost();
/// assert!(returned.uncertain.is_empty() && returned.unsent.is_empty());
/// unsent.connected();
/// let out = unsent.take().expect("\"b\" again");
/// assert_eq!((*out.message, out.again), ("b", true));
/// assert_eq!(unsent.confirm(), Some("b"));
/// assert_eq!(unsent.tally().dropped, 1);
/// ```
#[derive(Clone, Debug)]
pub struct Unsent<M> {
    /// First what is under way, then what waits.
    queue: VecDeque<M>,
    under_way: usize,
    /// How many, from the front, were under way on an earlier connection.
    again: usize,
    limit: usize,
    while_down: WhileDown,
    delivery: Delivery,
    is_up: bool,
    tally: Tally,
}

impl<M> Unsent<M> {
    /// Empty, without a connection. Holds at most `limit` messages.
    pub const fn new(limit: NonZeroUsize, while_down: WhileDown, delivery: Delivery) -> Self {
        Self {
            queue: VecDeque::new(),
            under_way: 0,
            again: 0,
            limit: limit.get(),
            while_down,
            delivery,
            is_up: false,
            tally: Tally { confirmed: 0, dropped: 0, refused: 0, uncertain: 0 },
        }
    }

    /// A message is to be sent. While there is a connection it is kept, or refused if there is no
    /// room: then the peer is slower than the caller, who should wait.
    pub fn push(&mut self, message: M) -> Pushed<M> {
        let full = self.queue.len() >= self.limit;
        match self.while_down {
            WhileDown::Drop if !self.is_up => {
                self.tally.dropped = self.tally.dropped.saturating_add(1);
                return Pushed::Dropped(message);
            }
            WhileDown::KeepNewest if !self.is_up && full => {
                self.queue.push_back(message);
                self.again = self.again.saturating_sub(1);
                self.tally.dropped = self.tally.dropped.saturating_add(1);
                // Nothing is under way while there is no connection: the front waits.
                return self.queue.pop_front().map_or(Pushed::Kept, Pushed::KeptInsteadOf);
            }
            WhileDown::Fail if !self.is_up => {}
            _ if full => {}
            _ => {
                self.queue.push_back(message);
                return Pushed::Kept;
            }
        }
        self.tally.refused = self.tally.refused.saturating_add(1);
        Pushed::Refused(message)
    }

    /// The next message to write, which is under way from now on; `None` if none waits, or there is
    /// no connection.
    pub fn take(&mut self) -> Option<Outgoing<'_, M>> {
        let message = self.queue.get(self.under_way).filter(|_| self.is_up)?;
        let again = self.under_way < self.again;
        self.under_way += 1;
        Some(Outgoing { message, again })
    }

    /// The peer has the oldest message that is under way; it is handed back. `None` if none is.
    pub fn confirm(&mut self) -> Option<M> {
        self.under_way = self.under_way.checked_sub(1)?;
        self.again = self.again.saturating_sub(1);
        self.tally.confirmed = self.tally.confirmed.saturating_add(1);
        self.queue.pop_front()
    }

    /// There is a connection. Told twice it changes nothing.
    pub const fn connected(&mut self) {
        self.is_up = true;
    }

    /// The connection is lost (or closed): what does not stay in the queue is handed back. Told
    /// twice it changes nothing.
    pub fn lost(&mut self) -> Returned<M> {
        self.is_up = false;
        let uncertain: Vec<M> = match self.delivery {
            Delivery::AtLeastOnce => {
                self.again = self.again.max(self.under_way);
                Vec::new()
            }
            Delivery::AtMostOnce => self.queue.drain(..self.under_way).collect(),
        };
        self.under_way = 0;
        let unsent: Vec<M> = match self.while_down {
            // What is owed at least once stays.
            WhileDown::Drop | WhileDown::Fail => self.queue.drain(self.again..).collect(),
            WhileDown::KeepOldest | WhileDown::KeepNewest => Vec::new(),
        };
        self.tally.uncertain = self.tally.uncertain.saturating_add(uncertain.len() as u64);
        self.tally.dropped = self.tally.dropped.saturating_add(unsent.len() as u64);
        Returned { uncertain, unsent }
    }

    /// Ends it: everything that is left, oldest first.
    pub fn into_messages(self) -> impl Iterator<Item = M> {
        self.queue.into_iter()
    }

    /// How many messages it holds, waiting or under way.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many are under way.
    pub const fn under_way(&self) -> usize {
        self.under_way
    }

    /// What became of the others.
    pub const fn tally(&self) -> Tally {
        self.tally
    }
}

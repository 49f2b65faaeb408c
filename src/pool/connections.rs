//! [`Pool`]: idle connections, by owner and by what is due. Rules PL3 to PL5, PL9, PL10.

use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt;

use super::idle::{Idle, IdleWatch, Why};
use super::limits::{PoolConfig, Take};
use super::quota::{Quota, Refusal};
use crate::jitter;
use crate::time::Timestamp;

/// Keeps idle connections `C` for owners `K`: see [the module](super).
///
/// Drive it: call [`upkeep`](Self::upkeep) until it yields nothing when
/// [`next_deadline`](Self::next_deadline) is reached; tell [`heard`](Self::heard) what comes in on
/// idle connections, and [`remove`](Self::remove) those that end by themselves.
#[derive(Debug)]
pub struct Pool<K, C> {
    config: PoolConfig,
    quota: Quota<K>,
    epoch: u32,
    /// How many leases there were.
    leases: u32,
    /// How many connections were given in.
    entries: u64,
    now: u64,
    /// Those given in first come first.
    idle: BTreeMap<u64, Entry<K, C>>,
    owners: BTreeMap<K, BTreeSet<u64>>,
    /// What is due, and when.
    timers: BTreeSet<(u64, u64)>,
}

#[derive(Debug)]
struct Entry<K, C> {
    owner: K,
    connection: C,
    watch: IdleWatch,
    old: u64,
    timer: Option<u64>,
}

/// Names an idle connection, until it is handed out or closed. Never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

/// `#3`.
impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The right to one connection of an owner. It counts until it is given back, with the connection
/// ([`Pool::check_in`]) or without ([`Pool::discard`]): a lease that is dropped counts for ever.
#[must_use = "check the connection in again, or discard the lease: otherwise it counts for ever"]
#[derive(Debug)]
pub struct Lease<K> {
    owner: K,
    /// The last moment of the connection's age.
    old: u64,
}

impl<K> Lease<K> {
    /// For whom it is.
    pub const fn owner(&self) -> &K {
        &self.owner
    }
}

/// The answer to who asks for a connection.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "it may hold a connection"]
pub enum CheckOut<K, C> {
    /// Its peer was heard a moment ago: use it.
    Ready {
        /// To give it back by.
        lease: Lease<K>,
        /// The connection.
        connection: C,
    },
    /// Verify it by a round trip, then use it. If that fails, close it, [discard](Pool::discard)
    /// the lease, and ask again: each time there is one less, so this ends.
    Verify {
        /// To give it back by.
        lease: Lease<K>,
        /// The connection.
        connection: C,
    },
    /// Make a new one.
    Connect {
        /// To give it in by.
        lease: Lease<K>,
    },
    /// Close this one, which does not count any more, and ask again.
    Close {
        /// The connection.
        connection: C,
        /// Why it is not handed out.
        why: Why,
    },
    /// A cap is reached.
    Refused(Refusal),
}

/// What an idle connection needs.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "it may hold a connection"]
pub enum Upkeep<'a, K, C> {
    /// Send a ping, and tell [`heard`](Pool::heard) when anything comes.
    Ping {
        /// Which one.
        id: ConnectionId,
        /// It stays in the pool.
        connection: &'a mut C,
    },
    /// Close it. It does not count any more.
    Close {
        /// Whose it was.
        owner: K,
        /// The connection.
        connection: C,
        /// Why.
        why: Why,
    },
}

impl<K: Ord + Clone, C> Pool<K, C> {
    /// An empty pool. The seed decides by how much each connection's age is shorter.
    pub fn new(config: PoolConfig, seed: u64) -> Self {
        Self {
            config,
            quota: Quota::with_caps(config.caps),
            epoch: jitter::epoch(seed),
            leases: 0,
            entries: 0,
            now: 0,
            idle: BTreeMap::new(),
            owners: BTreeMap::new(),
            timers: BTreeSet::new(),
        }
    }

    /// Asks for a connection of an owner (rule PL4). Its work is logarithmic.
    pub fn check_out(&mut self, owner: &K, now: Timestamp) -> CheckOut<K, C> {
        let now = self.advance(now);
        let candidate = self.owners.get(owner).and_then(|ids| match self.config.take {
            Take::Newest => ids.last(),
            Take::Oldest => ids.first(),
        });
        if let Some(entry) = candidate.copied().and_then(|id| self.take(id)) {
            let Entry { owner, connection, watch, old, .. } = entry;
            if let Some(why) = watch.due_without_grace(&self.config.idle, now) {
                self.quota.release(&owner);
                return CheckOut::Close { connection, why };
            }
            let lease = Lease { owner, old };
            return match self.config.proof {
                Some(span) if watch.is_proven(span, now) => CheckOut::Ready { lease, connection },
                _ => CheckOut::Verify { lease, connection },
            };
        }
        match self.quota.admit(owner) {
            Ok(()) => {
                self.leases = self.leases.wrapping_add(1);
                let old = self.config.idle.old_at(self.epoch, self.leases, now);
                CheckOut::Connect { lease: Lease { owner: owner.clone(), old } }
            }
            Err(refusal @ Refusal::Total { .. }) => {
                let first = self.idle.keys().next().copied();
                match first.and_then(|id| self.release(id)) {
                    Some(entry) => CheckOut::Close { connection: entry.connection, why: Why::Room },
                    None => CheckOut::Refused(refusal),
                }
            }
            Err(refusal) => CheckOut::Refused(refusal),
        }
    }

    /// Gives a connection back (or a new one in), whose peer was last heard at `heard`: that is
    /// what decides whether the next user must verify it. A later moment than now counts as now.
    ///
    /// # Errors
    ///
    /// It is [old](Why::Old): it is returned, to be closed, and does not count any more.
    pub fn check_in(
        &mut self,
        lease: Lease<K>,
        connection: C,
        heard: Timestamp,
        now: Timestamp,
    ) -> Result<ConnectionId, C> {
        let now = self.advance(now);
        let Lease { owner, old } = lease;
        if now > old {
            self.quota.release(&owner);
            return Err(connection);
        }
        let id = self.entries;
        self.entries += 1;
        let watch = IdleWatch::idle(old, heard.as_nanos(), now);
        self.owners.entry(owner.clone()).or_default().insert(id);
        self.idle.insert(id, Entry { owner, connection, watch, old, timer: None });
        self.set_timer(id);
        Ok(ConnectionId(id))
    }

    /// Ends a lease without a connection: it could not be made, did not pass its verification, or
    /// was closed by its user.
    pub fn discard(&mut self, lease: Lease<K>) {
        let Lease { owner, .. } = lease;
        self.quota.release(&owner);
    }

    /// One thing that is due, or nothing (rule PL9). To spread the work, call it a few times only:
    /// the [next deadline](Self::next_deadline) stays in the past then.
    pub fn upkeep(&mut self, now: Timestamp) -> Option<Upkeep<'_, K, C>> {
        let now = self.advance(now);
        loop {
            let (_, id) = *self.timers.first().filter(|(due, _)| *due <= now)?;
            let watch = &mut self.idle.get_mut(&id)?.watch;
            match watch.poll(&self.config.idle, Timestamp::from_nanos(now)) {
                Some(Idle::Evict(why)) => {
                    let Entry { owner, connection, .. } = self.release(id)?;
                    return Some(Upkeep::Close { owner, connection, why });
                }
                Some(Idle::Ping) => {
                    self.set_timer(id);
                    let connection = &mut self.idle.get_mut(&id)?.connection;
                    return Some(Upkeep::Ping { id: ConnectionId(id), connection });
                }
                None => self.set_timer(id), // Put off: PL7.
            }
        }
    }

    /// When to call [`upkeep`](Self::upkeep) at the latest.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.first().map(|(due, _)| Timestamp::from_nanos(*due))
    }

    /// Something came from the peer of an idle connection: a pong, say. Returns whether it is
    /// still idle here.
    pub fn heard(&mut self, id: ConnectionId, now: Timestamp) -> bool {
        let Some(entry) = self.idle.get_mut(&id.0) else { return false };
        entry.watch.heard(now);
        self.set_timer(id.0);
        true
    }

    /// Takes an idle connection out, which does not count any more: its peer closed it, say.
    pub fn remove(&mut self, id: ConnectionId) -> Option<C> {
        self.release(id.0).map(|entry| entry.connection)
    }

    /// Takes all idle connections out, to be closed. Those that are leased still count.
    pub fn drain(&mut self) -> impl Iterator<Item = C> {
        for entry in self.idle.values() {
            self.quota.release(&entry.owner);
        }
        self.owners.clear();
        self.timers.clear();
        core::mem::take(&mut self.idle).into_values().map(|entry| entry.connection)
    }

    /// The idle connections, those given in first first: to read what they receive.
    pub fn idle_mut(&mut self) -> impl Iterator<Item = (ConnectionId, &mut C)> {
        self.idle.iter_mut().map(|(id, entry)| (ConnectionId(*id), &mut entry.connection))
    }

    /// How many connections are idle.
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// How many connections are idle or leased, of whom.
    pub const fn quota(&self) -> &Quota<K> {
        &self.quota
    }

    /// The rules in force.
    pub const fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// Takes an entry out, and it does not count any more.
    fn release(&mut self, id: u64) -> Option<Entry<K, C>> {
        let entry = self.take(id)?;
        self.quota.release(&entry.owner);
        Some(entry)
    }

    /// Takes an entry out of all indexes.
    fn take(&mut self, id: u64) -> Option<Entry<K, C>> {
        let entry = self.idle.remove(&id)?;
        if let Some(due) = entry.timer {
            self.timers.remove(&(due, id));
        }
        if let Some(ids) = self.owners.get_mut(&entry.owner) {
            ids.remove(&id);
            if ids.is_empty() {
                self.owners.remove(&entry.owner);
            }
        }
        Some(entry)
    }

    fn set_timer(&mut self, id: u64) {
        let Some(entry) = self.idle.get_mut(&id) else { return };
        let due = entry.watch.next_deadline(&self.config.idle).map(Timestamp::as_nanos);
        if let Some(old) = core::mem::replace(&mut entry.timer, due) {
            self.timers.remove(&(old, id));
        }
        self.timers.extend(due.map(|due| (due, id)));
    }

    fn advance(&mut self, now: Timestamp) -> u64 {
        self.now = self.now.max(now.as_nanos()); // PL1
        self.now
    }
}

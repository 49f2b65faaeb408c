//! [`View`]: who the observers and the peers are, as etcd has told; and who watches whom.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use heartbeat_proto::assignment::Assignment;

use crate::etcd::{Change, Entry, OBSERVERS, PEERS};

/// All observers use the same.
const SEED: u64 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub address: SocketAddr,
    /// The revision of its key: another one is another life.
    pub incarnation: i64,
}

#[derive(Clone, Debug)]
pub struct View {
    /// All is as it was at this revision.
    pub revision: i64,
    pub peers: BTreeMap<String, Peer>,
    observers: Assignment<String>,
    /// When the key of each observer was created.
    created: BTreeMap<String, i64>,
}

/// What changes may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// Look at every peer.
    Observers,
    /// Nothing but peers.
    Peers,
}

impl View {
    pub fn new() -> Self {
        let (peers, created) = (BTreeMap::new(), BTreeMap::new());
        Self { revision: 0, peers, observers: Assignment::new(SEED), created }
    }

    pub fn of(entries: Vec<Entry>, revision: i64) -> Self {
        let mut view = Self::new();
        view.apply(entries.into_iter().map(Change::Put).collect(), revision);
        view
    }

    /// Brings the view up to a revision.
    pub fn apply(&mut self, changes: Vec<Change>, revision: i64) -> Moved {
        let mut moved = Moved::Peers;
        for change in changes {
            let entry = match &change {
                Change::Put(entry) => Some(entry),
                Change::Deleted(_) => None,
            };
            if let Some(id) = change.key().strip_prefix(OBSERVERS) {
                self.observer(id, entry);
                moved = Moved::Observers;
            } else if let Some(id) = change.key().strip_prefix(PEERS) {
                self.peer(id, entry);
            }
        }
        self.revision = self.revision.max(revision);
        moved
    }

    fn observer(&mut self, id: &str, entry: Option<&Entry>) {
        self.observers.remove(id);
        self.created.remove(id);
        let Some(entry) = entry else { return };
        let weight = entry.value.parse().unwrap_or(1).max(1);
        let is_new = self.observers.insert(id.to_owned(), weight);
        debug_assert_eq!(is_new, Ok(()), "it was removed");
        self.created.insert(id.to_owned(), entry.created);
    }

    fn peer(&mut self, id: &str, entry: Option<&Entry>) {
        let peer = entry.and_then(|entry| {
            let address = entry.value.parse().ok()?; // Else it is none of ours.
            Some(Peer { address, incarnation: entry.modified })
        });
        match peer {
            Some(peer) => self.peers.insert(id.to_owned(), peer),
            None => self.peers.remove(id),
        };
    }

    /// Whether this observer's key is there, in this life.
    pub fn is_member(&self, observer: &str, created: i64) -> bool {
        self.created.get(observer) == Some(&created)
    }

    pub fn observers(&self) -> &Assignment<String> {
        &self.observers
    }

    /// Who watches this peer.
    pub fn owner(&self, peer: &str) -> Option<&str> {
        self.observers.assign(peer).map(String::as_str)
    }
}

impl Default for View {
    fn default() -> Self {
        Self::new()
    }
}

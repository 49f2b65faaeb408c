//! [`Book`]: where each peer is, who is at an address, and how many come from one source.

use alloc::vec::Vec;

use hashbrown::HashTable;

use super::address::Address;
use super::secret::Secret;
use super::stays::Stays;

/// What is kept of a peer beside its state: 24 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Home {
    pub(super) address: Address,
    /// The peer's own epoch, of the ping that it joined with; 0: nobody is here.
    pub(super) epoch: u32,
}

const _: () = assert!(size_of::<Home>() == 24);

impl Home {
    #[inline]
    fn touch(&self) -> u64 {
        u64::from(self.epoch) ^ self.address.words()[0]
    }
}

/// All its room is reserved at the beginning, and the tables at most half full: they never grow,
/// and what removals leave behind is swept in place.
#[derive(Debug)]
pub(super) struct Book {
    secret: Secret,
    /// By place in the fleet.
    homes: Vec<Home>,
    /// Places, by address.
    places: HashTable<u32>,
    sources: HashTable<Source>,
    stays: Stays,
    /// Whether sources are counted.
    counting: bool,
}

#[derive(Debug)]
struct Source {
    name: u64,
    peers: u32,
}

impl Book {
    pub(super) fn new(secret: Secret, peers: u32, slots: usize, counting: bool) -> Self {
        let room = 2 * peers as usize;
        Self {
            secret,
            homes: Vec::with_capacity(slots),
            places: HashTable::with_capacity(room),
            sources: HashTable::with_capacity(if counting { room } else { 0 }),
            stays: Stays::new(peers),
            counting,
        }
    }

    /// Who is there; `None`: nobody.
    #[inline]
    pub(super) fn home(&self, place: u32) -> Option<&Home> {
        self.homes.get(place as usize).filter(|home| home.epoch != 0)
    }

    /// Something of both ends of the record: so that it comes near.
    #[inline]
    pub(super) fn touch(&self, place: u32) -> u64 {
        self.homes.get(place as usize).map_or(0, Home::touch)
    }

    pub(super) fn find(&self, address: &Address) -> Option<u32> {
        let hash = self.secret.index(address);
        self.places.find(hash, |place| self.homes[*place as usize].address == *address).copied()
    }

    /// The number of this address, of which challenges to there are made.
    pub(super) fn stay(&self, address: &Address) -> u32 {
        self.stays.number(self.secret.index(address))
    }

    /// How many peers come from where this one does.
    pub(super) fn peers_beside(&self, address: &Address) -> u32 {
        let name = address.source();
        let hash = self.secret.index_source(name);
        self.sources.find(hash, |source| source.name == name).map_or(0, |source| source.peers)
    }

    /// A peer is at this address, where nobody was known.
    pub(super) fn enter(&mut self, place: u32, home: Home) {
        let secret = self.secret;
        if self.homes.len() <= place as usize {
            self.homes.resize(place as usize + 1, Home::default());
        }
        self.homes[place as usize] = home;
        let homes = &self.homes;
        let hasher = |place: &u32| secret.index(&homes[*place as usize].address);
        self.places.insert_unique(secret.index(&home.address), place, hasher);
        if self.counting {
            let name = home.address.source();
            let hasher = |source: &Source| secret.index_source(source.name);
            let hash = secret.index_source(name);
            let found = self.sources.entry(hash, |source| source.name == name, hasher);
            found.or_insert(Source { name, peers: 0 }).into_mut().peers += 1;
        }
    }

    /// The same peer began anew.
    pub(super) fn renew(&mut self, place: u32, epoch: u32) {
        let home = &mut self.homes[place as usize];
        home.epoch = epoch;
        self.stays.end(self.secret.index(&home.address));
    }

    /// The peer is somewhere else, where nobody was known.
    #[cfg(feature = "auth")]
    pub(super) fn relocate(&mut self, place: u32, address: Address) {
        if let Some(home) = self.leave(place) {
            self.enter(place, Home { address, ..home });
        }
    }

    /// The peer is no longer there. Where it was; `None`: nobody was.
    pub(super) fn leave(&mut self, place: u32) -> Option<Home> {
        let home = *self.home(place)?;
        let hash = self.secret.index(&home.address);
        self.stays.end(hash);
        if let Ok(entry) = self.places.find_entry(hash, |known| *known == place) {
            entry.remove();
        }
        if self.counting {
            let name = home.address.source();
            let hash = self.secret.index_source(name);
            if let Ok(mut entry) = self.sources.find_entry(hash, |source| source.name == name) {
                entry.get_mut().peers -= 1;
                if entry.get().peers == 0 {
                    entry.remove();
                }
            }
        }
        self.homes[place as usize] = Home::default();
        Some(home)
    }

    /// How many places there are to look at.
    pub(super) fn places(&self) -> u32 {
        self.homes.len() as u32
    }
}

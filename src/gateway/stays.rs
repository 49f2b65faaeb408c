//! [`Stays`]: which challenges are void, because a stay at their address has ended since.

use alloc::boxed::Box;
use alloc::vec;

/// A number for each address, another one after each stay there: challenges are made of it, so that
/// an answer that has admitted a peer admits nobody when that peer has gone (rule GW3).
///
/// Addresses share numbers, which are few and fixed: an end voids the challenges that are under way
/// to some others, too, who ask again.
#[derive(Debug)]
pub(super) struct Stays {
    ended: Box<[u32]>,
}

/// So many peers for each number: a quarter of a byte for a peer.
const PEERS: u32 = 16;

/// The fewest numbers.
const FEWEST: u32 = 1024;

impl Stays {
    pub(super) fn new(peers: u32) -> Self {
        let numbers = (peers / PEERS).next_power_of_two().max(FEWEST);
        Self { ended: vec![0; numbers as usize].into_boxed_slice() }
    }

    /// The number of an address with this hash.
    pub(super) fn number(&self, hash: u64) -> u32 {
        self.ended.get(self.place(hash)).copied().unwrap_or_default()
    }

    /// A stay there has ended.
    pub(super) fn end(&mut self, hash: u64) {
        let place = self.place(hash);
        if let Some(number) = self.ended.get_mut(place) {
            *number = number.wrapping_add(1);
        }
    }

    const fn place(&self, hash: u64) -> usize {
        hash as usize & (self.ended.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_changes_the_number_of_its_address_and_of_few_others() {
        for (peers, others) in [(1, 1023), (1 << 24, (1 << 20) - 1)] {
            let mut stays = Stays::new(peers);
            stays.end(5);
            assert_eq!((stays.number(5), stays.number(4)), (1, 0));
            let same = (0..=others).filter(|hash| stays.number(*hash) == 0).count();
            assert_eq!(same as u64, others);
        }
    }
}

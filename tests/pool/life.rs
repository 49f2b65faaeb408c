//! Two days of a busy pool in virtual time: descriptors stay flat, nothing leaks.

use core::cell::Cell;
use std::rc::Rc;

use heartbeat_proto::pool::{CheckOut, Lease, Pool, PoolConfig, Upkeep};

use crate::rng::Rng;
use crate::{MS, SEC, at};

/// Counts like an open descriptor.
struct Descriptor {
    open: Rc<Cell<usize>>,
    /// From when on its peer is gone, unnoticed.
    dead_from: u64,
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
    }
}

/// PL10, PL3: Y25: descriptors stay flat over 48 h of simulated life.
#[test]
fn y25_descriptors_stay_flat_over_48_hours() {
    let hours = 3600 * SEC;
    let config = PoolConfig::builder().caps(6, 20).build().expect("valid");
    let mut pool: Pool<u8, Descriptor> = Pool::new(config, 7);
    let open = Rc::new(Cell::new(0_usize));
    let mut rng = Rng(1);
    let mut in_use: Vec<(u64, Lease<u8>, Descriptor)> = Vec::new();
    let (mut opened, mut dead_found, mut evicted, mut refused, mut again) = (0_u64, 0, 0, 0, 0);
    let (mut now, mut peaks) = (0, Vec::new());
    while now < 48 * hours {
        // Quiet nights: a lull of an hour now and then.
        now += if rng.below(20_000) == 0 { hours } else { rng.below(2 * SEC) };
        // Finished work comes back; some of it with an error.
        let mut index = 0;
        while index < in_use.len() {
            if in_use[index].0 > now {
                index += 1;
                continue;
            }
            let (_, lease, descriptor) = in_use.swap_remove(index);
            match rng.below(50) {
                0 => pool.discard(lease),
                _ => drop(pool.check_in(lease, descriptor, at(now), at(now))),
            }
        }
        let mut answered = Vec::new();
        while let Some(upkeep) = pool.upkeep(at(now)) {
            match upkeep {
                Upkeep::Ping { id, connection } if connection.dead_from > now => answered.push(id),
                Upkeep::Close { .. } => evicted += 1,
                _ => {}
            }
        }
        for id in answered {
            let _ = pool.heard(id, at(now));
        }
        let owner = rng.below(5) as u8;
        let work = now + 100 * MS + rng.below(20 * SEC);
        loop {
            match pool.check_out(&owner, at(now)) {
                CheckOut::Ready { lease, connection } => in_use.push((work, lease, connection)),
                CheckOut::Verify { lease, connection } if connection.dead_from <= now => {
                    dead_found += 1;
                    drop(connection);
                    pool.discard(lease);
                    continue;
                }
                CheckOut::Verify { lease, connection } => {
                    again += 1;
                    in_use.push((work, lease, connection));
                }
                CheckOut::Connect { lease } if rng.below(100) == 0 => pool.discard(lease),
                CheckOut::Connect { lease } => {
                    opened += 1;
                    open.set(open.get() + 1);
                    let dead_from = now + rng.below(600 * SEC);
                    in_use.push((work, lease, Descriptor { open: Rc::clone(&open), dead_from }));
                }
                CheckOut::Close { .. } => continue,
                CheckOut::Refused(_) => refused += 1,
                _ => unreachable!("no other answers"),
            }
            break;
        }
        let counted = pool.quota().all() as usize;
        assert_eq!(open.get(), counted, "every open descriptor is counted, and nothing else");
        assert_eq!(counted, pool.idle() + in_use.len());
        assert!(counted <= 20 && pool.quota().of(&owner) <= 6);
        let hour = (now / hours) as usize;
        peaks.resize(peaks.len().max(hour + 1), 0);
        peaks[hour] = peaks[hour].max(counted);
    }
    println!(
        "{opened} opened, {again} verified and reused, {dead_found} found dead, {evicted} evicted, \
         {refused} refused"
    );
    assert!(opened > 5_000 && again > 5_000 && dead_found > 100 && evicted > 100 && refused > 100);
    assert!(peaks.iter().all(|peak| *peak <= 20), "{peaks:?}");
    for (_, lease, _) in in_use.drain(..) {
        pool.discard(lease);
    }
    drop(pool.drain());
    assert_eq!((open.get(), pool.quota().all(), pool.quota().owners()), (0, 0, 0));
}

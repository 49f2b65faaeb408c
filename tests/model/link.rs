//! What is under way: frames that wait to be written, and packets in a network without order.

use crate::fate::Fate;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Packet {
    pub(crate) to: usize,
    pub(crate) kind: Kind,
    /// The transport of its sender has taken it.
    pub(crate) written: bool,
    /// Units since it was handed over, or written; saturates where it must move on.
    pub(crate) age: u8,
    /// The stamp it carries or echoes is so many units old (0 where nobody reads stamps).
    pub(crate) stamp_age: u8,
    /// It is a copy, or has one.
    pub(crate) doubled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Ping(Number),
    /// Its number is that of the ping it answers.
    Pong(Number),
    Beacon,
    Data,
    Goodbye,
}

/// Of a ping, as its sender counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Number {
    /// So many behind the newest.
    Behind(u8),
    /// Of a connection before this one.
    OldEpoch,
}

impl Packet {
    pub(crate) fn grow_older(&mut self, fate: &Fate, stamps: bool) {
        self.age = (self.age + 1).min(if self.written { fate.delay } else { fate.write });
        if stamps && !matches!(self.kind, Kind::Data | Kind::Goodbye) {
            self.stamp_age += 1;
        }
    }

    /// A newer ping has left `sender`.
    pub(crate) fn fall_behind(&mut self, sender: usize) {
        if let Some(Number::Behind(behind)) = self.number_of(sender) {
            *behind += 1;
        }
    }

    /// `sender` has begun a new connection.
    pub(crate) fn outlive(&mut self, sender: usize) {
        if let Some(number) = self.number_of(sender) {
            *number = Number::OldEpoch;
        }
    }

    fn number_of(&mut self, sender: usize) -> Option<&mut Number> {
        match &mut self.kind {
            Kind::Ping(number) if self.to != sender => Some(number),
            Kind::Pong(number) if self.to == sender => Some(number),
            _ => None,
        }
    }
}

pub(crate) fn remove(packets: &mut Vec<Packet>, packet: Packet) {
    if let Some(at) = packets.iter().position(|&one| one == packet) {
        packets.remove(at);
    }
}

//! The stations that guests' cards stand for, so that the host's card can be told whose frames to let in.
//!
//! A guest's card has the address of its configuration, but its driver may send from others: bridges, containers, another address of its
//! own. So every source is noted, and none is forgotten: a guest that uses more addresses than cards have filters gets everybody's frames.

use crate::Mac;
use alloc::vec::Vec;

/// Most stations that are kept apart: more than any card has filters for.
const MOST: usize = 32;

/// Who is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Crowd<'a> {
    /// These, and nobody else.
    Few(&'a [Mac]),
    /// Too many to tell.
    Many,
}

/// What is known of them.
#[derive(Debug, Default)]
pub struct Stations {
    known: Vec<Mac>,
    /// The source of the last frame: most have the same as the one before.
    last: [u8; 6],
    many: bool,
    news: bool,
}

impl Stations {
    /// A station that is there before it has sent anything.
    pub fn add(&mut self, mac: Mac) {
        if self.many || !mac.is_station() || self.known.contains(&mac) {
            return;
        }
        self.news = true;
        match self.known.len() < MOST {
            true => self.known.push(mac),
            false => self.many = true,
        }
    }

    /// Looks at who sends a frame.
    #[inline]
    pub fn note(&mut self, frame: &[u8]) {
        if let Some(source) = frame.get(6..12)
            && source != self.last
        {
            self.last.copy_from_slice(source);
            self.add(Mac(self.last));
        }
    }

    /// Who is there, if that has changed since the last call.
    pub fn news(&mut self) -> Option<Crowd<'_>> {
        core::mem::take(&mut self.news).then_some(match self.many {
            true => Crowd::Many,
            false => Crowd::Few(&self.known),
        })
    }

    /// Has the next call of [`Stations::news`] tell.
    pub fn tell_again(&mut self) {
        self.news = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(source: u8) -> [u8; 14] {
        let mut frame = [0xff; 14];
        frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, source]);
        frame
    }

    #[test]
    fn every_source_is_told_once() {
        let mut stations = Stations::default();
        assert_eq!(stations.news(), None);
        let first = Mac([2, 0, 0, 0, 0, 1]);
        stations.add(first);
        assert_eq!(stations.news(), Some(Crowd::Few(&[first])));
        stations.note(&frame(1));
        stations.note(&frame(1));
        assert_eq!(stations.news(), None);
        stations.note(&frame(2));
        stations.note(&frame(1));
        stations.note(&[0; 8]);
        stations.note(&[0xff; 14]);
        let both = [first, Mac([2, 0, 0, 0, 0, 2])];
        assert_eq!(stations.news(), Some(Crowd::Few(&both)));
        stations.tell_again();
        assert_eq!(stations.news(), Some(Crowd::Few(&both)));
    }

    #[test]
    fn a_crowd_is_told_once_and_takes_no_memory() {
        let mut stations = Stations::default();
        for source in 0..=255 {
            stations.note(&frame(source));
        }
        assert_eq!(stations.known.len(), MOST);
        assert_eq!(stations.news(), Some(Crowd::Many));
        stations.note(&frame(1));
        assert_eq!(stations.news(), None);
    }
}

//! What a session has done so far, for people.

use core::fmt;

/// Counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Updates of the picture.
    pub updates: u32,
    /// Those of them that came without having been asked for.
    pub unasked: u32,
    /// Fences of the viewer's own.
    pub fences: u32,
    /// Its answers to ours.
    pub answers: u32,
    /// Keys that were pressed, told by their places.
    pub by_place: u32,
    /// The same, told by what they mean.
    pub by_meaning: u32,
    /// Sizes of the screen that were told, behind the first.
    pub sizes: u32,
    /// Sizes that the viewer wanted, and did not get.
    pub wishes: u32,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            updates,
            unasked,
            fences,
            answers,
            by_place,
            by_meaning,
            sizes,
            wishes,
        } = self;
        write!(
            f,
            "{updates} updates, {unasked} of them unasked, {fences} fences, {answers} answered, {by_place} keys by place, {by_meaning} by meaning, {sizes} new sizes, {wishes} wished for"
        )
    }
}

//! Screens: the contract between what makes a picture and those who look at it (a framebuffer, a remote viewer, a test).
//!
//! A viewer keeps a [`Stamp`] and asks again and again: [`Display::update`] tells what changed since then,
//! [`Picture::render`] draws it. Viewers do not know of each other, and any number of them may look at one screen. In text
//! modes [`Picture::text`] gives the characters themselves.
//!
//! Drawing takes time, and the device belongs to the guest's CPUs: a viewer on another CPU takes [`Display::update`] and
//! [`Display::capture`] together, which is quick, and draws what it captured afterwards.

pub mod cp437;
mod text;

pub use text::{TextCell, TextScreen};

use crate::Instant;
use alloc::boxed::Box;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Pixels in a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
}

impl Size {
    /// The rectangle that covers everything.
    pub const fn whole(self) -> Rect {
        Rect {
            x: 0,
            y: 0,
            width: self.width,
            height: self.height,
        }
    }
}

/// A part of a screen in pixels, from its upper left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// First column.
    pub x: u32,
    /// First line.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Lines.
    pub height: u32,
}

/// A point in a screen's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub u64);

impl Stamp {
    /// Before everything: all of the screen has changed since then.
    pub const NEVER: Self = Self(0);
}

/// What a screen shows at one moment.
pub trait Picture: Send {
    /// Its size. On a screen, a guest changes it at will, within what the screen was made for.
    fn size(&self) -> Size;

    /// Draws `rect` line by line into `into`, without gaps: each pixel as `00RRGGBBh`. Pixels outside the picture are
    /// black; what `into` has no room for is left out.
    fn render(&self, rect: Rect, into: &mut [u32]);

    /// The characters, if it is one of text.
    fn text(&self) -> Option<TextScreen>;
}

/// A screen: the picture as it is now.
pub trait Display: Picture {
    /// Brings blinking parts to `now` and calls `changed` for rectangles that together cover every pixel that may differ
    /// from what [`Picture::render`] gave at `since`. They lie within [`Picture::size`] and do not overlap. Returns the
    /// stamp for the next call. After a change of size, one rectangle covers everything.
    fn update(&mut self, since: Stamp, now: Instant, changed: &mut dyn FnMut(Rect)) -> Stamp;

    /// The picture by itself, to be drawn while the device goes on: what decides over it is copied, video memory is shared.
    /// What the guest draws meanwhile may show or not; the next [`Display::update`] tells of it.
    fn capture(&self) -> Box<dyn Picture>;
}

//! VNC: the guest's screen, keyboard and pointer for people on the network (RFC 6143).
//!
//! A [`viewer::Viewer`] is a session with one of them. What sessions share is a [`Room`]: the [`Desktop`] that they look at, and memory to work
//! in. Nothing is kept of the picture: tiles are drawn from the guest's own video memory when their turn comes, so a viewer that is slow
//! gets the newest picture, and one that does not read costs nothing.
//!
//! Pixels go raw, in hextiles or by ZRLE, in any format that the protocol knows. **Not there:** Tight and JPEG, clipboards, resizing by viewers,
//! sound, encryption.

mod bits;
#[cfg(test)]
pub(crate) mod check;
mod deflate;
mod format;
mod hextile;
mod keys;
mod message;
mod region;
mod security;
#[cfg(test)]
mod tests;
mod typing;
pub mod viewer;
mod zrle;

use alloc::boxed::Box;
use alloc::vec::Vec;
use deflate::Table;
use hvm::display::{Picture, Rect, Size};
use hvm::input::{KeyEvent, Leds, PointerEvent};
use region::{MAX_SIZE, Region, TILE};

/// Pixels of a tile.
const TILE_PIXELS: usize = (TILE * TILE) as usize;
/// Bytes of a tile in the longest encoding, with what goes before it.
const TILE_BYTES: usize = TILE_PIXELS * 4 + 64;
/// The same after a compressor that gained nothing.
const OUT_BYTES: usize = TILE_BYTES * 9 / 8 + 64;
/// What is shown of a guest without a screen.
const NO_SCREEN: Size = Size {
    width: 640,
    height: 400,
};

/// What viewers look at and drive.
pub trait Desktop {
    /// What the guest's screen shows, if it has one.
    fn picture(&self) -> Option<&dyn Picture>;
    /// Whether that is known yet. Until then a viewer waits.
    fn is_known(&self) -> bool;
    /// The lamps of its keyboard.
    fn leds(&self) -> Leds;
    /// A key moved.
    fn key(&mut self, event: KeyEvent);
    /// The pointer did something.
    fn pointer(&mut self, event: PointerEvent);
    /// What viewers have as a title.
    fn name(&self) -> &str;
}

/// Memory of one viewer.
struct Buffers {
    /// Bytes to be sent.
    out: Vec<u8>,
    /// What has changed.
    pending: Region,
    /// What of it the update has that is on its way.
    sending: Region,
}

/// What sessions share.
pub struct Room<D> {
    /// What they look at.
    pub desktop: D,
    spare: Vec<Buffers>,
    pixels: Box<[u32]>,
    tile: Vec<u8>,
    table: Table,
}

impl<D: Desktop> Room<D> {
    /// A room for so many viewers at once. All memory is taken now.
    pub fn new(desktop: D, viewers: usize) -> Self {
        let buffers = || Buffers {
            out: Vec::with_capacity(OUT_BYTES),
            pending: Region::new(),
            sending: Region::new(),
        };
        Self {
            desktop,
            spare: (0..viewers).map(|_| buffers()).collect(),
            pixels: alloc::vec![0; TILE_PIXELS].into(),
            tile: Vec::with_capacity(TILE_BYTES),
            table: Table::new(),
        }
    }

    /// How large the screen is to viewers.
    fn size(&self) -> Size {
        let size = match self.desktop.picture() {
            Some(picture) => picture.size(),
            None => NO_SCREEN,
        };
        Size {
            width: size.width.clamp(1, MAX_SIZE.width),
            height: size.height.clamp(1, MAX_SIZE.height),
        }
    }

    /// Draws a part of a tile; how many pixels that are.
    fn draw(&mut self, rect: Rect) -> usize {
        let count = (rect.width * rect.height) as usize;
        let pixels = &mut self.pixels[..count];
        match self.desktop.picture() {
            Some(picture) => picture.render(rect, pixels),
            None => pixels.fill(0),
        }
        count
    }
}

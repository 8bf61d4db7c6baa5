//! VNC: the guest's screen, keyboard and pointer for people on the network (RFC 6143).
//!
//! A [`viewer::Viewer`] is a session with one of them. What sessions share is a [`Room`]: the [`Desktop`] that they look at, and memory to work
//! in. No picture is kept: tiles are drawn from the guest's own video memory when their turn comes, so a viewer that is slow
//! gets the newest picture, and one that does not read costs nothing. What it has is remembered by marks (`history`), and so what has only
//! moved on its screen is found (`moves`) and copied there.
//!
//! Pixels go raw, in hextiles or by ZRLE, in any format that the protocol knows. **Not there:** Tight and JPEG, clipboards, resizing by viewers,
//! sound, encryption.

mod bits;
#[cfg(test)]
pub(crate) mod check;
mod deflate;
mod encode;
mod format;
mod handshake;
mod hextile;
mod history;
mod keys;
mod message;
mod moves;
mod news;
mod region;
mod security;
mod shift;
pub mod tally;
#[cfg(test)]
mod tests;
mod typing;
pub mod viewer;
mod write;
mod zrle;

pub use handshake::Entrance;

use alloc::boxed::Box;
use alloc::vec::Vec;
use encode::Scratch;
use history::{History, Keys};
use hvm::display::{Picture, Rect, Size};
use hvm::input::{KeyEvent, Leds, PointerEvent};
use region::{MAX_SIZE, Region, TILE};
use shift::Finder;

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
    /// What is on the viewer's screen.
    history: History,
}

impl Buffers {
    /// All memory is taken now.
    fn new() -> Self {
        Self {
            out: Vec::with_capacity(OUT_BYTES),
            pending: Region::new(),
            sending: Region::new(),
            history: History::new(),
        }
    }

    /// All of a screen of this size is new.
    fn resize(&mut self, size: Size) {
        self.pending.resize(size);
        self.sending.resize(size);
        self.history.resize(size);
        self.pending.add(size.whole());
    }

    #[cfg(test)]
    fn memory_bytes(&self) -> usize {
        let regions = self.pending.memory_bytes() + self.sending.memory_bytes();
        self.out.capacity() + regions + self.history.memory_bytes()
    }
}

/// What sessions share.
pub struct Room<D> {
    /// What they look at.
    pub desktop: D,
    spare: Vec<Buffers>,
    pixels: Box<[u32]>,
    scratch: Scratch,
    keys: Keys,
    /// Marks of a column as it is to be.
    lines: Vec<u64>,
    finder: Finder,
}

impl<D: Desktop> Room<D> {
    /// A room for so many viewers at once. All memory is taken now. Nobody but the host may know `seed`.
    pub fn new(desktop: D, viewers: usize, seed: u64) -> Self {
        Self {
            desktop,
            spare: (0..viewers).map(|_| Buffers::new()).collect(),
            pixels: alloc::vec![0; TILE_PIXELS].into(),
            scratch: Scratch::new(),
            keys: Keys::new(seed),
            lines: Vec::with_capacity(MAX_SIZE.height as usize),
            finder: Finder::new(),
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

    /// Marks the lines of a part of a tile, which is as wide as the tile.
    fn mark(&mut self, rect: Rect) {
        let count = self.draw(rect);
        let lines = self.pixels[..count].chunks(rect.width.max(1) as usize);
        for (mark, line) in self.lines.iter_mut().skip(rect.y as usize).zip(lines) {
            *mark = self.keys.mark(line);
        }
    }
}

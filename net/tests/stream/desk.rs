//! A desk with a picture that nobody sits at. Shared by the tests, the fuzz targets and the example.

use hvm::display::Picture;
use hvm::input::{KeyEvent, Leds, PointerEvent};
use net::rfb::Desktop;

/// The desk.
pub struct Desk<P>(pub P);

impl<P: Picture> Desktop for Desk<P> {
    fn picture(&self) -> Option<&dyn Picture> {
        Some(&self.0)
    }
    fn is_known(&self) -> bool {
        true
    }
    fn leds(&self) -> Leds {
        Leds::CAPS
    }
    fn key(&mut self, _: KeyEvent) {}
    fn pointer(&mut self, _: PointerEvent) {}
    fn name(&self) -> &str {
        "desk"
    }
}

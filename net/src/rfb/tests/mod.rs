//! Sessions with viewers that decode.

mod entrance;
mod extensions;
mod input;
mod moves;
mod pixels;

use super::check::{Bytes, Screen};
use super::format::{Converter, PixelFormat};
use super::security::encrypt;
use super::tally::Tally;
use super::viewer::Viewer;
use super::*;
use crate::server::{Session, Stage};
use alloc::string::String;
use heapless::Vec as Few;
use hvm::display::TextScreen;
use hvm::input::{Action, Button, Key, Position};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

/// A picture that a test changes.
#[derive(Clone, Default)]
struct Image {
    size: Size,
    pixels: Arc<Mutex<Vec<u32>>>,
}

impl Picture for Image {
    fn size(&self) -> Size {
        self.size
    }

    fn render(&self, rect: Rect, into: &mut [u32]) {
        let pixels = self.pixels.lock().unwrap();
        for (at, pixel) in into.iter_mut().enumerate() {
            let x = rect.x + at as u32 % rect.width;
            let y = rect.y + at as u32 / rect.width;
            let is_inside = x < self.size.width && y < self.size.height;
            *pixel = match is_inside {
                true => pixels[(y * self.size.width + x) as usize],
                false => 0,
            };
        }
    }

    fn text(&self) -> Option<TextScreen> {
        None
    }
}

#[derive(Default)]
struct Desk {
    image: Option<Image>,
    is_dark: bool,
    leds: Leds,
    keys: Vec<KeyEvent>,
    pointer: Vec<PointerEvent>,
}

impl Desktop for Desk {
    fn picture(&self) -> Option<&dyn Picture> {
        self.image.as_ref().map(|image| image as &dyn Picture)
    }
    fn is_known(&self) -> bool {
        !self.is_dark
    }
    fn leds(&self) -> Leds {
        self.leds
    }
    fn key(&mut self, event: KeyEvent) {
        self.keys.push(event);
    }
    fn pointer(&mut self, event: PointerEvent) {
        self.pointer.push(event);
    }
    fn name(&self) -> &str {
        "florizel"
    }
}

fn room(image: Option<Image>) -> Room<Desk> {
    let desk = Desk {
        image,
        ..Desk::default()
    };
    Room::new(desk, 2, 7)
}

fn image(width: u32, height: u32, pixel: impl Fn(u32, u32) -> u32) -> Image {
    let pixels = (0..width * height).map(|at| pixel(at % width, at / width));
    Image {
        size: Size { width, height },
        pixels: Arc::new(Mutex::new(pixels.collect())),
    }
}

/// Everything that a viewer is told now, through windows of `window` bytes.
fn listen(viewer: &mut Viewer, room: &mut Room<Desk>, window: usize, now_ms: u64) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut bytes = std::vec![0; window];
    loop {
        let count = viewer.send(&mut bytes, room, now_ms);
        heard.extend(&bytes[..count]);
        if count == 0 && Session::<Room<Desk>>::next_ms(viewer, now_ms) != Some(0) {
            return heard;
        }
    }
}

fn tell(viewer: &mut Viewer, room: &mut Room<Desk>, bytes: &[u8]) {
    assert_eq!(viewer.receive(bytes, room, 0), bytes.len());
}

/// A viewer of 3.8 that is let in, and its screen.
fn introduced(room: &mut Room<Desk>) -> (Viewer, Screen) {
    let mut viewer = Viewer::new(Entrance::Open, room, 0);
    assert_eq!(listen(&mut viewer, room, 99, 0), b"RFB 003.008\n");
    tell(&mut viewer, room, b"RFB 003.008\n");
    assert_eq!(listen(&mut viewer, room, 99, 0), [1, 1]);
    tell(&mut viewer, room, &[1]);
    assert_eq!(listen(&mut viewer, room, 99, 0), [0; 4]);
    tell(&mut viewer, room, &[1]);
    let init = listen(&mut viewer, room, 99, 0);
    let mut init = Bytes(&init);
    let screen = Screen::new(init.u16(), init.u16());
    assert_eq!(init.take(16), PixelFormat::NATIVE.write());
    assert_eq!(init.u32(), 8);
    assert_eq!(init.0, b"florizel");
    (viewer, screen)
}

/// A room with this picture, and a viewer with these encodings that has been shown it once.
fn watched(image: &Image, numbers: &[i32]) -> (Room<Desk>, Viewer, Screen) {
    let mut room = room(Some(image.clone()));
    let (mut viewer, mut screen) = introduced(&mut room);
    let mut bytes = encodings(numbers);
    bytes.extend(request(0, &screen));
    tell(&mut viewer, &mut room, &bytes);
    screen.heed(&listen(&mut viewer, &mut room, 5000, 0));
    (room, viewer, screen)
}

fn encodings(numbers: &[i32]) -> Vec<u8> {
    let mut message = std::vec![2, 0, 0, numbers.len() as u8];
    for number in numbers {
        message.extend(number.to_be_bytes());
    }
    message
}

fn request(extent: u8, screen: &Screen) -> Vec<u8> {
    let mut message = std::vec![3, extent, 0, 0, 0, 0];
    message.extend((screen.width as u16).to_be_bytes());
    message.extend((screen.height as u16).to_be_bytes());
    message
}

fn same(screen: &Screen, image: &Image) {
    let converter = Converter::new(screen.format);
    let pixels = image.pixels.lock().unwrap();
    assert_eq!(screen.pixels.len(), pixels.len());
    for (at, (seen, pixel)) in screen.pixels.iter().zip(pixels.iter()).enumerate() {
        assert_eq!(*seen, converter.pixel(*pixel), "pixel {at}");
    }
}

/// Lines of text of a console: `line` of them has been written at this place.
fn console(line: u32, x: u32, y: u32) -> u32 {
    let letter = (line ^ (x / 8) << 7).wrapping_mul(0x9e37_79b9) >> 7;
    let is_text = x / 8 % 100 < line * 7 % 90 && letter & 7 != 0;
    let stroke = (letter >> (x % 8 + y % 16) ^ letter << 3 >> (y % 16)) & 1;
    match is_text && stroke != 0 && y % 16 > 2 {
        true => 0x00aa_aaaa,
        false => 0,
    }
}

#[test]
fn memory_of_a_viewer_is_bounded() {
    let mut room = room(Some(image(100, 70, |x, y| x * y)));
    let (viewer, _) = introduced(&mut room);
    let bytes = viewer.memory_bytes();
    assert!(bytes < 304 * 1024, "{bytes}");
}

fn password() -> Entrance {
    Entrance::Password {
        password: Few::from_slice(b"geheim").unwrap(),
        challenge: [7; 16],
    }
}

const SIXTEEN: PixelFormat = PixelFormat {
    bytes: 2,
    depth: 16,
    max: [31, 63, 31],
    shift: [11, 5, 0],
    ..PixelFormat::NATIVE
};

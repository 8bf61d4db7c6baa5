//! What screens cost: bytes, and instructions under a profiler.
//!
//! `cargo run --release -p net --example rfb -- zrle copy first.ppm second.ppm`: the encoding (`raw`, `hextile` or `zrle`), whether the viewer
//! copies (`copy` or `plain`), and pictures that it looks at one after the other, each told to have changed as a whole. With one picture
//! alone the second update is left out; the difference between two runs is the price of an update.

#[path = "../tests/stream/desk.rs"]
mod desk;

use desk::Desk;
use hvm::display::{Picture, Rect, Size, TextScreen};
use net::rfb::viewer::Viewer;
use net::rfb::{Entrance, Room};
use net::server::Session;
use std::error::Error;
use std::{env, fs};

/// A portable pixmap.
struct Image {
    size: Size,
    pixels: Vec<u32>,
}

impl Image {
    fn read(path: &str) -> Result<Self, Box<dyn Error>> {
        let bytes = fs::read(path)?;
        let mut rest = &bytes[..];
        let mut words = [0; 3];
        rest = rest
            .strip_prefix(b"P6")
            .ok_or("it is no pixmap of colours")?;
        for word in &mut words {
            rest = rest.trim_ascii_start();
            let end = rest
                .iter()
                .position(|byte| !byte.is_ascii_digit())
                .ok_or("it ends early")?;
            *word = str::from_utf8(&rest[..end])?.parse()?;
            rest = &rest[end..];
        }
        let [width, height, _] = words;
        let (pixels, _) = rest[1..].as_chunks::<3>();
        let pixels = pixels
            .iter()
            .map(|&[red, green, blue]| u32::from_be_bytes([0, red, green, blue]));
        Ok(Self {
            size: Size { width, height },
            pixels: pixels.collect(),
        })
    }
}

impl Picture for Image {
    fn size(&self) -> Size {
        self.size
    }

    fn render(&self, rect: Rect, into: &mut [u32]) {
        for (line, y) in into.chunks_mut(rect.width as usize).zip(rect.y..) {
            let from = (y * self.size.width + rect.x) as usize;
            line.copy_from_slice(&self.pixels[from..from + line.len()]);
        }
    }

    fn text(&self) -> Option<TextScreen> {
        None
    }
}

/// What the viewer is told; apart, so that a profiler counts it alone (`callgrind --toggle-collect=rfb::listen`).
#[inline(never)]
fn listen(viewer: &mut Viewer, room: &mut Room<Desk<Image>>) -> usize {
    let mut window = [0; 32 << 10];
    let mut heard = 0;
    loop {
        let count = viewer.send(&mut window, room, 0);
        heard += count;
        if count == 0 && Session::<Room<Desk<Image>>>::next_ms(viewer, 0) != Some(0) {
            return heard;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = env::args().skip(1).collect();
    let [encoding, copies, pictures @ ..] = &words[..] else {
        return Err("expected an encoding, `copy` or `plain`, and pictures".into());
    };
    let mut images = Vec::new();
    for path in pictures {
        images.push(Image::read(path).map_err(|error| format!("{path}: {error}"))?);
    }
    let mut images = images.into_iter();
    let mut room = Room::new(Desk(images.next().ok_or("expected a picture")?), 1, 1);
    let mut viewer = Viewer::new(Entrance::Open, &mut room, 0);
    viewer.receive(b"RFB 003.008\n\x01\x01", &mut room, 0);
    listen(&mut viewer, &mut room);
    let number: i32 = match &encoding[..] {
        "raw" => 0,
        "hextile" => 5,
        "zrle" => 16,
        other => return Err(format!("there is no encoding {other}").into()),
    };
    let mut numbers = vec![number];
    numbers.extend((copies == "copy").then_some(1));
    let mut said = vec![2, 0, 0, numbers.len() as u8];
    said.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    said.extend([3, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
    viewer.receive(&said, &mut room, 0);
    let bytes = listen(&mut viewer, &mut room);
    println!("{:?}: {bytes} bytes", room.desktop.0.size);
    for image in images {
        room.desktop.0 = image;
        viewer.damage(&[room.desktop.0.size.whole()]);
        viewer.receive(&[3, 1, 0, 0, 0, 0, 255, 255, 255, 255], &mut room, 0);
        println!("then {} bytes", listen(&mut viewer, &mut room));
    }
    Ok(())
}

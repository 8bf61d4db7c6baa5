//! Sessions with viewers that decode.

use super::check::{Bytes, Screen};
use super::format::{Converter, PixelFormat};
use super::security::encrypt;
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

const SIXTEEN: PixelFormat = PixelFormat {
    bytes: 2,
    depth: 16,
    max: [31, 63, 31],
    shift: [11, 5, 0],
    ..PixelFormat::NATIVE
};
const HIGH: PixelFormat = PixelFormat {
    shift: [24, 16, 8],
    order: format::Order::Big,
    ..PixelFormat::NATIVE
};
const DEEP: PixelFormat = PixelFormat {
    depth: 30,
    max: [1023; 3],
    shift: [20, 10, 0],
    ..PixelFormat::NATIVE
};

/// Pictures as they occur: text, plain areas, gradients, noise.
fn pixels() -> impl Strategy<Value = (u32, u32)> {
    (0_u32..5, 1_u32..1 << 24)
}

fn drawn((kind, colour): (u32, u32), x: u32, y: u32) -> u32 {
    let noise =
        (x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca6b)).wrapping_mul(colour | 1) >> 8;
    match kind {
        0 => colour,
        1 if noise & 3 == 0 => colour,
        1 => 0,
        2 => ((x * 3) & 0xff) << 16 | ((y * 2) & 0xff) << 8 | colour & 0xff,
        3 => noise & 0x0000_7070,
        _ => noise,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_encoding_and_format_shows_the_picture(
        width in 1_u32..150,
        height in 1_u32..150,
        first in pixels(),
        second in pixels(),
        encoding in prop::sample::select(&[0, 5, 16][..]),
        format in prop::sample::select(&[PixelFormat::NATIVE, SIXTEEN, HIGH, DEEP, PixelFormat::MAP][..]),
        window in 1_usize..3000,
    ) {
        let image = image(width, height, |x, y| drawn(first, x, y));
        let mut room = room(Some(image.clone()));
        let (mut viewer, mut screen) = introduced(&mut room);
        let mut bytes = std::vec![0, 0, 0, 0];
        bytes.extend(format.write());
        screen.format = format;
        bytes.extend(encodings(&[encoding]));
        bytes.extend(request(0, &screen));
        tell(&mut viewer, &mut room, &bytes);
        screen.heed(&listen(&mut viewer, &mut room, window, 0));
        same(&screen, &image);
        let changed = Rect { x: width / 3, y: height / 3, width: width / 2 + 1, height: height / 2 + 1 };
        {
            let mut pixels = image.pixels.lock().unwrap();
            for y in changed.y..(changed.y + changed.height).min(height) {
                for x in changed.x..(changed.x + changed.width).min(width) {
                    pixels[(y * width + x) as usize] = drawn(second, x, y);
                }
            }
        }
        viewer.damage(&[changed]);
        prop_assert!(listen(&mut viewer, &mut room, window, 0).is_empty(), "nobody asked");
        tell(&mut viewer, &mut room, &request(1, &screen));
        screen.heed(&listen(&mut viewer, &mut room, window, 0));
        same(&screen, &image);
        tell(&mut viewer, &mut room, &request(1, &screen));
        prop_assert!(listen(&mut viewer, &mut room, window, 0).is_empty(), "nothing changed");
        prop_assert!(viewer.is_hungry());
    }

    #[test]
    fn any_bytes_cost_a_bounded_time_and_no_memory(
        start in 0_usize..4,
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..12),
        window in 0_usize..200,
    ) {
        let mut room = room(Some(image(100, 70, |x, y| x * y)));
        let mut viewer = match start {
            0 => Viewer::new(Entrance::Open, &mut room, 0),
            1 => {
                let mut viewer = Viewer::new(password(), &mut room, 0);
                tell(&mut viewer, &mut room, b"RFB 003.003\n");
                viewer
            }
            _ => introduced(&mut room).0,
        };
        let memory_bytes = viewer.memory_bytes();
        for (step, piece) in (0_u64..).zip(&pieces) {
            let _ = viewer.receive(piece, &mut room, step * 600);
            viewer.damage(&[Rect { x: 5, y: 5, width: 90, height: u32::MAX }]);
            for _ in 0..3 {
                let mut bytes = std::vec![0; window];
                let _ = viewer.send(&mut bytes, &mut room, step * 600);
            }
            prop_assert_eq!(viewer.memory_bytes(), memory_bytes);
        }
        Session::<Room<Desk>>::close(&mut viewer, &mut room);
        prop_assert_eq!(room.spare.len(), 2);
        let down = room.desktop.keys.iter().filter(|key| key.action == Action::Press).count();
        let up = room.desktop.keys.len() - down;
        prop_assert!(down <= 2000 && up <= 2000);
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

/// Changes of a screen.
#[derive(Clone, Debug)]
enum Change {
    /// A part moves, all of it or what of it is still in the part.
    Move { within: Rect, down: i32 },
    /// A part is drawn anew.
    Draw { within: Rect, seed: u32 },
    /// It is said that it changed.
    Nothing { within: Rect },
}

impl Change {
    fn within(&self) -> Rect {
        match *self {
            Self::Move { within, .. } | Self::Draw { within, .. } | Self::Nothing { within } => {
                within
            }
        }
    }

    fn make(&self, image: &Image) {
        let Size { width, height } = image.size;
        let within = self.within();
        let mut pixels = image.pixels.lock().unwrap();
        let before = pixels.clone();
        for y in within.y..(within.y + within.height).min(height) {
            for x in within.x..(within.x + within.width).min(width) {
                let at = (y * width + x) as usize;
                pixels[at] = match *self {
                    Self::Move { down, .. } => {
                        let from = y as i32 - down;
                        let is_inside = from >= within.y as i32
                            && from < ((within.y + within.height).min(height)) as i32;
                        match is_inside {
                            true => before[(from as u32 * width + x) as usize],
                            false => 0,
                        }
                    }
                    Self::Draw { seed, .. } => console(seed + y / 16, x, y),
                    Self::Nothing { .. } => before[at],
                };
            }
        }
    }
}

fn changes() -> impl Strategy<Value = Change> {
    let rect = (0_u32..250, 0_u32..250, 1_u32..300, 1_u32..300);
    (rect, 0_u32..6, -70_i32..70, any::<u16>()).prop_map(
        |((x, y, width, height), kind, down, seed)| {
            let within = match kind {
                // As scrolling consoles do.
                0 | 1 => Rect {
                    x: 0,
                    y: 0,
                    width: 999,
                    height: 999,
                },
                _ => Rect {
                    x,
                    y,
                    width,
                    height,
                },
            };
            match kind {
                0 | 2 => Change::Move { within, down },
                1 => Change::Move { within, down: -16 },
                3 => Change::Nothing { within },
                _ => Change::Draw {
                    within,
                    seed: seed.into(),
                },
            }
        },
    )
}

/// One who looks, and when: how many bytes it reads at a time, and at which changes.
#[derive(Clone, Debug)]
struct Watcher {
    encodings: Vec<i32>,
    window: usize,
    /// How many times it reads after each change.
    reads: Vec<usize>,
    /// What it asks for before: changes, everything, or a part.
    asks: Vec<u8>,
}

const ENCODINGS: &[&[i32]] = &[&[16, 1], &[5, 1], &[1, 0], &[16], &[16, 1, -313]];

fn watchers() -> impl Strategy<Value = Watcher> {
    (
        prop::sample::select(ENCODINGS),
        prop_oneof![20_usize..500, 3000_usize..60_000],
        prop::collection::vec(0_usize..12, 12),
        prop::collection::vec(0_u8..8, 12),
    )
        .prop_map(|(encodings, window, reads, asks)| Watcher {
            encodings: encodings.to_vec(),
            window,
            reads,
            asks,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn what_moves_is_copied_right(
        width in 60_u32..300,
        height in 60_u32..300,
        seed in 0_u32..99,
        steps in prop::collection::vec(prop::collection::vec(changes(), 1..3), 1..12),
        watchers in prop::collection::vec(watchers(), 1..3),
        resets in prop::collection::vec(0_u8..16, 12),
    ) {
        let image = image(width, height, |x, y| console(seed + y / 16, x, y));
        let mut room = room(Some(image.clone()));
        let mut all: Vec<_> = watchers.iter().map(|_| introduced(&mut room)).collect();
        let mut heard: Vec<Vec<u8>> = watchers.iter().map(|_| Vec::new()).collect();
        for ((viewer, screen), watcher) in all.iter_mut().zip(&watchers) {
            let mut bytes = encodings(&watcher.encodings);
            bytes.extend(request(0, screen));
            if watcher.encodings.contains(&-313) {
                bytes.extend([150, 1, 0, 0, 0, 0]);
                bytes.extend([(width as u16).to_be_bytes(), (height as u16).to_be_bytes()].concat());
            }
            tell(viewer, &mut room, &bytes);
        }
        for (step, changes) in steps.iter().enumerate() {
            for change in changes {
                change.make(&image);
            }
            let damage: Vec<_> = changes.iter().map(Change::within).collect();
            for (at, ((viewer, screen), watcher)) in all.iter_mut().zip(&watchers).enumerate() {
                viewer.damage(&damage);
                let mut bytes = match watcher.asks[step] {
                    0 => request(0, screen),
                    1 => std::vec![3, 1, 0, 9, 0, 9, 0, 50, 0, 40],
                    _ => request(1, screen),
                };
                if resets[step] == at as u8 {
                    // In the midst of whatever it is sent.
                    let own: Vec<_> = watcher.encodings.iter().copied()
                        .filter(|it| *it != 1 || step % 2 == 0).collect();
                    bytes.extend(encodings(&own));
                }
                tell(viewer, &mut room, &bytes);
                let mut window = std::vec![0; watcher.window];
                for _ in 0..watcher.reads[step] {
                    let count = viewer.send(&mut window, &mut room, 0);
                    heard[at].extend(&window[..count]);
                }
            }
        }
        for (((viewer, screen), watcher), mut heard) in all.iter_mut().zip(&watchers).zip(heard) {
            heard.extend(listen(viewer, &mut room, watcher.window, 0));
            tell(viewer, &mut room, &request(1, screen));
            heard.extend(listen(viewer, &mut room, watcher.window, 0));
            tell(viewer, &mut room, &request(1, screen));
            heard.extend(listen(viewer, &mut room, watcher.window, 0));
            screen.heed(&heard);
            same(screen, &image);
            if !watcher.encodings.contains(&1) {
                prop_assert_eq!(screen.copies, 0);
            }
        }
    }
}

/// Bytes of one update for the console's next line, and how much of it was copied.
fn scrolled(numbers: &[i32], seen: &[i32]) -> (usize, usize) {
    let image = image(640, 400, |x, y| console(y / 16, x, y));
    let mut room = room(Some(image.clone()));
    let (mut viewer, mut screen) = introduced(&mut room);
    let mut bytes = encodings(numbers);
    bytes.extend(request(0, &screen));
    tell(&mut viewer, &mut room, &bytes);
    screen.heed(&listen(&mut viewer, &mut room, 5000, 0));
    let change = Change::Move {
        within: image.size.whole(),
        down: -16,
    };
    change.make(&image);
    viewer.damage(&[image.size.whole()]);
    let mut bytes = encodings(seen);
    bytes.extend(request(1, &screen));
    tell(
        &mut viewer,
        &mut room,
        &bytes[if seen == numbers {
            4 + 4 * seen.len()
        } else {
            0
        }..],
    );
    let heard = listen(&mut viewer, &mut room, 5000, 0);
    screen.heed(&heard);
    same(&screen, &image);
    (heard.len(), screen.copies)
}

#[test]
fn a_line_of_text_is_scrolled_by_one_copy() {
    let (bytes, copies) = scrolled(&[16, 1], &[16, 1]);
    let (without, none) = scrolled(&[16], &[16]);
    assert!(copies <= 2, "{copies}");
    assert_eq!(none, 0);
    assert!(bytes * 20 < without, "{bytes} and {without}");
    // One who no longer copies, and one who says anew that it does, are sent pixels.
    assert_eq!(scrolled(&[16, 1], &[16]).1, 0);
    assert_eq!(scrolled(&[16, 1], &[16, 1, -239]).1, 0);
}

#[test]
fn who_takes_back_that_it_copies_is_sent_pixels() {
    let image = image(1300, 300, |x, y| console(y / 16, x, y));
    let mut room = room(Some(image.clone()));
    let (mut viewer, mut screen) = introduced(&mut room);
    let mut bytes = encodings(&[16, 1]);
    bytes.extend(request(0, &screen));
    tell(&mut viewer, &mut room, &bytes);
    screen.heed(&listen(&mut viewer, &mut room, 5000, 0));
    let within = image.size.whole();
    Change::Move { within, down: -16 }.make(&image);
    viewer.damage(&[within]);
    tell(&mut viewer, &mut room, &request(1, &screen));
    // It takes more than a turn to look at so large a screen.
    assert_eq!(viewer.send(&mut [0; 5000], &mut room, 0), 0);
    assert_eq!(Session::<Room<Desk>>::next_ms(&viewer, 0), Some(0));
    assert!(!viewer.is_hungry());
    tell(&mut viewer, &mut room, &encodings(&[16]));
    screen.heed(&listen(&mut viewer, &mut room, 5000, 0));
    same(&screen, &image);
    assert_eq!(screen.copies, 0);
}

#[test]
fn pixels_of_another_format_are_not_copied() {
    let image = image(200, 200, |x, y| console(y / 16, x, y));
    let mut room = room(Some(image.clone()));
    let (mut viewer, mut screen) = introduced(&mut room);
    let mut bytes = encodings(&[16, 1]);
    bytes.extend(request(0, &screen));
    tell(&mut viewer, &mut room, &bytes);
    screen.heed(&listen(&mut viewer, &mut room, 5000, 0));
    let mut bytes = std::vec![0, 0, 0, 0];
    bytes.extend(SIXTEEN.write());
    bytes.extend(request(1, &screen));
    tell(&mut viewer, &mut room, &bytes);
    screen.format = SIXTEEN;
    viewer.damage(&[Rect {
        x: 0,
        y: 190,
        width: 1,
        height: 1,
    }]);
    screen.heed(&listen(&mut viewer, &mut room, 5000, 0));
    let within = image.size.whole();
    Change::Move { within, down: -16 }.make(&image);
    viewer.damage(&[within]);
    tell(&mut viewer, &mut room, &request(1, &screen));
    screen.heed(&listen(&mut viewer, &mut room, 5000, 0));
    same(&screen, &image);
}

#[test]
fn what_did_not_change_is_not_sent_again() {
    let image = image(640, 400, |x, y| console(y / 16, x, y));
    let mut room = room(Some(image.clone()));
    let (mut viewer, mut screen) = introduced(&mut room);
    let mut bytes = encodings(&[16, 1]);
    bytes.extend(request(0, &screen));
    tell(&mut viewer, &mut room, &bytes);
    screen.heed(&listen(&mut viewer, &mut room, 5000, 0));
    viewer.damage(&[image.size.whole()]);
    tell(&mut viewer, &mut room, &request(1, &screen));
    assert!(listen(&mut viewer, &mut room, 5000, 0).is_empty());
    assert!(viewer.is_hungry(), "the question is still open");
    image.pixels.lock().unwrap()[100 * 640 + 77] ^= 1;
    viewer.damage(&[image.size.whole()]);
    let heard = listen(&mut viewer, &mut room, 5000, 0);
    screen.heed(&heard);
    same(&screen, &image);
    assert!(heard.len() < 150, "{}", heard.len());
    // Who asks for everything gets everything.
    tell(&mut viewer, &mut room, &request(0, &screen));
    assert!(listen(&mut viewer, &mut room, 5000, 0).len() > 1000);
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

#[test]
fn passwords_are_asked_for_in_every_version() {
    for version in ["003.003", "003.007", "003.008", "003.889", "003.005"] {
        for (word, is_right) in [(&b"geheim"[..], true), (b"gehein", false)] {
            let mut room = room(None);
            let mut viewer = Viewer::new(password(), &mut room, 0);
            listen(&mut viewer, &mut room, 99, 0);
            let line = std::format!("RFB {version}\n");
            tell(&mut viewer, &mut room, line.as_bytes());
            let offer = listen(&mut viewer, &mut room, 99, 0);
            let is_old = matches!(version, "003.003" | "003.005");
            let challenge: [u8; 16] = match is_old {
                true => {
                    assert_eq!(offer[..4], [0, 0, 0, 2]);
                    offer[4..].try_into().unwrap()
                }
                false => {
                    assert_eq!(offer, [1, 2]);
                    tell(&mut viewer, &mut room, &[2]);
                    let challenge = listen(&mut viewer, &mut room, 99, 0);
                    challenge[..].try_into().unwrap()
                }
            };
            let answer = encrypt(word, &challenge);
            tell(&mut viewer, &mut room, &answer);
            let verdict = listen(&mut viewer, &mut room, 99, 0);
            if is_right {
                assert_eq!(verdict, [0; 4]);
                tell(&mut viewer, &mut room, &[0]);
                assert!(listen(&mut viewer, &mut room, 99, 0).ends_with(b"florizel"));
            } else {
                assert!(verdict.is_empty(), "it is told later");
                assert_eq!(viewer.receive(b"x", &mut room, 1), 0);
                let verdict = listen(&mut viewer, &mut room, 99, 1000);
                assert_eq!(verdict[..4], [0, 0, 0, 1]);
                let has_reason = String::from_utf8_lossy(&verdict).contains("not the password");
                assert_eq!(has_reason, matches!(version, "003.008" | "003.889"));
                assert_eq!(Session::<Room<Desk>>::stage(&viewer), Stage::Over);
            }
        }
    }
}

#[test]
fn without_a_password_the_oldest_is_let_in_without_a_result() {
    let mut room = room(None);
    let mut viewer = Viewer::new(Entrance::Open, &mut room, 0);
    tell(&mut viewer, &mut room, b"RFB 003.003\n\x01");
    let said = listen(&mut viewer, &mut room, 99, 0);
    assert_eq!(said[12..16], [0, 0, 0, 1]);
    assert_eq!(said[16..20], [2, 128, 1, 144], "640 x 400");
}

#[test]
fn who_does_not_introduce_themselves_is_sent_away() {
    let mut room = room(None);
    let mut viewer = Viewer::new(Entrance::Open, &mut room, 0);
    listen(&mut viewer, &mut room, 99, 59_999);
    assert_eq!(Session::<Room<Desk>>::stage(&viewer), Stage::Entering);
    listen(&mut viewer, &mut room, 99, 60_000);
    assert_eq!(Session::<Room<Desk>>::stage(&viewer), Stage::Over);
    let mut http = Viewer::new(Entrance::Open, &mut room, 0);
    tell(&mut http, &mut room, b"GET / HTTP/1.1\r\n\r\n");
    listen(&mut http, &mut room, 99, 0);
    assert_eq!(Session::<Room<Desk>>::stage(&http), Stage::Over);
}

#[test]
fn the_first_picture_is_waited_for() {
    let mut room = room(None);
    room.desktop.is_dark = true;
    let mut viewer = Viewer::new(Entrance::Open, &mut room, 0);
    assert!(viewer.is_hungry());
    let said = b"RFB 003.008\n\x01\x01\x03\0\0\0\0\0\0\x01\0\x01";
    let taken = viewer.receive(said, &mut room, 0);
    assert_eq!(taken, 14);
    assert_eq!(listen(&mut viewer, &mut room, 99, 0).len(), 18);
    room.desktop.is_dark = false;
    room.desktop.image = Some(image(9, 7, |_, _| 0));
    let init = listen(&mut viewer, &mut room, 99, 0);
    assert_eq!(init[..4], [0, 9, 0, 7]);
    tell(&mut viewer, &mut room, &said[14..]);
    assert!(!listen(&mut viewer, &mut room, 99, 0).is_empty());
}

#[test]
fn another_size_is_told_first() {
    for resize in [-223, -308] {
        let mut room = room(Some(image(80, 50, |x, y| x + y)));
        let (mut viewer, mut screen) = introduced(&mut room);
        let mut bytes = encodings(&[16, resize, -239, -258, -261]);
        bytes.extend(request(0, &screen));
        tell(&mut viewer, &mut room, &bytes);
        screen.heed(&listen(&mut viewer, &mut room, 1000, 0));
        for told in [-239, -258, -261] {
            assert!(screen.told.contains(&told), "{told}");
        }
        let larger = image(200, 130, |x, y| x * y);
        room.desktop.image = Some(larger.clone());
        for _ in 0..2 {
            tell(&mut viewer, &mut room, &request(1, &screen));
            screen.heed(&listen(&mut viewer, &mut room, 1000, 0));
            assert_eq!(screen.told.last(), Some(&resize));
        }
        same(&screen, &larger);
    }
}

#[test]
fn a_viewer_that_wants_another_size_is_told_that_it_stays() {
    let mut room = room(Some(image(80, 50, |x, y| x + y)));
    let (mut viewer, mut screen) = introduced(&mut room);
    let mut bytes = encodings(&[0, -308]);
    bytes.extend(request(0, &screen));
    tell(&mut viewer, &mut room, &bytes);
    screen.heed(&listen(&mut viewer, &mut room, 1000, 0));
    // 640 by 480, as one screen.
    let mut bytes = std::vec![251, 0, 2, 128, 1, 224, 1, 0];
    bytes.extend([0; 16]);
    bytes.extend(request(1, &screen));
    tell(&mut viewer, &mut room, &bytes);
    let heard = listen(&mut viewer, &mut room, 1000, 0);
    // One rectangle: because a client asked, "administratively prohibited", 80 by 50.
    assert_eq!(heard[..12], [0, 0, 0, 1, 0, 1, 0, 1, 0, 80, 0, 50]);
    screen.heed(&heard);
    assert_eq!((screen.width, screen.height), (80, 50));
}

#[test]
fn continuous_updates_come_unasked_and_fences_are_answered_between_them() {
    let image = image(300, 200, |x, y| x ^ y);
    let mut room = room(Some(image.clone()));
    let (mut viewer, mut screen) = introduced(&mut room);
    let mut bytes = encodings(&[5, -312, -313]);
    bytes.extend([150, 1, 0, 0, 0, 0, 1, 44, 0, 200]);
    tell(&mut viewer, &mut room, &bytes);
    // A part of an update is out when the fence comes.
    let mut heard = std::vec![0; 500];
    let count = viewer.send(&mut heard, &mut room, 0);
    heard.truncate(count);
    tell(
        &mut viewer,
        &mut room,
        &[248, 0, 0, 0, 0x80, 0, 0, 7, 2, 1, 2],
    );
    heard.extend(listen(&mut viewer, &mut room, 700, 0));
    screen.heed(&heard);
    // Both were offered, and the fence was answered.
    assert_eq!(screen.others, [248, 150, 248]);
    same(&screen, &image);
    viewer.damage(&[Rect {
        x: 0,
        y: 0,
        width: 1,
        height: 1,
    }]);
    let before = screen.updates;
    screen.heed(&listen(&mut viewer, &mut room, 700, 0));
    assert_eq!(screen.updates, before + 1);
    tell(&mut viewer, &mut room, &[150, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(listen(&mut viewer, &mut room, 700, 0), [150]);
}

#[test]
fn one_who_does_not_read_gets_the_newest_picture_later() {
    let image = image(256, 256, |x, _| x);
    let mut room = room(Some(image.clone()));
    let (mut viewer, mut screen) = introduced(&mut room);
    tell(&mut viewer, &mut room, &request(0, &screen));
    let mut heard = std::vec![0; 100];
    let count = viewer.send(&mut heard, &mut room, 0);
    assert_eq!(count, 100);
    for round in 0..1000 {
        image.pixels.lock().unwrap().fill(round);
        viewer.damage(&[image.size.whole()]);
    }
    heard.extend(listen(&mut viewer, &mut room, 4096, 0));
    screen.heed(&heard);
    tell(&mut viewer, &mut room, &request(1, &screen));
    screen.heed(&listen(&mut viewer, &mut room, 4096, 0));
    same(&screen, &image);
}

fn key(down: u8, symbol: u32) -> Vec<u8> {
    let mut message = std::vec![4, down, 0, 0];
    message.extend(symbol.to_be_bytes());
    message
}

#[test]
fn symbols_have_the_shift_that_they_need() {
    let mut room = room(None);
    let (mut viewer, _) = introduced(&mut room);
    let mut typed = |bytes: &[u8], leds: Leds| {
        room.desktop.leds = leds;
        tell(&mut viewer, &mut room, bytes);
        let keys = core::mem::take(&mut room.desktop.keys);
        let shown = |event: KeyEvent| match event.action {
            Action::Press => std::format!("+{:?}", event.key),
            Action::Release => std::format!("-{:?}", event.key),
        };
        keys.into_iter().map(shown).collect::<Vec<_>>().join(" ")
    };
    let none = Leds::empty();
    assert_eq!(typed(&key(1, 'a'.into()), none), "+A");
    assert_eq!(typed(&key(0, 'a'.into()), none), "-A");
    assert_eq!(
        typed(&key(1, '!'.into()), none),
        "+LeftShift +Digit1 -LeftShift"
    );
    assert_eq!(typed(&key(0, '!'.into()), none), "-Digit1");
    assert_eq!(typed(&key(1, 'A'.into()), Leds::CAPS), "+A");
    assert_eq!(typed(&key(0, 'A'.into()), Leds::CAPS), "-A");
    assert_eq!(typed(&key(1, 0xffe2), none), "+RightShift");
    assert_eq!(typed(&key(1, 'Q'.into()), none), "+Q");
    // Of a German keyboard: Shift and 7.
    assert_eq!(
        typed(&key(1, '/'.into()), none),
        "-RightShift +Slash +RightShift"
    );
    // Places win, and symbols without a key are passed over.
    assert_eq!(
        typed(&[255, 0, 0, 1, 0, 0, 0, 0x79, 0, 0, 0, 0x2c], none),
        "+Z"
    );
    assert_eq!(typed(&key(1, 0x20ac), none), "");
    Session::<Room<Desk>>::close(&mut viewer, &mut room);
    let released: Vec<_> = room.desktop.keys.iter().map(|event| event.key).collect();
    assert_eq!(released, [Key::Q, Key::Z, Key::Slash, Key::RightShift]);
}

#[test]
fn the_pointer_is_where_it_is_said_to_be() {
    let mut room = room(None);
    let (mut viewer, _) = introduced(&mut room);
    tell(&mut viewer, &mut room, &[5, 1, 0, 9, 0, 8]);
    tell(&mut viewer, &mut room, &[5, 8, 0, 9, 0, 8]);
    tell(&mut viewer, &mut room, &[5, 0, 255, 255, 0, 8]);
    let at = |x, y| {
        PointerEvent::Position(Position {
            x,
            y,
            width: 640,
            height: 400,
        })
    };
    let left = |action| PointerEvent::Button {
        button: Button::Left,
        action,
    };
    assert_eq!(
        room.desktop.pointer,
        [
            at(9, 8),
            left(Action::Press),
            left(Action::Release),
            PointerEvent::Wheel { up: 1 },
            at(639, 8)
        ]
    );
}

//! Pictures that move, and viewers that copy.

use super::*;

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
    let (mut room, mut viewer, mut screen) = watched(&image, numbers);
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
    let (mut room, mut viewer, mut screen) = watched(&image, &[16, 1]);
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
    let (mut room, mut viewer, mut screen) = watched(&image, &[16, 1]);
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

//! What viewers see, in every encoding and format.

use super::*;

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

#[test]
fn what_did_not_change_is_not_sent_again() {
    let image = image(640, 400, |x, y| console(y / 16, x, y));
    let (mut room, mut viewer, mut screen) = watched(&image, &[16, 1]);
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

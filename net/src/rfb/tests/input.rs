//! Keys and the pointer.

use super::*;

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
    // A place that is no key's leaves the symbol.
    assert_eq!(
        typed(&[255, 0, 0, 1, 0, 0, 0, 0x79, 0, 0, 0, 0xfe], none),
        "-RightShift +Y +RightShift"
    );
    let Tally {
        by_place,
        by_meaning,
        ..
    } = viewer.tally();
    assert_eq!((by_place, by_meaning), (1, 8));
    Session::<Room<Desk>>::close(&mut viewer, &mut room);
    let released: Vec<_> = room.desktop.keys.iter().map(|event| event.key).collect();
    assert_eq!(
        released,
        [Key::Q, Key::Y, Key::Z, Key::Slash, Key::RightShift]
    );
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

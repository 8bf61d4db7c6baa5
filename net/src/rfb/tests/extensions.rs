//! What viewers agree to beyond the RFC: sizes, fences, updates without a question.

use super::*;

#[test]
fn another_size_is_told_first() {
    for resize in [-223, -308] {
        let (mut room, mut viewer, mut screen) = watched(
            &image(80, 50, |x, y| x + y),
            &[16, resize, -239, -258, -261],
        );
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
        assert_eq!(viewer.tally().sizes, 1);
        same(&screen, &larger);
    }
}

#[test]
fn a_viewer_that_wants_another_size_is_told_that_it_stays() {
    let (mut room, mut viewer, mut screen) = watched(&image(80, 50, |x, y| x + y), &[0, -308]);
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
    assert_eq!(viewer.tally().wishes, 1);
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
    let expected = Tally {
        updates: 2,
        unasked: 2,
        fences: 1,
        ..Tally::default()
    };
    assert_eq!(viewer.tally(), expected);
}

//! How viewers are let in.

use super::*;

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

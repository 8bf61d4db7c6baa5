//! Proxies and boot servers, and their menus.

use super::*;

#[test]
fn a_proxy_names_the_file() {
    // Without a menu the boot server is asked for the file, with one for its first item, at the server that is listed for it.
    let menu = b"\x09\x09\x80\x01\x03one\0\0\0\x08\x07\x80\x01\x01\x0a\0\0\x01\xff";
    let menu: &[u8] = menu;
    for (vendor, item) in [(&b""[..], &b""[..]), (menu, b"\x47\x04\x80\x01\0\0\xff")] {
        let mut lan = Lan::new(Model::Virtio, |wire| wire.server.proxy = Some(vendor));
        lan.boot();
        assert_eq!(lan.pc.cpu.rip, 0x7c00, "{}", lan.pc.screen());
        assert_eq!(lan.wire.lock().unwrap().server.asked, [item]);
    }
    fails(
        |wire| wire.server.proxy = Some(b"\x09\x05\0\0\x02me"),
        "boot from this machine",
    );
}

/// A menu of two items with a prompt of three seconds, and their servers.
const CHOICES: &[u8] = b"\x09\x0c\x80\x01\x03one\x80\x02\x03two\x0a\x06\x03Press\x08\x0e\x80\x01\x01\x0a\0\0\x01\x80\x02\x01\x0a\0\0\x01\xff";

/// A boot whose server has such a menu, as far as its prompt.
fn prompted(vendor: &'static [u8], shows: &str) -> Lan {
    let mut lan = Lan::new(Model::Virtio, |wire| wire.server.proxy = Some(vendor));
    let stub = rom::stub(Service::Bootstrap);
    lan.pc.trap(stub).unwrap();
    for _ in 0..10_000 {
        if lan.pc.screen().contains(shows) {
            return lan;
        }
        lan.wait(stub, 1);
    }
    panic!("{}", lan.pc.screen());
}

/// Presses a key, by its word of INT 16h.
fn press(lan: &mut Lan, word: u16) {
    lan.pc.board.memory.store(Gpa(0x41e), &word).unwrap();
    lan.pc
        .board
        .memory
        .store(Gpa(0x41a), &[0x1e_u16, 0x20])
        .unwrap();
    lan.wait(rom::stub(Service::Bootstrap), 1);
}

#[test]
fn somebody_may_choose_of_a_servers_menu() {
    let stub = rom::stub(Service::Bootstrap);
    // Nobody is there: the first one, once the time is over.
    let mut lan = prompted(CHOICES, "Press (F8 or m, within 3 s)");
    lan.wait(stub, 1000);
    assert!(lan.wire.lock().unwrap().server.asked.is_empty());
    lan.wait(stub, 60_000);
    assert_eq!(lan.pc.cpu.rip, 0x7c00, "{}", lan.pc.screen());
    assert_eq!(
        lan.wire.lock().unwrap().server.asked,
        [b"\x47\x04\x80\x01\0\0\xff"]
    );
    // Somebody asks for the menu, takes their time, and the second.
    let mut lan = prompted(CHOICES, "Press (F8");
    press(&mut lan, 0x4200);
    assert!(
        lan.pc.screen().contains("  1  one\n  2  two"),
        "{}",
        lan.pc.screen()
    );
    lan.wait(stub, 10_000);
    press(&mut lan, 0x0a39);
    assert!(
        lan.wire.lock().unwrap().server.asked.is_empty(),
        "there is no ninth"
    );
    press(&mut lan, 0x0332);
    lan.wait(stub, 60_000);
    assert_eq!(lan.pc.cpu.rip, 0x7c00, "{}", lan.pc.screen());
    assert_eq!(
        lan.wire.lock().unwrap().server.asked,
        [b"\x47\x04\x80\x02\0\0\xff"]
    );
    // One that is shown without being asked for, and an item that is this machine.
    let mut lan = prompted(b"\x09\x07\0\0\x04disk\x0a\x03\xff##\xff", "  1  disk");
    lan.wait(stub, 10_000);
    press(&mut lan, 0x0231);
    lan.wait(stub, 10);
    assert!(
        lan.pc
            .screen()
            .replace('\n', "")
            .contains("boot from this machine")
    );
}

#[test]
fn the_packets_of_dhcp_are_kept() {
    let mut lan = Lan::booted(Model::Virtio);
    // A copy, and where it lies.
    let mut parameters = [0, 0, 2, 0, 0, 1, 0, 0x20, 0, 0x20, 0, 0];
    assert_eq!(lan.call(0x71, &parameters), 0);
    assert_eq!(lan.pc.load::<[u8; 2]>(0x6004), [0, 1]);
    assert_eq!(lan.pc.load::<[u8; 4]>(0x2_2010), STATION);
    parameters[4..10].fill(0);
    assert_eq!(lan.call(0x71, &parameters), 0);
    let [bytes, offset, segment]: [u16; 3] = lan.pc.load(0x6004);
    assert!(bytes > 240);
    let at = u64::from(segment) * 16 + u64::from(offset);
    assert_eq!(lan.pc.load::<[u8; 10]>(at + 108), *b"boot.0\0\0\0\0");
    parameters[2] = 4;
    assert_ne!(lan.call(0x71, &parameters), 0);
}

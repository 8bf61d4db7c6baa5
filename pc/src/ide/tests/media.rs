//! Discs that come and go.

use super::machine::*;
use super::medium::{Medium, Pace, pattern};
use crate::ide::{Change, Drive, Position};
use alloc::vec;
use hvm::device::Lifecycle;

const NO_DISC: [u8; 3] = [2, 0x3a, 1];
const TRAY_OPEN: [u8; 3] = [2, 0x3a, 2];
const CHANGED: [u8; 3] = [6, 0x28, 0];

/// GET EVENT STATUS NOTIFICATION about media.
const EVENTS: [u8; 9] = [0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8];
const EJECT: [u8; 5] = [0x1b, 0, 0, 0, 2];
const LOAD: [u8; 5] = [0x1b, 0, 0, 0, 3];
const PREVENT: [u8; 5] = [0x1e, 0, 0, 0, 1];
const ALLOW: [u8; 5] = [0x1e, 0, 0, 0, 0];

impl Machine {
    fn change(&mut self, medium: Option<&Medium>) -> bool {
        let medium = medium.map(Medium::boxed);
        match self.ide.change_medium(SECONDARY, Position::First, medium) {
            Change::Done(before) => before.is_some(),
            Change::NoDrive(_) => panic!("there is a drive"),
        }
    }

    /// The media event and status.
    fn event(&mut self) -> [u8; 2] {
        let reply = self.ask(&EVENTS).unwrap();
        assert_eq!(reply[..4], [0, 6, 4, 0x10]);
        [reply[4], reply[5]]
    }
}

#[test]
fn the_guest_ejects_and_loads() {
    let mut machine = Machine::with_disc();
    machine.calm();
    assert_eq!(machine.event(), [0, 2]);
    assert_eq!(machine.ask(&EJECT), Ok(vec![]));
    assert_eq!(machine.ask(&[0]), Err(TRAY_OPEN));
    assert_eq!(machine.event(), [3, 1]);
    assert_eq!(machine.event(), [0, 1]);
    assert_eq!(machine.ask(&[0x25]), Err(TRAY_OPEN));
    assert_eq!(machine.ask(&LOAD), Ok(vec![]));
    assert_eq!(machine.ask(&[0]), Err(CHANGED));
    assert_eq!(machine.event(), [2, 2]);
    assert_eq!(machine.ask(&[0]), Ok(vec![]));
    assert_eq!(machine.ask(&LOAD), Ok(vec![]), "it is in already");
    assert_eq!(machine.ask(&[0]), Ok(vec![]));
}

#[test]
fn a_locked_tray_stays_closed() {
    let mut machine = Machine::with_disc();
    machine.calm();
    assert_eq!(machine.ask(&PREVENT), Ok(vec![]));
    assert_eq!(machine.ask(&EJECT), Err([5, 0x53, 2]));
    machine.ide.press_eject(SECONDARY, Position::First);
    assert_eq!(machine.event(), [1, 2], "the guest is asked");
    assert_eq!(machine.ask(&[0]), Ok(vec![]));
    assert_eq!(machine.ask(&ALLOW), Ok(vec![]));
    machine.ide.press_eject(SECONDARY, Position::First);
    assert_eq!(machine.event(), [3, 1]);
    machine.ide.press_eject(SECONDARY, Position::First);
    assert_eq!(machine.event(), [2, 2]);
    assert_eq!(machine.ask(&PREVENT), Err(CHANGED));
    assert_eq!(machine.ask(&PREVENT), Ok(vec![]));
    machine.ide.reset();
    machine.calm();
    assert_eq!(machine.ask(&EJECT), Ok(vec![]), "a reset opens the lock");
}

#[test]
fn another_disc_is_announced_before_it_is_read() {
    let mut machine = Machine::with_disc();
    machine.calm();
    let other = Medium::read_only(7 * 2048);
    other.0.lock().unwrap().bytes.fill(0x33);
    assert!(machine.change(Some(&other)));
    let read = [0x28, 0, 0, 0, 0, 6, 0, 0, 1];
    assert_eq!(machine.ask(&read), Err(CHANGED));
    assert_eq!(machine.ask(&read), Ok(vec![0x33; 2048]));
    assert_eq!(machine.ask(&[0x25]).unwrap()[3], 6);
    assert!(machine.change(None));
    assert_eq!(machine.ask(&read), Err(NO_DISC));
    assert_eq!(machine.event(), [3, 0]);
    let disc = machine.disc.clone();
    assert!(!machine.change(Some(&disc)));
    assert_eq!(machine.event(), [2, 2]);
    assert_eq!(machine.sense(), CHANGED);
    assert_eq!(machine.ask(&read).unwrap(), pattern(24, 2048));
}

#[test]
fn only_cdrom_drives_change_media() {
    let mut machine = Machine::new();
    for (channel, position) in [(PRIMARY, Position::First), (SECONDARY, Position::Second)] {
        let medium = Some(machine.disc.boxed());
        let change = machine.ide.change_medium(channel, position, medium);
        assert!(matches!(change, Change::NoDrive(Some(_))));
        machine.ide.press_eject(channel, position);
    }
}

#[test]
fn a_disc_that_goes_while_it_is_read() {
    let mut machine = Machine::with_disc();
    machine.calm();
    let read = [0x28, 0, 0, 0, 0, 6, 0, 0, 3];
    // Between two data blocks.
    machine.packet(2048, &read);
    machine.read_data(100);
    assert!(machine.change(None));
    let taken = machine.take_blocks();
    assert_eq!(taken.len(), 2048, "the block is in the buffer");
    assert_eq!((machine.status(), machine.error()), (READY | ERR, 0x20));
    assert_eq!(machine.sense(), NO_DISC);
    // Before the bus master starts.
    let disc = machine.disc.clone();
    machine.change(Some(&disc));
    machine.calm();
    machine.set_table(&[(0x1000, 3 * 2048)]);
    machine.packet_by_dma(&read);
    machine.change(Some(&disc));
    machine.start_to_memory();
    assert_eq!((machine.status(), machine.error()), (READY | ERR, 0x60));
    assert_eq!(machine.memory(0x1000, 512), [0; 512]);
    machine.calm();
    // While the back end is at work, for memory and for the buffer.
    disc.set_pace(Pace::Later);
    machine.packet_by_dma(&read);
    machine.stop();
    machine.start_to_memory();
    machine.change(None);
    assert_eq!((machine.status(), machine.error()), (READY | ERR, 0x20));
    machine.change(Some(&disc));
    machine.calm();
    machine.packet(2048, &read);
    assert_eq!(machine.status() & BSY, BSY);
    machine.change(None);
    assert_eq!((machine.status(), machine.error()), (READY | ERR, 0x20));
    disc.finish();
    disc.finish();
    machine.change(Some(&disc));
    machine.poll();
    assert_eq!(machine.sense(), NO_DISC, "late answers mean nothing");
    disc.set_pace(Pace::AtOnce);
    machine.calm();
    assert_eq!(machine.ask(&read).unwrap(), pattern(24, 3 * 2048));
}

#[test]
fn the_button_while_the_back_end_is_at_work() {
    let mut machine = Machine::with_disc();
    machine.calm();
    machine.disc.set_pace(Pace::Later);
    machine.set_table(&[(0x1000, 2048)]);
    machine.packet_by_dma(&[0x28, 0, 0, 0, 0, 6, 0, 0, 1]);
    machine.start_to_memory();
    machine.ide.press_eject(SECONDARY, Position::First);
    assert_eq!(machine.status() & BSY, BSY, "memory may still be written");
    machine.disc.finish();
    machine.poll();
    assert_eq!((machine.status(), machine.error()), (READY | ERR, 0x20));
}

#[test]
fn an_empty_drive_and_an_image_without_a_block() {
    for (image, sense) in [(None, NO_DISC), (Some(2047), [2, 0x30, 0])] {
        let medium = Medium::read_only(image.unwrap_or(0));
        let drive = Drive::cdrom(image.map(|_| medium.boxed()), "");
        let mut machine =
            Machine::with_drives([None, None, Some(drive), None], medium.clone(), medium);
        machine.channel = SECONDARY;
        machine.calm();
        for packet in [
            [0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0x25, 0, 0, 0, 0, 0, 0, 0, 0],
            [0x28, 0, 0, 0, 0, 0, 0, 0, 1],
            [0x43, 0, 0, 0, 0, 0, 0, 0, 9],
            [0x51, 0, 0, 0, 0, 0, 0, 0, 9],
            [0x52, 0, 0, 0, 0, 0, 0, 0, 9],
        ] {
            assert_eq!(machine.ask(&packet), Err(sense), "{:#x}", packet[0]);
        }
        assert_eq!(machine.ask(&PREVENT), Ok(vec![]));
        let configuration = machine.ask(&[0x46, 0, 0, 0, 0, 0, 0, 0, 8]).unwrap();
        assert_eq!(configuration[6..], [0, 0], "no current profile");
    }
}

#[test]
fn open_trays_and_attentions_are_saved() {
    let mut machine = Machine::with_disc();
    machine.calm();
    machine.ask(&EJECT).unwrap();
    let mut twin = Machine::with_disc();
    twin.ide.pause();
    twin.ide.restore(&machine.ide.save()).unwrap();
    twin.ide.resume();
    assert_eq!(twin.ask(&[0]), Err(TRAY_OPEN));
    twin.ask(&LOAD).unwrap();
    machine.ide.pause();
    machine.ide.restore(&twin.ide.save()).unwrap();
    machine.ide.resume();
    assert_eq!(machine.ask(&[0]), Err(CHANGED));
}

//! Packet commands that tell about drive and disc.

use super::machine::*;
use super::medium::Medium;
use crate::ide::Drive;
use alloc::vec;

#[test]
fn tables_of_contents() {
    let mut machine = Machine::with_disc();
    machine.calm();
    let toc = |machine: &mut Machine, msf, format, first, length, control| {
        machine.ask(&[0x43, msf, format, 0, 0, 0, first, 0, length, control])
    };
    // 100 blocks end at 00:03:25.
    let tracks = toc(&mut machine, 2, 0, 0, 100, 0).unwrap();
    assert_eq!(tracks[8..12], [0, 0, 2, 0]);
    assert_eq!(tracks[16..20], [0, 0, 3, 25]);
    let lead_out = toc(&mut machine, 0, 0, 0xaa, 100, 0).unwrap();
    assert_eq!(lead_out, [0, 10, 1, 1, 0, 0x14, 0xaa, 0, 0, 0, 0, 100]);
    assert_eq!(toc(&mut machine, 0, 0, 2, 100, 0), Err([5, 0x24, 0]));
    assert_eq!(toc(&mut machine, 0, 0, 0, 4, 0), Ok(vec![0, 18, 1, 1]));
    assert_eq!(toc(&mut machine, 0, 0, 0, 0, 0), Ok(vec![]));
    let sessions = toc(&mut machine, 0, 1, 0, 100, 0).unwrap();
    assert_eq!(sessions, [0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0]);
    assert_eq!(toc(&mut machine, 0, 0, 0, 100, 0x40), Ok(sessions));
    let full = toc(&mut machine, 0, 2, 0, 100, 0).unwrap();
    assert_eq!(full.len(), 4 + 4 * 11);
    assert_eq!(full[1], 46);
    assert_eq!(full[26..37], [1, 0x14, 0, 0xa2, 0, 0, 0, 0, 0, 3, 25]);
    assert_eq!(toc(&mut machine, 0, 3, 0, 100, 0), Err([5, 0x24, 0]));
}

#[test]
fn mode_pages() {
    let mut machine = Machine::with_disc();
    machine.calm();
    let all = machine.ask(&[0x5a, 0, 0x3f, 0, 0, 0, 0, 1, 0]).unwrap();
    assert_eq!(all.len(), 8 + 8 + 8 + 16 + 22);
    assert_eq!(all[..3], [0, 60, 1]);
    for (at, code, length) in [(8, 1, 6), (16, 0x0d, 6), (24, 0x0e, 14), (40, 0x2a, 20)] {
        assert_eq!(all[at..at + 2], [code, length]);
    }
    let six = machine.ask(&[0x1a, 0, 0x2a, 0, 255]).unwrap();
    assert_eq!(six[..2], [25, 1]);
    assert_eq!(six[4..], all[40..]);
    assert_eq!(six[4 + 6] & 2, 0);
    machine.ask(&[0x1e, 0, 0, 0, 1]).unwrap();
    let locked = machine.ask(&[0x1a, 0, 0x2a, 0, 255]).unwrap();
    assert_eq!(locked[4 + 6] & 2, 2);
    let changeable = machine.ask(&[0x5a, 0, 0x41, 0, 0, 0, 0, 0, 99]).unwrap();
    assert_eq!(changeable[8..], [1, 6, 0x37, 0xff, 0, 0, 0, 0]);
    assert_eq!(
        machine.ask(&[0x5a, 0, 0xc1, 0, 0, 0, 0, 0, 99]),
        Err([5, 0x39, 0])
    );
    assert_eq!(
        machine.ask(&[0x5a, 0, 0x05, 0, 0, 0, 0, 0, 99]),
        Err([5, 0x24, 0])
    );
    assert_eq!(machine.ask(&[0x1a, 0, 0x0d, 0, 3]).unwrap().len(), 3);
}

/// MODE SELECT(10) by programmed I/O; true if it was taken.
fn select(machine: &mut Machine, limit: u16, list: &[u8]) -> bool {
    machine.packet(limit, &[0x55, 0x10, 0, 0, 0, 0, 0, 0, list.len() as u8]);
    let mut rest = list;
    while machine.status() & DRQ != 0 {
        assert_eq!(machine.read(crate::ide::Register::Count) & 3, 0);
        let (block, later) = rest.split_at(usize::from(machine.byte_count()));
        machine.write_data(block);
        rest = later;
    }
    assert!(rest.is_empty());
    machine.status() & ERR == 0
}

#[test]
fn mode_pages_can_be_set() {
    let mut machine = Machine::with_disc();
    machine.calm();
    let page = [0, 0, 0, 0, 0, 0, 0, 0, 1, 6, 0x05, 9, 0, 0, 0, 0];
    for limit in [4, 0xfffe] {
        assert!(select(&mut machine, limit, &page));
        let read = machine.ask(&[0x5a, 0, 1, 0, 0, 0, 0, 0, 99]).unwrap();
        assert_eq!(read[8..], page[8..]);
    }
    let default = machine.ask(&[0x5a, 0, 0x81, 0, 0, 0, 0, 0, 99]).unwrap();
    assert_eq!(default[8..], [1, 6, 0, 5, 0, 0, 0, 0]);
    machine.memory.write(guest_mem::Gpa(0x1000), &page).unwrap();
    machine.set_table(&[(0x1000, 16)]);
    machine.packet_by_dma(&[0x55, 0x10, 0, 0, 0, 0, 0, 0, 16]);
    machine.start_from_memory();
    assert!(machine.take_interrupt());
    assert_eq!(machine.status(), READY);
    assert!(select(&mut machine, 0xfffe, &[]));
    for (list, sense) in [
        (vec![0; 7], [5, 0x1a, 0]),
        (page[..15].to_vec(), [5, 0x1a, 0]),
        (vec![0, 0, 0, 0, 0, 0, 0, 9, 1], [5, 0x1a, 0]),
        (vec![0, 0, 0, 0, 0, 0, 0, 0, 5, 0], [5, 0x26, 0]),
        (vec![0, 0, 0, 0, 0, 0, 0, 0, 1, 0], [5, 0x26, 0]),
        (
            vec![0, 0, 0, 0, 0, 0, 0, 0, 1, 6, 0xff, 9, 0, 0, 0, 0],
            [5, 0x26, 0],
        ),
        (
            vec![0, 0, 0, 0, 0, 0, 0, 0, 0x0d, 6, 0, 1, 0, 60, 0, 75],
            [5, 0x26, 0],
        ),
    ] {
        assert!(!select(&mut machine, 0xfffe, &list), "{list:?}");
        assert_eq!(machine.sense(), sense, "{list:?}");
    }
    assert_eq!(
        machine.ask(&[0x55, 0x11]),
        Err([5, 0x24, 0]),
        "no saved pages"
    );
}

#[test]
fn configurations() {
    let mut machine = Machine::with_disc();
    let all = machine.ask(&[0x46, 0, 0, 0, 0, 0, 0, 1, 0]).unwrap();
    assert_eq!(all[3] as usize, all.len() - 4);
    assert_eq!(all[6..8], [0, 8], "a CD-ROM");
    assert_eq!(all[8..20], [0, 0, 3, 8, 0, 0x10, 0, 0, 0, 8, 1, 0]);
    let numbers = |reply: &[u8]| {
        let mut numbers = vec![];
        let mut rest = &reply[8..];
        while let [_, number, _, length, ..] = *rest {
            numbers.push(number);
            rest = &rest[4 + usize::from(length)..];
        }
        numbers
    };
    assert_eq!(numbers(&all), [0, 1, 3, 0x10, 0x1e, 0x1f]);
    let current = machine.ask(&[0x46, 1, 0, 3, 0, 0, 0, 1, 0]).unwrap();
    assert_eq!(numbers(&current), [3, 0x10, 0x1e]);
    let one = machine.ask(&[0x46, 2, 0, 0x10, 0, 0, 0, 1, 0]).unwrap();
    assert_eq!(numbers(&one), [0x10]);
    assert_eq!(one[12..16], [0, 0, 8, 0]);
    assert_eq!(machine.ask(&[0x46, 3]), Err([5, 0x24, 0]));
    assert_eq!(machine.ask(&[0]), Err([6, 0x29, 0]), "the attention waited");
}

#[test]
fn a_large_image_is_a_dvd() {
    struct Large;
    impl hvm::backend::Block for Large {
        fn sectors(&self) -> u64 {
            4 * 360_001
        }
        fn read_only(&self) -> bool {
            true
        }
        fn transfer(
            &mut self,
            _: hvm::backend::Transfer,
            _: u64,
            _: &[hvm::backend::Segment],
            _: &guest_mem::GuestMemory,
            _: u64,
        ) -> hvm::backend::Submitted {
            unreachable!("nothing is moved")
        }
        fn read(&mut self, _: u64, _: &mut [u8], _: u64) -> hvm::backend::Submitted {
            unreachable!("nothing is read")
        }
        fn write(&mut self, _: u64, _: &[u8], _: u64) -> hvm::backend::Submitted {
            unreachable!("nothing is written")
        }
        fn flush(&mut self, _: u64) -> hvm::backend::Submitted {
            unreachable!("nothing is flushed")
        }
        fn completed(&mut self) -> Option<(u64, Result<(), hvm::backend::BlockError>)> {
            None
        }
    }
    let drive = Drive::cdrom(Some(alloc::boxed::Box::new(Large)), "");
    let nothing = Medium::new(0);
    let mut machine =
        Machine::with_drives([None, None, Some(drive), None], nothing.clone(), nothing);
    machine.channel = SECONDARY;
    machine.calm();
    let configuration = machine.ask(&[0x46, 0, 0, 0, 0, 0, 0, 1, 0]).unwrap();
    assert_eq!(configuration[6..8], [0, 0x10]);
    assert_eq!(
        machine.ask(&[0x25]).unwrap()[..4],
        360_000_u32.to_be_bytes()
    );
    let mut structure = |layer, format, length: u16| {
        let [high, low] = length.to_be_bytes();
        machine.ask(&[0xad, 0, 0, 0, 0, 0, layer, format, high, low])
    };
    let physical = structure(0, 0, 0xffff).unwrap();
    assert_eq!(physical.len(), 2052);
    assert_eq!(physical[..8], [8, 2, 0, 0, 1, 0xf, 1, 0]);
    assert_eq!(physical[8..16], [0, 3, 0, 0, 0, 8, 0x7e, 0x40]);
    assert_eq!(structure(0, 1, 99), Ok(vec![0, 6, 0, 0, 0, 0, 0, 0]));
    assert_eq!(structure(0, 4, 2052).unwrap()[..4], [8, 2, 0, 0]);
    assert_eq!(structure(1, 0, 99), Err([5, 0x24, 0]));
    assert_eq!(structure(0, 9, 99), Err([5, 0x24, 0]));
}

#[test]
fn disc_track_mechanism_and_events() {
    let mut machine = Machine::with_disc();
    machine.calm();
    let disc = machine.ask(&[0x51, 0, 0, 0, 0, 0, 0, 0, 99]).unwrap();
    assert_eq!((disc.len(), disc[1]), (34, 32));
    assert_eq!(disc[2..7], [0x0e, 1, 1, 1, 1]);
    assert_eq!(
        machine.ask(&[0x51, 1, 0, 0, 0, 0, 0, 0, 99]),
        Err([5, 0x24, 0])
    );
    for (how, number) in [(0, 99), (1, 1), (2, 1)] {
        let track = machine
            .ask(&[0x52, how, 0, 0, 0, number, 0, 0, 99])
            .unwrap();
        assert_eq!((track.len(), track[2], track[27]), (36, 1, 100));
    }
    for (how, number) in [(0, 100), (1, 2), (2, 0), (3, 1)] {
        let refused = machine.ask(&[0x52, how, 0, 0, 0, number, 0, 0, 99]);
        assert_eq!(refused, Err([5, 0x24, 0]));
    }
    let structure = machine.ask(&[0xad, 0, 0, 0, 0, 0, 0, 0, 0, 99]);
    assert_eq!(structure, Err([5, 0x30, 2]), "no DVD");
    let mechanism = machine.ask(&[0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 99]).unwrap();
    assert_eq!(mechanism, [0; 8]);
    assert_eq!(machine.ask(&[0xbb, 0, 0xff, 0xff]), Ok(vec![]));
    assert_eq!(machine.ask(&[0x1b, 0, 0, 0, 0x20]), Ok(vec![]), "power");
    let other = machine.ask(&[0x4a, 1, 0, 0, 0x02, 0, 0, 0, 8]).unwrap();
    assert_eq!(other, [0, 2, 0x80, 0x10]);
    let late = machine.ask(&[0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8]);
    assert_eq!(late, Err([5, 0x24, 0]), "only by polling");
    assert_eq!(machine.ask(&[0x12, 1, 0, 0, 36]), Err([5, 0x24, 0]));
}

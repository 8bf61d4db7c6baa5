//! The registers as the data sheets list them: what they are after a reset, and which bits hold what is written.

use super::Revision;
use super::tests::Machine;
use alloc::format;
use hvm::Width::{self, Byte, Dword, Word};

/// A register: offset, width, value after a reset, and bits that can be written.
type Row = (u64, Width, u64, u64);

/// Of both chips, unlocked. Left out are those that do something when they are written, which have tests of their own.
const BOTH: &[Row] = &[
    (0x00, Dword, 0x0000_0002, 0xffff_ffff),
    (0x04, Word, 0x0100, 0xffff),
    (0x08, Dword, 0, 0xffff_ffff),
    (0x0c, Dword, 0, 0xffff_ffff),
    (0x10, Dword, 0x2000, 0),
    (0x1c, Dword, 0x2000, 0),
    (0x20, Dword, 0, 0xffff_ffff),
    (0x2c, Dword, 0, 0xffff_ffff),
    (0x30, Dword, 0, 0xffff_ffff),
    // ERBCR, ERSR: nothing is early.
    (0x34, Word, 0, 0),
    (0x36, Byte, 0, 0),
    (0x37, Byte, 0x01, 0x0c),
    (0x38, Word, 0xfff0, 0xffff),
    (0x3a, Word, 0, 0),
    (0x3e, Word, 0, 0),
    (0x44, Dword, 0, 0x0f03_ffbf),
    // MPC counts 24 bits, and any write clears it.
    (0x4c, Dword, 0, 0),
    (0x51, Byte, 0, 0),
    (0x52, Byte, 0x0d, 0xf3),
    (0x54, Dword, 0, 0xffff_ffff),
    (0x58, Byte, 0, 0xc0),
    (0x59, Byte, 0, 0x70),
    (0x5a, Byte, 0, 0xf5),
    // HLTCLK is write-only.
    (0x5b, Byte, 0, 0),
    (0x5c, Word, 0, 0x0fff),
    // TSAD: the driver owns all four.
    (0x60, Word, 0x000f, 0),
    (0x62, Word, 0x3100, 0x3100),
    (0x64, Word, 0x782d, 0),
    (0x66, Word, 0x01e1, 0x25ff),
    (0x68, Word, 0x45e1, 0),
    (0x6a, Word, 0x0001, 0),
    // Counters of disconnections, false carriers, receive errors.
    (0x6c, Word, 0, 0),
    (0x6e, Word, 0, 0),
    (0x72, Word, 0, 0),
    // LD, HEART BEAT, JBEN, F_LINK_100, F_Connect, Con_status_En, PASS_SCR; the link is there.
    (0x74, Word, 0x07c0, 0x03e5),
    (0x78, Dword, 0, 0xffff_ffff),
    (0x7c, Dword, 0, 0xffff_ffff),
    (0x80, Dword, 0, 0xff),
    (0x84, Dword, 0, 0xffff_ffff),
    (0xd0, Dword, 0, 0xffff_ffff),
    (0xd8, Byte, 0, 0x7f),
];

const OLDER: &[Row] = &[
    (0x3c, Word, 0, 0xe07f),
    (0x40, Dword, 0x7700_0000, 0x030f_07f0),
    (0x5e, Byte, 0x10, 0),
    (0xe0, Word, 0, 0),
    (0xe4, Dword, 0, 0),
    (0xec, Byte, 0, 0),
];

const CPLUS: &[Row] = &[
    (0x3c, Word, 0, 0xe1ff),
    (0x40, Dword, 0x7780_0000, 0x030f_07f0),
    (0x5e, Byte, 0x20, 0),
    (0xe4, Dword, 0, 0xffff_ffff),
    (0xe8, Dword, 0, 0xffff_ffff),
];

#[test]
fn registers_are_as_the_data_sheets_list_them() {
    for (revision, own) in [(Revision::C, OLDER), (Revision::CPlus, CPLUS)] {
        for &(offset, width, reset, writable) in BOTH.iter().chain(own) {
            let mut machine = Machine::new(revision);
            machine.write(0x50, Byte, 0xc0);
            let at = format!("{revision:?}, {offset:#x}");
            assert_eq!(machine.read(offset, width), reset, "{at}");
            for pattern in [0, u64::MAX, 0x5a5a_a5a5] {
                // Neither a reset nor a frame to be sent.
                let value = match offset {
                    0x37 => pattern & !0x10,
                    0x62 => pattern & !0x8000,
                    0x10 | 0x1c => pattern | 0x2000,
                    _ => pattern,
                };
                machine.write(offset, width, value);
                let expected = reset & !writable | value & writable & width.mask();
                assert_eq!(machine.read(offset, width), expected, "{at}: {value:#x}");
            }
        }
    }
}

#[test]
fn what_is_locked_is_as_the_data_sheets_list_it() {
    let mut machine = Machine::new(Revision::CPlus);
    for (offset, width, locked) in [
        (0x52, Byte, true),
        (0x59, Byte, true),
        (0x5a, Byte, true),
        (0x62, Word, true),
        (0xd8, Byte, false),
        (0x66, Word, false),
        (0x5c, Word, false),
    ] {
        let before = machine.read(offset, width);
        machine.write(offset, width, !before & 0x7fff);
        assert_eq!(machine.read(offset, width) == before, locked, "{offset:#x}");
    }
}

#[test]
fn any_width_at_any_place_shows_the_same_registers() {
    for revision in [Revision::C, Revision::CPlus] {
        let mut machine = Machine::new(revision);
        let bytes: alloc::vec::Vec<u64> = (0..256).map(|at| machine.read(at, Byte)).collect();
        for width in [Word, Dword] {
            for at in 0..256 {
                let expected = (0..width.bytes() as u64).fold(0, |value, place| {
                    let byte = bytes.get((at + place) as usize).copied().unwrap_or(0);
                    value | byte << (8 * place)
                });
                assert_eq!(machine.read(at, width), expected, "{revision:?} {at:#x}");
            }
        }
    }
}

#[test]
fn writes_across_registers_reach_each() {
    let mut machine = Machine::new(Revision::C);
    // The upper half of TSAD0 and the lower of TSAD1; a byte of MAR; IMR by bytes.
    machine.write(0x22, Dword, 0x1234_5678);
    assert_eq!(machine.read(0x20, Dword), 0x5678_0000);
    assert_eq!(machine.read(0x24, Dword), 0x1234);
    machine.write(0x0b, Word, 0xaabb);
    assert_eq!(machine.read(0x08, Dword), 0xbb00_0000);
    assert_eq!(machine.read(0x0c, Dword), 0xaa);
    machine.write(0x3d, Byte, 0xe0);
    machine.write(0x3c, Byte, 0x7f);
    assert_eq!(machine.read(0x3c, Word), 0xe07f);
}

#[test]
fn loading_the_eeprom_brings_back_what_is_in_it() {
    let mut machine = Machine::new(Revision::C);
    machine.write(0x50, Byte, 0xc0);
    machine.write(0x52, Byte, 0xf0);
    machine.write(0x59, Byte, 0x70);
    machine.write(0xd8, Byte, 0x7f);
    machine.write(0x00, Dword, 0xffff_ffff);
    machine.write(0x50, Byte, 0x40);
    assert_eq!(machine.read(0x50, Byte) & 0xc0, 0, "over at once");
    assert_eq!(machine.read(0x52, Byte), 0x0d);
    assert_eq!(machine.read(0x59, Byte), 0);
    assert_eq!(machine.read(0xd8, Byte), 0);
    assert_eq!(machine.read(0x00, Dword), 0x0000_0002);
}

#[test]
fn a_transceiver_that_does_not_negotiate_knows_nothing_of_its_partner() {
    let mut machine = Machine::new(Revision::C);
    machine.write(0x50, Byte, 0xc0);
    machine.write(0x62, Word, 0x2100);
    assert_eq!(machine.read(0x64, Word) & 0x24, 0x04);
    assert_eq!(machine.read(0x68, Word), 0);
    assert_eq!(machine.read(0x6a, Word), 0);
    // A new negotiation, which ends at once; then a reset, which is never locked.
    machine.write(0x62, Word, 0x3300);
    assert_eq!(machine.read(0x62, Word), 0x3100);
    assert_eq!(machine.read(0x64, Word) & 0x24, 0x24);
    machine.write(0x62, Word, 0x2100);
    machine.write(0x50, Byte, 0);
    machine.write(0x62, Word, 0x8000);
    assert_eq!(machine.read(0x62, Word), 0x3100);
}

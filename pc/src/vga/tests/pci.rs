//! The adapter on the board.

use super::{MINIMUM_BYTES, adapter};
use crate::testing::{Sent, at};
use crate::{Board, BoardConfig};
use alloc::boxed::Box;
use hvm::device::Context;
use hvm::pci::{Window, WindowCopy};
use hvm::{Gpa, Width};

fn board() -> Board {
    let mut board = Board::new(BoardConfig {
        epoch_seconds: 0,
        com1: None,
        com2: None,
        ide: None,
    });
    board.attach(2, Box::new(adapter(MINIMUM_BYTES))).unwrap();
    board
}

fn with<R>(body: impl FnOnce(&mut Context<'_>) -> R) -> R {
    at(0, &mut Sent::default(), body)
}

fn config(board: &mut Board, register: u32, value: Option<u32>) -> u32 {
    with(|context| {
        board.port_write(0xcf8, Width::Dword, 0x8000_1000 | register, context);
        if let Some(value) = value {
            board.port_write(0xcfc, Width::Dword, value, context);
        }
        board.port_read(0xcfc, Width::Dword, context)
    })
}

#[test]
fn identity_and_sizes() {
    let mut board = board();
    assert_eq!(config(&mut board, 0, None), 0x1111_1234);
    assert_eq!(config(&mut board, 8, None), 0x0300_0002);
    assert_eq!(config(&mut board, 0x2c, None), 0x1100_1af4);
    assert_eq!(config(&mut board, 0x10, Some(u32::MAX)), 0xfffc_0008);
    assert_eq!(config(&mut board, 0x14, Some(u32::MAX)), 0);
    assert_eq!(config(&mut board, 0x18, Some(u32::MAX)), 0xffff_f000);
    assert_eq!(config(&mut board, 0x30, Some(u32::MAX)), 0xffff_f801);
    assert_eq!(config(&mut board, 0x3c, None) >> 8, 0, "no interrupt");
}

#[test]
fn windows_open_as_they_are_placed() {
    let mut board = board();
    assert_eq!(board.linear_framebuffer(), None);
    config(&mut board, 0x10, Some(0xe000_0000));
    config(&mut board, 0x18, Some(0xe100_0000));
    config(&mut board, 0x30, Some(0xe200_0001));
    let load =
        |board: &mut Board, gpa| with(|context| board.mmio_read(Gpa(gpa), Width::Word, context));
    assert_eq!(load(&mut board, 0xe200_0000), None);
    config(&mut board, 4, Some(2));
    let framebuffer = Window::Memory {
        base: 0xe000_0000,
        bytes: MINIMUM_BYTES.into(),
    };
    assert_eq!(board.linear_framebuffer(), Some(framebuffer));
    assert_eq!(load(&mut board, 0xe200_0000), Some(0xaa55));
    assert_eq!(load(&mut board, 0xe200_0002), Some(0xff04));
    assert_eq!(load(&mut board, 0xe100_0500), Some(0xb0c5));
    assert_eq!(load(&mut board, 0xe000_0000), Some(0));
    config(&mut board, 0x30, Some(0xe200_0000));
    assert_eq!(
        load(&mut board, 0xe200_0000),
        None,
        "the ROM is switched off"
    );
}

#[test]
fn legacy_ranges_work_without_being_placed() {
    let mut board = board();
    with(|context| {
        board.port_write(0x3c2, Width::Byte, 0x03, context);
        assert_eq!(board.port_read(0x3cc, Width::Byte, context), 0x03);
        board.port_write(0x3d4, Width::Word, 0x5518, context);
        assert_eq!(board.port_read(0x3d4, Width::Word, context), 0x5518);
        assert_eq!(board.port_read(0x3bc, Width::Byte, context), 0xff);
        board.port_write(0x1ce, Width::Word, 10, context);
        assert_eq!(board.port_read(0x1cf, Width::Word, context), 4);
        // Chained odd and even addresses at B8000h, both maps.
        for (port, value) in [
            (0x3c4, 0x0302),
            (0x3ce, 0x1005),
            (0x3ce, 0x0e06),
            (0x3ce, 0xff08),
        ] {
            board.port_write(port, Width::Word, value, context);
        }
        assert!(board.mmio_write(Gpa(0xb_8000), Width::Dword, 0x0742_0741, context));
        assert_eq!(
            board.mmio_read(Gpa(0xb_8002), Width::Word, context),
            Some(0x0742)
        );
    });
    let mut bytes = [0; 4];
    assert!(board.mmio_read_bytes(Gpa(0xb_8000), &mut bytes));
    assert_eq!(&bytes, b"A\x07B\x07");
    assert!(board.mmio_write_bytes(Gpa(0xb_8000), b"C\x01"));
    let copy = WindowCopy {
        from: 0xb_8000,
        to: 0xb_8100,
        count: 2,
        width: Width::Word,
    };
    assert!(board.mmio_copy(copy));
    assert!(board.mmio_read_bytes(Gpa(0xb_8100), &mut bytes));
    assert_eq!(&bytes, b"C\x01B\x07");
    assert!(!board.mmio_read_bytes(Gpa(0xc_0000), &mut bytes));
    assert!(board.display().is_some());
}

#[test]
fn a_board_is_saved_with_its_screen() {
    let mut board = self::board();
    config(&mut board, 0x10, Some(0xe000_0000));
    config(&mut board, 4, Some(2));
    assert!(board.mmio_write_bytes(Gpa(0xe000_1234), b"pixels"));
    let saved = board.save();
    let mut other = self::board();
    other.restore(&saved).unwrap();
    let mut bytes = [0; 6];
    assert!(other.mmio_read_bytes(Gpa(0xe000_1234), &mut bytes));
    assert_eq!(&bytes, b"pixels");
    assert_eq!(other.save(), saved);
}

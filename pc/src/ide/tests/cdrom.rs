//! A session with a CD-ROM: how systems find the drive, and read from it.

use super::machine::*;
use super::medium::{Pace, pattern};
use crate::ide::Register;
use alloc::vec;
use hvm::backend::BlockError;

/// READ(10).
fn read_10(block: u32, blocks: u16) -> [u8; 10] {
    let [a, b, c, d] = block.to_be_bytes();
    let [e, f] = blocks.to_be_bytes();
    [0x28, 0, a, b, c, d, 0, e, f, 0]
}

#[test]
fn from_identity_to_data_by_programmed_io() {
    let mut machine = Machine::with_disc();
    machine.command(0xa1);
    assert!(machine.take_interrupt());
    assert_eq!(machine.read_data(2), [0xc0, 0x85]);
    machine.read_data(510);
    assert_eq!(machine.status(), READY);
    let inquiry = machine.ask(&[0x12, 0, 0, 0, 36]).unwrap();
    assert_eq!(inquiry.len(), 36);
    assert_eq!(inquiry[..2], [5, 0x80]);
    assert_eq!(machine.ask(&[0]), Err([6, 0x29, 0]), "reset occurred");
    assert_eq!(machine.ask(&[0]), Ok(vec![]));
    let last = BLOCKS as u8 - 1;
    assert_eq!(machine.ask(&[0x25]), Ok(vec![0, 0, 0, last, 0, 0, 8, 0]));
    let toc = machine.ask(&[0x43, 0, 0, 0, 0, 0, 0, 0, 100]).unwrap();
    assert_eq!(toc[..4], [0, 18, 1, 1]);
    assert_eq!(toc[4..12], [0, 0x14, 1, 0, 0, 0, 0, 0]);
    assert_eq!(toc[12..], [0, 0x14, 0xaa, 0, 0, 0, 0, BLOCKS as u8]);
    let data = machine.ask(&read_10(16, 3)).unwrap();
    assert_eq!(data, pattern(64, 3 * 2048));
    let data = machine.ask(&[0xa8, 0, 0, 0, 0, 99, 0, 0, 0, 1]).unwrap();
    assert_eq!(data, pattern(396, 2048));
}

#[test]
fn every_data_block_interrupts_and_so_does_the_end() {
    let mut machine = Machine::with_disc();
    machine.calm();
    machine.packet(4096, &read_10(10, 5));
    for (block, blocks) in [(10, 2), (12, 2), (14, 1)] {
        assert!(machine.take_interrupt());
        assert_eq!(machine.status() & DRQ, DRQ);
        assert_eq!(machine.byte_count(), blocks * 2048);
        let data = machine.read_data(usize::from(blocks) * 2048);
        assert_eq!(data, pattern(block * 4, usize::from(blocks) * 2048));
    }
    assert!(machine.take_interrupt());
    assert_eq!(machine.status(), READY);
    assert_eq!(machine.read(Register::Count), 3);
}

#[test]
fn byte_counts_of_all_sizes() {
    let mut machine = Machine::with_disc();
    machine.calm();
    for (limit, first) in [
        (2, 2),
        (12, 12),
        (513, 512),
        (2047, 2046),
        (2048, 2048),
        (5000, 4096),
        (0xfffe, 31 * 2048),
        (0xffff, 31 * 2048),
    ] {
        machine.packet(limit, &read_10(3, 40));
        assert_eq!(machine.byte_count(), first, "{limit}");
        assert_eq!(machine.take_blocks(), pattern(12, 40 * 2048));
    }
    for limit in [0, 1] {
        machine.packet(limit, &read_10(3, 1));
        assert_eq!((machine.status(), machine.error()), (READY | ERR, 4));
        machine.packet(limit, &[0]);
        assert_eq!(machine.status(), READY, "without data, no limit is needed");
    }
}

#[test]
fn the_packet_may_come_in_words_and_late() {
    let mut machine = Machine::with_disc();
    machine.calm();
    machine.write(Register::Mid, 0xfe);
    machine.write(Register::High, 0xff);
    machine.write(Register::Error, 0);
    machine.command(0xa0);
    assert!(!machine.take_interrupt(), "no interrupt before the packet");
    for word in [0x0025, 0, 0, 0, 0] {
        machine.write_word(word);
        assert_eq!(machine.status() & DRQ, DRQ);
    }
    machine.write_word(0);
    assert_eq!(machine.take_blocks().len(), 8);
}

#[test]
fn data_by_dma_goes_to_memory_in_one_request() {
    let mut machine = Machine::with_disc();
    machine.calm();
    machine.disc.asked();
    machine.set_table(&[(0x1000, 3000), (0x4000, 1096)]);
    machine.packet_by_dma(&read_10(7, 2));
    assert!(!machine.take_interrupt());
    machine.start_to_memory();
    assert_eq!(machine.master_read(2) & 7, 4);
    assert!(machine.take_interrupt());
    assert_eq!(
        (machine.status(), machine.read(Register::Count)),
        (READY, 3)
    );
    let data = [machine.memory(0x1000, 3000), machine.memory(0x4000, 1096)].concat();
    assert_eq!(data, pattern(28, 4096));
    assert_eq!(machine.disc.asked(), ["transfer"]);
}

#[test]
fn replies_by_dma() {
    let mut machine = Machine::with_disc();
    machine.start_to_memory();
    machine.set_table(&[(0x1000, 20), (0x2000, 64)]);
    machine.packet_by_dma(&[0x12, 0, 0, 0, 36]);
    assert!(machine.take_interrupt());
    assert_eq!(machine.master_read(2) & 7, 5, "the table has more room");
    assert_eq!(machine.memory(0x1000, 2), [5, 0x80]);
    assert_eq!(machine.memory(0x2000, 17), *b"OM          1.0 \0");
    machine.stop();
    machine.set_table(&[(0xf000_0000, 64)]);
    machine.packet_by_dma(&[0x12, 0, 0, 0, 36]);
    machine.start_to_memory();
    assert_eq!(machine.master_read(2) & 7, 2);
}

#[test]
fn whole_sectors_come_with_their_headers() {
    let mut machine = Machine::with_disc();
    machine.calm();
    let packet = [0xbe, 0, 0, 0, 0, 50, 0, 0, 4, 0xf8, 0, 0];
    let data = machine.ask(&packet).unwrap();
    assert_eq!(data.len(), 4 * 2352);
    for (index, sector) in data.chunks_exact(2352).enumerate() {
        assert_eq!(sector[12..16], [0, 2, 0x50 + index as u8, 1]);
        assert_eq!(sector[16..2064], pattern(200 + 4 * index, 2048));
    }
    machine.set_table(&[(0x1000, 5000), (0x3000, 4408)]);
    machine.packet_by_dma(&packet);
    machine.start_to_memory();
    assert_eq!(machine.master_read(2) & 7, 4);
    let moved = [machine.memory(0x1000, 5000), machine.memory(0x3000, 4408)].concat();
    assert_eq!(moved, data);
    // From 00:02:50 to 00:02:52, user data alone.
    let packet = [0xb9, 0x08, 0, 0, 2, 50, 0, 2, 52, 0x10, 0, 0];
    assert_eq!(machine.ask(&packet).unwrap(), pattern(200, 4096));
    let headers = machine
        .ask(&[0xbe, 0, 0, 0, 0, 9, 0, 0, 30, 0x20, 0, 0])
        .unwrap();
    assert_eq!(headers.len(), 120);
    assert_eq!(headers[4..8], [0, 2, 0x10, 1]);
    assert_eq!(
        machine.ask(&[0xbe, 0, 0, 0, 0, 9, 0, 0, 1, 0, 0, 0]),
        Ok(vec![])
    );
    for (packet, sense) in [
        ([0xbe, 0x04, 0, 0, 0, 0, 0, 0, 1, 0x10, 0], [5, 0x64, 0]),
        ([0xbe, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 1], [5, 0x24, 0]),
        ([0xbe, 0, 0, 0, 0, 0, 0, 0, 1, 0x12, 0], [5, 0x24, 0]),
        ([0xbe, 0, 0, 0, 0, 99, 0, 0, 2, 0xf8, 0], [5, 0x21, 0]),
        ([0xb9, 0, 0, 0, 2, 9, 0, 2, 8, 0x10, 0], [5, 0x24, 0]),
        ([0xb9, 0, 0, 0, 1, 9, 0, 2, 8, 0x10, 0], [5, 0x24, 0]),
    ] {
        assert_eq!(machine.ask(&packet), Err(sense));
    }
}

#[test]
fn what_is_not_on_the_disc() {
    let mut machine = Machine::with_disc();
    machine.calm();
    let end = BLOCKS as u32;
    for (block, blocks) in [(end - 1, 2), (end, 1), (u32::MAX, 1), (u32::MAX, 0xffff)] {
        assert_eq!(machine.ask(&read_10(block, blocks)), Err([5, 0x21, 0]));
    }
    assert_eq!(machine.ask(&read_10(end - 1, 0)), Ok(vec![]));
    assert_eq!(machine.ask(&[0x2b, 0, 0, 0, 0, 99]), Ok(vec![]));
    assert_eq!(machine.ask(&[0x2b, 0, 0, 0, 0, 100]), Err([5, 0x21, 0]));
    assert_eq!(machine.ask(&[0x2a]), Err([5, 0x20, 0]), "it writes nothing");
}

#[test]
fn sense_is_told_once() {
    let mut machine = Machine::with_disc();
    assert_eq!(machine.sense(), [6, 0x29, 0]);
    assert_eq!(machine.ask(&[0]), Ok(vec![]));
    machine.packet(0xfffe, &[0xff]);
    assert_eq!((machine.status(), machine.error()), (READY | ERR, 0x50));
    assert_eq!(machine.sense(), [5, 0x20, 0]);
    assert_eq!(machine.sense(), [0, 0, 0]);
    machine.packet(0xfffe, &[0xff]);
    assert_eq!(machine.ask(&[0]), Ok(vec![]));
    assert_eq!(machine.sense(), [0, 0, 0], "of the last command only");
}

#[test]
fn a_disc_that_cannot_be_read() {
    let mut machine = Machine::with_disc();
    machine.calm();
    machine.disc.0.lock().unwrap().failure = Some(BlockError::Medium);
    assert_eq!(machine.ask(&read_10(0, 1)), Err([3, 0x11, 0]));
    machine.set_table(&[(0x1000, 2048)]);
    machine.packet_by_dma(&read_10(0, 1));
    machine.start_to_memory();
    assert!(machine.take_interrupt());
    assert_eq!((machine.status(), machine.error()), (READY | ERR, 0x30));
}

#[test]
fn a_slow_disc() {
    let mut machine = Machine::with_disc();
    machine.calm();
    machine.disc.set_pace(Pace::Later);
    machine.packet(2048, &read_10(4, 2));
    for block in 4..6 {
        assert_eq!(machine.status() & (BSY | DRQ), BSY);
        assert!(!machine.take_interrupt());
        assert!(machine.disc.finish());
        machine.poll();
        assert!(machine.take_interrupt());
        assert_eq!(machine.read_data(2048), pattern(4 * block, 2048));
    }
    assert!(machine.take_interrupt());
    assert_eq!(machine.status(), READY);
    machine.set_table(&[(0x1000, 4096)]);
    machine.packet_by_dma(&read_10(8, 2));
    machine.start_to_memory();
    assert_eq!(machine.status() & BSY, BSY);
    assert!(machine.disc.finish());
    machine.poll();
    assert!(machine.take_interrupt());
    assert_eq!(machine.memory(0x1000, 4096), pattern(32, 4096));
}

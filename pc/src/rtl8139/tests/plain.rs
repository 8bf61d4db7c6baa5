//! The chip of the data sheet: slots, one ring, timer, link, configuration.

use super::*;

#[test]
fn the_card_says_what_it_is() {
    for (revision, pci, hardware) in [
        (Revision::C, 0x10, 0x7400_0000),
        (Revision::CPlus, 0x20, 0x7480_0000),
    ] {
        let mut machine = Machine::new(revision);
        assert_eq!(machine.card.config_read(0, Width::Dword), 0x8139_10ec);
        assert_eq!(machine.card.config_read(8, Width::Byte), pci);
        assert_eq!(machine.read(0x40, Width::Dword) & 0x7cc0_0000, hardware);
        let address: Vec<u8> = (0..6)
            .map(|at| machine.read(at, Width::Byte) as u8)
            .collect();
        assert_eq!(address, MAC);
        let window = Window::Memory {
            base: 0xfeb0_0000,
            bytes: 256,
        };
        assert_eq!(machine.card.window(1), Some(window));
        // It sleeps: nothing is decoded, and it comes back fresh.
        machine.write(0x3c, Width::Word, 5);
        machine.configure(0x44, Width::Word, 3);
        assert_eq!(machine.card.window(1), None);
        machine.configure(0x44, Width::Word, 0);
        assert_eq!(machine.card.window(1), Some(window));
        assert_eq!(machine.read(0x3c, Width::Word), 0);
    }
}

#[test]
fn slots_are_sent_in_turn() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    let sent = frame([0xff; 6], 100);
    machine
        .memory
        .write(Gpa(u64::from(BUFFERS)), &sent)
        .unwrap();
    for turn in 0..6_u64 {
        let index = turn % 4;
        machine.write(0x20 + 4 * index, Width::Dword, u64::from(BUFFERS));
        machine.write(0x10 + 4 * index, Width::Dword, 100 | 0x3_0000);
        let status = machine.read(0x10 + 4 * index, Width::Dword) as u32;
        assert_eq!(status, 100 | 0x3_0000 | slot::OWN | slot::SENT);
        assert_eq!(machine.frames(), core::slice::from_ref(&sent));
        assert!(machine.card.interrupt_line());
        assert_eq!(machine.acknowledge(), Interrupt::SENT);
        assert!(!machine.card.interrupt_line());
    }
    assert_eq!(machine.read(0x60, Width::Word), 0xf00f);
}

#[test]
fn a_slot_that_cannot_be_sent_says_so() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    machine.write(0x10, Width::Dword, 0x701);
    assert_eq!(machine.acknowledge(), Interrupt::NOT_SENT);
    machine.write(0x24, Width::Dword, 0xf000_0000);
    machine.write(0x14, Width::Dword, 60);
    assert_eq!(
        machine.acknowledge(),
        Interrupt::NOT_SENT | Interrupt::BUS_ERROR
    );
    assert_eq!(
        machine.read(0x14, Width::Dword) as u32 & slot::ABORTED,
        slot::ABORTED
    );
}

#[test]
fn frames_wait_for_room_on_the_cable() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    machine.cable.wire().room = 1;
    for index in 0..4 {
        machine.write(0x20 + 4 * index, Width::Dword, u64::from(BUFFERS));
        machine.write(0x10 + 4 * index, Width::Dword, 60 + index);
    }
    // The second is in the chip, the others still in memory.
    assert_eq!(machine.read(0x60, Width::Word) & 0xf, 3);
    machine.cable.wire().room = 9;
    machine.poll();
    let lengths: Vec<_> = machine.frames().iter().map(Vec::len).collect();
    assert_eq!(lengths, [60, 61, 62, 63]);
}

#[test]
fn the_ring_is_filled_and_wraps() {
    for no_wrap in [0, 0x80] {
        let mut machine = Machine::new(Revision::C);
        machine.start(0x0a | no_wrap);
        let mut at = 0;
        for turn in 0..40 {
            assert_eq!(machine.read(0x37, Width::Byte) & 1, 1, "empty");
            let frame = frame(MAC, 60 + 31 * turn);
            machine.arrive(&frame);
            assert_eq!(machine.read(0x37, Width::Byte) & 1, 0);
            assert_eq!(machine.acknowledge(), Interrupt::RECEIVED);
            let header = machine.dword(RING + at);
            assert_eq!(header & 0xffff, u32::from(receive::OK | receive::OWN));
            assert_eq!(header >> 16, frame.len() as u32 + 4);
            let read = if no_wrap != 0 {
                machine.bytes(RING + at + 4, frame.len())
            } else {
                let whole = machine.bytes(RING, 0x2000);
                let from = at as usize + 4;
                (from..from + frame.len())
                    .map(|at| whole[at % 0x2000])
                    .collect()
            };
            assert_eq!(read, frame, "{turn}");
            at = (at + 4 + (header >> 16)).next_multiple_of(4) % 0x2000;
            assert_eq!(machine.read(0x3a, Width::Word), u64::from(at));
            machine.write(0x38, Width::Word, u64::from(at.wrapping_sub(16) & 0xffff));
        }
    }
}

#[test]
fn a_full_ring_holds_frames_back_until_there_is_room() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    for _ in 0..8 {
        machine.cable.put(&frame(MAC, 1500));
    }
    machine.poll();
    // Five of 1508 bytes fit 8 KiB.
    assert_eq!(machine.read(0x3a, Width::Word), 5 * 1508);
    assert_eq!(machine.cable.wire().to_card.len(), 2);
    // It need not hear more than that there are frames; while its mask is closed it is at work.
    assert_eq!(machine.acknowledge(), Interrupt::RECEIVED);
    machine.write(0x3c, Width::Word, 0xffae);
    machine.poll();
    assert_eq!(machine.acknowledge(), Interrupt::empty());
    // The driver goes to sleep with frames in the ring: it hears of them again.
    machine.write(0x3c, Width::Word, 0xffff);
    assert_eq!(machine.acknowledge(), Interrupt::RECEIVE_FULL);
    machine.write(0x38, Width::Word, 2 * 1508 - 16);
    assert_eq!(machine.acknowledge(), Interrupt::empty());
    assert_eq!(machine.read(0x3a, Width::Word), 7 * 1508 - 0x2000);
    assert_eq!(machine.acknowledge(), Interrupt::RECEIVED);
}

#[test]
fn a_driver_that_reads_frame_by_frame_acknowledges_many_at_a_time() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    machine.write(0x3c, Width::Word, 0xffae);
    for _ in 0..20 {
        machine.cable.put(&frame(MAC, 1500));
    }
    machine.poll();
    let (mut read, mut acknowledged) = (0, 0);
    while machine.read(0x37, Width::Byte) & 1 == 0 {
        read += 1;
        let pointer = (read * 1508_u64).wrapping_sub(16) & 0x1fff;
        machine.write(0x38, Width::Word, pointer);
        acknowledged += u32::from(!machine.acknowledge().is_empty());
        machine.poll();
    }
    // Five fit; when two are left, three come.
    assert_eq!((read, acknowledged), (20, 6));
    // Opening the mask says nothing of frames that there are not.
    machine.write(0x3c, Width::Word, 0xffff);
    assert_eq!(machine.acknowledge(), Interrupt::empty());
}

#[test]
fn who_waits_for_an_interrupt_with_frames_in_the_ring_gets_one() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    for _ in 0..6 {
        machine.cable.put(&frame(MAC, 1500));
    }
    machine.poll();
    assert_eq!(machine.acknowledge(), Interrupt::RECEIVED);
    // It reads one at each interrupt, and never touches its mask.
    machine.write(0x38, Width::Word, 1508 - 16);
    assert_eq!(machine.acknowledge(), Interrupt::empty());
    assert_eq!(machine.acknowledge(), Interrupt::RECEIVED);
}

#[test]
fn the_filter_decides() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x02);
    machine.arrive(&frame([0xff; 6], 60));
    machine.arrive(&frame([4; 6], 60));
    assert_eq!(machine.acknowledge(), Interrupt::empty());
    machine.write(0x44, Width::Dword, 0x0f);
    machine.arrive(&frame([1, 0, 0x5e, 0, 0, 1], 60));
    assert_eq!(
        machine.acknowledge(),
        Interrupt::empty(),
        "its bit is clear"
    );
    machine.write(0x08, Width::Dword, 0xffff_ffff);
    machine.write(0x0c, Width::Dword, 0xffff_ffff);
    machine.arrive(&frame([1, 0, 0x5e, 0, 0, 1], 20));
    assert_eq!(machine.acknowledge(), Interrupt::RECEIVED);
    assert_eq!(machine.dword(RING) >> 16, 64, "padded as on a wire");
}

#[test]
fn loopback_comes_back() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    machine.write(0x40, Width::Dword, 3 << 17);
    let sent = frame([0xff; 6], 100);
    machine
        .memory
        .write(Gpa(u64::from(BUFFERS)), &sent)
        .unwrap();
    machine.write(0x20, Width::Dword, u64::from(BUFFERS));
    machine.write(0x10, Width::Dword, 100);
    assert_eq!(machine.acknowledge(), Interrupt::RECEIVED | Interrupt::SENT);
    assert_eq!(machine.bytes(RING + 4, 100), sent);
    assert!(machine.frames().is_empty());
}

#[test]
fn the_timer_interrupts() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    machine.now_ns = 900;
    machine.write(0x48, Width::Dword, 1);
    machine.write(0x54, Width::Dword, 1000);
    assert_eq!(machine.card.deadline(), Some(Instant::from_ns(30_900)));
    machine.now_ns = 30_900;
    machine.poll();
    assert_eq!(machine.acknowledge(), Interrupt::TIMER);
    assert_eq!(machine.read(0x48, Width::Dword), 1000);
}

#[test]
fn the_link_is_seen() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    assert_eq!(machine.read(0x64, Width::Word) & 4, 4);
    assert_eq!(machine.read(0x58, Width::Byte) & 4, 0);
    machine.cable.wire().link = Link::Down;
    machine.poll();
    assert_eq!(machine.acknowledge(), Interrupt::LINK);
    assert_eq!(machine.read(0x64, Width::Word) & 4, 0);
    assert_eq!(machine.read(0x58, Width::Byte) & 4, 4);
    assert_eq!(machine.read(0x74, Width::Word) & 0xc00, 0x800);
    assert_eq!(machine.read(0x74, Width::Word) & 0xc00, 0, "told once");
    machine.write(0x20, Width::Dword, u64::from(BUFFERS));
    machine.write(0x10, Width::Dword, 100);
    assert_eq!(machine.acknowledge(), Interrupt::SENT, "into the air");
    assert!(machine.frames().is_empty());
}

#[test]
fn configuration_registers_are_locked() {
    let mut machine = Machine::new(Revision::CPlus);
    let before = machine.read(0x52, Width::Byte);
    machine.write(0x52, Width::Byte, 0x20);
    assert_eq!(machine.read(0x52, Width::Byte), before);
    machine.write(0x50, Width::Byte, 0xc0);
    machine.write(0x52, Width::Byte, 0x21);
    assert_eq!(machine.read(0x52, Width::Byte), 0x2d);
}

#[test]
fn the_older_chip_has_no_rings() {
    let mut machine = Machine::new(Revision::C);
    machine.write(0xe0, Width::Word, 3);
    machine.write(0xe4, Width::Dword, 0x1234);
    assert_eq!(machine.read(0xe0, Width::Word), 0);
    assert_eq!(machine.read(0xe4, Width::Dword), 0);
}

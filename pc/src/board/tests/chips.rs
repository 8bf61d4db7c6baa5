//! What the board wires: timers, clock, serial line, keyboard, diskette, firmware's items.

use super::*;

#[test]
fn the_timer_reaches_both_controllers() {
    let mut machine = Machine::new();
    machine.init_pics(0xff, 0xff);
    machine.outb(0x43, 0x34);
    machine.outb(0x40, 0xa9);
    machine.outb(0x40, 0x04);
    assert_eq!(
        machine.board.deadline(),
        None,
        "masked everywhere: nobody is woken"
    );
    machine.now_ns = SECOND;
    machine.outb(0x21, 0xfe);
    assert!(
        machine.board.pic_interrupt(),
        "requests are latched while masked"
    );
    assert_eq!(machine.board.pic_acknowledge(), 0x20);
    machine.outb(0x20, 0x20);
    assert!(!machine.board.pic_interrupt());
    machine.now_ns = machine.board.deadline().unwrap().ns;
    assert!(machine.now_ns < SECOND + 1_100_000);
    machine.poll();
    assert!(machine.board.pic_interrupt());
    machine.unmask_pin(2, 0);
    machine.sent.messages.clear();
    machine.outb(0x21, 0xff);
    machine.now_ns = machine.board.deadline().unwrap().ns;
    machine.poll();
    assert_eq!(machine.sent.take_vectors(), [0x42]);
}

#[test]
fn an_idle_board_asks_for_nothing() {
    let mut machine = Machine::new();
    assert_eq!(machine.board.deadline(), None);
    machine.init_pics(0, 0);
    assert_eq!(machine.board.deadline(), None);
}

#[test]
fn the_clock_interrupts_through_the_slave() {
    let mut machine = Machine::new();
    machine.init_pics(0xfb, 0xfe);
    machine.outb(0x70, 0x0b);
    machine.outb(0x71, 0x12);
    assert_eq!(machine.board.deadline(), Some(Instant::from_ns(SECOND / 2)));
    machine.now_ns = SECOND / 2;
    machine.poll();
    assert_eq!(machine.board.pic_acknowledge(), 0x28);
    machine.outb(0x70, 0x8c);
    assert!(machine.board.nmi_masked());
    assert_eq!(machine.inb(0x71) & 0x90, 0x90);
    assert_eq!(machine.inb(0x70), 0xff);
}

#[test]
fn serial_bytes_and_their_interrupt() {
    let mut machine = Machine::new();
    machine.init_pics(0xef, 0xff);
    machine.outb(0x3f8, b'!');
    assert_eq!(machine.peer.received(), b"!");
    machine.outb(0x3fc, 8);
    machine.outb(0x3f9, 1);
    machine.peer.send(b"k");
    machine.poll();
    assert_eq!(machine.board.pic_acknowledge(), 0x24);
    assert_eq!(machine.inb(0x3f8), b'k');
    assert_eq!(machine.inb(0x2fd), 0xff, "no second port");
}

#[test]
fn typed_keys_interrupt_byte_by_byte() {
    let mut machine = Machine::new();
    machine.init_pics(0xfd, 0xff);
    for action in [Action::Press, Action::Release] {
        let key = Key::Enter;
        machine
            .hands
            .with(|input| input.keys.push_back(KeyEvent { key, action }));
    }
    machine.poll();
    for code in [0x1c, 0x9c] {
        assert_eq!(machine.board.pic_acknowledge(), 0x21);
        assert_eq!(machine.inb(0x60), code);
        machine.outb(0x20, 0x20);
        assert!(!machine.board.pic_interrupt());
        if let Some(deadline) = machine.board.deadline() {
            machine.now_ns = deadline.ns;
            machine.poll();
        }
    }
    assert!(!machine.board.pic_interrupt());
    assert_eq!(machine.board.deadline(), None);
    machine.outb(0x60, 0xed);
    machine.outb(0x60, 4);
    assert_eq!(machine.hands.with(|input| input.leds), Leds::CAPS);
}

#[test]
fn an_absolute_pointer_is_announced_by_the_mouse() {
    let mut machine = Machine::new();
    machine.init_pics(0xfb, 0xef);
    machine.outb(0x64, 0xd4);
    machine.outb(0x60, 0xf4);
    assert_eq!(machine.inb(0x60), 0xfa);
    machine.outb(0x64, 0x60);
    machine.outb(0x60, 0x02);
    let ask = |board: &mut Board, ecx, ebx| {
        board.vmware_request(vmmouse::Registers {
            eax: 0x564d_5868,
            ebx,
            ecx,
            edx: vmmouse::PORT.into(),
        })
    };
    assert!(ask(&mut machine.board, 41, 0x5342_4152).is_some());
    let corner = Position {
        x: 639,
        y: 479,
        width: 640,
        height: 480,
    };
    machine
        .hands
        .with(|input| input.pointer.push_back(PointerEvent::Position(corner)));
    machine.now_ns = SECOND;
    machine.poll();
    assert_eq!(machine.board.pic_acknowledge(), 0x2c);
    let packet = ask(&mut machine.board, 39, 4).unwrap();
    assert_eq!((packet.ebx, packet.ecx), (0xffff, 0xffff));
}

#[test]
fn the_hpet_replaces_the_timer() {
    let mut machine = Machine::new();
    machine.init_pics(0xfe, 0xff);
    // The PIT at 100 Hz.
    machine.outb(0x43, 0x34);
    machine.outb(0x40, 0x9c);
    machine.outb(0x40, 0x2e);
    let store = |machine: &mut Machine, offset, value| {
        assert!(machine.with(|board, context| {
            let gpa = Gpa(HPET_BASE.0 + offset);
            board.mmio_write(gpa, Width::Qword, value, context)
        }));
    };
    // Timer 0: periodic, 1 ms.
    store(&mut machine, 0x100, 1 << 6 | 1 << 3 | 1 << 2);
    store(&mut machine, 0x108, 100_000);
    store(&mut machine, 0x108, 100_000);
    store(&mut machine, 0x10, 3);
    machine.outb(0x20, 0x20);
    for ms in 1..=3 {
        let deadline = machine.board.deadline().unwrap();
        assert_eq!(deadline, Instant::from_ns(ms * 1_000_000));
        machine.now_ns = deadline.ns;
        machine.poll();
        assert_eq!(machine.board.pic_acknowledge(), 0x20);
        machine.outb(0x20, 0x20);
        assert!(!machine.board.pic_interrupt());
    }
    // Off again: the PIT goes on.
    store(&mut machine, 0x10, 0);
    machine.now_ns = machine.board.deadline().unwrap().ns;
    machine.poll();
    assert_eq!(machine.board.pic_acknowledge(), 0x20);
    // Timer 2 on the I/O APIC.
    machine.unmask_pin(21, 0);
    store(&mut machine, 0x140, 21 << 9 | 1 << 2);
    store(&mut machine, 0x148, 1_000_000_000);
    store(&mut machine, 0xf0, 999_000_000);
    store(&mut machine, 0x10, 1);
    machine.outb(0x21, 0xff);
    machine.sent.messages.clear();
    let deadline = machine.board.deadline().unwrap();
    machine.now_ns = deadline.ns;
    machine.poll();
    assert_eq!(machine.sent.take_vectors(), [0x55]);
    assert_ne!(machine.board.deadline(), Some(deadline));
}

#[test]
fn a_floppy_drive_interrupts() {
    let mut machine = Machine::new();
    machine.init_pics(0xbf, 0xff);
    machine.board.add_floppy_drive(Place::A);
    machine.outb(0x70, 0x10);
    assert_eq!(machine.inb(0x71), 0x40);
    machine.outb(0x3f2, 0);
    machine.outb(0x3f2, 0x0c);
    assert_eq!(machine.board.pic_acknowledge(), 0x26);
    machine.outb(0x20, 0x20);
    machine.outb(0x3f5, 8);
    assert_eq!(machine.inb(0x3f5), 0xc0);
    machine.outb(0x3f4, 0x80);
    assert_eq!(machine.board.pic_acknowledge(), 0x26, "an edge again");
    assert_eq!(machine.inb(0x3f0), 0xff);
    machine.outb(0x81, 0x12);
    assert_eq!(machine.inb(0x81), 0x12);
}

#[test]
fn uefi_firmware_turns_the_machine_off_at_the_base_that_it_takes_for_granted() {
    let mut machine = Machine::new();
    assert_eq!(
        machine.inl(0xb008),
        u32::MAX,
        "nobody without such firmware"
    );
    machine.board.attach_fw_cfg(FwCfg::new(Vec::new()).unwrap());
    machine.now_ns = SECOND;
    assert_eq!(machine.inl(0xb008), machine.inl(0x608));
    machine.outl(0xb004, 0x2000);
    assert_eq!(machine.sent.power, [PowerEvent::PowerOff]);
}

#[test]
fn firmware_finds_its_items_and_its_flash() {
    let mut machine = Machine::new();
    assert_eq!(machine.inl(0x514), u32::MAX, "no device");
    machine.board.attach_fw_cfg(FwCfg::new(Vec::new()).unwrap());
    machine.with(|board, context| board.port_write(0x510, Width::Word, 1, context));
    assert_eq!([machine.inb(0x511), machine.inb(0x511)], [3, 0]);
    assert_eq!(machine.inl(0x514).to_le_bytes(), *b"QEMU");
    machine.outl(0x514, 0);
    machine.outl(0x518, 0x100_u32.to_be());
    let base = Gpa(0xffc8_4000);
    let flash = Flash::new(alloc::vec![0xff; 0x1000], Protection::Writable).unwrap();
    machine.board.attach_flash(base, flash);
    for value in [0x40, 0x12] {
        assert!(machine.with(|board, context| {
            board.mmio_write(Gpa(base.0 + 5), Width::Byte, value, context)
        }));
    }
    let (at, flash) = machine.board.flash().next().unwrap();
    assert_eq!((at, flash.contents()[5]), (base, 0x12));
    let saved = machine.board.save();
    machine.board.reset();
    assert_eq!(
        machine.with(|board, context| board.mmio_read(Gpa(base.0 + 4), Width::Word, context)),
        Some(0x12ff)
    );
    machine.board.restore(&saved).unwrap();
    assert_eq!(machine.board.save(), saved);
}

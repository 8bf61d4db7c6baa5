//! Memory that switches: shadow RAM, flash, the A20 gate; and addresses of cards and of nobody.

use super::*;

/// Works on the machine with other memory than usual.
fn with_areas<R>(
    machine: &mut Machine,
    memory: &GuestMemory,
    body: impl FnOnce(&mut Board, &mut Context<'_>) -> R,
) -> R {
    let mut context = Context {
        memory,
        now: Instant::from_ns(machine.now_ns),
        signals: &mut machine.sent,
    };
    body(&mut machine.board, &mut context)
}

#[test]
fn shadow_ram_follows_the_host_bridge() {
    let mut machine = Machine::new();
    let segments: Vec<_> = crate::pci::shadow_segments().collect();
    assert_eq!(segments.len(), 13);
    let memory = GuestMemory::anonymous(&[(Gpa(0), 0x1000)]).with_anonymous_areas(&segments);
    for &(gpa, _) in &segments {
        memory.program(gpa, b"ROM").unwrap();
    }
    let attributes = |gpa: u64| {
        let areas = memory.areas().iter();
        let mut found = areas.filter(|area| area.gpa == Gpa(gpa));
        found.next().unwrap().attributes()
    };
    machine.board.set_shadow_ram(ShadowRam::Closed);
    machine.board.refresh_memory(&memory);
    assert!(
        segments
            .iter()
            .all(|&(gpa, _)| attributes(gpa.0) == Attributes::ROM)
    );
    // PAM 0 for the F segment: reads from ROM, writes to RAM; PAM 1: C0000h protected, C4000h open.
    with_areas(&mut machine, &memory, |board, context| {
        board.port_write(0xcf8, Width::Dword, 0x8000_0058, context);
        board.port_write(0xcfd, Width::Word, 0x3120, context);
    });
    memory.write(Gpa(0xf_fff0), b"copy").unwrap();
    memory.write(Gpa(0xf_0000), b"RAM").unwrap();
    assert_eq!(memory.load(Gpa(0xf_0000)), Ok(*b"ROM"));
    assert_eq!(attributes(0xc_0000), Attributes::PROTECTED_RAM);
    assert_eq!(attributes(0xc_4000), Attributes::RAM);
    assert_eq!(attributes(0xc_8000), Attributes::ROM);
    let saved = machine.board.save();
    machine.board.reset();
    machine.board.refresh_memory(&memory);
    assert_eq!(attributes(0xc_4000), Attributes::ROM);
    machine.board.restore(&saved).unwrap();
    machine.board.refresh_memory(&memory);
    assert_eq!(attributes(0xc_4000), Attributes::RAM);
    with_areas(&mut machine, &memory, |board, context| {
        board.port_write(0xcf8, Width::Dword, 0x8000_0058, context);
        board.port_write(0xcfd, Width::Byte, 0x10, context);
    });
    assert_eq!(memory.load(Gpa(0xf_0000)), Ok(*b"RAM"));
    assert_eq!(memory.load(Gpa(0xf_fff0)), Ok(*b"copy"));
}

#[test]
fn flash_shows_in_memory_while_it_shows_its_contents() {
    const BASE: Gpa = Gpa(0xffc0_0000);
    let mut machine = Machine::new();
    let memory =
        GuestMemory::anonymous(&[(Gpa(0), 0x1000)]).with_anonymous_areas(&[(BASE, 0x2000)]);
    let flash = Flash::new(alloc::vec![0xff; 0x2000], Protection::Writable).unwrap();
    machine.board.attach_flash(BASE, flash);
    machine.board.refresh_memory(&memory);
    let at = Gpa(BASE.0 + 0x1003);
    let mut write = |value| {
        assert!(memory.store(at, &0_u8).is_err(), "writes are the chip's");
        with_areas(&mut machine, &memory, |board, context| {
            assert!(board.mmio_write(at, Width::Byte, value, context));
        });
        memory.load::<u8>(at).ok()
    };
    assert_eq!(write(0x50), Some(0xff));
    assert_eq!(write(0x40), None, "status");
    assert_eq!(write(0x12), None);
    assert_eq!(write(0xff), Some(0x12));
}

#[test]
fn both_a20_gates_agree() {
    let mut machine = Machine::new();
    assert_eq!(machine.board.a20(), A20::Open);
    machine.outb(0x92, 0);
    assert_eq!(machine.board.a20(), A20::Masked);
    machine.outb(0x64, 0xd0);
    assert_eq!(machine.inb(0x60) & 2, 0);
    machine.outb(0x64, 0xdf);
    assert_eq!(machine.inb(0x92), 2);
    machine.board.set_a20(A20::Masked);
    assert_eq!(machine.inb(0x92), 0);
    machine.board.reset();
    assert_eq!(machine.board.a20(), A20::Open);
}

#[test]
fn memory_of_cards_and_of_nobody() {
    let mut machine = Machine::new();
    machine.outl(0xcf8, 0x8000_1814);
    machine.outl(0xcfc, 0xe000_0000);
    machine.outl(0xcf8, 0x8000_1804);
    machine.outl(0xcfc, 2);
    let mut read =
        |gpa| machine.with(|board, context| board.mmio_read(Gpa(gpa), Width::Dword, context));
    assert_eq!(read(0xe000_0008), Some(8));
    assert_eq!(read(0xe000_1000), None);
    assert_eq!(read(0xfec0_0000), Some(0));
    assert_eq!(read(u64::MAX), None);
    assert!(!machine.with(|board, context| board.mmio_write(Gpa(0), Width::Byte, 0, context)));
}

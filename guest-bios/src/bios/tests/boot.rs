use super::*;
use hvm::device::Lifecycle;

/// A CD with a catalog at sector 20 and an image of its own at sector 24.
pub fn cd(media: u8, count: u16, start: u32) -> Vec<u8> {
    let mut bytes = std::vec![0; 4096 * 2048];
    let record = &mut bytes[17 * 2048..][..2048];
    record[..30].copy_from_slice(b"\0CD001\x01EL TORITO SPECIFICATION");
    record[0x47..0x4b].copy_from_slice(&20_u32.to_le_bytes());
    let catalog = &mut bytes[20 * 2048..][..64];
    catalog[0] = 1;
    catalog[30..32].copy_from_slice(&[0x55, 0xaa]);
    catalog[28..30].copy_from_slice(&(0_u16.wrapping_sub(0xaa55).wrapping_sub(1)).to_le_bytes());
    catalog[32] = 0x88;
    catalog[33] = media;
    catalog[38..40].copy_from_slice(&count.to_le_bytes());
    catalog[40..44].copy_from_slice(&start.to_le_bytes());
    bytes[24 * 2048..][..10].copy_from_slice(b"boot image");
    bytes[24 * 2048 + 510..][..2].copy_from_slice(&[0x55, 0xaa]);
    bytes
}

fn cdrom(bytes: Vec<u8>) -> (Drive, Vec<u8>, Protection) {
    (drive(DriveKind::Cdrom), bytes, Protection::ReadOnly)
}

fn started(media: Vec<(Drive, Vec<u8>, Protection)>, order: &[BootDevice]) -> Pc {
    let mut pc = Pc::off(media, order);
    pc.trap(0xe05b + 2).unwrap();
    pc.trap(rom::stub(Service::Bootstrap)).unwrap();
    pc
}

#[test]
fn reset_leads_to_post() {
    let pc = Pc::off(Vec::new(), &[]);
    assert_eq!(pc.load::<[u8; 5]>(0xf_fff0), [0xea, 0x5b, 0xe0, 0x00, 0xf0]);
    assert_eq!(pc.load::<[u8; 4]>(0xf_e05b), [0xfa, 0xfc, 0xe6, 0xb2]);
}

#[test]
fn a_disk_starts_at_7c00() {
    let mut disk = std::vec![0; 1 << 20];
    disk[..4].copy_from_slice(b"boot");
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let media = std::vec![(drive(DriveKind::Disk), disk, Protection::Writable)];
    let pc = started(media, &[BootDevice::Disk]);
    assert_eq!(pc.load::<[u8; 4]>(0x7c00), *b"boot");
    assert_eq!(
        (pc.cpu.segments[SegmentName::Cs as usize].base, pc.cpu.rip),
        (0, 0x7c00)
    );
    assert_eq!(pc.get(Gpr::Rdx), 0x80);
    assert_ne!(pc.cpu.rflags & Rflags::IF.bits(), 0);
}

#[test]
fn a_cd_starts_without_emulation_and_tells_of_it() {
    let mut pc = started(std::vec![cdrom(cd(0, 4, 24))], &[BootDevice::Cdrom]);
    assert_eq!(pc.load::<[u8; 10]>(0x7c00), *b"boot image");
    assert_eq!(
        (pc.cpu.segments[SegmentName::Cs as usize].base, pc.cpu.rip),
        (0x7c00, 0)
    );
    assert_eq!(pc.get(Gpr::Rdx), 0xe0);
    pc.set(Gpr::Rsi, 0x600);
    assert!(!pc.int(Service::Disk, 0x4b01));
    assert_eq!(pc.load::<[u8; 8]>(0x600), [19, 0, 0xe0, 0, 24, 0, 0, 0]);
    // Sectors of 2048 bytes through the extensions.
    pc.board
        .memory
        .store(Gpa(0x600), &[16_u16, 1, 0, 0x2000])
        .unwrap();
    pc.board.memory.store(Gpa(0x608), &24_u64).unwrap();
    assert!(!pc.int(Service::Disk, 0x4200));
    assert_eq!(pc.load::<[u8; 10]>(0x2_0000), *b"boot image");
}

#[test]
fn a_diskette_image_becomes_drive_a() {
    let floppy = (
        drive(DriveKind::Floppy),
        std::vec![7; 1440 * 1024],
        Protection::Writable,
    );
    let media = std::vec![floppy, cdrom(cd(2, 1, 24))];
    let mut pc = started(media, &[BootDevice::Cdrom]);
    assert_eq!(pc.get(Gpr::Rdx), 0);
    pc.set(Gpr::Rdx, 0);
    pc.set(Gpr::Rcx, 1);
    pc.set(Gpr::Rbx, 0x4000);
    assert!(!pc.int(Service::Disk, 0x0201));
    assert_eq!(pc.load::<[u8; 10]>(0x4000), *b"boot image");
    pc.set(Gpr::Rdx, 1);
    assert!(!pc.int(Service::Disk, 0x0201), "the real drive moved up");
    assert_eq!(pc.load::<u8>(0x4000), 7);
    pc.set(Gpr::Rdx, 0);
    pc.set(Gpr::Rsi, 0x600);
    assert!(!pc.int(Service::Disk, 0x4b00));
    pc.set(Gpr::Rdx, 0);
    pc.set(Gpr::Rcx, 1);
    assert!(!pc.int(Service::Disk, 0x0201));
    assert_eq!(pc.load::<u8>(0x4000), 7, "the emulation is over");
}

#[test]
fn a_disk_image_becomes_drive_c() {
    let pc = started(std::vec![cdrom(cd(4, 1, 24))], &[BootDevice::Cdrom]);
    assert_eq!(pc.get(Gpr::Rdx), 0x80);
    assert_eq!(pc.bios.count_drives(0x80), 1);
}

/// What does not start is named on the screen and in the log, and the next device is tried.
fn complains(medium: (Drive, Vec<u8>, Protection), device: BootDevice, reason: &str) {
    let mut disk = std::vec![0; 1 << 20];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let mut media = std::vec![medium];
    let good = match device {
        BootDevice::Cdrom => (drive(DriveKind::Disk), disk, Protection::Writable),
        _ => cdrom(cd(0, 4, 24)),
    };
    let next = if device == BootDevice::Cdrom {
        BootDevice::Disk
    } else {
        BootDevice::Cdrom
    };
    media.push(good);
    let pc = started(media, &[device, next]);
    let screen = pc.screen().replace('\n', "");
    assert!(screen.contains(reason), "{reason}: {screen}");
    assert!(pc.board.lines.iter().any(|line| line.contains(reason)));
    assert_ne!(pc.get(Gpr::Rdx), 0, "the next one started");
}

#[test]
fn bad_media_are_named_and_skipped() {
    let disk = |bytes| (drive(DriveKind::Disk), bytes, Protection::Writable);
    complains(disk(std::vec![0; 1 << 20]), BootDevice::Disk, "not 55 aa");
    complains(disk(Vec::new()), BootDevice::Disk, "cannot be read");
    complains(
        cdrom(std::vec![0; 1 << 20]),
        BootDevice::Cdrom,
        "no boot record",
    );
    complains(
        cdrom(std::vec![0; 100]),
        BootDevice::Cdrom,
        "no boot record",
    );
    complains(cdrom(cd(0, 4, 9999)), BootDevice::Cdrom, "truncated");
    complains(cdrom(cd(9, 4, 24)), BootDevice::Cdrom, "unknown");
    complains(cdrom(cd(0, 0xffff, 24)), BootDevice::Cdrom, "");
    let mut outside = cd(0, 4, 24);
    outside[17 * 2048 + 0x47..][..4].copy_from_slice(&[0xff; 4]);
    complains(cdrom(outside), BootDevice::Cdrom, "behind its end");
    let mut damaged = cd(0, 4, 24);
    damaged[20 * 2048 + 5] ^= 1;
    complains(cdrom(damaged), BootDevice::Cdrom, "is damaged");
}

#[test]
fn without_a_device_the_bios_waits_for_a_key_and_tries_again() {
    let mut pc = started(Vec::new(), &[BootDevice::Disk, BootDevice::Cdrom]);
    assert!(pc.screen().contains("Boot from hard disk: there is none."));
    let stub = rom::stub(Service::Bootstrap);
    assert_eq!(pc.cpu.rip, u64::from(stub) + 7, "STI, HLT");
    pc.trap(stub + 9).unwrap();
    assert_eq!(pc.cpu.rip, u64::from(stub) + 7);
    pc.set(Gpr::Rcx, 0x3920);
    pc.int(Service::Keyboard, 0x0500);
    let lines = pc.board.lines.len();
    pc.trap(stub + 9).unwrap();
    assert_eq!(pc.cpu.rip, u64::from(stub) + 7);
    assert_eq!(pc.board.lines.len(), lines + 3, "from the start");
}

#[test]
fn what_gives_up_is_followed_by_the_next_device() {
    let mut disk = std::vec![0; 1 << 20];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let media = std::vec![
        cdrom(cd(0, 4, 24)),
        (drive(DriveKind::Disk), disk, Protection::Writable)
    ];
    let mut pc = started(media, &[BootDevice::Cdrom, BootDevice::Disk]);
    assert_eq!(pc.get(Gpr::Rdx), 0xe0);
    let stub = rom::stub(Service::NoBoot);
    pc.trap(stub).unwrap();
    assert_eq!((pc.get(Gpr::Rdx), pc.cpu.rip), (0x80, 0x7c00));
    pc.trap(stub).unwrap();
    assert_eq!(pc.cpu.rip, u64::from(stub) + 7, "nothing is left");
    pc.set(Gpr::Rcx, 0x2064);
    pc.int(Service::Keyboard, 0x0500);
    pc.trap(stub + 9).unwrap();
    assert_eq!(pc.get(Gpr::Rdx), 0xe0, "d: the CD again");
}

#[test]
fn saved_state_keeps_the_emulation_and_refuses_others() {
    let mut pc = started(std::vec![cdrom(cd(2, 1, 24))], &[BootDevice::Cdrom]);
    let saved = pc.bios.save();
    let mut other = Pc::with(std::vec![cdrom(cd(2, 1, 24))]);
    assert_eq!(other.bios.restore(&saved), Ok(()));
    assert_eq!(other.bios.save(), saved);
    other.set(Gpr::Rdx, 0);
    other.set(Gpr::Rcx, 1);
    other.set(Gpr::Rbx, 0x4000);
    assert!(!other.int(Service::Disk, 0x0201));
    assert_eq!(other.load::<[u8; 10]>(0x4000), *b"boot image");
    let mut bare = Pc::on();
    let before = bare.bios.save();
    assert!(bare.bios.restore(&saved).is_err(), "it has no CD-ROM drive");
    assert!(bare.bios.restore(&saved[..saved.len() - 1]).is_err());
    assert_eq!(bare.bios.save(), before);
    pc.bios.reset();
    assert_eq!(pc.bios.save(), before);
}

/// Puts a word into the keyboard buffer.
fn type_key(pc: &mut Pc, word: u16) {
    pc.set(Gpr::Rcx, word);
    pc.int(Service::Keyboard, 0x0500);
}

fn two_disks_and_a_cd() -> Vec<(Drive, Vec<u8>, Protection)> {
    let disk = |index| {
        let mut bytes = std::vec![0; 1 << 20];
        bytes[..2].copy_from_slice(&[0xeb, index]);
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        let kind = DriveKind::Disk;
        (Drive { kind, index }, bytes, Protection::Writable)
    };
    let mut image = cd(0, 4, 24);
    image[16 * 2048..][..6].copy_from_slice(b"\x01CD001");
    image[16 * 2048 + 40..][..8].copy_from_slice(b"RESCUE\x01 ");
    std::vec![disk(0), disk(1), cdrom(image)]
}

#[test]
fn escape_before_the_boot_opens_a_menu_that_names_the_drives() {
    let mut pc = Pc::off(two_disks_and_a_cd(), &[BootDevice::Disk]);
    pc.trap(0xe05b + 2).unwrap();
    pc.board.memory.store(Gpa(0x400), &0x3f8_u16).unwrap();
    pc.board.ports.insert(0x3fd, 0x60);
    type_key(&mut pc, 0x011b);
    let stub = rom::stub(Service::Bootstrap);
    pc.trap(stub).unwrap();
    assert_eq!(pc.cpu.rip, u64::from(stub) + 7, "STI, HLT");
    let screen = pc.screen();
    for line in [
        "1  hard disk 1: 1024 KiB",
        "2  hard disk 2: 1024 KiB",
        "3  CD 1: 8192 KiB RESCUE",
    ] {
        assert!(screen.contains(line), "{screen}");
    }
    let sent = pc.board.written.iter().filter(|(port, _)| *port == 0x3f8);
    let sent: String = sent.map(|(_, byte)| char::from(*byte)).collect();
    assert!(sent.contains("Boot menu\r\n  1  hard disk 1"), "{sent}");
    type_key(&mut pc, 0x0a39);
    pc.trap(stub + 9).unwrap();
    assert_eq!(pc.cpu.rip, u64::from(stub) + 7, "there is no ninth");
    // The serial port answers as well.
    pc.board.ports.insert(0x3fd, 0x61);
    pc.board.ports.insert(0x3f8, b'2');
    pc.trap(stub + 9).unwrap();
    assert_eq!((pc.get(Gpr::Rdx), pc.cpu.rip), (0x81, 0x7c00));
    assert_eq!(pc.load::<[u8; 2]>(0x7c00), [0xeb, 1]);
}

#[test]
fn the_menu_is_waited_for_as_long_as_the_configuration_says() {
    let offered = || {
        let mut pc = Pc::off(two_disks_and_a_cd(), &[BootDevice::Disk]);
        pc.bios.menu_wait_ns = 3_000_000_000;
        pc.trap(0xe05b + 2).unwrap();
        pc.trap(rom::stub(Service::Bootstrap)).unwrap();
        assert!(pc.screen().contains("Press Esc or F12"));
        pc
    };
    let stub = rom::stub(Service::Bootstrap);
    let waits = |pc: &Pc| pc.cpu.rip == u64::from(stub) + 7;
    let mut pc = offered();
    assert!(waits(&pc));
    let mut restored = offered();
    restored.bios.reset();
    restored.bios.restore(&pc.bios.save()).unwrap();
    for pc in [&mut pc, &mut restored] {
        pc.board.now = Instant::from_ns(2_999_999_999);
        pc.trap(stub + 9).unwrap();
        assert_eq!(pc.cpu.rip, u64::from(stub) + 7);
        pc.board.now = Instant::from_ns(3_000_000_000);
        pc.trap(stub + 9).unwrap();
        assert_eq!((pc.get(Gpr::Rdx), pc.cpu.rip), (0x80, 0x7c00));
    }
    let mut pc = offered();
    type_key(&mut pc, 0x8600);
    pc.trap(stub + 9).unwrap();
    assert!(waits(&pc) && pc.screen().contains("Boot menu"));
    type_key(&mut pc, 0x2064);
    pc.trap(stub + 9).unwrap();
    assert_eq!(pc.get(Gpr::Rdx), 0xe0);
    let mut pc = offered();
    type_key(&mut pc, 0x1c0d);
    pc.trap(stub + 9).unwrap();
    assert_eq!(pc.get(Gpr::Rdx), 0x80, "Enter does not wait");
}

#[test]
fn a_program_reads_the_catalog_and_starts_another_image() {
    let mut pc = started(std::vec![cdrom(cd(0, 4, 24))], &[BootDevice::Cdrom]);
    pc.set(Gpr::Rsi, 0x600);
    pc.board
        .memory
        .store(Gpa(0x600), &[0x0108_u16, 0, 0x2000, 0])
        .unwrap();
    assert!(!pc.int(Service::Disk, 0x4d00));
    assert_eq!(pc.load::<[u8; 2]>(0x2_0000), [1, 0], "a validation entry");
    // A diskette whose image is the same sector.
    let packet = [19_u8, 2, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    pc.board.memory.write(Gpa(0x600), &packet).unwrap();
    pc.set(Gpr::Rsi, 0x600);
    assert!(!pc.int(Service::Disk, 0x4c00));
    assert_eq!((pc.get(Gpr::Rdx), pc.cpu.rip), (0, 0));
    assert_eq!(pc.load::<[u8; 10]>(0x7c00), *b"boot image");
    let mut outside = packet;
    outside[7] = 0xff;
    pc.board.memory.write(Gpa(0x600), &outside).unwrap();
    pc.set(Gpr::Rsi, 0x600);
    assert!(pc.int(Service::Disk, 0x4a00));
    assert_eq!(pc.bios.count_drives(0), 1, "the diskette is still there");
}

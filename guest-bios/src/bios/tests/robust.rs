use super::super::int13::eltorito;
use super::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is in registers and in the data area, a service comes to an end, without a panic.
    #[test]
    fn any_call_ends(
        calls in proptest::collection::vec((any::<[u64; 8]>(), 1..Service::ALL.len(), any::<bool>()), 1..20),
        data in proptest::collection::vec(any::<u8>(), 0x100),
        segments in any::<[u16; 3]>(),
    ) {
        let disk = (drive(DriveKind::Disk), std::vec![0x55; 1 << 16], Protection::Writable);
        let cd = (drive(DriveKind::Cdrom), super::boot::cd(2, 1, 24), Protection::ReadOnly);
        let mut pc = Pc::with(std::vec![disk, cd]);
        pc.board.memory.write(Gpa(0x400), &data).unwrap();
        for (gprs, service, resumed) in calls {
            pc.bios.install(&pc.board.memory).unwrap();
            pc.cpu.gprs[..8].copy_from_slice(&gprs);
            for (name, selector) in [SegmentName::Ds, SegmentName::Es, SegmentName::Ss].into_iter().zip(segments) {
                pc.set_segment(name, selector);
            }
            let service = Service::ALL[service];
            let stub = match service {
                Service::Tick => rom::clock::TICK,
                Service::KeyboardCode => rom::keyboard::OFFSET + 1,
                other => rom::stub(other) + if resumed { 9 } else { 0 },
            };
            prop_assert!(pc.trap(stub).is_ok());
        }
    }

    /// A catalog may say what it wants: what comes out lies on the medium and below the EBDA.
    #[test]
    fn any_catalog_is_read_or_refused(
        mut catalog in proptest::collection::vec(any::<u8>(), 2048),
        valid: bool,
        sectors in 0_u64..1 << 33,
    ) {
        if valid {
            catalog[0] = 1;
            catalog[30..32].copy_from_slice(&[0x55, 0xaa]);
            catalog[28..30].fill(0);
            let sum = catalog[..32].chunks(2).fold(0_u16, |sum, word| {
                sum.wrapping_add(u16::from_le_bytes([word[0], word[1]]))
            });
            catalog[28..30].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
            catalog[1] = 0;
            catalog[28..30].copy_from_slice(&0_u16.to_le_bytes());
            let sum = catalog[..32].chunks(2).fold(0_u16, |sum, word| {
                sum.wrapping_add(u16::from_le_bytes([word[0], word[1]]))
            });
            catalog[28..30].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
            catalog[32] = 0x88;
        }
        let catalog: &[u8; 2048] = catalog.as_slice().try_into().unwrap();
        let _ = eltorito::catalog_sector(catalog, sectors);
        if let Ok(image) = eltorito::image(catalog, 20, sectors) {
            prop_assert!((u64::from(image.start) * 4).saturating_add(image.count.into()) <= sectors);
            prop_assert!(u64::from(image.segment) * 16 + u64::from(image.count) * 512 <= 0x9_fc00);
        }
    }
}

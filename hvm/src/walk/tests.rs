use super::*;
use crate::regs::State;
use guest_mem::GuestMemory;
use proptest::prelude::*;
use std::vec::Vec;

fn memory() -> GuestMemory {
    GuestMemory::anonymous(&[(Gpa(0), 0x10_0000)])
}

const READ: Access = Access::read(Privilege::Supervisor);
const WRITE: Access = Access::write(Privilege::Supervisor);
const USER_READ: Access = Access::read(Privilege::User);
const USER_WRITE: Access = Access::write(Privilege::User);
const FETCH: Access = Access::execute(Privilege::Supervisor);

fn long(cr3: u64) -> State {
    State {
        cr0: 0x8001_0011,
        cr3,
        cr4: Cr4::PAE.bits(),
        efer: (Efer::LME | Efer::LMA | Efer::NXE).bits(),
        ..State::reset()
    }
}

fn try_walk(
    state: &State,
    memory: &GuestMemory,
    gva: u64,
    access: Access,
) -> Result<Translation, PageFault> {
    translate(&Paging::of(state, 40), memory, Gva(gva), access)
}

fn gpa(state: &State, memory: &GuestMemory, gva: u64, access: Access) -> u64 {
    try_walk(state, memory, gva, access).unwrap().gpa.0
}

fn error(state: &State, memory: &GuestMemory, gva: u64, access: Access) -> u32 {
    let fault = try_walk(state, memory, gva, access).unwrap_err();
    assert_eq!(fault.address, Gva(gva));
    fault.error_code
}

/// PML4 at 1000h, PDPT at 2000h, PD at 3000h, PT at 4000h: linear 0 is a 4 KiB page at 5000h, 2 MiB a large page at
/// 60_0000h, 1 GiB a huge page at 4000_0000h.
fn four_levels(memory: &GuestMemory) {
    for (at, entry) in [
        (0x1000_u64, 0x2007_u64),
        (0x2000, 0x3007),
        (0x2008, 0x4000_0087),
        (0x3000, 0x4007),
        (0x3008, 0x60_0087),
        (0x4000, 0x5007),
    ] {
        memory.store(Gpa(at), &entry).unwrap();
    }
}

fn entry(memory: &GuestMemory, at: u64) -> u64 {
    memory.load(Gpa(at)).unwrap()
}

#[test]
fn without_paging_linear_is_physical() {
    let found = try_walk(&State::reset(), &memory(), 0x1_2345_6789, USER_WRITE).unwrap();
    assert_eq!(found.gpa, Gpa(0x2345_6789));
    assert!(found.is_writable() && found.is_user() && found.is_executable());
}

#[test]
fn four_levels_reach_pages_of_all_sizes() {
    let memory = memory();
    four_levels(&memory);
    let state = long(0x1000);
    for (gva, expected, size) in [
        (0x123, 0x5123, PageSize::Kib4),
        (0x20_1234, 0x60_1234, PageSize::Mib2),
        (0x4123_4567, 0x4123_4567, PageSize::Gib1),
    ] {
        let found = try_walk(&state, &memory, gva, READ).unwrap();
        assert_eq!((found.gpa, found.size), (Gpa(expected), size));
    }
    assert_eq!(error(&state, &memory, 0x1000, READ), 0);
    assert_eq!(error(&state, &memory, 0x1000, USER_WRITE), 0b110);
    assert_eq!(error(&state, &memory, 0x1000, FETCH), 0b1_0000);
}

#[test]
fn a_read_marks_accessed_and_a_write_dirty_but_a_fault_marks_nothing_lower() {
    let memory = memory();
    four_levels(&memory);
    let state = long(0x1000);
    gpa(&state, &memory, 0, READ);
    assert_eq!(entry(&memory, 0x1000), 0x2027);
    assert_eq!(entry(&memory, 0x4000), 0x5027);
    gpa(&state, &memory, 0, WRITE);
    assert_eq!(entry(&memory, 0x3000), 0x4027);
    assert_eq!(entry(&memory, 0x4000), 0x5067);
    memory.store(Gpa(0x4008), &0x5005_u64).unwrap();
    assert_eq!(error(&state, &memory, 0x1000, WRITE), 0b011);
    assert_eq!(entry(&memory, 0x4008), 0x5005);
}

#[test]
fn a_walk_that_finds_its_marks_writes_nothing() {
    let memory = GuestMemory::anonymous(&[(Gpa(0), 0x10_0000)]);
    let log = memory.dirty_log().unwrap();
    four_levels(&memory);
    let state = long(0x1000);
    gpa(&state, &memory, 0, WRITE);
    log.take_word(0);
    gpa(&state, &memory, 0, WRITE);
    assert_eq!(log.take_word(0), Some(0));
}

#[test]
fn peek_leaves_no_marks() {
    let memory = memory();
    four_levels(&memory);
    let paging = Paging::of(&long(0x1000), 40);
    assert_eq!(
        peek(&paging, &memory, Gva(4), WRITE).unwrap().gpa,
        Gpa(0x5004)
    );
    assert_eq!(entry(&memory, 0x4000), 0x5007);
}

#[test]
fn write_protection_binds_the_supervisor_only_under_wp() {
    let memory = memory();
    four_levels(&memory);
    memory.store(Gpa(0x3000), &0x4005_u64).unwrap();
    let mut state = long(0x1000);
    assert_eq!(error(&state, &memory, 0, WRITE), 0b011);
    state.cr0 &= !Cr0::WP.bits();
    assert_eq!(gpa(&state, &memory, 0, WRITE), 0x5000);
    assert_eq!(error(&state, &memory, 0, USER_WRITE), 0b111);
}

#[test]
fn smep_and_smap_keep_the_supervisor_from_user_pages() {
    let memory = memory();
    four_levels(&memory);
    let mut state = long(0x1000);
    assert_eq!(gpa(&state, &memory, 0, FETCH), 0x5000);
    state.cr4 |= (Cr4::SMEP | Cr4::SMAP).bits();
    assert_eq!(error(&state, &memory, 0, FETCH), 0b1_0001);
    assert_eq!(error(&state, &memory, 0, READ), 0b001);
    assert_eq!(gpa(&state, &memory, 0, USER_READ), 0x5000);
    state.rflags |= Rflags::AC.bits();
    assert_eq!(gpa(&state, &memory, 0, READ), 0x5000);
    let implicit = Access::read(Privilege::Implicit);
    assert_eq!(error(&state, &memory, 0, implicit), 0b001);
}

#[test]
fn no_execute_is_a_reserved_bit_until_enabled() {
    let memory = memory();
    four_levels(&memory);
    memory.store(Gpa(0x2000), &(0x3007 | NO_EXECUTE)).unwrap();
    let mut state = long(0x1000);
    assert_eq!(error(&state, &memory, 0, FETCH), 0b1_0001);
    assert_eq!(gpa(&state, &memory, 0, READ), 0x5000);
    state.efer &= !Efer::NXE.bits();
    assert_eq!(error(&state, &memory, 0, READ), 0b1001);
}

#[test]
fn reserved_bits_fault_at_every_level() {
    let state = long(0x1000);
    for (at, bad, gva) in [
        (0x1000_u64, 0x2087_u64, 0),
        (0x1000, 0x2007 | 1 << 40, 0),
        (0x2008, 0x4000_2087, 0x4000_0000),
        (0x3008, 0x60_2087, 0x20_0000),
        (0x4000, 0x5007 | 1 << 51, 0),
    ] {
        let memory = memory();
        four_levels(&memory);
        memory.store(Gpa(at), &bad).unwrap();
        assert_eq!(error(&state, &memory, gva, READ), 0b1001, "{bad:#x}");
    }
}

#[test]
fn a_table_outside_ram_reads_as_an_open_bus() {
    assert_eq!(error(&long(0x8000_0000), &memory(), 0, READ), 0b1001);
}

#[test]
fn five_levels_start_one_table_higher() {
    let memory = memory();
    four_levels(&memory);
    memory.store(Gpa(0x8000), &0x1007_u64).unwrap();
    let mut state = long(0x8000);
    state.cr4 |= Cr4::LA57.bits();
    assert_eq!(gpa(&state, &memory, 7, READ), 0x5007);
    assert!(Paging::of(&state, 40).is_canonical(1 << 55));
    assert!(!Paging::of(&state, 40).is_canonical(1 << 56));
    assert!(!Paging::of(&long(0), 40).is_canonical(1 << 55));
}

#[test]
fn two_levels_know_large_pages_above_4_gib() {
    let memory = memory();
    memory.store(Gpa(0x1000), &0x2007_u32).unwrap();
    memory.store(Gpa(0x1004), &0x0080_4087_u32).unwrap();
    memory.store(Gpa(0x1008), &0x0020_0087_u32).unwrap();
    memory.store(Gpa(0x2004), &0x6005_u32).unwrap();
    let mut state = State {
        cr0: 0x8001_0011,
        cr3: 0x1fff,
        ..State::reset()
    };
    assert_eq!(gpa(&state, &memory, 0x1abc, READ), 0x6abc);
    assert_eq!(memory.load::<u32>(Gpa(0x2004)), Ok(0x6025));
    assert_eq!(error(&state, &memory, 0x1abc, WRITE), 0b011);
    state.cr4 = Cr4::PSE.bits();
    assert_eq!(gpa(&state, &memory, 0x41_2345, WRITE), 0x2_0081_2345);
    assert_eq!(memory.load::<u32>(Gpa(0x1004)), Ok(0x0080_40e7));
    assert_eq!(error(&state, &memory, 0x80_0000, READ), 0b1001);
}

#[test]
fn pae_checks_its_directory_pointers() {
    let memory = memory();
    memory.store(Gpa(0x1028), &0x2001_u64).unwrap();
    memory.store(Gpa(0x1030), &0x2003_u64).unwrap();
    memory.store(Gpa(0x2000), &0x20_0087_u64).unwrap();
    let state = State {
        cr0: 0x8001_0011,
        cr3: 0x1020,
        cr4: Cr4::PAE.bits(),
        ..State::reset()
    };
    assert_eq!(gpa(&state, &memory, 0x4000_1234, USER_WRITE), 0x20_1234);
    assert_eq!(entry(&memory, 0x1028), 0x2001);
    assert_eq!(error(&state, &memory, 0x8000_0000, READ), 0b1001);
    assert_eq!(error(&state, &memory, 0xc000_0000, READ), 0);
    // The accessed bit is none there, but a walk of QEMU's sets it.
    memory.store(Gpa(0x1028), &0x2021_u64).unwrap();
    assert_eq!(gpa(&state, &memory, 0x4000_1234, USER_WRITE), 0x20_1234);
}

/// The same rules, written the slow way: bit by bit from the tables of SDM vol. 3A, 4.4 to 4.6.
fn model(state: &State, table: &[u64], gva: u64, access: Access, levels: u32) -> Result<u64, u32> {
    let bit = |value: u64, index: u32| value >> index & 1 == 1;
    let nxe = bit(state.efer, 11);
    let (mut writable, mut user, mut executable) = (true, true, true);
    let fetch = access.kind == AccessKind::Execute;
    let write = access.kind == AccessKind::Write;
    let by_user = access.privilege == Privilege::User;
    let code = |present: bool, reserved: bool| {
        u32::from(present)
            + 2 * u32::from(write)
            + 4 * u32::from(by_user)
            + 8 * u32::from(reserved)
            + 16 * u32::from(fetch && (nxe || bit(state.cr4, 20)))
    };
    let mut base = state.cr3;
    for level in (1..=levels).rev() {
        let low = 3 + 9 * level;
        let slot = base / 8 + (gva >> low) % 512;
        let entry = *table.get(slot as usize).unwrap_or(&u64::MAX);
        if !bit(entry, 0) {
            return Err(code(false, false));
        }
        let large = level > 1 && bit(entry, 7);
        let mut reserved = (40..52).any(|index| bit(entry, index));
        reserved |= bit(entry, 63) && !nxe;
        reserved |= large && level > 3;
        reserved |= large && (13..low).any(|index| bit(entry, index));
        if reserved {
            return Err(code(true, true));
        }
        writable &= bit(entry, 1);
        user &= bit(entry, 2);
        executable &= !bit(entry, 63);
        base = entry % (1 << 52) / 4096 * 4096;
        if large || level == 1 {
            let allowed = if by_user {
                user && (!write || writable) && (!fetch || executable)
            } else if fetch {
                executable && !(user && bit(state.cr4, 20))
            } else {
                let smap = user
                    && bit(state.cr4, 21)
                    && !(bit(state.rflags, 18) && access.privilege == Privilege::Supervisor);
                !smap && (!write || writable || !bit(state.cr0, 16))
            };
            let offset = gva % (1 << low);
            return if allowed {
                Ok(base / (1 << low) * (1 << low) + offset)
            } else {
                Err(code(true, false))
            };
        }
    }
    unreachable!("level 1 always ends the walk")
}

fn any_access() -> impl Strategy<Value = Access> {
    let kind = prop_oneof![
        Just(AccessKind::Read),
        Just(AccessKind::Write),
        Just(AccessKind::Execute)
    ];
    let privilege = prop_oneof![
        Just(Privilege::User),
        Just(Privilege::Supervisor),
        Just(Privilege::Implicit)
    ];
    (kind, privilege).prop_map(|(kind, privilege)| Access { kind, privilege })
}

/// Entries that mostly point to one of the eight tables.
fn any_entry() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => (0_u64..8, 0_u64..0x80).prop_map(|(table, low)| table << 12 | low | 1),
        2 => (0_u64..8, 0_u64..0x200).prop_map(|(page, low)| page << 30 | low | 0x81),
        1 => (0_u64..8, 0_u64..0x80).prop_map(|(table, low)| table << 12 | low | 1 | NO_EXECUTE),
        1 => any::<u64>(),
    ]
}

proptest! {
    #[test]
    fn walks_agree_with_the_model(
        // Only the first four slots of each table are used.
        entries in proptest::collection::vec(any_entry(), 32),
        slots in proptest::array::uniform5(0_u64..4),
        offset in 0_u64..4096,
        access in any_access(),
        (wp, smep, smap, ac, nxe, la57) in any::<(bool, bool, bool, bool, bool, bool)>(),
    ) {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 0x8000)]);
        let mut table: Vec<u64> = std::vec![0; 0x1000];
        for (index, &entry) in entries.iter().enumerate() {
            table[index / 4 * 512 + index % 4] = entry;
        }
        for (index, &entry) in table.iter().enumerate() {
            memory.store(Gpa(index as u64 * 8), &entry).unwrap();
        }
        let mut state = long(0);
        state.cr0 = 0x8000_0011 | u64::from(wp) << 16;
        state.cr4 |= u64::from(smep) << 20 | u64::from(smap) << 21 | u64::from(la57) << 12;
        state.rflags |= u64::from(ac) << 18;
        state.efer = 0x500 | u64::from(nxe) << 11;
        let gva = slots
            .iter()
            .enumerate()
            .fold(offset, |sum, (level, slot)| sum | slot << (12 + 9 * level));
        let expected = model(&state, &table, gva, access, 4 + u32::from(la57));
        let peeked = peek(&Paging::of(&state, 40), &memory, Gva(gva), access);
        prop_assert_eq!(
            peeked.map(|found| found.gpa.0).map_err(|fault| fault.error_code),
            expected
        );
        // Marks must not change where a walk leads, unless a table maps itself.
        if let Ok(found) = try_walk(&state, &memory, gva, access) {
            prop_assert_eq!(Ok(found.gpa.0), expected);
        }
    }

    #[test]
    fn any_tables_in_any_mode_end_the_walk(
        words in proptest::collection::vec(any::<u32>(), 1024),
        (cr0, cr3, cr4, efer) in any::<(u64, u16, u64, u64)>(),
        gva in any::<u64>(),
        access in any_access(),
        physical_bits in any::<u8>(),
    ) {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 0x4000)]);
        for (index, word) in words.iter().enumerate() {
            memory.store(Gpa(index as u64 * 16), &(word & 0xffff_3fff)).unwrap();
        }
        let state = State { cr0, cr3: u64::from(cr3), cr4, efer, ..State::reset() };
        let _ = translate(&Paging::of(&state, physical_bits), &memory, Gva(gva), access);
    }
}

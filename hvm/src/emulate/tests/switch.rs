//! Hardware task switches: flat 32-bit code in a task whose TSS is the fourth entry of the global table, and another beside it.

use super::*;
use crate::event::Event;
use crate::regs::{Attributes, TableRegister};

const TABLE: u64 = 0x6000;
const VECTORS: u64 = 0x7000;
const OLD_TSS: u64 = 0x9000;
const NEW_TSS: u64 = 0xa000;
/// Selectors: of the old task, the new one, a task gate for that, a smaller TSS, a stack for CPL 3.
const OLD: u16 = 0x18;
const NEW: u16 = 0x20;
const GATE: u16 = 0x28;
const NARROW: u16 = 0x30;
const USER_CODE: u16 = 0x38;
const USER_DATA: u16 = 0x40;
const TABLE_BYTES: u16 = 0x48;

fn machine() -> Machine {
    let mut machine = Machine::bits32();
    let entries: [u64; 9] = [
        0,
        0x00cf_9b00_0000_ffff,
        0x00cf_9300_0000_ffff,
        0x0000_8b00_9000_0067,
        0x0000_8900_a000_0067,
        0x0000_8500_0020_0000,
        0x0000_8100_b000_002b,
        0x00cf_fb00_0000_ffff,
        0x00cf_f300_0000_ffff,
    ];
    for (index, entry) in (0..).zip(&entries) {
        machine
            .bus
            .memory
            .store(Gpa(TABLE + 8 * index), entry)
            .unwrap();
    }
    machine.state.gdtr = TableRegister {
        base: TABLE,
        limit: TABLE_BYTES - 1,
    };
    machine.state.idtr = TableRegister {
        base: VECTORS,
        limit: 0x7ff,
    };
    machine.state.segments[SegmentName::Tr as usize] = Segment::new(OLD, 0x8b, 0x67, OLD_TSS);
    machine.state.gprs[1] = 0x1111_2222;
    machine.state.rflags |= Rflags::CF.bits();
    describe(&machine, NEW_TSS, [8, 16, 16]);
    machine
}

/// Fills a 32-bit TSS: code at 2000h, a stack at 5000h, ECX = 3, and the selectors of CS, SS and all others.
fn describe(machine: &Machine, tss: u64, [code, stack, data]: [u32; 3]) {
    let words = [
        (0x1c, 0x1_2000),
        (0x20, 0x2000),
        (0x24, 0x202),
        (0x2c, 3),
        (0x38, 0x5000),
        (0x48, data),
        (0x4c, code),
        (0x50, stack),
        (0x54, data),
        (0x58, data),
        (0x5c, data),
    ];
    for (at, word) in words {
        machine.bus.memory.store(Gpa(tss + at), &word).unwrap();
    }
}

fn jump(selector: u16) -> [u8; 7] {
    [0xea, 0, 0, 0, 0, selector as u8, 0]
}

fn call(selector: u16) -> [u8; 7] {
    [0x9a, 0, 0, 0, 0, selector as u8, 0]
}

fn word(machine: &Machine, at: u64) -> u32 {
    u32::from_le_bytes(machine.ram(at))
}

fn kind(machine: &Machine, selector: u16) -> u8 {
    machine.ram::<1>(TABLE + u64::from(selector) + 5)[0] & 0xf
}

fn is_in_new_task(machine: &Machine) -> bool {
    let task = machine.state.segments[SegmentName::Tr as usize];
    (task.selector, task.base) == (NEW, NEW_TSS)
        && task.attributes == Attributes::from_bits_retain(0x8b)
        && machine.state.rip == 0x2000
        && machine.state.cr0 & Cr0::TS.bits() != 0
}

fn fault_of(step: Result<Step, Unsupported>) -> Exception {
    match step {
        Ok(Step::Fault(exception)) => exception,
        other => panic!("no fault but {other:?}"),
    }
}

#[test]
fn a_jump_leaves_the_old_task_for_good() {
    let mut machine = machine();
    machine.bus.debug[7] = 0x7ff;
    assert_eq!(machine.step(&jump(NEW)), Ok(PLAIN));
    assert!(is_in_new_task(&machine));
    assert_eq!((kind(&machine, OLD), kind(&machine, NEW)), (9, 11));
    assert_eq!((machine.gpr(Gpr::Rcx), machine.gpr(Gpr::Rsp)), (3, 0x5000));
    assert_eq!(machine.state.rflags, 0x202);
    // The old one can go on behind the jump.
    assert_eq!(word(&machine, OLD_TSS + 0x20), CODE as u32 + 7);
    assert_eq!(word(&machine, OLD_TSS + 0x24), 3);
    assert_eq!(word(&machine, OLD_TSS + 0x2c), 0x1111_2222);
    assert_eq!(word(&machine, OLD_TSS + 0x38), STACK as u32);
    assert_eq!(word(&machine, OLD_TSS + 0x4c), 8);
    // No paging: CR3 is not loaded. Breakpoints of the task alone are off.
    assert_eq!((machine.state.cr3, machine.bus.debug[7]), (0, 0x6aa));
}

#[test]
fn a_call_nests_and_iret_returns() {
    let mut machine = machine();
    assert_eq!(machine.step(&call(GATE)), Ok(PLAIN));
    assert!(is_in_new_task(&machine));
    assert!(machine.flags().contains(Rflags::NT));
    assert_eq!((kind(&machine, OLD), kind(&machine, NEW)), (11, 11));
    assert_eq!(word(&machine, NEW_TSS) & 0xffff, u32::from(OLD));
    let returned = Completion {
        shadow: Shadow::None,
        trap: Trap::None,
        nmis: Nmis::Open,
    };
    assert_eq!(machine.step(&[0xcf]), Ok(Step::Done(returned)));
    assert_eq!(
        (machine.state.rip, machine.gpr(Gpr::Rcx)),
        (CODE + 7, 0x1111_2222)
    );
    assert!(!machine.flags().contains(Rflags::NT));
    assert_eq!((kind(&machine, OLD), kind(&machine, NEW)), (11, 9));
    assert_eq!(word(&machine, NEW_TSS + 0x24), 0x202);
    assert_eq!(word(&machine, NEW_TSS + 0x20), 0x2001);
}

#[test]
fn events_switch_through_gates_and_push_their_code() {
    let mut machine = machine();
    let gate: u64 = 0x0000_8500_0020_0000;
    machine
        .bus
        .memory
        .store(Gpa(VECTORS + 8 * 13), &gate)
        .unwrap();
    let event = Event::Exception(Exception::with_code(13, 0x50));
    let delivery = deliver(&mut machine.state, &mut machine.bus, event);
    assert_eq!(delivery, Ok(Delivery::Entered));
    assert!(is_in_new_task(&machine));
    assert_eq!(machine.gpr(Gpr::Rsp), 0x4ffc);
    assert_eq!(word(&machine, 0x4ffc), 0x50);
    // Faults resume: RF is in the image that was saved.
    assert_eq!(word(&machine, OLD_TSS + 0x20), CODE as u32);
    assert_eq!(word(&machine, OLD_TSS + 0x24), 0x1_0003);
}

#[test]
fn a_16_bit_task_has_the_lower_halves() {
    let mut machine = machine();
    let words = [(0x0e, 0x2000_u16), (0x10, 2), (0x14, 7), (0x1a, 0x5000)];
    let selectors = [(0x22, 16), (0x24, 8), (0x26, 16), (0x28, 16)];
    for (at, word) in words.into_iter().chain(selectors) {
        machine.bus.memory.store(Gpa(0xb000 + at), &word).unwrap();
    }
    assert_eq!(machine.step(&jump(NARROW)), Ok(PLAIN));
    assert_eq!(machine.gpr(Gpr::Rcx), 0xffff_0007);
    assert_eq!((kind(&machine, NARROW), machine.state.rip), (3, 0x2000));
    let fs = machine.state.segments[SegmentName::Fs as usize];
    assert!(fs.attributes.contains(Attributes::UNUSABLE));
    // Back again: it saves words.
    machine.state.gprs[1] = 0x9999_0008;
    assert_eq!(machine.step(&jump(OLD)), Ok(PLAIN));
    assert_eq!(machine.ram(0xb000 + 0x14), [8, 0]);
}

#[test]
fn what_the_old_task_may_not_do_changes_nothing() {
    let mut machine = machine();
    let fault = |machine: &mut Machine, bytes: &[u8]| machine.fault(bytes);
    // Busy, not present, too small, in the local table, and not of this level.
    assert_eq!(
        fault(&mut machine, &jump(OLD)),
        Exception::with_code(13, 0x18)
    );
    machine.put(TABLE + u64::from(NEW) + 5, &[0x09]);
    assert_eq!(
        fault(&mut machine, &jump(NEW)),
        Exception::with_code(11, 0x20)
    );
    machine.put(TABLE + u64::from(NEW) + 5, &[0x89]);
    machine.put(TABLE + u64::from(NEW), &[0x66]);
    assert_eq!(
        fault(&mut machine, &jump(NEW)),
        Exception::with_code(10, 0x20)
    );
    machine.put(TABLE + u64::from(GATE) + 2, &[0x24]);
    assert_eq!(
        fault(&mut machine, &jump(GATE)),
        Exception::with_code(13, 0x24)
    );
    machine.state.segments[SegmentName::Tr as usize].limit = 0x5e;
    machine.put(TABLE + u64::from(NEW), &[0x67]);
    assert_eq!(
        fault(&mut machine, &jump(NEW)),
        Exception::with_code(10, 0x18)
    );
    // IRET finds that its link leads to no busy task.
    machine.state.rflags |= Rflags::NT.bits();
    machine.put(OLD_TSS, &[NEW as u8, 0]);
    assert_eq!(fault(&mut machine, &[0xcf]), Exception::with_code(10, 0x20));
    let mut user = self::machine();
    flatten(&mut user.state, 0xc0fb, 0xc0f3);
    assert_eq!(user.fault(&jump(NEW)), Exception::with_code(13, 0x20));
}

#[test]
fn bad_segments_are_the_new_tasks_faults() {
    for (selectors, expected) in [
        ([0, 16, 16], Exception::with_code(10, 0)),
        ([16, 16, 16], Exception::with_code(10, 16)),
        (
            [u32::from(USER_CODE), 16, 16],
            Exception::with_code(10, 0x38),
        ),
        ([8, 0, 16], Exception::with_code(10, 0)),
        ([8, 0x43, 16], Exception::with_code(10, 0x40)),
        ([8, 16, 0x80], Exception::with_code(10, 0x80)),
    ] {
        let mut machine = machine();
        describe(&machine, NEW_TSS, selectors);
        assert_eq!(fault_of(machine.step(&jump(NEW))), expected);
        assert!(is_in_new_task(&machine), "{selectors:?}");
    }
    let mut machine = machine();
    machine.put(NEW_TSS + 0x60, &[0x10]);
    assert_eq!(
        fault_of(machine.step(&jump(NEW))),
        Exception::with_code(10, 0x10)
    );
}

#[test]
fn a_task_may_be_of_another_level_or_mode_and_may_trap() {
    let mut machine = machine();
    let user = [u32::from(USER_CODE | 3), u32::from(USER_DATA | 3), 0];
    describe(&machine, NEW_TSS, user);
    assert_eq!(machine.step(&jump(NEW)), Ok(PLAIN));
    assert_eq!(machine.state.cpl(), 3);
    let mut machine = self::machine();
    describe(&machine, NEW_TSS, [0x100, 0x200, 0x300]);
    machine.put(NEW_TSS + 0x26, &[2]); // EFLAGS.VM
    machine.put(NEW_TSS + 0x64, &[1]); // T
    assert_eq!(fault_of(machine.step(&jump(NEW))), Exception::plain(1));
    assert_eq!(machine.bus.debug[6], 1 << 15);
    let code = machine.state.segments[SegmentName::Cs as usize];
    assert_eq!(code, Segment::new(0x100, 0xf3, 0xffff, 0x1000));
    assert_eq!(machine.state.cpl(), 3);
}

#[test]
fn paging_follows_the_task() {
    let mut machine = machine();
    // Both directories map the first 4 MiB one to one.
    for table in [TABLES, 0x1_2000] {
        machine.bus.memory.store(Gpa(table), &0x83_u32).unwrap();
    }
    machine.state.cr3 = TABLES;
    machine.state.cr4 = Cr4::PSE.bits();
    machine.state.cr0 |= Cr0::PG.bits();
    assert_eq!(machine.step(&jump(NEW)), Ok(PLAIN));
    assert_eq!(machine.state.cr3, 0x1_2000);
    assert_eq!(machine.bus.invalidations, [Invalidation::AddressSpace]);
}

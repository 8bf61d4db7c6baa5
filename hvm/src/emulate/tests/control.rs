//! What the program of vectors leaves out, because some engine does not live through it, and what wants a machine of its own.

use super::*;
use crate::event::Event;

const CODE_SELECTOR: u16 = 8;
const DATA_SELECTOR: u16 = 16;
const TABLE: u64 = 0x6000;
const GP: Exception = Exception::GENERAL_PROTECTION;

/// Flat 32-bit code with a global table: code, data, and what the test puts from the third entry on.
fn with_table(entries: &[u64]) -> Machine {
    let mut machine = Machine::bits32();
    let flat = [0, 0x00cf_9b00_0000_ffff, 0x00cf_9300_0000_ffff];
    for (index, entry) in flat.iter().chain(entries).enumerate() {
        let at = Gpa(TABLE + 8 * index as u64);
        machine.bus.memory.store(at, entry).unwrap();
    }
    machine.state.gdtr = crate::regs::TableRegister {
        base: TABLE,
        limit: (8 * (3 + entries.len()) - 1) as u16,
    };
    machine
}

#[test]
fn control_registers_refuse_what_contradicts() {
    let mut machine = Machine::bits32().with(Gpr::Rax, 0x8000_0010);
    assert_eq!(machine.fault(&[0x0f, 0x22, 0xc0]), GP); // mov cr0,eax: PG without PE
    machine.state.gprs[0] = 0x2000_0011;
    assert_eq!(machine.fault(&[0x0f, 0x22, 0xc0]), GP); // NW without CD
    machine.state.gprs[0] = 1 << 31;
    assert_eq!(machine.fault(&[0x0f, 0x22, 0xe0]), GP); // mov cr4,eax: reserved
    let mut machine = Machine::bits64();
    machine.state.gprs[0] = machine.state.cr4 & !Cr4::PAE.bits();
    assert_eq!(machine.fault(&[0x0f, 0x22, 0xe0]), GP);
    machine.state.gprs[0] = machine.state.cr0 & !Cr0::PG.bits();
    assert_eq!(machine.fault(&[0x0f, 0x22, 0xc0]), GP);
}

#[test]
fn a_task_register_is_never_null_and_becomes_busy() {
    let mut machine = with_table(&[0x0000_8900_0000_0067]);
    assert_eq!(machine.fault(&[0x0f, 0x00, 0xd8]), GP); // ltr ax
    machine.state.gprs[0] = 0x18;
    machine.run(&[0x0f, 0x00, 0xd8]);
    assert_eq!(machine.ram::<1>(TABLE + 0x18 + 5), [0x8b]);
    assert_eq!(
        machine.fault(&[0x0f, 0x00, 0xd8]),
        Exception::with_code(13, 0x18)
    );
}

#[test]
fn a_16_bit_call_gate_pushes_words() {
    let mut machine = with_table(&[0x0000_8400_0008_2000]);
    machine.step(&[0x9a, 0, 0, 0, 0, 0x18, 0]).unwrap();
    assert_eq!(machine.state.rip, 0x2000);
    assert_eq!(machine.gpr(Gpr::Rsp), STACK - 4);
    assert_eq!(machine.ram::<4>(STACK - 4), [0x07, 0x10, 0x08, 0x00]);
    assert_eq!(
        machine.state.segments[SegmentName::Cs as usize].selector,
        CODE_SELECTOR
    );
}

#[test]
fn descriptors_are_marked_once() {
    let mut machine = with_table(&[0x00cf_9200_0000_ffff]).with(Gpr::Rax, 0x18);
    machine.run(&[0x8e, 0xd8]); // mov ds,ax
    assert_eq!(machine.ram::<1>(TABLE + 0x18 + 5), [0x93]);
    // Another CPU is in the way.
    let mut machine = with_table(&[0x00cf_9200_0000_ffff]).with(Gpr::Rax, 0x18);
    machine.bus.contention = 1;
    assert_eq!(machine.step(&[0x8e, 0xd8]), Ok(Step::Again));
    assert_eq!(
        machine.state.segments[SegmentName::Ds as usize].selector,
        DATA_SELECTOR
    );
}

/// Puts an interrupt gate for a vector; the table is at 7000h.
fn put_gate(machine: &mut Machine, vector: u64, selector: u16, offset: u32) {
    machine.state.idtr = crate::regs::TableRegister {
        base: 0x7000,
        limit: 0x7ff,
    };
    let offset = u64::from(offset);
    let gate = offset & 0xffff | u64::from(selector) << 16 | 0x8e << 40 | offset >> 16 << 48;
    let at = Gpa(0x7000 + 8 * vector);
    machine.bus.memory.store(at, &gate).unwrap();
}

#[test]
fn deliveries_push_what_the_handler_wants() {
    let mut machine = with_table(&[]);
    put_gate(&mut machine, 14, CODE_SELECTOR, 0x2000);
    let fault = Exception::page_fault(2, 0x1234);
    machine.state.rflags |= (Rflags::IF | Rflags::TF).bits();
    let delivery = deliver(
        &mut machine.state,
        &mut machine.bus,
        Event::Exception(fault),
    );
    assert_eq!(delivery, Ok(Delivery::Entered));
    assert_eq!((machine.state.rip, machine.state.cr2), (0x2000, 0x1234));
    assert_eq!(machine.ram::<4>(STACK - 16), [2, 0, 0, 0]);
    assert_eq!(machine.ram::<4>(STACK - 12), [0, 0x10, 0, 0]);
    assert_eq!(machine.ram::<4>(STACK - 4), [0x02, 0x03, 0x01, 0]);
    assert!(!machine.flags().intersects(Rflags::IF | Rflags::TF));
}

#[test]
fn faults_of_a_delivery_become_double_faults_and_the_end() {
    let mut machine = with_table(&[]);
    put_gate(&mut machine, 11, DATA_SELECTOR, 0); // #NP's handler is no code
    put_gate(&mut machine, 8, CODE_SELECTOR, 0x3000);
    let absent = Event::Exception(Exception::with_code(11, 0x40));
    let delivery = deliver(&mut machine.state, &mut machine.bus, absent);
    assert_eq!(delivery, Ok(Delivery::Entered));
    assert_eq!(machine.state.rip, 0x3000);
    // An interrupt's own fault says that it came from outside.
    put_gate(&mut machine, 13, CODE_SELECTOR, 0x4000);
    let interrupt = Event::Interrupt { vector: 11 };
    let top = machine.gpr(Gpr::Rsp);
    let delivery = deliver(&mut machine.state, &mut machine.bus, interrupt);
    assert_eq!(delivery, Ok(Delivery::Entered));
    assert_eq!(machine.state.rip, 0x4000);
    assert_eq!(machine.ram::<4>(top - 16), [0x11, 0, 0, 0]);
    // Without a handler for double faults it ends.
    put_gate(&mut machine, 8, DATA_SELECTOR, 0);
    let before = machine.state.clone();
    let delivery = deliver(&mut machine.state, &mut machine.bus, absent);
    assert_eq!(delivery, Ok(Delivery::Shutdown));
    assert_eq!(machine.state, before);
}

#[test]
fn a_run_ends_where_it_should() {
    let run_for = |machine: &mut Machine, steps| {
        run(
            &mut machine.state,
            &mut machine.bus,
            &mut machine.cache,
            steps,
            Shadow::None,
            |state, _, _| state.cr0 & Cr0::PE.bits() != 0,
        )
        .map(|run| run.pause)
    };
    let mut machine = Machine::bits16();
    // mov eax,1; mov cr0,eax
    machine.put(CODE, &[0x66, 0xb8, 1, 0, 0, 0, 0x0f, 0x22, 0xc0, 0xf4]);
    assert_eq!(run_for(&mut machine, 1), Ok(Pause::Spent));
    assert_eq!(run_for(&mut machine, 9), Ok(Pause::Reached));
    machine.state.cr0 = 0x10;
    assert_eq!(run_for(&mut machine, 9), Ok(Pause::Halted));
    // Interrupt vector 6 at linear 18h leads to HLT.
    machine.put(0x18, &[0x00, 0x40, 0x00, 0x00]);
    machine.put(0x4000, &[0xf4]);
    machine.put(machine.state.rip, &[0x0f, 0x0b]);
    assert_eq!(run_for(&mut machine, 9), Ok(Pause::Halted));
    assert_eq!(machine.state.rip, 0x4001);
    // No table at all.
    machine.state.idtr.limit = 0;
    machine.put(machine.state.rip, &[0x0f, 0x0b]);
    assert_eq!(run_for(&mut machine, 9), Ok(Pause::Shutdown));
}

#[test]
fn a_run_tells_shadows_steps_and_returns() {
    let mut machine = Machine::bits16();
    // sti; cli; iret; to what the stack says.
    machine.put(CODE, &[0xfb, 0xfa, 0xcf]);
    machine.put(STACK, &[0x00, 0x50, 0x00, 0x00, 0x02, 0x00]);
    let mut go = |steps, shadow| {
        let Machine { state, bus, cache } = &mut machine;
        let open = |state: &State, _: &TestBus, shadow| {
            state.rflags & Rflags::IF.bits() != 0 && shadow == Shadow::None
        };
        run(state, bus, cache, steps, shadow, open).unwrap()
    };
    let first = go(1, Shadow::None);
    assert_eq!((first.steps, first.shadow), (1, Shadow::Active));
    // The shadow hides the window that STI opens until the next instruction shuts it.
    let second = go(2, first.shadow);
    assert_eq!((second.pause, second.steps), (Pause::Spent, 2));
    assert_eq!((second.shadow, second.nmis), (Shadow::None, Nmis::Open));
    assert_eq!(machine.state.rip, 0x5000);
}

#[test]
fn segments_that_were_null_are_paragraphs_again() {
    let mut machine = Machine::bits16().with(Gpr::Rax, 0x123);
    machine.state.segments[SegmentName::Ds as usize] =
        Segment::new(0, crate::regs::Attributes::UNUSABLE.bits(), 0, 0);
    machine.run(&[0x8e, 0xd8]); // mov ds,ax
    let loaded = machine.state.segments[SegmentName::Ds as usize];
    assert_eq!(loaded, Segment::new(0x123, 0x93, 0xffff, 0x1230));
}

#[test]
fn the_fpu_is_found() {
    let mut machine = Machine::bits16();
    machine.bus.xsave = Some([0; XSAVE_HEAD_BYTES]);
    machine.state.gprs[Gpr::Rax as usize] = 0xffff;
    machine.run(&[0xdb, 0xe3]); // fninit
    machine.run(&[0xdf, 0xe0]); // fnstsw ax
    assert_eq!(machine.gpr(Gpr::Rax), 0);
    machine.run(&[0xd9, 0x3e, 0x00, 0x30]); // fnstcw [3000h]
    assert_eq!(machine.ram(DATA), [0x7f, 0x03]);
    machine.put(DATA, &[0x7e, 0x02]);
    machine.run(&[0xd9, 0x2e, 0x00, 0x30]); // fldcw [3000h]
    machine.run(&[0xd9, 0x3e, 0x02, 0x30]); // fnstcw [3002h]
    assert_eq!(machine.ram(DATA + 2), [0x7e, 0x02]);
    machine.run(&[0xdb, 0xe2]); // fnclex
    machine.run(&[0x9b]); // wait
    machine.state.cr0 |= Cr0::TS.bits();
    assert_eq!(machine.fault(&[0xdb, 0xe3]), Exception::plain(7));
}

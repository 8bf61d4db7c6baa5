//! From the 82093AA data sheet.

use super::*;
use crate::testing::{Sent, twins};
use proptest::prelude::*;

fn write(ioapic: &mut IoApic, register: u8, value: u32, sent: &mut Sent) {
    ioapic.write(SELECT, Width::Dword, u64::from(register), sent);
    ioapic.write(WINDOW, Width::Dword, u64::from(value), sent);
}

fn read(ioapic: &mut IoApic, register: u8) -> u32 {
    ioapic.write(
        SELECT,
        Width::Byte,
        u64::from(register),
        &mut Sent::default(),
    );
    ioapic.read(WINDOW, Width::Dword) as u32
}

/// Register index of the low half of a pin's entry.
fn low(pin: u8) -> u8 {
    REDIRECTION + 2 * pin
}

#[test]
fn identifies_as_the_original() {
    let (mut ioapic, mut sent) = (IoApic::new(), Sent::default());
    assert_eq!(read(&mut ioapic, VERSION), 0x0017_0011);
    write(&mut ioapic, ID, u32::MAX, &mut sent);
    assert_eq!(read(&mut ioapic, ID), 0x0f00_0000);
    assert_eq!(read(&mut ioapic, ARBITRATION), 0x0f00_0000);
    assert_eq!(read(&mut ioapic, low(0)), MASKED as u32);
    assert_eq!(read(&mut ioapic, low(24)), 0);
    assert_eq!(read(&mut ioapic, 0xff), 0);
    write(&mut ioapic, low(3), u32::MAX, &mut sent);
    assert_eq!(
        read(&mut ioapic, low(3)),
        0x1_afff,
        "status and remote IRR are read-only"
    );
    write(&mut ioapic, low(3) + 1, u32::MAX, &mut sent);
    assert_eq!(read(&mut ioapic, low(3) + 1), 0xff00_0000);
}

#[test]
fn an_edge_is_sent_once_and_lost_while_masked() {
    let (mut ioapic, mut sent) = (IoApic::new(), Sent::default());
    ioapic.set_line(4, true, &mut sent);
    write(&mut ioapic, low(4) + 1, 0x0300_0000, &mut sent);
    write(&mut ioapic, low(4), 0x0931, &mut sent);
    assert!(
        sent.messages.is_empty(),
        "the edge came before the unmasking"
    );
    ioapic.set_line(4, true, &mut sent);
    assert!(sent.messages.is_empty(), "no new edge");
    ioapic.set_line(4, false, &mut sent);
    ioapic.set_line(4, true, &mut sent);
    let message = ApicMessage {
        destination: Destination::Field {
            value: 3,
            mode: DestinationMode::Logical,
        },
        delivery: Delivery::LowestPriority,
        vector: 0x31,
        trigger: Trigger::Edge,
    };
    assert_eq!(sent.messages, [message]);
}

#[test]
fn a_level_is_sent_again_after_its_end_while_asserted() {
    let (mut ioapic, mut sent) = (IoApic::new(), Sent::default());
    ioapic.set_line(10, true, &mut sent);
    write(&mut ioapic, low(10), 0x8041, &mut sent);
    assert_eq!(sent.take_vectors(), [0x41], "a level is not lost by a mask");
    assert_eq!(read(&mut ioapic, low(10)), 0xc041, "remote IRR");
    ioapic.set_line(10, false, &mut sent);
    ioapic.set_line(10, true, &mut sent);
    assert!(sent.take_vectors().is_empty(), "in service");
    ioapic.end_of_interrupt(0x42, &mut sent);
    assert!(sent.take_vectors().is_empty());
    ioapic.end_of_interrupt(0x41, &mut sent);
    assert_eq!(sent.take_vectors(), [0x41]);
    ioapic.set_line(10, false, &mut sent);
    ioapic.end_of_interrupt(0x41, &mut sent);
    assert!(sent.take_vectors().is_empty());
    assert_eq!(read(&mut ioapic, low(10)), 0x8041);
}

#[test]
fn switching_to_edge_clears_remote_irr() {
    let (mut ioapic, mut sent) = (IoApic::new(), Sent::default());
    write(&mut ioapic, low(9), 0x8041, &mut sent);
    ioapic.set_line(9, true, &mut sent);
    write(&mut ioapic, low(9), 0x1_0041, &mut sent);
    write(&mut ioapic, low(9), 0x1_8041, &mut sent);
    assert_eq!(read(&mut ioapic, low(9)), 0x1_8041);
    write(&mut ioapic, low(9), 0x8041, &mut sent);
    assert_eq!(sent.take_vectors(), [0x41, 0x41]);
}

#[test]
fn other_deliveries_carry_no_remote_irr() {
    let (mut ioapic, mut sent) = (IoApic::new(), Sent::default());
    write(&mut ioapic, low(0), 0x8700, &mut sent);
    ioapic.set_line(0, true, &mut sent);
    assert_eq!(sent.messages[0].delivery, Delivery::ExtInt);
    assert_eq!(sent.messages[0].trigger, Trigger::Edge);
    assert_eq!(read(&mut ioapic, low(0)), 0x8700);
    write(&mut ioapic, low(1), 0x0300, &mut sent);
    ioapic.set_line(1, true, &mut sent);
    assert_eq!(
        sent.messages.len(),
        1,
        "a reserved delivery mode sends nothing"
    );
}

#[derive(Clone, Debug)]
enum Operation {
    Line(u8, bool),
    Write(u64, usize, u64),
    Read(u64, usize),
    End(u8),
}

fn operation() -> impl Strategy<Value = Operation> {
    let offset = prop_oneof![Just(SELECT), Just(WINDOW), any::<u64>()];
    let value = prop_oneof![0_u64..0x42, any::<u64>()];
    prop_oneof![
        (0_u8..30, any::<bool>()).prop_map(|(pin, high)| Operation::Line(pin, high)),
        (offset.clone(), 0_usize..4, value)
            .prop_map(|(offset, width, value)| Operation::Write(offset, width, value)),
        (offset, 0_usize..4).prop_map(|(offset, width)| Operation::Read(offset, width)),
        any::<u8>().prop_map(Operation::End),
    ]
}

fn step(ioapic: &mut IoApic, operation: &Operation) -> (u64, Sent) {
    const WIDTHS: [Width; 4] = [Width::Byte, Width::Word, Width::Dword, Width::Qword];
    let mut sent = Sent::default();
    let mut value = 0;
    match *operation {
        Operation::Line(pin, high) => ioapic.set_line(pin, high, &mut sent),
        Operation::Write(offset, width, value) => {
            ioapic.write(offset, WIDTHS[width], value, &mut sent);
        }
        Operation::Read(offset, width) => value = ioapic.read(offset, WIDTHS[width]),
        Operation::End(vector) => ioapic.end_of_interrupt(vector, &mut sent),
    }
    (value, sent)
}

proptest! {
    #[test]
    fn any_trace_is_harmless_and_state_round_trips(
        operations in prop::collection::vec(operation(), 0..200),
        cut in 0_usize..200,
    ) {
        twins(IoApic::new, &operations, cut, step);
    }
}

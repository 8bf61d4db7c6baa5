//! Resets, saved boards, and any accesses in any order.

use super::*;

#[test]
fn reset_brings_firmwares_set_up_back() {
    let mut machine = Machine::new();
    machine.init_pics(0, 0);
    machine.place_card(3, 0xc000);
    machine.outb(0xc000, 1);
    machine.outb(0x4d1, 0);
    machine.board.reset();
    assert!(!machine.board.pic_interrupt());
    assert_eq!(machine.inb(0x4d1), 0x0e);
    assert_eq!(machine.inb(0xc000), 0xff, "BARs are gone");
    machine.init_pics(0, 0);
    machine.poll();
    assert!(!machine.board.pic_interrupt());
}

#[test]
fn a_foreign_state_changes_nothing() {
    let mut machine = Machine::new();
    machine.init_pics(0xfe, 0xff);
    let good = machine.board.save();
    let mut fresh = Machine::new().board;
    let before = fresh.save();
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index].state.push(1);
        assert!(fresh.restore(&bad).is_err());
        let mut bad = good.clone();
        bad[index].kind.push('x');
        assert!(fresh.restore(&bad).is_err());
        assert!(fresh.restore(&good[..index]).is_err());
        assert_eq!(fresh.save(), before);
    }
    fresh.restore(&good).unwrap();
    assert_eq!(fresh.save(), good);
}

#[derive(Clone, Debug)]
enum Operation {
    In(u16, usize),
    Out(u16, usize, u32),
    Load(u64, usize),
    Store(u64, usize, u64),
    Poll,
    Acknowledge,
    End(u8),
}

const WIDTHS: [Width; 4] = [Width::Byte, Width::Word, Width::Dword, Width::Qword];

fn operation() -> impl Strategy<Value = (u64, Operation)> {
    let port = prop_oneof![
        prop::sample::select(
            [
                0x20_u16, 0x21, 0xa0, 0xa1, 0x40, 0x43, 0x61, 0x70, 0x71, 0x3f8, 0x3f9, 0x3fa,
                0x3fc, 0x60, 0x64, 0x92, 0x3f2, 0x3f4, 0x3f5, 0x3f5, 0x3f7, 5, 0xb, 0xd6, 0x81,
                0x4d0, 0x4d1, 0x600, 0x602, 0x604, 0x608, 0xcf8, 0xcfc, 0xcfd, 0xcfe, 0xc000,
                0xc100, 0xafe0,
            ]
            .as_slice()
        ),
        any::<u16>(),
    ];
    let value = prop_oneof![
        any::<u32>(),
        0_u32..0x40,
        (0_u32..5, 0_u32..0x40).prop_map(|(slot, dword)| 0x8000_0000 | slot << 11 | dword << 2),
    ];
    let gpa = prop_oneof![
        Just(IOAPIC_BASE.0),
        Just(IOAPIC_BASE.0 + 0x10),
        (0_u64..0x2f).prop_map(|register| HPET_BASE.0 + 8 * register),
        any::<u64>()
    ];
    let operation = prop_oneof![
        (port.clone(), 0_usize..3).prop_map(|(port, width)| Operation::In(port, width)),
        (port, 0_usize..3, value)
            .prop_map(|(port, width, value)| Operation::Out(port, width, value)),
        (gpa.clone(), 0_usize..4).prop_map(|(gpa, width)| Operation::Load(gpa, width)),
        (gpa, 0_usize..4, any::<u64>())
            .prop_map(|(gpa, width, value)| Operation::Store(gpa, width, value)),
        Just(Operation::Poll),
        Just(Operation::Acknowledge),
        any::<u8>().prop_map(Operation::End),
    ];
    let wait = prop_oneof![0_u64..2_000_000, 0_u64..3 * SECOND];
    (wait, operation)
}

/// All that a step can show.
type Shown = (u64, bool, Option<Instant>, Sent);

fn step(machine: &mut Machine, (wait, operation): &(u64, Operation)) -> Shown {
    machine.now_ns += wait;
    let value = match *operation {
        Operation::In(port, width) => {
            u64::from(machine.with(|board, context| board.port_read(port, WIDTHS[width], context)))
        }
        Operation::Out(port, width, value) => {
            machine.with(|board, context| board.port_write(port, WIDTHS[width], value, context));
            0
        }
        Operation::Load(gpa, width) => machine
            .with(|board, context| board.mmio_read(Gpa(gpa), WIDTHS[width], context))
            .unwrap_or(0),
        Operation::Store(gpa, width, value) => u64::from(
            machine
                .with(|board, context| board.mmio_write(Gpa(gpa), WIDTHS[width], value, context)),
        ),
        Operation::Poll => {
            machine.poll();
            0
        }
        Operation::Acknowledge => u64::from(machine.board.pic_acknowledge()),
        Operation::End(vector) => {
            machine.with(|board, context| board.end_of_interrupt(vector, context));
            0
        }
    };
    let sent = core::mem::take(&mut machine.sent);
    (
        value,
        machine.board.pic_interrupt(),
        machine.board.deadline(),
        sent,
    )
}

proptest! {
    #[test]
    fn any_trace_is_harmless_and_a_saved_board_goes_on_alike(
        operations in prop::collection::vec(operation(), 0..200),
        cut in 0_usize..200,
    ) {
        let cut = cut.min(operations.len());
        let mut machine = Machine::new();
        for operation in &operations[..cut] {
            step(&mut machine, operation);
        }
        let mut twin = Machine::new();
        twin.board.pause();
        twin.board.restore(&machine.board.save()).unwrap();
        twin.board.resume();
        twin.now_ns = machine.now_ns;
        for operation in &operations[cut..] {
            prop_assert_eq!(step(&mut twin, operation), step(&mut machine, operation));
        }
        let saved: Vec<SavedPart> = machine.board.save();
        prop_assert_eq!(twin.board.save(), saved);
    }
}

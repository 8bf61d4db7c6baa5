//! As the drivers of Linux and Xorg talk to the port.

use super::*;
use crate::testing::twins;
use proptest::prelude::*;

fn ask(mouse: &mut VmMouse, command: u16, argument: u32) -> Registers {
    mouse
        .request(Registers {
            eax: MAGIC,
            ebx: argument,
            ecx: command.into(),
            edx: PORT.into(),
        })
        .unwrap()
}

fn packet(mouse: &mut VmMouse) -> [u32; 4] {
    assert_eq!(ask(mouse, POINTER_STATUS, 0).eax, 4);
    let Registers { eax, ebx, ecx, edx } = ask(mouse, POINTER_DATA, 4);
    [eax, ebx, ecx, edx]
}

/// Finds the pointer and asks for places.
fn enabled() -> VmMouse {
    let mut mouse = VmMouse::new();
    let version = ask(&mut mouse, GET_VERSION, !MAGIC);
    assert_eq!((version.eax, version.ebx), (VERSION, MAGIC));
    assert_eq!(ask(&mut mouse, POINTER_STATUS, 0).eax, STATUS_OFF);
    ask(&mut mouse, POINTER_COMMAND, READ_ID);
    assert_eq!(ask(&mut mouse, POINTER_STATUS, 0).eax, 1);
    assert_eq!(ask(&mut mouse, POINTER_DATA, 1).eax, POINTER_ID);
    ask(&mut mouse, POINTER_COMMAND, REQUEST_ABSOLUTE);
    assert_eq!(ask(&mut mouse, POINTER_STATUS, 0).eax, 0);
    mouse
}

fn corner(x: u16, y: u16) -> PointerEvent {
    PointerEvent::Position(Position {
        x,
        y,
        width: 800,
        height: 600,
    })
}

#[test]
fn places_buttons_and_the_wheel() {
    let mut mouse = enabled();
    mouse.pointer(corner(799, 0));
    assert_eq!(packet(&mut mouse), [0, 0xffff, 0, 0]);
    mouse.pointer(PointerEvent::Button {
        button: Button::Left,
        action: Action::Press,
    });
    assert_eq!(packet(&mut mouse), [LEFT, 0xffff, 0, 0]);
    mouse.pointer(PointerEvent::Wheel { up: 1 });
    assert_eq!(packet(&mut mouse), [LEFT, 0xffff, 0, u32::MAX]);
    mouse.pointer(PointerEvent::Motion { right: 2, down: 1 });
    assert_eq!(packet(&mut mouse), [LEFT | RELATIVE, 2, u32::MAX, 0]);
    mouse.pointer(corner(u16::MAX, u16::MAX));
    assert_eq!(packet(&mut mouse), [LEFT, 0xffff, 0xffff, 0]);
}

#[test]
fn asking_for_too_much_switches_it_off() {
    let mut mouse = enabled();
    mouse.pointer(corner(1, 1));
    ask(&mut mouse, POINTER_DATA, 5);
    assert!(!mouse.is_on());
    assert_eq!(ask(&mut mouse, POINTER_STATUS, 0).eax, STATUS_OFF);
}

#[test]
fn others_requests_are_not_answered() {
    let mut mouse = VmMouse::new();
    let registers = Registers {
        eax: 0,
        ebx: 0,
        ecx: GET_VERSION.into(),
        edx: PORT.into(),
    };
    assert_eq!(mouse.request(registers), None);
    let registers = Registers {
        eax: MAGIC,
        ecx: 0xfff,
        ..registers
    };
    assert_eq!(mouse.request(registers), None);
}

#[test]
fn a_guest_that_does_not_read_bounds_the_queue() {
    let mut mouse = enabled();
    while mouse.has_room() {
        mouse.pointer(corner(3, 3));
    }
    let before = mouse.clone();
    mouse.pointer(corner(3, 3));
    assert_eq!(mouse, before);
    mouse.reset();
    assert_eq!(mouse, VmMouse::new());
}

#[derive(Clone, Debug)]
enum Operation {
    Ask(u16, u32),
    Place(u16, u16),
    Wheel(i8),
}

fn operation() -> impl Strategy<Value = Operation> {
    let argument = prop_oneof![
        0_u32..6,
        prop::sample::select([READ_ID, DISABLE, REQUEST_ABSOLUTE, REQUEST_RELATIVE].as_slice()),
    ];
    prop_oneof![
        (
            prop::sample::select([POINTER_DATA, POINTER_STATUS, POINTER_COMMAND].as_slice()),
            argument
        )
            .prop_map(|(command, argument)| Operation::Ask(command, argument)),
        (any::<u16>(), any::<u16>()).prop_map(|(x, y)| Operation::Place(x, y)),
        any::<i8>().prop_map(Operation::Wheel),
    ]
}

fn step(mouse: &mut VmMouse, operation: &Operation) -> Option<Registers> {
    match *operation {
        Operation::Ask(command, argument) => Some(ask(mouse, command, argument)),
        Operation::Place(x, y) => {
            mouse.pointer(corner(x, y));
            None
        }
        Operation::Wheel(up) => {
            mouse.pointer(PointerEvent::Wheel { up });
            None
        }
    }
}

proptest! {
    #[test]
    fn any_trace_is_harmless_and_state_round_trips(
        operations in prop::collection::vec(operation(), 0..100),
        cut in 0_usize..100,
    ) {
        twins(VmMouse::new, &operations, cut, step);
    }
}

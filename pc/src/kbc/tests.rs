//! From the PS/2 technical reference, and as drivers and old software use the controller.

use super::*;
use crate::testing::{Sent, twins};
use alloc::vec;
use hvm::input::{Action, Button, Key, Position};
use proptest::prelude::*;

/// A controller with time, the A20 line and a system that polls.
struct Machine {
    kbc: Kbc,
    now: Instant,
    a20: A20,
    sent: Sent,
}

impl Machine {
    fn new() -> Self {
        Self {
            kbc: Kbc::new(),
            now: Instant::ZERO,
            a20: A20::Open,
            sent: Sent::default(),
        }
    }

    fn command(&mut self, value: u8) {
        self.kbc.write_command(value, &mut self.a20, &mut self.sent);
        self.kbc.advance(self.now);
    }

    fn data(&mut self, value: u8) {
        self.kbc.write_data(value, &mut self.a20, &mut self.sent);
        self.kbc.advance(self.now);
    }

    fn status(&mut self) -> u8 {
        self.kbc.advance(self.now);
        self.kbc.read_status()
    }

    fn read(&mut self) -> u8 {
        let byte = self.kbc.read_data(self.now);
        self.kbc.advance(self.now);
        byte
    }

    /// A byte, if there is one without waiting.
    fn try_read(&mut self) -> Option<u8> {
        (self.status() & STATUS_OUTPUT_FULL != 0).then(|| self.read())
    }

    /// All bytes that come within `ms` milliseconds.
    fn drain(&mut self, ms: u64) -> Vec<u8> {
        let mut bytes = vec![];
        for _ in 0..ms * 10 {
            bytes.extend(self.try_read());
            self.now = self.now + 100_000;
        }
        bytes
    }

    fn answers(&mut self, value: u8) -> Vec<u8> {
        self.data(value);
        self.replies()
    }

    fn replies(&mut self) -> Vec<u8> {
        core::iter::from_fn(|| self.try_read()).collect()
    }

    fn aux(&mut self, value: u8) -> Vec<u8> {
        self.command(WRITE_AUX);
        self.data(value);
        let mut bytes = vec![];
        while self.status() & STATUS_OUTPUT_FULL != 0 {
            assert_ne!(self.status() & STATUS_AUX, 0);
            bytes.push(self.read());
        }
        bytes
    }

    fn set_command_byte(&mut self, value: u8) {
        self.command(WRITE_RAM);
        self.data(value);
    }

    fn key(&mut self, key: Key, action: Action) {
        self.kbc.key(KeyEvent { key, action }, self.now);
    }

    fn tap(&mut self, key: Key) {
        self.key(key, Action::Press);
        self.key(key, Action::Release);
    }
}

#[test]
fn initialization_as_linux_does_it() {
    let mut machine = Machine::new();
    machine.command(READ_RAM);
    assert_eq!(machine.replies(), [FIRMWARE_COMMAND_BYTE]);
    machine.set_command_byte(FIRMWARE_COMMAND_BYTE | KEYBOARD_DISABLED);
    machine.command(SELF_TEST);
    assert_eq!(
        machine.status() & 0x1f,
        0x1d,
        "full, system flag, command, unlocked"
    );
    assert_eq!(machine.replies(), [0x55]);
    // The auxiliary port's loop test.
    machine.command(WRITE_AUX_BUFFER);
    machine.data(0x5a);
    assert_ne!(machine.status() & STATUS_AUX, 0);
    assert_eq!(machine.replies(), [0x5a]);
    machine.command(DISABLE_AUX);
    machine.command(READ_RAM);
    assert_eq!(machine.replies(), [0x75]);
    machine.command(ENABLE_AUX);
    machine.command(READ_RAM);
    assert_eq!(machine.replies(), [0x55]);
    machine.command(TEST_KEYBOARD);
    assert_eq!(machine.replies(), [0]);
    machine.set_command_byte(0x47);
    // atkbd: identify, lamps, rate, enable.
    assert_eq!(machine.answers(0xf2), [0xfa, 0xab, 0x41]);
    assert_eq!(machine.answers(0xed), [0xfa]);
    assert_eq!(machine.answers(0x02), [0xfa]);
    assert_eq!(machine.kbc.leds(), Leds::NUM);
    assert_eq!(machine.answers(0xf3), [0xfa]);
    assert_eq!(machine.answers(0), [0xfa]);
    assert_eq!(machine.answers(0xf4), [0xfa]);
    assert_eq!(machine.answers(0xff), [0xfa, 0xaa]);
    assert_eq!(machine.kbc.leds(), Leds::empty());
    // psmouse: reset, identity, wheel, five buttons.
    assert_eq!(machine.aux(0xff), [0xfa, 0xaa, 0]);
    for rate in [200, 100, 80] {
        machine.aux(0xf3);
        machine.aux(rate);
    }
    assert_eq!(machine.aux(0xf2), [0xfa, 3]);
    for rate in [200, 200, 80] {
        machine.aux(0xf3);
        machine.aux(rate);
    }
    assert_eq!(machine.aux(0xf2), [0xfa, 4]);
    assert_eq!(machine.aux(0xe9), [0xfa, 0, 2, 80]);
    assert_eq!(machine.aux(0xf4), [0xfa]);
}

#[test]
fn a_scan_code_stays_readable_until_the_next_comes() {
    let mut machine = Machine::new();
    machine.tap(Key::A);
    machine.status();
    assert!(machine.kbc.keyboard_interrupt());
    // A handler that hooked IRQ 1 and the one that it chains to read the same byte.
    assert_eq!(machine.read(), 0x1e);
    assert!(!machine.kbc.keyboard_interrupt());
    machine.now = machine.now + BYTE_NS / 2;
    assert_eq!(machine.status() & STATUS_OUTPUT_FULL, 0);
    assert_eq!(machine.read(), 0x1e);
    assert_eq!(machine.kbc.deadline(), Some(Instant::from_ns(BYTE_NS)));
    machine.now = Instant::from_ns(BYTE_NS);
    machine.status();
    assert!(machine.kbc.keyboard_interrupt());
    assert_eq!(machine.read(), 0x9e);
    assert_eq!(machine.kbc.deadline(), None, "nothing left to do");
}

#[test]
fn translation_is_the_controllers() {
    let mut machine = Machine::new();
    machine.tap(Key::Up);
    assert_eq!(machine.drain(10), [0xe0, 0x48, 0xe0, 0xc8]);
    machine.set_command_byte(FIRMWARE_COMMAND_BYTE & !TRANSLATE);
    machine.tap(Key::Up);
    assert_eq!(machine.drain(10), [0xe0, 0x75, 0xe0, 0xf0, 0x75]);
    assert_eq!(machine.answers(0xf2), [0xfa, 0xab, 0x83]);
    assert_eq!(machine.answers(0xf0), [0xfa]);
    assert_eq!(machine.answers(0), [0xfa, 2]);
    machine.answers(0xf0);
    machine.answers(1);
    machine.tap(Key::Up);
    assert_eq!(machine.drain(10), [0xe0, 0x48, 0xe0, 0xc8]);
}

#[test]
fn set_three_and_its_key_modes() {
    let mut machine = Machine::new();
    machine.set_command_byte(FIRMWARE_COMMAND_BYTE & !TRANSLATE);
    machine.answers(0xf0);
    assert_eq!(machine.answers(3), [0xfa]);
    machine.tap(Key::F1);
    machine.tap(Key::LeftControl);
    machine.tap(Key::A);
    assert_eq!(machine.drain(10), [0x07, 0x11, 0xf0, 0x11, 0x1c]);
    assert_eq!(machine.answers(0xfc), [0xfa]);
    assert_eq!(machine.answers(0x1c), [0xfa], "A: make and break");
    assert_eq!(machine.answers(0xf4), [0xfa]);
    machine.key(Key::A, Action::Press);
    assert_eq!(machine.drain(2000), [0x1c], "and no repeat");
    machine.key(Key::A, Action::Release);
    assert_eq!(machine.drain(10), [0xf0, 0x1c]);
    assert_eq!(machine.answers(0xfa), [0xfa]);
    machine.tap(Key::F1);
    assert_eq!(machine.drain(10), [0x07, 0xf0, 0x07]);
}

#[test]
fn held_keys_repeat_as_told() {
    let mut machine = Machine::new();
    // 250 ms, then 30 a second.
    machine.answers(0xf3);
    machine.answers(0);
    machine.key(Key::X, Action::Press);
    assert_eq!(machine.drain(249), [0x2d]);
    assert_eq!(machine.drain(1000).len(), 30);
    machine.key(Key::LeftShift, Action::Press);
    machine.key(Key::LeftShift, Action::Release);
    assert_eq!(
        machine.drain(500),
        [0x2a, 0xaa],
        "the last key repeats, or none"
    );
    machine.key(Key::X, Action::Release);
    assert_eq!(machine.drain(500), [0xad]);
}

#[test]
fn keys_with_a_history() {
    let mut machine = Machine::new();
    machine.tap(Key::Pause);
    assert_eq!(machine.drain(20), [0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5]);
    machine.tap(Key::PrintScreen);
    assert_eq!(
        machine.drain(20),
        [0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa]
    );
    machine.key(Key::LeftAlt, Action::Press);
    machine.tap(Key::PrintScreen);
    machine.key(Key::LeftAlt, Action::Release);
    assert_eq!(machine.drain(20), [0x38, 0x54, 0xd4, 0xb8]);
    machine.key(Key::RightControl, Action::Press);
    machine.tap(Key::Pause);
    machine.key(Key::RightControl, Action::Release);
    assert_eq!(
        machine.drain(20),
        [0xe0, 0x1d, 0xe0, 0x46, 0xe0, 0xc6, 0xe0, 0x9d]
    );
    // A grey key while Shift is held, and with Num Lock.
    machine.key(Key::LeftShift, Action::Press);
    machine.tap(Key::Delete);
    machine.key(Key::LeftShift, Action::Release);
    assert_eq!(
        machine.drain(20),
        [0x2a, 0xe0, 0xaa, 0xe0, 0x53, 0xe0, 0xd3, 0xe0, 0x2a, 0xaa]
    );
    machine.answers(0xed);
    machine.answers(2);
    machine.tap(Key::Left);
    assert_eq!(
        machine.drain(20),
        [0xe0, 0x2a, 0xe0, 0x4b, 0xe0, 0xcb, 0xe0, 0xaa]
    );
}

#[test]
fn the_buffer_overruns_as_specified() {
    let mut machine = Machine::new();
    machine.set_command_byte(KEYBOARD_DISABLED);
    for _ in 0..40 {
        machine.tap(Key::A);
    }
    assert!(machine.kbc.takes_keys(), "a keyboard held off loses keys");
    machine.set_command_byte(0);
    let bytes = machine.drain(50);
    let whole: Vec<u8> = [0x1c, 0xf0, 0x1c].repeat(5);
    assert_eq!(bytes[..15], whole);
    assert!(bytes.len() <= 17 && bytes.ends_with(&[0]), "{bytes:x?}");
    machine.tap(Key::A);
    assert_eq!(machine.drain(10), [0x1c, 0xf0, 0x1c]);
    for _ in 0..4 {
        machine.tap(Key::A);
    }
    assert!(
        !machine.kbc.takes_keys(),
        "one that is read makes the typist wait"
    );
}

#[test]
fn keyboard_commands_that_are_wrong_or_rare() {
    let mut machine = Machine::new();
    assert_eq!(machine.answers(0xee), [0xee]);
    assert_eq!(machine.answers(0xef), [0xfe]);
    assert_eq!(
        machine.answers(0xfe),
        [0xee],
        "resend gives the byte before"
    );
    machine.answers(0xed);
    assert_eq!(
        machine.answers(0xf4),
        [0xfa],
        "a command ends the wait for lamps"
    );
    assert_eq!(machine.kbc.leds(), Leds::empty());
    machine.answers(0xf0);
    assert_eq!(machine.answers(7), [0xfe]);
    assert_eq!(machine.answers(2), [0xfa]);
    assert_eq!(machine.answers(0xf5), [0xfa]);
    machine.tap(Key::A);
    assert_eq!(machine.drain(10), [], "off");
    machine.answers(0xf4);
    machine.tap(Key::A);
    assert_eq!(machine.drain(10), [0x1e, 0x9e]);
}

#[test]
fn a20_and_the_reset_line() {
    let mut machine = Machine::new();
    machine.command(READ_OUTPUT_PORT);
    let port = machine.read();
    assert_eq!(port & 3, 3);
    machine.command(WRITE_OUTPUT_PORT);
    machine.data(port & !OUTPUT_A20);
    assert_eq!(machine.a20, A20::Masked);
    machine.command(READ_OUTPUT_PORT);
    assert_eq!(machine.read() & 3, 1);
    machine.command(OPEN_A20);
    assert_eq!(machine.a20, A20::Open);
    machine.command(MASK_A20);
    assert_eq!(machine.a20, A20::Masked);
    machine.command(0xff);
    machine.command(0xf1);
    assert!(machine.sent.power.is_empty());
    machine.command(0xfe);
    machine.command(WRITE_OUTPUT_PORT);
    machine.data(2);
    assert_eq!(machine.sent.power, [PowerEvent::Reset; 2]);
}

#[test]
fn an_answer_waits_behind_a_scan_code() {
    let mut machine = Machine::new();
    machine.key(Key::A, Action::Press);
    machine.status();
    machine.command(READ_RAM + 5);
    assert_eq!(machine.replies(), [0x1e, 0]);
    machine.command(WRITE_RAM + 5);
    machine.data(0x77);
    machine.command(READ_RAM + 5);
    assert_eq!(machine.replies(), [0x77]);
    machine.command(POLL_INPUT_HIGH);
    assert_eq!(machine.status() & 0xf0, INPUT_PORT & 0xf0);
    machine.command(TEST_PASSWORD);
    assert_eq!(machine.status() & 0xf0, STATUS_UNLOCKED);
    assert_eq!(machine.replies(), [NO_PASSWORD]);
}

fn click(button: Button, action: Action) -> PointerEvent {
    PointerEvent::Button { button, action }
}

#[test]
fn the_mouse_reports_movement_and_every_click() {
    let mut machine = Machine::new();
    machine.command(ENABLE_AUX);
    machine
        .kbc
        .pointer(PointerEvent::Motion { right: 9, down: 9 });
    machine.aux(0xf4);
    machine.set_command_byte(AUX_INTERRUPT);
    machine.kbc.pointer(PointerEvent::Motion {
        right: 300,
        down: -2,
    });
    machine.now = machine.now + 10_000_000;
    machine.status();
    assert!(machine.kbc.mouse_interrupt());
    assert_eq!(machine.drain(40), [0x08, 0xff, 2, 0x08, 45, 0]);
    machine
        .kbc
        .pointer(PointerEvent::Motion { right: -1, down: 5 });
    machine.kbc.pointer(click(Button::Right, Action::Press));
    assert!(!machine.kbc.takes_pointer(), "a click is not to be undone");
    assert_eq!(machine.drain(40), [0x3a, 0xff, 0xfb]);
    assert!(machine.kbc.takes_pointer());
    machine.kbc.pointer(click(Button::Right, Action::Release));
    assert_eq!(machine.drain(40), [0x08, 0, 0]);
    for x in [100, 110] {
        machine.kbc.pointer(PointerEvent::Position(Position {
            x,
            y: 5,
            width: 640,
            height: 480,
        }));
    }
    assert_eq!(machine.drain(40), [0x08, 10, 0]);
}

#[test]
fn the_wheel_and_five_buttons() {
    let mut machine = Machine::new();
    for rate in [200, 200, 80] {
        machine.aux(0xf3);
        machine.aux(rate);
    }
    machine.aux(0xf4);
    machine.kbc.pointer(PointerEvent::Wheel { up: 1 });
    machine.kbc.pointer(click(Button::Extra, Action::Press));
    assert_eq!(machine.drain(40), [0x08, 0, 0, 0x2f]);
}

#[test]
fn remote_mode_wrap_and_scaling() {
    let mut machine = Machine::new();
    assert_eq!(machine.aux(0xf0), [0xfa]);
    machine
        .kbc
        .pointer(PointerEvent::Motion { right: 4, down: 0 });
    assert_eq!(machine.drain(40), []);
    assert_eq!(machine.aux(0xeb), [0xfa, 0x08, 4, 0]);
    assert_eq!(machine.aux(0xfe), [0xfa, 0x08, 4, 0]);
    assert_eq!(machine.aux(0xe7), [0xfa]);
    assert_eq!(machine.aux(0xea), [0xfa]);
    assert_eq!(machine.aux(0xe8), [0xfa]);
    assert_eq!(machine.aux(9), [0xfe]);
    assert_eq!(machine.aux(9), [0xfc]);
    assert_eq!(machine.aux(0xf4), [0xfa]);
    machine
        .kbc
        .pointer(PointerEvent::Motion { right: 4, down: 0 });
    assert_eq!(machine.drain(40), [0x08, 6, 0]);
    assert_eq!(machine.aux(0xe9), [0xfa, 0x30, 2, 100]);
    assert_eq!(machine.aux(0xee), [0xfa]);
    assert_eq!(machine.aux(0xe9), [0xe9]);
    assert_eq!(machine.aux(0xec), [0xfa]);
    assert_eq!(machine.aux(0xe1), [0xfe]);
}

#[test]
fn reset_brings_firmwares_set_up_back() {
    let mut machine = Machine::new();
    machine.set_command_byte(0);
    machine.answers(0xf5);
    machine.kbc.reset();
    assert_eq!(machine.kbc, Kbc::new());
}

#[derive(Clone, Debug)]
enum Operation {
    Command(u8),
    Data(u8),
    Status,
    Read,
    Key(usize, Action),
    Pointer(PointerEvent),
    Nudge,
}

fn operation() -> impl Strategy<Value = (u64, Operation)> {
    let action = prop_oneof![Just(Action::Press), Just(Action::Release)];
    let button = prop::sample::select(
        [
            Button::Left,
            Button::Right,
            Button::Middle,
            Button::Side,
            Button::Extra,
        ]
        .as_slice(),
    );
    let pointer = prop_oneof![
        (any::<i16>(), any::<i16>()).prop_map(|(right, down)| PointerEvent::Motion { right, down }),
        any::<[u16; 4]>().prop_map(|[x, y, width, height]| {
            PointerEvent::Position(Position {
                x,
                y,
                width,
                height,
            })
        }),
        any::<i8>().prop_map(|up| PointerEvent::Wheel { up }),
        (button, action.clone())
            .prop_map(|(button, action)| PointerEvent::Button { button, action }),
    ];
    let data = prop_oneof![
        any::<u8>(),
        prop::sample::select([0, 1, 2, 3, 80, 100, 200, 0xeb, 0xf4, 0xf3].as_slice())
    ];
    let operation = prop_oneof![
        any::<u8>().prop_map(Operation::Command),
        Just(Operation::Command(WRITE_AUX)),
        data.prop_map(Operation::Data),
        Just(Operation::Status),
        Just(Operation::Read),
        (0..Key::ALL.len(), action).prop_map(|(key, action)| Operation::Key(key, action)),
        pointer.prop_map(Operation::Pointer),
        Just(Operation::Nudge),
    ];
    (prop_oneof![0_u64..2_000_000, any::<u64>()], operation)
}

/// All that a step can show.
type Shown = (u8, bool, bool, Option<Instant>, A20, usize);

fn step(kbc: &mut Kbc, (now, operation): &(Instant, Operation)) -> Shown {
    let (mut a20, mut sent) = (A20::Open, Sent::default());
    kbc.advance(*now);
    let mut value = 0;
    match *operation {
        Operation::Command(value) => kbc.write_command(value, &mut a20, &mut sent),
        Operation::Data(value) => kbc.write_data(value, &mut a20, &mut sent),
        Operation::Status => value = kbc.read_status(),
        Operation::Read => value = kbc.read_data(*now),
        Operation::Key(key, action) => kbc.key(
            KeyEvent {
                key: Key::ALL[key],
                action,
            },
            *now,
        ),
        Operation::Pointer(event) => kbc.pointer(event),
        Operation::Nudge => kbc.nudge_mouse(),
    }
    kbc.advance(*now);
    let lines = (kbc.keyboard_interrupt(), kbc.mouse_interrupt());
    (
        value,
        lines.0,
        lines.1,
        kbc.deadline(),
        a20,
        sent.power.len(),
    )
}

fn timed(operations: Vec<(u64, Operation)>) -> Vec<(Instant, Operation)> {
    let mut now = Instant::ZERO;
    let at = |(wait, operation)| {
        now = now + wait;
        (now, operation)
    };
    operations.into_iter().map(at).collect()
}

proptest! {
    #[test]
    fn any_trace_is_harmless_and_state_round_trips(
        operations in prop::collection::vec(operation(), 0..200),
        cut in 0_usize..200,
    ) {
        twins(Kbc::new, &timed(operations), cut, step);
    }

    #[test]
    fn the_deadline_is_when_something_happens(
        operations in prop::collection::vec(operation(), 0..100),
    ) {
        let mut kbc = Kbc::new();
        for operation in timed(operations) {
            step(&mut kbc, &operation);
        }
        if let Some(deadline) = kbc.deadline() {
            let before = kbc.clone();
            kbc.advance(deadline - 1);
            prop_assert_eq!(&kbc, &before);
            kbc.advance(deadline);
            prop_assert_ne!(&kbc, &before);
        }
    }

    #[test]
    fn what_goes_down_comes_up(keys in prop::collection::vec(0..Key::ALL.len(), 1..6)) {
        let mut machine = Machine::new();
        for &key in &keys {
            machine.key(Key::ALL[key], Action::Press);
            machine.drain(12);
        }
        let mut last = vec![];
        for &key in &keys {
            machine.key(Key::ALL[key], Action::Release);
            last.extend(machine.drain(12));
        }
        prop_assert!(machine.kbc.deadline().is_none(), "nothing repeats");
        prop_assert!(machine.kbc.takes_keys());
        prop_assert!(last.iter().all(|&byte| byte != 0xff));
    }
}

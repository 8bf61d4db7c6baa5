//! The driver against a model of the controller.

use super::*;
use std::collections::VecDeque;
use std::vec::Vec;

/// Who a written byte is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Keyboard,
    Mouse,
    Configuration,
}

/// A controller; `answers` says whether a device is there.
struct Model {
    output: VecDeque<(Source, u8)>,
    next: For,
    configuration: u8,
    keyboard: bool,
    mouse: Option<u8>,
    told: Vec<u8>,
}

impl Model {
    fn new(keyboard: bool, mouse: Option<u8>) -> Self {
        Self {
            output: VecDeque::from([(Source::Keyboard, 0x1c), (Source::Mouse, 9)]),
            next: For::Keyboard,
            configuration: 0x30,
            keyboard,
            mouse,
            told: Vec::new(),
        }
    }
}

impl Ports for &mut Model {
    fn read_u8(&mut self, port: u16) -> u8 {
        match (port, self.output.front()) {
            (STATUS, None) => 0,
            (STATUS, Some((Source::Keyboard, _))) => 1,
            (STATUS, Some((Source::Mouse, _))) => 0x21,
            _ => self.output.pop_front().map_or(0, |(_, byte)| byte),
        }
    }

    fn write_u8(&mut self, port: u16, value: u8) {
        if port == STATUS {
            match value {
                command::READ_CONFIGURATION => {
                    self.output
                        .push_back((Source::Keyboard, self.configuration));
                }
                command::WRITE_CONFIGURATION => self.next = For::Configuration,
                command::TO_AUXILIARY => self.next = For::Mouse,
                _ => {}
            }
            return;
        }
        match core::mem::replace(&mut self.next, For::Keyboard) {
            For::Configuration => self.configuration = value,
            For::Keyboard => {
                self.told.push(value);
                if self.keyboard {
                    self.output.push_back((Source::Keyboard, 0xfa));
                }
            }
            For::Mouse => {
                if let Some(id) = self.mouse {
                    self.output.push_back((Source::Mouse, 0xfa));
                    if value == device::IDENTIFY {
                        self.output.push_back((Source::Mouse, id));
                    }
                }
            }
        }
    }

    fn read_u32(&mut self, _: u16) -> u32 {
        !0
    }

    fn write_u32(&mut self, _: u16, _: u32) {}
}

#[test]
fn both_devices_are_found_and_report() {
    for (id, mouse) in [(3, Mouse::Wheel), (0, Mouse::Plain)] {
        let mut model = Model::new(true, Some(id));
        let controller = Controller::probe(&mut model).unwrap();
        assert_eq!(controller.mouse(), mouse);
        assert_eq!(model.configuration, 0x43);
        assert!(model.output.is_empty());
    }
}

#[test]
fn a_missing_device_is_left_out() {
    let mut model = Model::new(true, None);
    assert_eq!(
        Controller::probe(&mut model).unwrap().mouse(),
        Mouse::Absent
    );
    assert_eq!(model.configuration & 0x13, 1);
    let mut model = Model::new(false, Some(3));
    assert_eq!(Controller::probe(&mut model).unwrap().mouse(), Mouse::Wheel);
}

#[test]
fn without_a_controller_there_is_none() {
    struct Nothing;
    impl Ports for Nothing {
        fn read_u8(&mut self, _: u16) -> u8 {
            0xff
        }
        fn write_u8(&mut self, _: u16, _: u8) {}
        fn read_u32(&mut self, _: u16) -> u32 {
            !0
        }
        fn write_u32(&mut self, _: u16, _: u32) {}
    }
    assert!(Controller::probe(Nothing).is_none());
}

#[test]
fn lamps_follow_the_acknowledgement() {
    let mut model = Model::new(true, None);
    let mut controller = Controller::probe(&mut model).unwrap();
    controller.set_leds(4);
    assert_eq!(controller.read(), Some((Source::Keyboard, 0xfa)));
    assert_eq!(model.told.last_chunk(), Some(&[0xed, 4]));
}

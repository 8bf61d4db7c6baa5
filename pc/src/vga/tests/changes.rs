//! A viewer that draws only what it is told has the same picture as one that draws everything.

use super::modes::{ALL, MODE_13, TEXT, gray};
use super::traces::{Operation, operation, perform};
use super::{MINIMUM_BYTES, Machine};
use alloc::vec;
use alloc::vec::Vec;
use hvm::display::{Picture, Rect, Size, Stamp};
use hvm::pci::Function;
use proptest::prelude::*;

/// A viewer with a picture of its own.
struct Viewer {
    stamp: Stamp,
    size: Size,
    pixels: Vec<u32>,
}

impl Viewer {
    fn new() -> Self {
        Self {
            stamp: Stamp::NEVER,
            size: Size::default(),
            pixels: Vec::new(),
        }
    }

    fn look(&mut self, machine: &mut Machine) -> Vec<Rect> {
        let (stamp, changed) = machine.update(self.stamp);
        self.stamp = stamp;
        let size = machine.adapter.vga().size();
        if size != self.size {
            assert_eq!(changed, [size.whole()]);
            self.size = size;
            self.pixels = vec![0; (size.width * size.height) as usize];
        }
        for rect in &changed {
            assert!(
                rect.width > 0 && rect.x + rect.width <= size.width,
                "{rect:?}"
            );
            assert!(
                rect.height > 0 && rect.y + rect.height <= size.height,
                "{rect:?}"
            );
            let mut part = vec![0; (rect.width * rect.height) as usize];
            machine.adapter.vga().render(*rect, &mut part);
            for (line, part) in part.chunks(rect.width as usize).enumerate() {
                let at = (rect.y as usize + line) * size.width as usize + rect.x as usize;
                self.pixels[at..at + part.len()].copy_from_slice(part);
            }
        }
        changed
    }

    /// The first pixel that is out of date.
    fn stale(&self, machine: &mut Machine) -> Option<usize> {
        let mut all = vec![0; self.pixels.len()];
        machine.adapter.vga().render(self.size.whole(), &mut all);
        (0..all.len()).find(|&at| all[at] != self.pixels[at])
    }
}

#[test]
fn a_character_changes_its_surroundings_only() {
    let mut machine = Machine::in_mode(&TEXT);
    let mut viewer = Viewer::new();
    assert_eq!(viewer.look(&mut machine).len(), 1);
    assert_eq!(viewer.look(&mut machine), []);
    machine.poke(0xb_8000 + 2 * (80 * 12 + 40), b"x\x07");
    let changed = viewer.look(&mut machine);
    assert_eq!(changed.len(), 1);
    assert!(
        changed[0].height <= 32 && changed[0].width < 720,
        "{changed:?}"
    );
    assert_eq!(viewer.look(&mut machine), []);
}

#[test]
fn viewers_do_not_know_of_each_other() {
    let mut machine = Machine::in_mode(&MODE_13);
    let mut viewers = [Viewer::new(), Viewer::new()];
    viewers[0].look(&mut machine);
    machine.poke(0xa_0000, &[1]);
    viewers[0].look(&mut machine);
    machine.poke(0xa_0000 + 320 * 199, &[2]);
    for viewer in &mut viewers {
        viewer.look(&mut machine);
        assert_eq!(viewer.stale(&mut machine), None);
    }
    assert!(
        viewers
            .iter_mut()
            .all(|viewer| viewer.look(&mut machine).is_empty())
    );
}

#[test]
fn a_captured_picture_keeps_its_registers_and_shares_memory() {
    let mut machine = Machine::in_mode(&MODE_13);
    let captured = machine.adapter.display().unwrap().capture();
    machine.poke(0xa_0000, &[3]);
    machine.set_color(3, [0, 0, 0]);
    machine.set_mode(&TEXT);
    let mut pixel = [0];
    captured.render(captured.size().whole(), &mut pixel);
    assert_eq!(pixel, [gray(3)]);
    assert_eq!((captured.size().width, captured.text()), (640, None));
    assert!(machine.adapter.vga().text().is_some());
}

#[test]
fn rewriting_a_register_with_its_value_changes_nothing() {
    let mut machine = Machine::in_mode(&TEXT);
    let mut viewer = Viewer::new();
    viewer.look(&mut machine);
    for (port, index) in [(0x3d4, 0x0c), (0x3c4, 1), (0x3ce, 6)] {
        machine.outb(port, index);
        let value = machine.inb(port + 1);
        machine.outb(port + 1, value);
    }
    assert_eq!(viewer.look(&mut machine), []);
    machine.outw(0x3d4, 0x0c, 1);
    assert_eq!(viewer.look(&mut machine).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_change_is_missed(
        mode in 0_usize..ALL.len(),
        rounds in prop::collection::vec(
            (prop::collection::vec(operation(), 0..6), 0_u64..400_000_000),
            1..5,
        ),
    ) {
        let mut machine = Machine::new(MINIMUM_BYTES);
        machine.set_mode(ALL[mode]);
        let mut viewer = Viewer::new();
        for (operations, wait_ns) in &rounds {
            for operation in operations {
                perform(&mut machine, operation);
            }
            machine.now_ns += wait_ns;
            viewer.look(&mut machine);
            prop_assert_eq!(viewer.stale(&mut machine), None, "{:?}", viewer.size);
        }
    }
}

/// Operations that only draw keep their rectangles small, so the property above is not met by drawing everything.
#[test]
fn drawing_is_cheap_to_follow() {
    let mut machine = Machine::in_mode(&MODE_13);
    let mut viewer = Viewer::new();
    viewer.look(&mut machine);
    for step in 0..50 {
        perform(&mut machine, &Operation::Store(0x1000 + 61 * step, 1, 0x55));
        let changed: u32 = viewer
            .look(&mut machine)
            .iter()
            .map(|rect| rect.width * rect.height)
            .sum();
        assert!((1..=640 * 8).contains(&changed), "{changed}");
    }
}

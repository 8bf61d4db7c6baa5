//! Arbitrary traffic on every window of the adapter, and arbitrary saved states: pictures stay bounded, a saved adapter
//! equals the one that it was saved from, and a reset one can be programmed.
#![no_main]

use guest_mem::{Gpa, GuestMemory};
use hvm::apic::ApicMessage;
use hvm::device::{Context, Lifecycle, PowerEvent, Signals};
use hvm::display::{Rect, Size, Stamp};
use hvm::pci::{Function, WindowCopy};
use hvm::{Instant, Width};
use libfuzzer_sys::fuzz_target;
use pc::vga::{Adapter, AdapterConfig, MINIMUM_BYTES, VideoRam};
use std::sync::{Arc, LazyLock};

const WIDTHS: [Width; 4] = [Width::Byte, Width::Word, Width::Dword, Width::Qword];
/// The windows of the adapter.
const LINEAR: usize = 0;
const PORTS: usize = 8;
const DISPI: usize = 9;
const LEGACY: usize = 10;
/// Pixels drawn at a time.
const PIXELS: usize = 4096;

/// The adapter reaches no guest memory and sends nothing.
struct Silence;

impl Signals for Silence {
    fn interrupt(&mut self, _: ApicMessage) {}
    fn end_of_interrupt(&mut self, _: u8) {}
    fn power(&mut self, _: PowerEvent) {}
}

static MEMORY: LazyLock<GuestMemory> =
    LazyLock::new(|| GuestMemory::anonymous(&[(Gpa(0), 0x1000)]));

fn adapter() -> Adapter {
    Adapter::new(AdapterConfig {
        memory: Arc::new(VideoRam::new(MINIMUM_BYTES)),
        rom: vec![0x55, 0xaa],
        preferred: Size {
            width: 640,
            height: 480,
        },
    })
}

/// One step is 8 bytes: what, where, and a value.
fn step(adapter: &mut Adapter, step: &[u8], context: &mut Context<'_>) {
    let value = u32::from_le_bytes([step[4], step[5], step[6], step[7]]);
    let width = WIDTHS[usize::from(step[1] & 3)];
    let window = usize::from(step[1] >> 2 & 15);
    let offset = u64::from(step[1] >> 6) << 16 | u64::from(u16::from_le_bytes([step[2], step[3]]));
    context.now = context.now + u64::from(value);
    match step[0] % 10 {
        0 => adapter.bar_write(window, offset, width, value.into(), context),
        1 => drop(adapter.bar_read(window, offset, width, context)),
        2 | 3 => adapter.bar_write(
            PORTS,
            u64::from(step[2] & 31),
            Width::Word,
            value.into(),
            context,
        ),
        4 => {
            adapter.bar_write(DISPI, 0, Width::Dword, value.into(), context);
        }
        5 => adapter.bar_write(LEGACY, offset, width, value.into(), context),
        6 => drop(adapter.bar_read(LEGACY, offset, width, context)),
        7 => {
            adapter.bar_copy(
                LEGACY,
                WindowCopy {
                    from: offset,
                    to: value.into(),
                    count: step[7].into(),
                    width,
                },
            );
        }
        8 => drop(adapter.bar_write_bytes(LINEAR, offset, &step[2..])),
        _ => adapter.config_write(step[2] & !3, Width::Dword, value, context),
    }
}

/// Looks as a viewer does: what changed, a part of the picture, the text.
fn look(adapter: &mut Adapter, since: Stamp, now: Instant) -> Stamp {
    let display = adapter.display().expect("it has a screen");
    let mut last = 0;
    let mut area = 0_u64;
    let stamp = display.update(since, now, &mut |rect| {
        assert!(rect.y >= last, "rectangles overlap");
        last = rect.y + rect.height;
        area += u64::from(rect.width) * u64::from(rect.height);
    });
    let size = display.size();
    assert!(size.width <= 4608 && size.height <= 4096 && last <= size.height);
    assert!(area <= u64::from(size.width) * u64::from(size.height));
    let rect = Rect {
        y: size.height / 2,
        height: 2,
        ..size.whole()
    };
    display.render(rect, &mut [0; PIXELS]);
    if let Some(text) = display.text() {
        let cells = usize::from(text.columns) * usize::from(text.rows);
        assert_eq!(text.cells.len(), cells);
    }
    stamp
}

fuzz_target!(|data: &[u8]| {
    let mut silence = Silence;
    let mut context = Context {
        memory: &MEMORY,
        now: Instant::ZERO,
        signals: &mut silence,
    };
    let mut adapter = adapter();
    let mut stamp = Stamp::NEVER;
    for (index, bytes) in data.chunks_exact(8).take(300).enumerate() {
        step(&mut adapter, bytes, &mut context);
        if index % 32 == 31 {
            stamp = look(&mut adapter, stamp, context.now);
        }
    }
    look(&mut adapter, stamp, context.now);
    let saved = adapter.save();
    let mut twin = self::adapter();
    twin.restore(&saved).expect("the adapters are alike");
    assert_eq!(twin.save(), saved);
    // The input as a saved state: taken or refused, never harmful.
    if twin.vga().restore(data).is_ok() {
        look(&mut twin, Stamp::NEVER, context.now);
    }
    adapter.reset();
    adapter.bar_write(PORTS, 2, Width::Byte, 0x67, &mut context);
    assert_eq!(adapter.bar_read(PORTS, 12, Width::Byte, &mut context), 0x67);
});

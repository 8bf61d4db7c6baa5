//! Arbitrary traces over the local APIC: its page, its MSRs, messages, time, and a CPU that serves its registers meanwhile. An APIC that
//! takes the state over must have the same state.
#![no_main]

use hvm::Instant;
use hvm::apic::{ApicMessage, RegisterPage};
use hvm::device::{Lifecycle, PowerEvent, Signals};
use libfuzzer_sys::fuzz_target;
use pc::lapic::{Lapic, TscClock};

const APIC_ID: u32 = 5;
const MSRS: [u32; 2] = [0x1b, 0x6e0];

/// What the APIC sends comes back to it, as a message to all does.
#[derive(Default)]
struct Loop(Vec<ApicMessage>);

impl Signals for Loop {
    fn interrupt(&mut self, message: ApicMessage) {
        self.0.push(message);
    }
    fn end_of_interrupt(&mut self, _vector: u8) {}
    fn power(&mut self, _event: PowerEvent) {}
}

fuzz_target!(|data: &[u8]| {
    let mut lapic = Lapic::new(APIC_ID, true);
    let tsc = TscClock::new(2_000_000_000, 1000);
    let page = RegisterPage::new();
    let mut now = Instant::ZERO;
    for step in data.chunks_exact(8).take(1000) {
        let &[what, select, low, high, a, b, c, d] = step else {
            break;
        };
        let mut sent = Loop::default();
        let offset = u16::from_le_bytes([low, high]) & 0xfff;
        let value = u32::from_le_bytes([a, b, c, d]);
        let msr = match select {
            0..=63 => MSRS[usize::from(select & 1)],
            _ => 0x800 + u32::from(select & 0x3f),
        };
        match what & 0xf {
            0..=3 => lapic.mmio_write(u16::from(select & 0x3f) << 4, value, now, &mut sent),
            4 => lapic.mmio_write(offset, value, now, &mut sent),
            5 => drop(lapic.mmio_read(offset, now)),
            6 => {
                let value = u64::from(value) << (offset & 31);
                let _ = lapic.write_msr(msr, value, now, &tsc, &mut sent);
            }
            7 => drop(lapic.read_msr(msr, now)),
            8 => {
                if let Some(message) = ApicMessage::from_msi(0xfee0_0000 | u64::from(offset), value)
                {
                    lapic.accept(&message);
                }
            }
            9 => {
                if let Some(vector) = lapic.pending() {
                    lapic.acknowledge(vector);
                }
            }
            10 => lapic.expire(now),
            11 => lapic.set_tpr(low),
            12 => {
                lapic.hand_over(&page);
                page.write(offset, value);
                lapic.take_back(&page);
                lapic.complete_write(&page, offset, now, &mut sent);
            }
            13 => lapic.write_command(u64::from(value) << (select & 31), &mut sent),
            14 => now = now + (u64::from(value) << (select & 31)),
            _ => {
                if let Some(deadline) = lapic.deadline() {
                    now = now.max(deadline);
                    lapic.expire(now);
                }
            }
        }
        for message in sent.0 {
            lapic.accept(&message);
        }
    }
    let saved = lapic.save();
    let mut twin = Lapic::new(APIC_ID, true);
    twin.restore(&saved).unwrap();
    assert_eq!(twin.save(), saved);
});

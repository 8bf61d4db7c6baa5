//! From the SDM, vol. 3A, chapter 11.

use super::*;
use crate::testing::{Sent, twins};
use hvm::apic::{ApicMessage, Delivery, Destination, DestinationMode, Trigger};
use proptest::prelude::*;

const NOW: Instant = Instant::ZERO;

/// Register page offsets.
const TPR: u16 = 0x80;
const PPR: u16 = 0xa0;
const EOI: u16 = 0xb0;
const LDR: u16 = 0xd0;
const DFR: u16 = 0xe0;
const SPURIOUS: u16 = 0xf0;
const ESR: u16 = 0x280;
const ICR: u16 = 0x300;
const ICR_HIGH: u16 = 0x310;
const TIMER: u16 = 0x320;
const LINT0: u16 = 0x350;
const ERROR: u16 = 0x370;
const INITIAL: u16 = 0x380;
const CURRENT: u16 = 0x390;
const DIVIDE: u16 = 0x3e0;

fn tsc() -> TscClock {
    TscClock::new(2_000_000_000, 1000)
}

/// Enabled by software, with id 5.
fn lapic() -> Lapic {
    let mut lapic = Lapic::new(5, true);
    put(&mut lapic, SPURIOUS, 0x1ff);
    lapic
}

fn x2apic() -> Lapic {
    let mut lapic = lapic();
    wrmsr(&mut lapic, IA32_APIC_BASE, 0xfee0_0d00).unwrap();
    lapic
}

fn put(lapic: &mut Lapic, offset: u16, value: u32) -> Sent {
    let mut sent = Sent::default();
    lapic.mmio_write(offset, value, NOW, &mut sent);
    sent
}

fn get(lapic: &mut Lapic, offset: u16) -> u32 {
    lapic.mmio_read(offset, NOW)
}

fn wrmsr(lapic: &mut Lapic, msr: u32, value: u64) -> Result<Sent, GeneralProtection> {
    let mut sent = Sent::default();
    lapic.write_msr(msr, value, NOW, &tsc(), &mut sent)?;
    Ok(sent)
}

fn fixed(vector: u8, trigger: Trigger) -> ApicMessage {
    ApicMessage {
        destination: Destination::All,
        delivery: Delivery::Fixed,
        vector,
        trigger,
    }
}

fn take(lapic: &mut Lapic) -> Option<u8> {
    let vector = lapic.pending()?;
    lapic.acknowledge(vector);
    Some(vector)
}

#[test]
fn state_after_reset() {
    let mut lapic = Lapic::new(5, false);
    assert_eq!(get(&mut lapic, 0x20), 5 << 24);
    assert_eq!(get(&mut lapic, 0x30), 0x0005_0014);
    assert_eq!(get(&mut lapic, SPURIOUS), 0xff);
    assert_eq!(get(&mut lapic, DFR), u32::MAX);
    assert_eq!(get(&mut lapic, TIMER), 0x1_0000);
    assert_eq!(lapic.mmio_base(), Some(Gpa(0xfee0_0000)));
    assert!(!lapic.accepts_pic());
    assert_eq!(lapic.accept(&fixed(0x40, Trigger::Edge)), Accepted::Nothing);
    put(&mut lapic, TIMER, 0x40);
    assert_eq!(
        get(&mut lapic, TIMER),
        0x1_0040,
        "masked while software-disabled"
    );
}

#[test]
fn interrupts_nest_by_class() {
    let mut lapic = lapic();
    for vector in [0x41, 0x55, 0x5a] {
        assert_eq!(
            lapic.accept(&fixed(vector, Trigger::Edge)),
            Accepted::Vector
        );
    }
    assert_eq!(take(&mut lapic), Some(0x5a));
    assert_eq!(get(&mut lapic, PPR), 0x50);
    assert_eq!(lapic.pending(), None, "the same class waits");
    lapic.accept(&fixed(0x61, Trigger::Edge));
    assert_eq!(take(&mut lapic), Some(0x61));
    put(&mut lapic, EOI, 0);
    assert_eq!(lapic.pending(), None);
    put(&mut lapic, EOI, 0);
    assert_eq!(take(&mut lapic), Some(0x55));
    put(&mut lapic, EOI, 0);
    assert_eq!(take(&mut lapic), Some(0x41));
}

#[test]
fn the_task_priority_holds_back() {
    let mut lapic = lapic();
    lapic.accept(&fixed(0x4f, Trigger::Edge));
    put(&mut lapic, TPR, 0x40);
    assert_eq!(lapic.pending(), None);
    lapic.set_tpr(0x3f);
    assert_eq!((lapic.tpr(), lapic.priority()), (0x3f, 0x3f));
    assert_eq!(take(&mut lapic), Some(0x4f));
    assert_eq!(lapic.priority(), 0x40);
    lapic.set_tpr(0x45);
    assert_eq!(lapic.priority(), 0x45, "equal classes: TPR as a whole");
}

#[test]
fn only_levels_are_told_to_the_io_apic() {
    let mut lapic = lapic();
    lapic.accept(&fixed(0x80, Trigger::Level));
    assert_eq!(get(&mut lapic, 0x1c0), 1);
    assert_eq!(get(&mut lapic, 0x240), 1);
    take(&mut lapic);
    assert_eq!((get(&mut lapic, 0x240), get(&mut lapic, 0x140)), (0, 1));
    assert_eq!(put(&mut lapic, EOI, 0).ended, [0x80]);
    lapic.accept(&fixed(0x80, Trigger::Edge));
    take(&mut lapic);
    assert!(put(&mut lapic, EOI, 0).ended.is_empty());
    assert!(put(&mut lapic, EOI, 0).ended.is_empty(), "an EOI too many");
}

#[test]
fn destinations_of_xapic() {
    let mut lapic = lapic();
    let field = |value, mode| Destination::Field { value, mode };
    let physical = |value| field(value, DestinationMode::Physical);
    let logical = |value| field(value, DestinationMode::Logical);
    assert!(lapic.matches(&physical(5), false) && lapic.matches(&physical(0xff), false));
    assert!(!lapic.matches(&physical(4), false));
    assert!(!lapic.matches(&logical(1), false));
    put(&mut lapic, LDR, 0x2100_0000);
    assert!(lapic.matches(&logical(0x01), false) && lapic.matches(&logical(0x60), false));
    assert!(!lapic.matches(&logical(0x42), false));
    put(&mut lapic, DFR, 0);
    assert!(lapic.matches(&logical(0x23), false) && !lapic.matches(&logical(0x31), false));
    assert!(!lapic.matches(&logical(0x22), false) && lapic.matches(&logical(0xff), false));
    assert!(
        lapic.matches(&Destination::Others, false) && !lapic.matches(&Destination::Others, true)
    );
    assert!(
        lapic.matches(&Destination::Myself, true) && !lapic.matches(&Destination::Myself, false)
    );
    wrmsr(&mut lapic, IA32_APIC_BASE, 0xfee0_0000).unwrap();
    assert!(!lapic.matches(&Destination::All, false));
    assert!(lapic.accepts_pic() && lapic.mmio_base().is_none());
}

#[test]
fn destinations_of_x2apic() {
    let mut lapic = Lapic::new(0x25, false);
    wrmsr(&mut lapic, IA32_APIC_BASE, 0xfee0_0c00).unwrap();
    assert_eq!(lapic.read_msr(0x802, NOW), Ok(0x25));
    assert_eq!(lapic.read_msr(0x80d, NOW), Ok(0x0002_0020));
    let logical = |value| Destination::Field {
        value,
        mode: DestinationMode::Logical,
    };
    assert!(lapic.matches(&logical(0x0002_0021), false));
    assert!(!lapic.matches(&logical(0x0002_0011), false));
    assert!(!lapic.matches(&logical(0x0001_0020), false));
    assert!(lapic.matches(&logical(u32::MAX), false));
}

#[test]
fn commands_become_messages() {
    let mut lapic = lapic();
    put(&mut lapic, ICR_HIGH, 0x0300_0000);
    let sent = put(&mut lapic, ICR, 0x4841);
    let message = ApicMessage {
        destination: Destination::Field {
            value: 3,
            mode: DestinationMode::Logical,
        },
        delivery: Delivery::Fixed,
        vector: 0x41,
        trigger: Trigger::Edge,
    };
    assert_eq!(sent.messages, [message]);
    assert_eq!(get(&mut lapic, ICR), 0x4841);
    assert_eq!(get(&mut lapic, ICR_HIGH), 0x0300_0000);
    let delivery = |lapic: &mut Lapic, command| {
        let sent = put(lapic, ICR, command);
        sent.messages.first().map(|message| message.delivery)
    };
    assert_eq!(delivery(&mut lapic, 0x4400), Some(Delivery::Nmi));
    assert_eq!(delivery(&mut lapic, 0xc500), Some(Delivery::Init));
    assert_eq!(delivery(&mut lapic, 0x8500), None, "INIT de-assert");
    assert_eq!(delivery(&mut lapic, 0x4608), Some(Delivery::StartUp));
    assert_eq!(delivery(&mut lapic, 0x4300), None, "reserved");
}

#[test]
fn shorthands() {
    let mut lapic = lapic();
    assert!(put(&mut lapic, ICR, 0x4_4041).messages.is_empty());
    assert_eq!(take(&mut lapic), Some(0x41), "self is not sent away");
    let sent = put(&mut lapic, ICR, 0x8_4051);
    assert_eq!(take(&mut lapic), Some(0x51));
    assert_eq!(sent.messages[0].destination, Destination::Others);
    let sent = put(&mut lapic, ICR, 0xc_4061);
    assert_eq!(lapic.pending(), None);
    assert_eq!(sent.messages[0].destination, Destination::Others);
    assert!(
        put(&mut lapic, ICR, 0x4_4400).messages.is_empty(),
        "NMI to self is invalid"
    );
}

#[test]
fn hyper_vs_registers_work_in_both_modes() {
    for mut lapic in [lapic(), x2apic()] {
        let destination = if lapic.mmio_base().is_some() {
            0x0300_0000
        } else {
            3
        };
        let mut sent = Sent::default();
        lapic.write_command(destination << 32 | 0x4841, &mut sent);
        let Destination::Field { value, mode } = sent.messages[0].destination else {
            panic!("{sent:?}");
        };
        assert_eq!((value, mode), (3, DestinationMode::Logical));
        assert_eq!(lapic.command(), destination << 32 | 0x4841);
        lapic.write_command(0x4_4041, &mut sent);
        assert_eq!(take(&mut lapic), Some(0x41));
        lapic.write_command(0x4_4031, &mut sent);
        assert_eq!(lapic.pending(), None, "of the class in service");
        lapic.write_end_of_interrupt(&mut sent);
        assert_eq!(take(&mut lapic), Some(0x31));
    }
}

#[test]
fn errors() {
    let mut lapic = lapic();
    put(&mut lapic, ERROR, 0xfe);
    put(&mut lapic, ICR, 0x4_4005);
    assert_eq!(get(&mut lapic, ESR), 0, "latched by a write only");
    put(&mut lapic, ESR, 0);
    assert_eq!(get(&mut lapic, ESR), 0x20);
    assert_eq!(take(&mut lapic), Some(0xfe));
    put(&mut lapic, EOI, 0);
    lapic.accept(&fixed(3, Trigger::Edge));
    lapic.accept(&fixed(3, Trigger::Edge));
    get(&mut lapic, 0x3d0);
    put(&mut lapic, ESR, 0);
    assert_eq!(get(&mut lapic, ESR), 0xc0);
    put(&mut lapic, ESR, 0);
    assert_eq!(get(&mut lapic, ESR), 0);
    // An error vector that is itself illegal ends quietly.
    put(&mut lapic, ERROR, 0x02);
    lapic.accept(&fixed(3, Trigger::Edge));
}

#[test]
fn one_shot_timer() {
    let mut lapic = lapic();
    put(&mut lapic, DIVIDE, 0b1011);
    put(&mut lapic, TIMER, 0x30);
    put(&mut lapic, INITIAL, 1000);
    assert_eq!(lapic.deadline(), Some(Instant::from_ns(1000)));
    assert_eq!(lapic.mmio_read(CURRENT, Instant::from_ns(400)), 600);
    lapic.expire(Instant::from_ns(999));
    assert_eq!(lapic.pending(), None);
    lapic.expire(Instant::from_ns(1000));
    assert_eq!(take(&mut lapic), Some(0x30));
    assert_eq!(lapic.deadline(), None);
    assert_eq!(lapic.mmio_read(CURRENT, Instant::from_ns(2000)), 0);
    for (code, divisor) in [
        (0, 2),
        (1, 4),
        (2, 8),
        (3, 16),
        (8, 32),
        (9, 64),
        (10, 128),
        (11, 1),
    ] {
        put(&mut lapic, DIVIDE, code);
        put(&mut lapic, INITIAL, 100);
        assert_eq!(lapic.deadline(), Some(Instant::from_ns(100 * divisor)));
    }
    put(&mut lapic, TIMER, 0x1_0030);
    assert_eq!(lapic.deadline(), None, "masked");
    put(&mut lapic, INITIAL, 0);
    put(&mut lapic, TIMER, 0x30);
    assert_eq!(lapic.deadline(), None, "stopped");
}

#[test]
fn periodic_timer_counts_missed_ticks_as_one() {
    let mut lapic = lapic();
    put(&mut lapic, DIVIDE, 0b1011);
    put(&mut lapic, TIMER, 0x2_0030);
    put(&mut lapic, INITIAL, 100_000);
    let at = Instant::from_ns(1_250_000);
    assert_eq!(lapic.mmio_read(CURRENT, at), 50_000);
    lapic.expire(at);
    assert_eq!(
        lapic.deadline(),
        None,
        "nothing more while the vector waits"
    );
    assert_eq!(take(&mut lapic), Some(0x30));
    assert_eq!(lapic.deadline(), Some(Instant::from_ns(1_300_000)));
    lapic.expire(at);
    assert_eq!(lapic.pending(), None);
    // The shortest period cannot tie up the host.
    put(&mut lapic, EOI, 0);
    put(&mut lapic, INITIAL, 1);
    lapic.expire(at);
    take(&mut lapic);
    assert!(lapic.deadline() >= Some(at + MIN_PERIOD_NS));
}

#[test]
fn a_new_divisor_keeps_the_count() {
    let mut lapic = lapic();
    put(&mut lapic, DIVIDE, 0b1011);
    put(&mut lapic, TIMER, 0x30);
    put(&mut lapic, INITIAL, 1000);
    let mut sent = Sent::default();
    lapic.mmio_write(DIVIDE, 0, Instant::from_ns(400), &mut sent);
    assert_eq!(lapic.mmio_read(CURRENT, Instant::from_ns(400)), 600);
    assert_eq!(lapic.deadline(), Some(Instant::from_ns(1600)));
}

#[test]
fn tsc_deadline_timer() {
    let mut lapic = x2apic();
    wrmsr(&mut lapic, IA32_TSC_DEADLINE, 5000).unwrap();
    assert_eq!(
        lapic.read_msr(IA32_TSC_DEADLINE, NOW),
        Ok(0),
        "dropped in another mode"
    );
    wrmsr(&mut lapic, 0x832, 0x4_0030).unwrap();
    wrmsr(&mut lapic, IA32_TSC_DEADLINE, 5000).unwrap();
    assert_eq!(lapic.read_msr(IA32_TSC_DEADLINE, NOW), Ok(5000));
    // 4000 ticks of 2 GHz are left.
    let deadline = lapic.deadline().unwrap();
    assert!((2000..2003).contains(&deadline.ns));
    wrmsr(&mut lapic, 0x838, 77).unwrap();
    assert_eq!(
        lapic.deadline(),
        Some(deadline),
        "the count is ignored in this mode"
    );
    lapic.expire(deadline);
    assert_eq!(take(&mut lapic), Some(0x30));
    assert_eq!(lapic.read_msr(IA32_TSC_DEADLINE, deadline), Ok(0));
    wrmsr(&mut lapic, IA32_TSC_DEADLINE, 9000).unwrap();
    wrmsr(&mut lapic, 0x832, 0x30).unwrap();
    assert_eq!(lapic.deadline(), None, "leaving the mode disarms");
}

#[test]
fn mode_changes() {
    const OFF: u64 = 0xfee0_0000;
    const XAPIC: u64 = OFF | 1 << 11;
    const INVALID: u64 = OFF | 1 << 10;
    const X2APIC: u64 = OFF | 3 << 10;
    let allowed = [
        (OFF, OFF, true),
        (OFF, XAPIC, true),
        (OFF, X2APIC, false),
        (OFF, INVALID, false),
        (XAPIC, OFF, true),
        (XAPIC, XAPIC, true),
        (XAPIC, X2APIC, true),
        (XAPIC, INVALID, false),
        (X2APIC, OFF, true),
        (X2APIC, XAPIC, false),
        (X2APIC, X2APIC, true),
        (X2APIC, INVALID, false),
    ];
    for (from, to, ok) in allowed {
        let mut lapic = Lapic::new(1, false);
        if from != XAPIC {
            wrmsr(&mut lapic, IA32_APIC_BASE, from).unwrap();
        }
        assert_eq!(
            wrmsr(&mut lapic, IA32_APIC_BASE, to).is_ok(),
            ok,
            "{from:x} to {to:x}"
        );
    }
    let mut lapic = lapic();
    assert!(wrmsr(&mut lapic, IA32_APIC_BASE, XAPIC | 1).is_err());
    assert!(wrmsr(&mut lapic, IA32_APIC_BASE, XAPIC | 1 << 52).is_err());
    wrmsr(&mut lapic, IA32_APIC_BASE, 0xd000_0800).unwrap();
    assert_eq!(lapic.mmio_base(), Some(Gpa(0xd000_0000)));
    assert!(lapic.is_bsp(), "the BSP flag is not software's");
}

#[test]
fn x2apic_registers_fault_where_they_should() {
    let mut xapic = lapic();
    assert_eq!(xapic.read_msr(0x802, NOW), Err(GeneralProtection));
    assert!(wrmsr(&mut xapic, 0x80b, 0).is_err());
    let mut lapic = x2apic();
    for absent in [0x800, 0x80b, 0x80c, 0x80e, 0x82f, 0x831, 0x83f, 0x8ff] {
        assert_eq!(
            lapic.read_msr(absent, NOW),
            Err(GeneralProtection),
            "{absent:x}"
        );
    }
    for (msr, value) in [
        (0x802, 0),
        (0x80a, 0),
        (0x80b, 1),
        (0x80d, 0),
        (0x808, 0x100),
        (0x828, 1),
        (0x830, 1 << 12),
        (0x83f, 0x100),
        (0x839, 0),
        (0x832, 1 << 20),
        (0x820, 0),
    ] {
        assert!(wrmsr(&mut lapic, msr, value).is_err(), "{msr:x}");
    }
    let sent = wrmsr(&mut lapic, 0x830, 0x1234_0000_0041).unwrap();
    assert_eq!(
        sent.messages[0].destination,
        Destination::Field {
            value: 0x1234,
            mode: DestinationMode::Physical
        }
    );
    assert_eq!(lapic.read_msr(0x830, NOW), Ok(0x1234_0000_0041));
    wrmsr(&mut lapic, 0x83f, 0x66).unwrap();
    assert_eq!(take(&mut lapic), Some(0x66));
    wrmsr(&mut lapic, 0x80b, 0).unwrap();
    assert_eq!(lapic.read_msr(0x813, NOW), Ok(0));
}

#[test]
fn virtual_wire() {
    let mut lapic = Lapic::new(0, true);
    lapic.set_virtual_wire();
    assert!(lapic.accepts_pic() && lapic.accepts_nmi_pin());
    let masked = get(&mut lapic, LINT0) | 0x1_0000;
    put(&mut lapic, LINT0, masked);
    assert!(!lapic.accepts_pic());
    lapic.init();
    assert!(!lapic.accepts_nmi_pin());
}

#[test]
fn non_vector_messages_are_told_to_the_caller() {
    let mut lapic = Lapic::new(0, true);
    let told = |lapic: &mut Lapic, delivery| {
        lapic.accept(&ApicMessage {
            delivery,
            ..fixed(9, Trigger::Edge)
        })
    };
    assert_eq!(told(&mut lapic, Delivery::Nmi), Accepted::Nmi);
    assert_eq!(told(&mut lapic, Delivery::Init), Accepted::Init);
    assert_eq!(told(&mut lapic, Delivery::StartUp), Accepted::StartUp(9));
    assert_eq!(told(&mut lapic, Delivery::ExtInt), Accepted::ExtInt);
    assert_eq!(told(&mut lapic, Delivery::Smi), Accepted::Nothing);
}

#[test]
fn another_cpus_state_is_refused() {
    let mut lapic = lapic();
    assert!(lapic.restore(&Lapic::new(6, true).save()).is_err());
}

#[derive(Clone, Debug)]
enum Operation {
    Write(u16, u32),
    Read(u16),
    WriteMsr(u32, u64),
    ReadMsr(u32),
    Accept(u8, bool),
    Take,
    Expire,
}

fn operation() -> impl Strategy<Value = (u64, Operation)> {
    let offset = prop_oneof![(0_u16..0x40).prop_map(|number| number << 4), 0_u16..0x1000];
    let value = prop_oneof![
        any::<u32>(),
        0_u32..0x200,
        Just(0x1ff),
        (0_u32..8, any::<u8>()).prop_map(|(mode, vector)| mode << 16 | u32::from(vector)),
    ];
    let msr = prop_oneof![
        Just(IA32_APIC_BASE),
        Just(IA32_TSC_DEADLINE),
        0x800_u32..0x840
    ];
    let wide = prop_oneof![
        any::<u64>(),
        (0_u64..4).prop_map(|mode| 0xfee0_0000 | mode << 10),
        0_u64..0x100_0000,
    ];
    let operation = prop_oneof![
        (offset.clone(), value).prop_map(|(offset, value)| Operation::Write(offset, value)),
        offset.prop_map(Operation::Read),
        (msr.clone(), wide).prop_map(|(msr, value)| Operation::WriteMsr(msr, value)),
        msr.prop_map(Operation::ReadMsr),
        (any::<u8>(), any::<bool>()).prop_map(|(vector, level)| Operation::Accept(vector, level)),
        Just(Operation::Take),
        Just(Operation::Expire),
    ];
    (prop_oneof![0_u64..1000, 0_u64..1 << 50], operation)
}

fn step(
    lapic: &mut Lapic,
    (now, operation): &(Instant, Operation),
) -> (u64, Option<u8>, Option<Instant>, Sent) {
    let mut sent = Sent::default();
    let value = match *operation {
        Operation::Write(offset, value) => {
            lapic.mmio_write(offset, value, *now, &mut sent);
            0
        }
        Operation::Read(offset) => u64::from(lapic.mmio_read(offset, *now)),
        Operation::WriteMsr(msr, value) => {
            let result = lapic.write_msr(msr, value, *now, &tsc(), &mut sent);
            u64::from(result.is_err())
        }
        Operation::ReadMsr(msr) => lapic.read_msr(msr, *now).unwrap_or(1 << 63),
        Operation::Accept(vector, level) => {
            let trigger = if level { Trigger::Level } else { Trigger::Edge };
            lapic.accept(&fixed(vector, trigger));
            0
        }
        Operation::Take => u64::from(take(lapic).unwrap_or(0)),
        Operation::Expire => {
            lapic.expire(*now);
            0
        }
    };
    (value, lapic.pending(), lapic.deadline(), sent)
}

proptest! {
    #[test]
    fn any_trace_is_harmless_and_state_round_trips(
        operations in prop::collection::vec(operation(), 0..200),
        cut in 0_usize..200,
    ) {
        let mut now = Instant::ZERO;
        let operations: Vec<(Instant, Operation)> = operations
            .into_iter()
            .map(|(wait, operation)| {
                now = now + wait;
                (now, operation)
            })
            .collect();
        twins(lapic, &operations, cut, step);
    }

    #[test]
    fn the_priority_cache_is_what_the_registers_say(
        vectors in prop::collection::vec((16_u8..=255, 0_u8..3), 0..100),
    ) {
        let mut lapic = lapic();
        for (vector, action) in vectors {
            match action {
                0 => { lapic.accept(&fixed(vector, Trigger::Edge)); }
                1 => { take(&mut lapic); }
                _ => { put(&mut lapic, EOI, 0); }
            }
            let cached = lapic.priority();
            lapic.update_priority();
            prop_assert_eq!(cached, lapic.priority());
        }
    }

    #[test]
    fn tsc_conversion_is_exact_enough(hz in 1_000_000_u64..10_000_000_000, ns in 0_u64..1 << 55, wait in 1_u64..1 << 50) {
        let clock = TscClock::new(hz, 12345);
        let now = Instant::from_ns(ns);
        let exact = u128::from(ns) * u128::from(hz) / 1_000_000_000;
        let shown = u128::from(clock.ticks(now).wrapping_sub(12345));
        prop_assert!(shown.abs_diff(exact) <= 1);
        let target = clock.ticks(now) + wait;
        let at = clock.instant(target, now);
        prop_assert!(clock.ticks(at) >= target);
        let early = Instant::from_ns(at.ns.saturating_sub(3 + 1_000_000_000 / hz));
        prop_assert!(clock.ticks(early) <= target);
    }
}

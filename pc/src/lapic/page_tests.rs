//! A CPU that serves the local APIC from the virtual-APIC page must be to the guest what the model alone is.

use super::*;
use crate::testing::Sent;
use hvm::apic::{ApicMessage, Delivery as Mode, Destination, RegisterPage, Trigger};
use hvm::virtual_apic::{ApicMode, Delivery};
use proptest::prelude::*;

const TPR: u16 = 0x80;
const PPR: u16 = 0xa0;
const EOI: u16 = 0xb0;
const ISR: u16 = 0x100;
const IRR: u16 = 0x200;
const ICR: u16 = 0x300;
const ICR_HIGH: u16 = 0x310;
const SELF_IPI: u16 = 0x3f0;

/// Registers of the xAPIC page that the CPU shows without an exit (SDM vol. 3C, 30.4.2).
fn readable(offset: u16) -> bool {
    matches!(
        offset,
        0x20 | 0x30 | TPR | EOI | 0xd0 | 0xe0 | 0xf0 | 0x100..=0x280 | ICR | ICR_HIGH | 0x320..=0x380 | 0x3e0
    ) && offset & 0xf == 0
}

/// And those that it takes writes to (30.4.3.1).
fn writable(offset: u16) -> bool {
    matches!(
        offset,
        0x20 | TPR | EOI | 0xd0 | 0xe0 | 0xf0 | 0x280 | ICR | ICR_HIGH | 0x320..=0x380 | 0x3e0
    ) && offset & 0xf == 0
}

/// What the CPU leaves to software.
#[derive(Debug, PartialEq, Eq)]
enum Exit {
    /// APIC access or intercepted MSR: not done.
    Access,
    Write(u16),
    Ended(u8),
}

/// The CPU, from the SDM's pseudo-code.
#[derive(Default)]
struct Cpu {
    page: RegisterPage,
    rvi: u8,
    svi: u8,
    eoi_exits: [u64; 4],
    /// A pending virtual interrupt is recognized.
    pending: bool,
}

impl Cpu {
    fn get(&self, first: u16, vector: u8) -> bool {
        self.page.read(first + u16::from(vector >> 5) * 16) >> (vector & 31) & 1 != 0
    }

    fn put(&self, first: u16, vector: u8, set: bool) {
        let offset = first + u16::from(vector >> 5) * 16;
        let bit = 1 << (vector & 31);
        let others = self.page.read(offset) & !bit;
        self.page
            .write(offset, if set { others | bit } else { others });
    }

    fn highest(&self, first: u16) -> u8 {
        (0..=255)
            .rev()
            .find(|&vector| self.get(first, vector))
            .unwrap_or(0)
    }

    /// VM entry with virtual-interrupt delivery.
    fn enter(&mut self, delivery: Delivery) {
        (self.rvi, self.svi) = (delivery.requested, delivery.in_service);
        self.eoi_exits = delivery.eoi_exits;
        self.ppr_virtualization();
        self.evaluate();
    }

    /// 30.1.3.
    fn ppr_virtualization(&self) {
        let tpr = self.page.read(TPR) as u8;
        let ppr = if tpr >> 4 >= self.svi >> 4 {
            tpr
        } else {
            self.svi & 0xf0
        };
        self.page.write(PPR, ppr.into());
    }

    /// 30.2.1.
    fn evaluate(&mut self) {
        self.pending = u32::from(self.rvi >> 4) > self.page.read(PPR) >> 4;
    }

    /// 30.1.2.
    fn tpr_virtualization(&mut self) {
        self.ppr_virtualization();
        self.evaluate();
    }

    /// 30.1.4.
    fn eoi_virtualization(&mut self) -> Option<Exit> {
        let vector = self.svi;
        self.put(ISR, vector, false);
        self.svi = self.highest(ISR);
        self.ppr_virtualization();
        if self.eoi_exits[usize::from(vector >> 6)] >> (vector & 63) & 1 != 0 {
            return Some(Exit::Ended(vector));
        }
        self.evaluate();
        None
    }

    /// 30.1.5.
    fn self_ipi_virtualization(&mut self, vector: u8) {
        self.put(IRR, vector, true);
        self.rvi = self.rvi.max(vector);
        self.evaluate();
    }

    /// 30.2.2.
    fn deliver(&mut self) -> Option<u8> {
        if !self.pending {
            return None;
        }
        let vector = self.rvi;
        self.put(ISR, vector, true);
        self.svi = vector;
        self.page.write(PPR, u32::from(vector & 0xf0));
        self.put(IRR, vector, false);
        self.rvi = self.highest(IRR);
        self.pending = false;
        Some(vector)
    }

    /// MOV to CR8 (30.3).
    fn write_cr8(&mut self, value: u8) {
        self.page.write(TPR, u32::from(value) << 4);
        self.tpr_virtualization();
    }

    /// A dword written to the APIC-access page (30.4.3).
    fn write(&mut self, offset: u16, value: u32) -> Option<Exit> {
        if !writable(offset) {
            return Some(Exit::Access);
        }
        self.page.write(offset, value);
        match offset {
            TPR => {
                self.page.write(TPR, value & 0xff);
                self.tpr_virtualization();
                None
            }
            EOI => {
                self.page.write(EOI, 0);
                self.eoi_virtualization()
            }
            ICR if value & 0xfff3_b700 == 0 && value >> 18 & 3 == 1 && value & 0xf0 != 0 => {
                self.self_ipi_virtualization(value as u8);
                None
            }
            ICR_HIGH => {
                self.page.write(ICR_HIGH, value & 0xff00_0000);
                None
            }
            _ => Some(Exit::Write(offset)),
        }
    }

    fn read(&self, offset: u16) -> Option<u32> {
        readable(offset).then(|| self.page.read(offset))
    }

    /// WRMSR in x2APIC mode (30.5), where the MSR bitmap lets these three through. `None` if it faults.
    fn wrmsr(&mut self, msr: u32, value: u64) -> Option<Option<Exit>> {
        match (msr, value) {
            (0x808, 0..=0xff) => {
                self.page.write(TPR, value as u32);
                self.tpr_virtualization();
                Some(None)
            }
            (0x80b, 0) => Some(self.eoi_virtualization()),
            (0x83f, 0..=0xff) => {
                self.page.write(SELF_IPI, value as u32);
                if value < 16 {
                    return Some(Some(Exit::Write(SELF_IPI)));
                }
                self.self_ipi_virtualization(value as u8);
                Some(None)
            }
            (0x808 | 0x80b | 0x83f, _) => None,
            _ => Some(Some(Exit::Access)),
        }
    }

    /// RDMSR in x2APIC mode, where the bitmap lets through what exists and does not count.
    fn rdmsr(&self, msr: u32) -> Option<u64> {
        let passed = matches!(
            msr,
            0x802 | 0x803 | 0x808 | 0x80a | 0x80d | 0x80f..=0x828 | 0x830 | 0x832..=0x838 | 0x83e
        );
        let offset = (msr as u16 & 0xff) << 4;
        let low = u64::from(self.page.read(offset));
        passed.then(|| u64::from(self.page.read(offset + 4)) << 32 | low)
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Write(u16, u32),
    Read(u16),
    WriteMsr(u32, u64),
    ReadMsr(u32),
    WriteCr8(u8),
    Message(ApicMessage),
    /// The guest can take an interrupt.
    Interruptible,
    Expire,
    /// Something makes the hypervisor look at the APIC.
    Look,
}

/// Level-triggered vectors are even, those that CPUs send odd: see the module about the difference.
fn operation() -> impl Strategy<Value = Operation> {
    let odd = (16_u8..=255).prop_map(|vector| vector | 1);
    let number = prop_oneof![
        Just(0x8_u16),
        Just(0xb),
        Just(0x30),
        Just(0x31),
        0_u16..0x40
    ];
    let command = (any::<u32>(), odd.clone())
        .prop_map(|(command, vector)| command & !0xff | u32::from(vector));
    let value = prop_oneof![
        command.clone(),
        odd.clone().prop_map(|vector| 0x4_0000 | u32::from(vector)),
        odd.clone().prop_map(u32::from),
        Just(0x1ff),
    ];
    let x2_value = prop_oneof![
        odd.clone().prop_map(u64::from),
        Just(0),
        (0_u64..8).prop_map(|vector| vector << 8 | 1),
        command.prop_map(u64::from),
    ];
    let msr = prop_oneof![
        Just(0x808_u32),
        Just(0x80b),
        Just(0x83f),
        Just(0x80b),
        0x800_u32..0x840
    ];
    let message = (16_u8..=255, any::<bool>()).prop_map(|(vector, level)| ApicMessage {
        destination: Destination::All,
        delivery: Mode::Fixed,
        vector: if level { vector & !1 } else { vector },
        trigger: if level { Trigger::Level } else { Trigger::Edge },
    });
    prop_oneof![
        2 => (number.clone(), value).prop_map(|(number, value)| Operation::Write(number << 4, value)),
        1 => number.prop_map(|number| Operation::Read(number << 4)),
        2 => (msr.clone(), x2_value).prop_map(|(msr, value)| Operation::WriteMsr(msr, value)),
        1 => msr.prop_map(Operation::ReadMsr),
        1 => (0_u8..16).prop_map(Operation::WriteCr8),
        3 => message.prop_map(Operation::Message),
        3 => Just(Operation::Interruptible),
        1 => Just(Operation::Expire),
        1 => Just(Operation::Look),
    ]
}

/// What the guest and the board saw of one operation.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    value: u64,
    taken: Option<u8>,
    sent: Sent,
}

fn tsc() -> TscClock {
    TscClock::new(1_000_000_000, 0)
}

/// The model alone.
fn in_software(lapic: &mut Lapic, operation: &Operation, now: Instant) -> Seen {
    let mut seen = Seen::default();
    let sent = &mut seen.sent;
    let refused = u64::MAX;
    seen.value = match *operation {
        Operation::Write(offset, value) => {
            lapic.mmio_write(offset, value, now, sent);
            0
        }
        Operation::Read(offset) => lapic.mmio_read(offset, now).into(),
        Operation::WriteMsr(msr, value) => {
            let result = lapic.write_msr(msr, value, now, &tsc(), sent);
            result.map_or(refused, |()| 0)
        }
        Operation::ReadMsr(msr) => lapic.read_msr(msr, now).unwrap_or(refused),
        Operation::WriteCr8(value) => {
            lapic.set_tpr(value << 4);
            0
        }
        Operation::Message(ref message) => {
            lapic.accept(message);
            0
        }
        Operation::Interruptible => {
            seen.taken = lapic.pending();
            seen.taken.inspect(|&vector| lapic.acknowledge(vector));
            0
        }
        Operation::Expire => {
            lapic.expire(now);
            0
        }
        Operation::Look => 0,
    };
    seen
}

/// The model and a CPU that helps, as the kernel has them work together.
struct Helped {
    lapic: Lapic,
    cpu: Cpu,
}

impl Helped {
    fn enter(&mut self) {
        let delivery = self.lapic.hand_over(&self.cpu.page);
        self.cpu.enter(delivery);
    }

    fn step(&mut self, operation: &Operation, now: Instant) -> Seen {
        match *operation {
            Operation::Interruptible => Seen {
                taken: self.cpu.deliver(),
                ..Seen::default()
            },
            Operation::WriteCr8(value) => {
                self.cpu.write_cr8(value);
                Seen::default()
            }
            Operation::Read(offset) => match self.cpu.read(offset) {
                Some(value) => Seen {
                    value: value.into(),
                    ..Seen::default()
                },
                None => self.exit(Exit::Access, operation, now),
            },
            Operation::ReadMsr(msr) => match self.cpu.rdmsr(msr) {
                Some(value) => Seen {
                    value,
                    ..Seen::default()
                },
                None => self.exit(Exit::Access, operation, now),
            },
            Operation::Write(offset, value) => match self.cpu.write(offset, value) {
                Some(exit) => self.exit(exit, operation, now),
                None => Seen::default(),
            },
            Operation::WriteMsr(msr, value) => match self.cpu.wrmsr(msr, value) {
                Some(Some(exit)) => self.exit(exit, operation, now),
                Some(None) => Seen::default(),
                None => Seen {
                    value: u64::MAX,
                    ..Seen::default()
                },
            },
            // The model takes these while the page is the CPU's, and hands them over with the next entry.
            Operation::Message(_) | Operation::Expire => {
                let seen = in_software(&mut self.lapic, operation, now);
                self.lapic.take_back(&self.cpu.page);
                self.enter();
                seen
            }
            Operation::Look => {
                self.lapic.take_back(&self.cpu.page);
                self.enter();
                Seen::default()
            }
        }
    }

    fn exit(&mut self, exit: Exit, operation: &Operation, now: Instant) -> Seen {
        let mut seen = Seen::default();
        self.lapic.take_back(&self.cpu.page);
        match exit {
            Exit::Access => seen = in_software(&mut self.lapic, operation, now),
            Exit::Write(offset) => {
                self.lapic
                    .complete_write(&self.cpu.page, offset, now, &mut seen.sent);
            }
            Exit::Ended(vector) => seen.sent.ended.push(vector),
        }
        self.enter();
        seen
    }
}

fn lapic(mode: ApicMode) -> Lapic {
    let mut lapic = Lapic::new(5, true);
    lapic.set_virtual_wire();
    if mode == ApicMode::Msrs {
        let mut sent = Sent::default();
        lapic
            .write_msr(
                IA32_APIC_BASE,
                0xfee0_0d00,
                Instant::ZERO,
                &tsc(),
                &mut sent,
            )
            .unwrap();
    }
    assert_eq!(lapic.mode(), mode);
    lapic
}

/// Runs both side by side for as long as the APIC stays enabled in its mode. In one mode, the other's registers answer nothing.
fn compare(mode: ApicMode, operations: &[Operation]) {
    let mut software = lapic(mode);
    let mut helped = Helped {
        lapic: software.clone(),
        cpu: Cpu::default(),
    };
    helped.enter();
    let mut now = Instant::ZERO;
    for operation in operations {
        let of_memory = matches!(operation, Operation::Write(..) | Operation::Read(_));
        let of_msrs = matches!(operation, Operation::WriteMsr(..) | Operation::ReadMsr(_));
        if mode == ApicMode::Msrs && of_memory || mode != ApicMode::Msrs && of_msrs {
            continue;
        }
        now = now + 100;
        let expected = in_software(&mut software, operation, now);
        if software.mode() != mode {
            break;
        }
        assert_eq!(helped.step(operation, now), expected, "{operation:x?}");
        let mut model = helped.lapic.clone();
        model.take_back(&helped.cpu.page);
        assert_eq!(model, software, "{operation:x?}");
    }
}

#[test]
fn a_periodic_timer_keeps_its_deadline_while_the_cpu_delivers() {
    let mut lapic = lapic(ApicMode::Memory(Gpa(0xfee0_0000)));
    let (page, mut sent) = (RegisterPage::new(), Sent::default());
    lapic.mmio_write(0x320, 0x2_0040, Instant::ZERO, &mut sent);
    lapic.mmio_write(0x380, 100_000, Instant::ZERO, &mut sent);
    let due = lapic.deadline().unwrap();
    lapic.expire(due);
    assert_eq!(lapic.deadline(), None, "requested and not yet taken");
    assert_eq!(lapic.hand_over(&page).requested, 0x40);
    assert_eq!(
        lapic.deadline(),
        Some(due + 200_000),
        "nobody will tell when the CPU takes it"
    );
}

#[test]
fn a_command_of_x2apic_mode_has_both_halves_in_one_register() {
    let mut lapic = lapic(ApicMode::Msrs);
    let (cpu, mut sent) = (Cpu::default(), Sent::default());
    let command = 0x1234_0000_0041;
    lapic
        .write_msr(0x830, command, Instant::ZERO, &tsc(), &mut sent)
        .unwrap();
    lapic.hand_over(&cpu.page);
    assert_eq!(cpu.rdmsr(0x830), Some(command));
}

#[test]
fn software_serves_an_apic_that_is_off() {
    let mut lapic = lapic(ApicMode::Memory(Gpa(0xfee0_0000)));
    lapic.mmio_write(0xf0, 0xff, Instant::ZERO, &mut Sent::default());
    assert_eq!(lapic.mode(), ApicMode::Software);
    lapic.set_virtual_wire();
    let mut write = |value| {
        lapic.write_msr(
            IA32_APIC_BASE,
            value,
            Instant::ZERO,
            &tsc(),
            &mut Sent::default(),
        )
    };
    write(0xfed0_0900).unwrap();
    write(0xfed0_0000).unwrap();
    assert_eq!(lapic.mode(), ApicMode::Software);
}

proptest! {
    #[test]
    fn a_cpu_that_serves_from_the_page_is_the_model_xapic(
        operations in prop::collection::vec(operation(), 0..300),
    ) {
        compare(ApicMode::Memory(Gpa(0xfee0_0000)), &operations);
    }

    #[test]
    fn a_cpu_that_serves_from_the_page_is_the_model_x2apic(
        operations in prop::collection::vec(operation(), 0..300),
    ) {
        compare(ApicMode::Msrs, &operations);
    }

    #[test]
    fn what_was_handed_over_comes_back(
        operations in prop::collection::vec(operation(), 0..200),
        later in any::<u8>(),
    ) {
        let mut lapic = Lapic::new(5, true);
        lapic.set_virtual_wire();
        for operation in &operations {
            in_software(&mut lapic, operation, Instant::ZERO);
        }
        let page = RegisterPage::new();
        let mut back = lapic.clone();
        back.hand_over(&page);
        for lapic in [&mut lapic, &mut back] {
            lapic.accept(&ApicMessage {
                destination: Destination::All,
                delivery: Mode::Fixed,
                vector: later,
                trigger: Trigger::Edge,
            });
        }
        back.take_back(&page);
        prop_assert_eq!(back, lapic);
    }
}

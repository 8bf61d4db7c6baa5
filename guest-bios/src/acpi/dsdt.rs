//! The namespace (ACPI 6.5, chapters 5 and 6): CPUs, the PCI root with its interrupt routing, what is on the ISA bus, and
//! how to switch off.

use super::{Encoded, bytes_of, table as sdt};
use crate::platform::{
    COM1_IRQ, COM1_PORT, Console, PCI_MMIO_END, PCI_SLOTS, PIRQ_IRQ, PM_PORT, Platform, pirq,
};
use acpi_tables::Aml;
use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, Device, EISAName, Field, FieldAccessType, FieldEntry,
    FieldLockRule, FieldUpdateRule, IO, Interrupt, Method, Name, OpRegion, OpRegionSpace, Package,
    PackageBuilder, Path, ResourceTemplate, Scope, Store,
};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// The four interrupt link devices, PIRQ A to D.
const LINKS: [&str; 4] = ["LNKA", "LNKB", "LNKC", "LNKD"];
/// The registers that say where they go (82371SB data sheet, "PIRQRC").
const ROUTES: [&str; 4] = ["PRQA", "PRQB", "PRQC", "PRQD"];
const ROUTES_OFFSET: u8 = 0x60;
const ROUTES_BYTES: u8 = ROUTES.len() as u8;
/// SLP_TYP of the soft-off state on a PIIX4.
const SOFT_OFF: u8 = 0;

/// The DSDT. Revision 2: integers have 64 bits.
pub fn table(platform: &Platform) -> Vec<u8> {
    let mut body = system_bus(platform);
    let off = Package::new(vec![&SOFT_OFF, &SOFT_OFF, &0_u8, &0_u8]);
    body.extend(bytes_of(&Name::new("\\_S5_".into(), &off)));
    sdt(*b"DSDT", 2, &body)
}

fn system_bus(platform: &Platform) -> Vec<u8> {
    let mut devices: Vec<Encoded> = Vec::new();
    for uid in 0..platform.vcpus.min(254) {
        devices.push(processor(uid));
    }
    for (pirq, name) in LINKS.iter().enumerate() {
        devices.push(link(name, pirq));
    }
    devices.push(pci_root(platform));
    let children = devices.iter().map(|device| device as &dyn Aml).collect();
    bytes_of(&Scope::new("\\_SB_".into(), children))
}

fn processor(uid: u32) -> Encoded {
    let name = format!("C{uid:03X}");
    Encoded::of(&Device::new(
        name.as_str().into(),
        vec![
            &Name::new("_HID".into(), &"ACPI0007"),
            &Name::new("_UID".into(), &uid),
        ],
    ))
}

/// A PCI interrupt link. There is one possible interrupt. Setting it, which operating systems do before they use it, routes the line
/// there, whatever firmware has made of the chip's register. A link rather than a bare GSI in `_PRT`, because only
/// a link can say active high.
fn link(name: &str, pirq: usize) -> Encoded {
    let line = Interrupt::new(true, false, false, true, PIRQ_IRQ[pirq].into());
    let lines = ResourceTemplate::new(vec![&line]);
    let register = Path::new(&format!("\\_SB_.PCI0.ISA_.{}", ROUTES[pirq]));
    let route = Store::new(&register, &PIRQ_IRQ[pirq]);
    Encoded::of(&Device::new(
        name.into(),
        vec![
            &hid("PNP0C0F"),
            &Name::new("_UID".into(), &(pirq as u8)),
            &Name::new("_STA".into(), &0xb_u8), // present, enabled, working; not shown
            &Name::new("_PRS".into(), &lines),
            &Name::new("_CRS".into(), &lines),
            &Method::new("_SRS".into(), 1, false, vec![&route]),
            &Method::new("_DIS".into(), 0, false, vec![]),
        ],
    ))
}

fn pci_root(platform: &Platform) -> Encoded {
    let buses = AddressSpace::new_bus_number(0_u16, 0xff);
    let config = IO::new(0xcf8, 0xcf8, 1, 8);
    let low_ports = AddressSpace::new_io(0_u16, 0xcf7, None);
    let high_ports = AddressSpace::new_io(0xd00_u16, 0xffff, None);
    let window = AddressSpace::new_memory(
        AddressSpaceCacheable::NotCacheable,
        true,
        platform.pci_memory.0 as u32,
        (PCI_MMIO_END.0 - 1) as u32,
        None,
    );
    let resources = ResourceTemplate::new(vec![&buses, &config, &low_ports, &high_ports, &window]);
    Encoded::of(&Device::new(
        "PCI0".into(),
        vec![
            &hid("PNP0A03"),
            &Name::new("_UID".into(), &0_u8),
            &Name::new("_CRS".into(), &resources),
            &Name::new("_PRT".into(), &routing()),
            &isa_bridge(platform),
        ],
    ))
}

/// Which link each pin of each slot drives (6.2.13).
fn routing() -> PackageBuilder {
    let mut routing = PackageBuilder::new();
    for slot in 0..PCI_SLOTS {
        for pin in 0..4 {
            let every_function = u32::from(slot) << 16 | 0xffff;
            let link = Path::new(LINKS[pirq(slot, pin)]);
            routing.add_element(&Package::new(vec![&every_function, &pin, &link, &0_u8]));
        }
    }
    routing
}

/// The south bridge in slot 1, and what hangs on it.
fn isa_bridge(platform: &Platform) -> Encoded {
    let port = IO::new(COM1_PORT, COM1_PORT, 8, 8);
    let com1 = device("COM1", "PNP0501", &[&port, &edge(COM1_IRQ)]);
    let clock = device("RTC_", "PNP0B00", &[&IO::new(0x70, 0x70, 1, 2), &edge(8)]);
    let timer = device("TIMR", "PNP0100", &[&IO::new(0x40, 0x40, 1, 4), &edge(0)]);
    let pic = device(
        "PIC_",
        "PNP0000",
        &[
            &IO::new(0x20, 0x20, 1, 2),
            &IO::new(0xa0, 0xa0, 1, 2),
            &edge(2),
        ],
    );
    let speaker = device("SPKR", "PNP0800", &[&IO::new(0x61, 0x61, 1, 1)]);
    let board = device("MBRD", "PNP0C02", &[&IO::new(PM_PORT, PM_PORT, 1, 0x40)]);
    let mut children = vec![com1, clock, timer, pic, speaker, board];
    if platform.console == Console::Screen {
        children.extend(keyboard_and_mouse());
    }
    let address = Name::new("_ADR".into(), &0x1_0000_u32);
    let registers = OpRegion::new(
        "PIRQ".into(),
        OpRegionSpace::PCIConfig,
        &ROUTES_OFFSET,
        &ROUTES_BYTES,
    );
    let routes = ROUTES.iter().map(|name| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(name.as_bytes());
        FieldEntry::Named(bytes, 8)
    });
    let routes = Field::new(
        "PIRQ".into(),
        FieldAccessType::Byte,
        FieldLockRule::NoLock,
        FieldUpdateRule::Preserve,
        routes.collect(),
    );
    let mut parts: Vec<&dyn Aml> = vec![&address, &registers, &routes];
    parts.extend(children.iter().map(|child| child as &dyn Aml));
    Encoded::of(&Device::new("ISA_".into(), parts))
}

/// The controller's ports are the keyboard's; the mouse has an interrupt of its own.
fn keyboard_and_mouse() -> [Encoded; 2] {
    let ports = [IO::new(0x60, 0x60, 1, 1), IO::new(0x64, 0x64, 1, 1)];
    [
        device("KBD_", "PNP0303", &[&ports[0], &ports[1], &edge(1)]),
        device("MOU_", "PNP0F13", &[&edge(12)]),
    ]
}

fn device(name: &str, id: &str, resources: &[&dyn Aml]) -> Encoded {
    Encoded::of(&Device::new(
        name.into(),
        vec![
            &hid(id),
            &Name::new("_CRS".into(), &ResourceTemplate::new(resources.to_vec())),
        ],
    ))
}

fn hid(id: &str) -> Name {
    Name::new("_HID".into(), &EISAName::new(id))
}

/// An ISA interrupt: edge-triggered, active high, not shared.
fn edge(irq: u8) -> Interrupt {
    Interrupt::new(true, true, false, false, irq.into())
}

//! The PCI configuration space of a virtio function (virtio 1.2, 4.1.2 and 4.1.4).

use super::TransportMode;
use super::bits::{self, bar, capability, common, legacy};
use crate::device::{Device, DeviceType};
use heapless::Vec;
use hvm::msix::{Location, Msix};
use hvm::pci_config::{Bar, ConfigSpace, Identity};

/// A function's configuration space, and where in it the way to the BARs lies.
pub(super) struct Header {
    pub(super) config: ConfigSpace,
    pub(super) msix: Msix,
    /// Offset of the "PCI configuration access" capability.
    pub(super) window: u8,
}

/// A structure in a BAR.
struct Structure {
    kind: u8,
    bar: u8,
    offset: u32,
    bytes: u32,
}

impl Header {
    /// Builds it. `None` if the capabilities do not fit; they do not depend on the device.
    pub(super) fn new(device: &dyn Device, mode: TransportMode) -> Option<Self> {
        let mut config =
            ConfigSpace::new(identity(device.device_type(), mode)).with_interrupt_pin();
        // Modern-only functions have these ports too: a kick by port is the cheapest exit.
        let ports = Bar::Port {
            bytes: bar::LEGACY_BYTES,
        };
        config.add_bar(usize::from(bar::LEGACY), ports);
        config.add_bar(
            usize::from(bar::MSIX),
            Bar::Memory32 {
                bytes: bar::MSIX_BYTES,
            },
        );
        config.add_bar(
            usize::from(bar::MODERN),
            Bar::Memory32 {
                bytes: bar::MODERN_BYTES,
            },
        );
        let msix = Msix::append(
            &mut config,
            device.queue_sizes().len() as u16 + 1,
            Location {
                bar: bar::MSIX,
                offset: 0,
            },
            Location {
                bar: bar::MSIX,
                offset: bar::MSIX_PENDING,
            },
        )?;
        let window = append_structures(&mut config)?;
        Some(Self {
            config,
            msix,
            window,
        })
    }
}

fn identity(device: DeviceType, mode: TransportMode) -> Identity {
    let (transitional, class) = match device {
        DeviceType::Network => (bits::TRANSITIONAL_NETWORK, 0x02_00_00),
        DeviceType::Block => (bits::TRANSITIONAL_BLOCK, 0x01_80_00),
        DeviceType::Console => (bits::TRANSITIONAL_CONSOLE, 0x07_80_00),
        DeviceType::Entropy => (bits::TRANSITIONAL_ENTROPY, 0xff_00_00),
    };
    let (id, revision, subsystem) = match mode {
        TransportMode::Transitional => (transitional, 0, device as u16),
        TransportMode::Modern => (
            bits::MODERN_DEVICE_BASE + device as u16,
            1,
            bits::MODERN_SUBSYSTEM,
        ),
    };
    Identity {
        vendor: bits::VENDOR,
        device: id,
        revision,
        class,
        subsystem_vendor: bits::VENDOR,
        subsystem,
    }
}

/// Appends the capabilities, preferred ones first (4.1.4), and returns the offset of the last, the way to the BARs.
fn append_structures(config: &mut ConfigSpace) -> Option<u8> {
    let page = |kind, number, bytes| Structure {
        kind,
        bar: bar::MODERN,
        offset: number * bar::PAGE_BYTES,
        bytes,
    };
    let ports = Structure {
        kind: capability::NOTIFY,
        bar: bar::LEGACY,
        offset: legacy::QUEUE_NOTIFY as u32,
        bytes: 2,
    };
    append(config, page(capability::COMMON, 0, common::BYTES), &[], &[])?;
    // All queues share the port: the queue is the value written, so the multiplier is 0.
    append(config, ports, &[0; 4], &[])?;
    let multiplier = bits::NOTIFY_MULTIPLIER.to_le_bytes();
    let notify = page(capability::NOTIFY, 3, bar::PAGE_BYTES);
    append(config, notify, &multiplier, &[])?;
    append(config, page(capability::ISR, 1, 1), &[], &[])?;
    append(
        config,
        page(capability::DEVICE, 2, bar::PAGE_BYTES),
        &[],
        &[],
    )?;
    let window = Structure {
        kind: capability::PCI,
        bar: 0,
        offset: 0,
        bytes: 0,
    };
    // BAR, offset, length and data are the driver's to write (4.1.4.9); the body starts 2 bytes into the capability.
    let mut writable = [0; 18];
    writable[usize::from(capability::BAR) - 2] = 0xff;
    writable[usize::from(capability::OFFSET) - 2..].fill(0xff);
    append(config, window, &[0; 4], &writable)
}

/// Appends one structure's capability; `extra` follows the common part.
fn append(
    config: &mut ConfigSpace,
    structure: Structure,
    extra: &[u8],
    writable: &[u8],
) -> Option<u8> {
    let mut body = Vec::<u8, 18>::new();
    let bytes = capability::BYTES + extra.len() as u8;
    body.extend_from_slice(&[bytes, structure.kind, structure.bar, 0, 0, 0])
        .ok()?;
    body.extend_from_slice(&structure.offset.to_le_bytes())
        .ok()?;
    body.extend_from_slice(&structure.bytes.to_le_bytes())
        .ok()?;
    body.extend_from_slice(extra).ok()?;
    config.append_capability(capability::VENDOR_SPECIFIC, &body, writable)
}

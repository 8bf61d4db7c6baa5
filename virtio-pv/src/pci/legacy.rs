//! The legacy registers, BAR 0 (virtio 1.2, 4.1.4.10), and the kick port that modern drivers share with them.

use super::Transport;
use super::bits::legacy;
use super::{Interface, TransportMode};
use hvm::Width;
use hvm::device::Context;

/// Bytes of a ring page; the queue address register counts in them.
const PAGE_BYTES: u64 = 4096;

impl Transport {
    pub(super) fn legacy_read(&self, offset: u64, width: Width) -> u64 {
        if self.mode == TransportMode::Modern {
            return width.mask();
        }
        let header = self.legacy_header_bytes();
        if offset >= header {
            return self.device_config(offset - header, width);
        }
        // Byte by byte, since ISR status changes by being read and must be touched by its own address only.
        let bytes = (offset..header).take(width.bytes()).enumerate();
        bytes.fold(0, |value, (place, offset)| {
            value | u64::from(self.legacy_byte(offset)) << (8 * place)
        })
    }

    fn legacy_byte(&self, offset: u64) -> u8 {
        let queue = self
            .endpoint
            .queues()
            .get(usize::from(self.selectors.queue));
        let (start, field) = match offset {
            legacy::DEVICE_FEATURES..legacy::DRIVER_FEATURES => (
                legacy::DEVICE_FEATURES,
                self.endpoint.offered(Interface::Legacy).dword(0),
            ),
            legacy::DRIVER_FEATURES..legacy::QUEUE_ADDRESS => (
                legacy::DRIVER_FEATURES,
                self.endpoint.driver_features().dword(0),
            ),
            legacy::QUEUE_ADDRESS..legacy::QUEUE_SIZE => {
                let frame = queue.map_or(0, |queue| queue.registers().descriptors / PAGE_BYTES);
                (legacy::QUEUE_ADDRESS, frame as u32)
            }
            legacy::QUEUE_SIZE..legacy::QUEUE_SELECT => {
                let size = queue.map_or(0, |queue| u32::from(queue.max_size()));
                (legacy::QUEUE_SIZE, size)
            }
            legacy::QUEUE_SELECT..legacy::QUEUE_NOTIFY => {
                (legacy::QUEUE_SELECT, u32::from(self.selectors.queue))
            }
            legacy::DEVICE_STATUS => (offset, u32::from(self.endpoint.status().bits())),
            legacy::ISR => (offset, u32::from(self.interrupts.acknowledge())),
            legacy::CONFIG_VECTOR..legacy::QUEUE_VECTOR => (
                legacy::CONFIG_VECTOR,
                u32::from(self.interrupts.config_vector()),
            ),
            legacy::QUEUE_VECTOR..legacy::HEADER_BYTES_MSIX => (
                legacy::QUEUE_VECTOR,
                u32::from(self.interrupts.queue_vector(self.selectors.queue)),
            ),
            _ => return 0,
        };
        (field >> (8 * (offset - start))) as u8
    }

    pub(super) fn legacy_write(
        &mut self,
        offset: u64,
        width: Width,
        value: u64,
        context: &mut Context<'_>,
    ) {
        if (offset, width) == (legacy::QUEUE_NOTIFY, Width::Word) {
            self.kick(value, context);
        } else if self.mode == TransportMode::Transitional {
            let header = self.legacy_header_bytes();
            if offset >= header {
                self.set_device_config(offset - header, width, value);
            } else {
                self.legacy_register_write(offset, width, value as u32, context);
            }
        }
    }

    fn legacy_register_write(
        &mut self,
        offset: u64,
        width: Width,
        value: u32,
        context: &mut Context<'_>,
    ) {
        let index = self.selectors.queue;
        match (offset, width) {
            (legacy::DRIVER_FEATURES, Width::Dword) => self.endpoint.set_legacy_features(value),
            (legacy::QUEUE_ADDRESS, Width::Dword) => {
                self.endpoint.enable_legacy_queue(index, value);
            }
            (legacy::QUEUE_SELECT, Width::Word) => self.selectors.queue = value as u16,
            (legacy::DEVICE_STATUS, Width::Byte) => self.set_status(value as u8, context),
            (legacy::CONFIG_VECTOR, Width::Word) => {
                self.interrupts.set_config_vector(value as u16);
            }
            (legacy::QUEUE_VECTOR, Width::Word) => {
                self.interrupts.set_queue_vector(index, value as u16);
            }
            _ => {}
        }
    }

    /// The vector registers are there only while MSI-X is on.
    fn legacy_header_bytes(&self) -> u64 {
        if self.interrupts.msix.enabled() {
            legacy::HEADER_BYTES_MSIX
        } else {
            legacy::HEADER_BYTES
        }
    }
}

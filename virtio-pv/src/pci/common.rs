//! The modern registers, BAR 4 (virtio 1.2, 4.1.4.3 to 4.1.4.6).

use super::Transport;
use super::bits::{NO_VECTOR, NOTIFY_MULTIPLIER, bar, common};
use crate::endpoint::Interface;
use crate::queue::Queue;
use hvm::Width;
use hvm::device::Context;

/// The structure's page in BAR 4 that an offset lies in.
enum Page {
    Common,
    Isr,
    Device,
    Notify,
}

/// Splits an offset in BAR 4.
fn page(offset: u64) -> Option<(Page, u64)> {
    let bytes = u64::from(bar::PAGE_BYTES);
    let page = match offset / bytes {
        0 => Page::Common,
        1 => Page::Isr,
        2 => Page::Device,
        3 => Page::Notify,
        _ => return None,
    };
    Some((page, offset % bytes))
}

impl Transport {
    pub(super) fn modern_read(&self, offset: u64, width: Width) -> u64 {
        match page(offset) {
            Some((Page::Common, offset)) => self.common_read(offset, width),
            Some((Page::Isr, 0)) => u64::from(self.interrupts.acknowledge()),
            Some((Page::Device, offset)) => self.device_config(offset, width),
            _ => 0,
        }
    }

    pub(super) fn modern_write(
        &mut self,
        offset: u64,
        width: Width,
        value: u64,
        context: &mut Context<'_>,
    ) {
        match page(offset) {
            Some((Page::Notify, offset)) => {
                self.kick(offset / u64::from(NOTIFY_MULTIPLIER), context);
            }
            Some((Page::Common, offset)) => {
                if width == Width::Qword {
                    self.common_write(offset, Width::Dword, value as u32, context);
                    self.common_write(offset + 4, Width::Dword, (value >> 32) as u32, context);
                } else {
                    self.common_write(offset, width, value as u32, context);
                }
            }
            Some((Page::Device, offset)) => self.set_device_config(offset, width, value),
            _ => {}
        }
    }

    /// Any part of any field may be read; the dwords that hold it are put together and cut.
    fn common_read(&self, offset: u64, width: Width) -> u64 {
        let base = offset & !3;
        let dwords = [0, 4, 8].map(|ahead| u128::from(self.common_dword(base + ahead)));
        let bytes = dwords[0] | dwords[1] << 32 | dwords[2] << 64;
        width.cut((bytes >> (8 * (offset % 4))) as u64)
    }

    fn common_dword(&self, offset: u64) -> u32 {
        let endpoint = &self.endpoint;
        let pair = |low: u16, high: u16| u32::from(high) << 16 | u32::from(low);
        match offset {
            common::DEVICE_FEATURE_SELECT => self.selectors.device_feature,
            common::DEVICE_FEATURE => endpoint
                .offered(Interface::Modern)
                .dword(self.selectors.device_feature),
            common::DRIVER_FEATURE_SELECT => self.selectors.driver_feature,
            common::DRIVER_FEATURE => endpoint
                .driver_features()
                .dword(self.selectors.driver_feature),
            common::CONFIG_VECTOR => pair(
                self.interrupts.config_vector(),
                endpoint.queues().count() as u16,
            ),
            common::DEVICE_STATUS => {
                let status = u16::from(endpoint.status().bits());
                let generation = u16::from(endpoint.generation());
                pair(status | generation << 8, self.selectors.queue)
            }
            _ => self.queue_dword(offset),
        }
    }

    /// The registers of the selected queue. One that does not exist has size 0 (4.1.4.3.1).
    fn queue_dword(&self, offset: u64) -> u32 {
        let index = self.selectors.queue;
        let Some(queue) = self.endpoint.queues().get(usize::from(index)) else {
            return match offset {
                common::QUEUE_SIZE => u32::from(NO_VECTOR) << 16,
                _ => 0,
            };
        };
        let registers = queue.registers();
        let half = |address: u64| (address >> (offset % 8 * 8)) as u32;
        match offset & !7 {
            common::QUEUE_SIZE if offset == common::QUEUE_SIZE => {
                u32::from(self.interrupts.queue_vector(index)) << 16 | u32::from(registers.size)
            }
            common::QUEUE_SIZE => u32::from(index) << 16 | u32::from(queue.enabled()),
            common::QUEUE_DESCRIPTORS => half(registers.descriptors),
            common::QUEUE_DRIVER => half(registers.available),
            common::QUEUE_DEVICE => half(registers.used),
            _ => 0,
        }
    }

    /// Fields are written whole, addresses by halves, as 4.1.3.1 obliges drivers to; other writes are dropped.
    fn common_write(&mut self, offset: u64, width: Width, value: u32, context: &mut Context<'_>) {
        let index = self.selectors.queue;
        match (offset, width) {
            (common::DEVICE_FEATURE_SELECT, Width::Dword) => {
                self.selectors.device_feature = value;
            }
            (common::DRIVER_FEATURE_SELECT, Width::Dword) => {
                self.selectors.driver_feature = value;
            }
            (common::DRIVER_FEATURE, Width::Dword) => self
                .endpoint
                .set_driver_features(self.selectors.driver_feature, value),
            (common::CONFIG_VECTOR, Width::Word) => {
                self.interrupts.set_config_vector(value as u16);
            }
            (common::DEVICE_STATUS, Width::Byte) => self.set_status(value as u8, context),
            (common::QUEUE_SELECT, Width::Word) => self.selectors.queue = value as u16,
            (common::QUEUE_VECTOR, Width::Word) => {
                self.interrupts.set_queue_vector(index, value as u16);
            }
            (common::QUEUE_ENABLE, Width::Word) if value == 1 => {
                self.endpoint.enable_queue(index);
                self.run(context);
            }
            _ => {
                if let Some(queue) = self.endpoint.queue_mut(index) {
                    write_queue(queue, offset, width, value);
                }
            }
        }
    }
}

fn write_queue(queue: &mut Queue, offset: u64, width: Width, value: u32) {
    let Some(registers) = queue.registers_mut() else {
        return;
    };
    let address = match (offset & !7, width) {
        (common::QUEUE_SIZE, Width::Word) if offset == common::QUEUE_SIZE => {
            registers.size = value as u16;
            return;
        }
        (common::QUEUE_DESCRIPTORS, Width::Dword) => &mut registers.descriptors,
        (common::QUEUE_DRIVER, Width::Dword) => &mut registers.available,
        (common::QUEUE_DEVICE, Width::Dword) => &mut registers.used,
        _ => return,
    };
    let value = u64::from(value);
    match offset % 8 {
        0 => *address = *address & !0xffff_ffff | value,
        4 => *address = *address & 0xffff_ffff | value << 32,
        _ => {}
    }
}

//! The way to the BARs through PCI configuration space, for firmware that cannot map them (virtio 1.2, 4.1.4.9).

use super::Transport;
use super::bits::{bar, capability};
use hvm::Width;
use hvm::device::Context;
use hvm::pci::Function;

/// An access that the driver described and that is one.
struct Target {
    bar: u8,
    offset: u64,
    width: Width,
}

impl Transport {
    /// True if an access to configuration space touches the data register.
    fn touches_window(&self, offset: u8, width: Width) -> bool {
        let data = usize::from(self.window + capability::DATA);
        let first = usize::from(offset);
        first < data + 4 && data < first + width.bytes()
    }

    /// The access that the capability describes now, if it lies in a BAR, with a width of 1, 2 or 4 and aligned.
    fn target(&self) -> Option<Target> {
        let field = |offset, width| self.config.read(self.window + offset, width);
        let number = field(capability::BAR, Width::Byte) as u8;
        let bytes = match number {
            bar::LEGACY => u32::from(bar::LEGACY_BYTES),
            bar::MSIX => bar::MSIX_BYTES,
            bar::MODERN => bar::MODERN_BYTES,
            _ => return None,
        };
        let length = field(capability::LENGTH, Width::Dword);
        let width = Width::from_bytes(length as usize).filter(|&width| width <= Width::Dword)?;
        let offset = field(capability::OFFSET, Width::Dword);
        let inside = offset < bytes && offset % length == 0;
        inside.then_some(Target {
            bar: number,
            offset: u64::from(offset),
            width,
        })
    }

    /// What a read of configuration space gives, if it reads the data register.
    pub(super) fn window_read(&self, offset: u8, width: Width) -> Option<u32> {
        if !self.touches_window(offset, width) {
            return None;
        }
        let target = self.target()?;
        let value = self.register(usize::from(target.bar), target.offset, target.width);
        let value = target.width.cut(value);
        let place = offset.saturating_sub(self.window + capability::DATA);
        Some(width.cut(value >> (8 * u32::from(place))) as u32)
    }

    /// Carries out what a write to the data register asks for.
    pub(super) fn window_written(&mut self, offset: u8, width: Width, context: &mut Context<'_>) {
        if !self.touches_window(offset, width) {
            return;
        }
        if let Some(target) = self.target() {
            let value = self
                .config
                .read(self.window + capability::DATA, target.width);
            let (bar, value) = (usize::from(target.bar), u64::from(value));
            self.bar_write(bar, target.offset, target.width, value, context);
        }
    }
}

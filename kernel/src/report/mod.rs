//! The capability report: what this machine offers, on every console, before anything can fail for the lack of it.

mod cpus;
mod mode;
mod pci;
pub mod version;

pub use cpus::this_cpu;
pub use mode::{Mode, Obstacle};

use crate::{
    acpi::{Iommu, Platform},
    error, info,
    mem::frames,
    time,
};
use alloc::vec::Vec;
use boot::{BootInfo, MemoryKind};
use core::fmt::{self, Write};
use drivers::pci::{Function, Kind};
use hvm::capability::Capability;
use spin::Once;

/// Functions of one kind that are listed; more are counted.
const LISTED: usize = 8;

struct Report {
    cpus: Vec<Option<Capability>>,
    iommu: Option<Iommu>,
    total_mib: u64,
    usable_mib: u64,
    kept_kib: u64,
    functions: Vec<Function>,
    mode: Mode,
}

static REPORT: Once<Report> = Once::new();

/// Says, first of all, what this is and which way it was started.
pub fn print_version(boot: &BootInfo) {
    let version = env!("CARGO_PKG_VERSION");
    info!(
        "Monovisor {version}, build {}, started by {:?}",
        version::BuildId,
        boot.loader
    );
    defmt::info!(
        "Monovisor {=str}, build {=u64:016x}",
        version,
        version::short_id()
    );
}

/// Makes the report and prints it. Once, on the boot CPU, after [`crate::init`]. Returns the mode in which a guest can run.
pub fn print(boot: &BootInfo, platform: &Platform) -> Mode {
    let report = REPORT.call_once(|| Report::gather(boot, platform));
    info!("{report}");
    if let Mode::None(obstacle) = &report.mode {
        error!("no guest can run: {obstacle}");
        info!("what to do: {}", obstacle.advice());
    }
    report.mode
}

/// The functions on PCI that were found.
pub fn functions() -> &'static [Function] {
    REPORT.get().map_or(&[], |report| &report.functions)
}

/// Writes the report that was printed.
pub fn write_last(out: &mut impl Write) -> fmt::Result {
    match REPORT.get() {
        Some(report) => writeln!(out, "{report}"),
        None => writeln!(out, "no report was made"),
    }
}

impl Report {
    fn gather(boot: &BootInfo, platform: &Platform) -> Self {
        let cpus = cpus::all();
        let ram = |kind| {
            matches!(
                kind,
                MemoryKind::Usable | MemoryKind::AcpiReclaimable | MemoryKind::AcpiNvs
            )
        };
        let regions = boot.memory.regions().iter();
        let total_bytes: u64 = regions
            .filter(|region| ram(region.kind))
            .map(|region| region.bytes)
            .sum();
        let usable_bytes = frames::usable_bytes();
        Self {
            mode: Mode::of(&cpus),
            cpus,
            iommu: platform.iommu,
            total_mib: total_bytes >> 20,
            usable_mib: usable_bytes >> 20,
            kept_kib: usable_bytes.saturating_sub(frames::free_bytes()) >> 10,
            functions: pci::functions(platform),
        }
    }

    /// A line for each run of CPUs that are alike.
    fn write_cpus(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = 0;
        for run in self.cpus.chunk_by(|one, other| one == other) {
            match run.len() {
                1 => write!(out, "CPU {first}: ")?,
                count => write!(out, "CPU {first}-{}: ", first + count - 1)?,
            }
            match &run[0] {
                Some(capability) => writeln!(out, "{capability}")?,
                None => writeln!(out, "did not answer")?,
            }
            first += run.len();
        }
        Ok(())
    }

    fn write_functions(
        &self,
        title: &str,
        kind: Kind,
        out: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        let functions = self
            .functions
            .iter()
            .filter(|function| function.class.kind() == kind);
        let count = functions.clone().count();
        write!(out, "{title}: ")?;
        for (index, function) in functions.take(LISTED).enumerate() {
            write!(out, "{}{function}", if index > 0 { ", " } else { "" })?;
        }
        match count {
            0 => writeln!(out, "none seen"),
            1..=LISTED => writeln!(out),
            _ => writeln!(out, ", and {} more", count - LISTED),
        }
    }
}

impl fmt::Display for Report {
    /// Several lines, without an end after the last.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_cpus(out)?;
        let iommu = match self.iommu {
            Some(Iommu::Intel) => "VT-d (ACPI DMAR)",
            Some(Iommu::Amd) => "AMD-Vi (ACPI IVRS)",
            None => "none in ACPI",
        };
        writeln!(out, "IOMMU: {iommu}")?;
        let (total_mib, usable_mib, kept_kib) = (self.total_mib, self.usable_mib, self.kept_kib);
        writeln!(
            out,
            "RAM: {total_mib} MiB, {usable_mib} MiB usable, {kept_kib} KiB of them kept so far"
        )?;
        self.write_functions("network", Kind::Network, out)?;
        self.write_functions("storage", Kind::Storage, out)?;
        self.write_functions("display", Kind::Display, out)?;
        writeln!(out, "time-stamp counter: {}", time::description())?;
        write!(out, "guest mode: {}", self.mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drivers::pci::{Address, Class};
    use hvm::capability::{Extension, Technology};
    use std::string::ToString;

    fn report(cpus: Vec<Option<Capability>>, nics: u8) -> Report {
        let function = |device| Function {
            address: Address {
                segment: 0,
                bus: 0,
                device,
                function: 0,
            },
            vendor: 0x8086,
            device: 0x100e,
            class: Class {
                base: 2,
                sub: 0,
                interface: 0,
            },
        };
        Report {
            mode: Mode::of(&cpus),
            cpus,
            iommu: Some(Iommu::Amd),
            total_mib: 512,
            usable_mib: 500,
            kept_kib: 9000,
            functions: (0..nics).map(function).collect(),
        }
    }

    #[test]
    fn like_cpus_share_a_line() {
        let one = Capability::unknown(&|_, _| [0; 4]);
        let other = Capability {
            technology: Some(Technology::AmdV),
            extension: Extension::Absent,
            ..one
        };
        let text = report([Some(one), Some(one), Some(other), None].into(), 1).to_string();
        assert!(text.starts_with("CPU 0-1: "), "{text}");
        assert!(
            text.contains("\nCPU 2: ") && text.contains("\nCPU 3: did not answer"),
            "{text}"
        );
        assert!(
            text.contains("AMD-Vi") && text.contains("512 MiB, 500 MiB usable, 9000 KiB"),
            "{text}"
        );
        assert!(
            text.contains("network: Ethernet 8086:100e at 0000:00:00.0\nstorage: none seen\n"),
            "{text}"
        );
    }

    #[test]
    fn a_long_list_is_cut_and_counted() {
        let text = report(Vec::new(), LISTED as u8 + 2).to_string();
        assert!(text.contains(", and 2 more\n"), "{text}");
    }
}

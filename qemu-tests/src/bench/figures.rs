//! The figures by name: what they mean, what is aimed at, and what others have reached.

use std::collections::BTreeMap;

/// Figures by their keys' names.
pub type Figures = BTreeMap<&'static str, f64>;

/// One figure.
pub struct Key {
    /// Its name in JSON.
    pub name: &'static str,
    /// What it counts, for people.
    pub what: &'static str,
    /// The most that it may be.
    pub target: Option<f64>,
    /// What others need on the same machine, measured in November 2026 with QEMU 7.2.22: KVM 6.1 under QEMU 10.0 with
    /// nested paging, and Xen 4.17 HVM.
    pub kvm: Option<f64>,
    /// See `kvm`.
    pub xen: Option<f64>,
}

/// Every figure, in the order in which they are shown.
#[rustfmt::skip]
pub const KEYS: [Key; 13] = [
    row("boot_ratio_to_bare", "power-on to init, relative to bare", Some(1.05), Some(2.5), None),
    row("boot_monovisor_insns", "hypervisor's own part of a boot", None, None, None),
    row("exit_cpuid", "CPUID, 32-bit unpaged", Some(250.0), Some(2607.0), Some(2803.0)),
    row("exit_cpuid_64", "CPUID, 64-bit paged", Some(250.0), None, None),
    row("exit_pio_in_pic", "IN from the PIC", Some(400.0), Some(1686.0), Some(1059.0)),
    row("exit_pio_unused", "OUT to an unused port", Some(400.0), Some(4991.0), Some(1572.0)),
    row("exit_mmio_unmapped", "MMIO read, unmapped", Some(900.0), Some(7576.0), Some(6994.0)),
    row("exit_mmio_lapic", "MMIO read, local APIC", Some(900.0), Some(3718.0), Some(5569.0)),
    row("exit_hypercall", "VMMCALL", None, Some(2750.0), Some(2922.0)),
    row("exit_rdmsr_efer", "RDMSR EFER", None, Some(2682.0), Some(2713.0)),
    row("selfipi_hlt_eoi", "self-IPI, STI HLT, EOI", Some(2500.0), Some(13869.0), Some(17034.0)),
    row("image_bytes", "size of the bootable file", Some(1_572_864.0), None, None),
    row("reserved_mib", "memory kept from the guest", Some(24.0), None, None),
];

const fn row(
    name: &'static str,
    what: &'static str,
    target: Option<f64>,
    kvm: Option<f64>,
    xen: Option<f64>,
) -> Key {
    Key {
        name,
        what,
        target,
        kvm,
        xen,
    }
}

/// The key of that name.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// One flat JSON object of these figures, in the order of [`KEYS`]; what was not measured is absent.
pub fn json(figures: &Figures) -> String {
    let fields = KEYS.iter().filter_map(|key| {
        let value = figures.get(key.name)?;
        Some(format!("  \"{}\": {}", key.name, shown(*value)))
    });
    format!("{{\n{}\n}}", fields.collect::<Vec<_>>().join(",\n"))
}

/// Counts are whole; ratios have four places.
pub fn shown(value: f64) -> String {
    match value.fract() == 0.0 {
        true => format!("{value:.0}"),
        false => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_flat_and_ordered() {
        let figures = Figures::from([
            ("exit_cpuid", 244.0),
            ("boot_ratio_to_bare", 1.03125),
            ("boot_insns", 5.0),
        ]);
        assert_eq!(
            json(&figures),
            "{\n  \"boot_ratio_to_bare\": 1.0312,\n  \"exit_cpuid\": 244\n}"
        );
    }
}

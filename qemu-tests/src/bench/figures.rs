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
    /// What others need on the same machine, measured in November 2026 with QEMU 7.2.22: KVM 6.1 under QEMU 10.0 (for two CPUs
    /// under QEMU 7.2) with nested paging, and Xen 4.17 HVM.
    pub kvm: Option<f64>,
    /// See `kvm`.
    pub xen: Option<f64>,
}

/// Every figure, in the order in which they are shown.
#[rustfmt::skip]
pub const KEYS: [Key; 37] = [
    row("boot_ratio_to_bare", "power-on to init, relative to bare", Some(1.05), Some(2.5), None),
    row("boot_monovisor_insns", "hypervisor's own part of a boot", None, None, None),
    row("iso_boot_ratio_to_bare", "from CD to init, relative to bare", Some(1.0), None, None),
    row("ide_dma_ratio_to_bare", "64 MiB by IDE DMA, relative to bare", Some(1.1), None, None),
    row("reset_to_bootsector", "guest's reset to its boot sector", Some(3_000_000.0), None, None),
    row("exit_cpuid", "CPUID, 32-bit unpaged", Some(250.0), Some(2607.0), Some(2803.0)),
    row("exit_cpuid_64", "CPUID, 64-bit paged", Some(250.0), None, None),
    row("exit_pio_in_pic", "IN from the PIC", Some(400.0), Some(1686.0), Some(1059.0)),
    row("exit_pio_unused", "OUT to an unused port", Some(400.0), Some(4991.0), Some(1572.0)),
    row("exit_mmio_unmapped", "MMIO read, unmapped", Some(900.0), Some(7576.0), Some(6994.0)),
    row("exit_mmio_lapic", "MMIO read, local APIC", Some(900.0), Some(3718.0), Some(5569.0)),
    row("exit_hypercall", "VMMCALL or VMCALL", None, Some(2750.0), Some(2922.0)),
    row("exit_rdmsr_efer", "RDMSR EFER", None, Some(2682.0), Some(2713.0)),
    row("selfipi_hlt_eoi", "self-IPI, STI HLT, EOI", Some(2500.0), Some(13869.0), Some(17034.0)),
    row("ipi", "IPI there and back, both halted", None, Some(38_608.0), None),
    row("timer", "one-shot timer: start, interrupt, EOI", None, Some(11_114.0), None),
    row("hlt_wakeup", "IPI to a halted CPU's handler", None, Some(15_570.0), None),
    row("ipi_ratio_to_kvm", "the same, relative to KVM: IPI", Some(0.25), Some(1.0), None),
    row("timer_ratio_to_kvm", "timer", Some(0.25), Some(1.0), None),
    row("hlt_wakeup_ratio_to_kvm", "wake-up", Some(0.25), Some(1.0), None),
    row("shadow_fork", "shadow paging: fork, exec, exit", Some(846_493.0), Some(846_493.0), None),
    row("shadow_switch", "a turn of two processes", Some(19_188.0), Some(19_188.0), None),
    row("shadow_boot_ratio_to_npt", "shadow paging to nested: power-on to init", Some(1.1), Some(1.13), None),
    row("shadow_fork_ratio_to_npt", "fork, exec, exit", Some(2.5), None, None),
    row("shadow_switch_ratio_to_npt", "two processes that take turns", Some(1.3), None, None),
    row("shadow_fill", "fault that only fills the shadow", Some(1200.0), None, None),
    row("virtio_net_tx_insns_per_packet", "TCP out by virtio-net, a packet", Some(1500.0), Some(15_038.0), None),
    row("virtio_net_rx_insns_per_packet", "TCP in by virtio-net, a packet", Some(955.0), Some(2866.0), None),
    row("virtio_net_exits_per_packet", "exits of either, a packet", Some(0.5), Some(0.267), None),
    row("virtio_net_tx_gso_insns_per_packet", "the same in long frames: out", Some(150.0), Some(11_622.0), None),
    row("virtio_net_rx_gso_insns_per_packet", "in", Some(150.0), Some(3996.0), None),
    row("virtio_net_gso_exits_per_packet", "exits", Some(0.05), Some(0.207), None),
    row("rtl8139_tx_insns_per_packet", "TCP out by RTL8139C+, a packet", Some(56_897.0), Some(113_795.0), None),
    row("rtl8139_rx_insns_per_packet", "TCP in by RTL8139C+, a packet", Some(11_088.0), Some(22_177.0), None),
    row("ping_bridge_insns", "a ping through the bridge", Some(3000.0), Some(35_759.0), None),
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

/// One exit on AMD-V and on VT-x, in Bochs: the names of its figures.
pub struct Twin {
    /// The exit, a name of [`KEYS`].
    pub exit: &'static str,
    /// Instructions on AMD-V.
    pub svm: &'static str,
    /// Instructions on VT-x.
    pub vmx: &'static str,
    /// The second by the first.
    pub ratio: &'static str,
    /// The most that the ratio may be.
    pub target: Option<f64>,
}

macro_rules! twin {
    ($exit:literal, $target:expr) => {
        Twin {
            exit: $exit,
            svm: concat!($exit, "_svm_bochs"),
            vmx: concat!($exit, "_vmx_bochs"),
            ratio: concat!($exit, "_vmx_ratio"),
            target: $target,
        }
    };
}

/// Every exit that is measured on both.
pub const TWINS: [Twin; 9] = [
    twin!("exit_cpuid", Some(1.3)),
    twin!("exit_cpuid_64", Some(1.3)),
    twin!("exit_pio_in_pic", Some(1.3)),
    twin!("exit_pio_unused", Some(1.3)),
    twin!("exit_mmio_unmapped", None),
    twin!("exit_mmio_lapic", None),
    twin!("exit_hypercall", None),
    twin!("exit_rdmsr_efer", None),
    twin!("selfipi_hlt_eoi", None),
];

/// What is told relative to KVM's figure as well: the figure, and the ratio.
const RATIOS: [(&str, &str); 3] = [
    ("ipi", "ipi_ratio_to_kvm"),
    ("timer", "timer_ratio_to_kvm"),
    ("hlt_wakeup", "hlt_wakeup_ratio_to_kvm"),
];

/// The ratios of `ours` to KVM's figures, as measured before, or now.
pub fn ratios_to_kvm(ours: &Figures, measured: Option<&Figures>) -> Figures {
    let kvm = |name| match measured {
        Some(figures) => figures.get(name).copied(),
        None => key(name)?.kvm,
    };
    RATIOS
        .iter()
        .filter_map(|&(name, ratio)| Some((ratio, ours.get(name)? / kvm(name)?)))
        .collect()
}

/// The key of that name.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// One flat JSON object of these figures, in the order of [`KEYS`] and then of [`TWINS`]; what was not measured is absent.
pub fn json(figures: &Figures) -> String {
    let twins = TWINS
        .iter()
        .flat_map(|twin| [twin.svm, twin.vmx, twin.ratio]);
    let names = KEYS.iter().map(|key| key.name).chain(twins);
    let fields = names.filter_map(|name| {
        let value = figures.get(name)?;
        Some(format!("  \"{name}\": {}", shown(*value)))
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
            ("exit_cpuid_vmx_ratio", 1.25),
        ]);
        assert_eq!(
            json(&figures),
            "{\n  \"boot_ratio_to_bare\": 1.0312,\n  \"exit_cpuid\": 244,\n  \"exit_cpuid_vmx_ratio\": 1.2500\n}"
        );
    }

    #[test]
    fn ratios_are_to_what_was_measured_last() {
        let ours = Figures::from([("ipi", 100.0), ("exit_cpuid", 5.0)]);
        let now = Figures::from([("ipi", 1000.0), ("timer", 7.0)]);
        let ratios = ratios_to_kvm(&ours, Some(&now));
        assert_eq!(ratios, Figures::from([("ipi_ratio_to_kvm", 0.1)]));
        for (name, ratio) in RATIOS {
            assert!(key(name).is_some() && key(ratio).is_some());
        }
    }

    #[test]
    fn twins_are_exits_that_are_measured() {
        for twin in &TWINS {
            assert!(key(twin.exit).is_some(), "{}", twin.exit);
        }
    }
}

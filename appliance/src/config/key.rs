//! Every key there is: those of xl.cfg(5) in Xen 4.17 (and those that its parser takes without the manual page naming
//! them), those of xm, and our own.

/// The form of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Number,
    Flag,
    /// More than one form, or a form that changed over the versions.
    Any,
}

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It has its effect.
    Honoured,
    /// It has none, for this reason; a value of another form is still an error.
    Ignored(Shape, &'static str),
}

/// The key `name`, if it is one.
pub(super) fn find(name: &str) -> Option<(&'static str, Use)> {
    if let Some(key) = HONOURED.iter().find(|key| **key == name) {
        return Some((key, Use::Honoured));
    }
    IGNORED.iter().find_map(|&(shape, reason, keys)| {
        let key = keys.iter().find(|key| **key == name)?;
        Some((*key, Use::Ignored(shape, reason)))
    })
}

/// All names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let ignored = IGNORED.iter().flat_map(|(_, _, keys)| keys.iter());
    HONOURED.iter().chain(ignored).copied()
}

/// Keys that [`super::interpret`] reads.
pub(super) const HONOURED: &[&str] = &[
    "bios",
    "bios_path_override",
    "boot",
    "boot_menu_s",
    "builder",
    "cmdline",
    "cpus",
    "device_model",
    "disk",
    "extra",
    "firmware",
    "firmware_override",
    "firmware_vars",
    "hap",
    "initrd",
    "insecure",
    "kernel",
    "kvm",
    "media",
    "memory",
    "name",
    "ntp",
    "on_crash",
    "on_poweroff",
    "on_reboot",
    "on_watchdog",
    "paging",
    "password",
    "prompt",
    "ramdisk",
    "root",
    "serial",
    "shadow_memory",
    "syslog",
    "tsc_mhz",
    "type",
    "vcpus",
    "video_rom",
    "vif",
    "viridian",
    "vnc",
    "vncdisplay",
    "vnclisten",
    "vncpasswd",
    "vncunused",
    "without",
];

type Group = (Shape, &'static str, &'static [&'static str]);

const NO_DOM0: &str = "there is no dom0";
const OTHER_SCREENS: &str = "the guest's screen is on the host's own display, and served by `vnc`";
const ONE_ADAPTER: &str =
    "the display adapter is QEMU's standard VGA with 16 MiB, for guests that boot through firmware";
const NO_SPICE: &str = "SPICE is not served";
const NO_SHIM: &str = "guests are unmodified: there is no PV shim";
const NO_PV: &str = "Xen's paravirtual devices are not offered";
const NO_QEMU: &str = "there is no device model program: the devices are in the hypervisor";
const ONE_GUEST: &str = "one guest has the machine: there is nothing to share it with";
const NO_PASSTHROUGH: &str = "no host device is passed through yet";
const FIXED_PLATFORM: &str = "the guest's platform has a fixed set of features";
const FIXED_CPU: &str = "the guest sees the CPU's own features";
const NO_USB: &str = "there is no emulated USB: mouse and keyboard are PS/2, and VMware's absolute pointer is offered";
const NO_SOUND: &str = "there is no emulated sound";
const NO_TICKS: &str = "timers follow the guest's own clock";
const NOT_ARM: &str = "it concerns ARM only";
const XM_NET: &str = "addresses are the guest's own business: put them on its command line";

#[rustfmt::skip]
const IGNORED: &[Group] = &[
    (Shape::Number, "the number of vCPUs is fixed: `vcpus` of them start", &["maxvcpus"]),
    (Shape::Any, "the number of vCPUs is fixed: `vcpus` of them start", &["vcpu_avail"]),
    (Shape::Number, "memory does not grow: `memory` is all that the guest gets", &["maxmem"]),
    (Shape::Any, "vCPUs are placed by `cpus`, or else by the hypervisor", &["cpus_soft", "cpu"]),
    (Shape::Any, ONE_GUEST, &["pool", "vnuma", "nodes"]),
    (Shape::Number, ONE_GUEST,
        &["cpu_weight", "cap", "period", "slice", "latency", "extratime", "weight", "budget"]),
    (Shape::Text, "there is no soft reset", &["on_soft_reset"]),
    (Shape::Text, "there is no xend", &["on_xend_start", "on_xend_stop", "restart"]),
    (Shape::Flag, NO_SHIM, &["pvshim"]),
    (Shape::Text, NO_SHIM, &["pvshim_path", "pvshim_cmdline", "pvshim_extra"]),
    (Shape::Text, "nothing keeps track of guests by it", &["uuid"]),
    (Shape::Text, "there is no XSM policy", &["seclabel", "init_seclabel"]),
    (Shape::Any, "there is no XSM policy", &["access_control"]),
    (Shape::Number, "there are no grant tables",
        &["max_grant_frames", "max_maptrack_frames", "max_grant_version"]),
    (Shape::Number, "there are no event channels", &["max_event_channels"]),
    (Shape::Flag, "the guest cannot migrate yet", &["nomigrate"]),
    (Shape::Flag, "there are no driver domains", &["driver_domain"]),
    (Shape::Any, NOT_ARM, &["device_tree", "dtdev", "gic_version", "vuart", "tee", "sve"]),
    (Shape::Text, NO_PASSTHROUGH, &["passthrough", "rdm"]),
    (Shape::Number, NO_PASSTHROUGH, &["rdm_mem_boundary"]),
    (Shape::Any, NO_PASSTHROUGH,
        &["pci", "gfx_passthru", "ioports", "iomem", "irqs", "irq", "vscsi"]),
    (Shape::Flag, NO_PASSTHROUGH,
        &["pci_permissive", "pci_msitranslate", "pci_seize", "pci_power_mgmt"]),
    (Shape::Flag, NO_PV, &["xend_suspend_evtchn_compat", "xen_platform_pci", "vkb_device"]),
    (Shape::Any, NO_PV,
        &["vtpm", "p9", "pvcalls", "vfb", "channel", "vdispl", "vsnd", "vkb", "virtio", "tpmif"]),
    (Shape::Any, "it names a paravirtual device of Windows guests", &["vendor_device"]),
    (Shape::Number, "there is no processor trace for guests", &["vmtrace_buf_kb"]),
    (Shape::Any, "there is no virtual performance counter", &["vpmu"]),
    (Shape::Any, NO_USB, &["usbctrl", "usbdev", "usbdevice"]),
    (Shape::Flag, NO_USB, &["usb"]),
    (Shape::Number, NO_USB, &["usbversion"]),
    (Shape::Text, "put the kernel into the bundle: boot loaders that run in dom0 cannot",
        &["bootloader"]),
    (Shape::Any, "put the kernel into the bundle: boot loaders that run in dom0 cannot",
        &["bootloader_args", "bootargs"]),
    (Shape::Flag, "the guest's memory map is a PC's", &["e820_host"]),
    (Shape::Number, "the hole for devices is at 3 GiB", &["mmio_hole"]),
    (Shape::Text, "the controller is the PIIX3's IDE, or virtio, by a disk's name", &["hdtype"]),
    (Shape::Flag, "shadow page tables are kept in step by other means", &["oos"]),
    (Shape::Flag, FIXED_PLATFORM,
        &["pae", "acpi", "acpi_s3", "acpi_s4", "acpi_laptop_slate", "apic", "nx", "hpet", "isa"]),
    (Shape::Text, FIXED_PLATFORM, &["acpi_firmware", "smbios_firmware", "ms_vm_genid"]),
    (Shape::Any, "guests do not nest, and their page tables have one view",
        &["altp2m", "altp2mhvm", "nestedhvm"]),
    (Shape::Any, FIXED_CPU, &["cpuid", "cpuid_check", "features", "mca_caps", "msr_relaxed"]),
    (Shape::Number, FIXED_CPU, &["machine_address_size", "suppress_spurious_page_faults"]),
    (Shape::Any, NO_TICKS, &["tsc_mode", "timer_mode", "vpt_align"]),
    (Shape::Any, "the guest's clock is the host's", &["localtime", "rtc_timeoffset"]),
    (Shape::Number, ONE_ADAPTER, &["videoram"]),
    (Shape::Flag, ONE_ADAPTER, &["stdvga"]),
    (Shape::Text, ONE_ADAPTER, &["vga"]),
    (Shape::Flag, OTHER_SCREENS, &["sdl", "opengl", "nographic", "vncconsole", "vncviewer"]),
    (Shape::Text, OTHER_SCREENS, &["display", "xauthority"]),
    (Shape::Text, "viewers tell keys by their place, or are taken to have a US keyboard", &["keymap"]),
    (Shape::Flag, NO_SPICE,
        &["spice", "spicedisable_ticketing", "spiceagent_mouse", "spicevdagent",
          "spice_clipboard_sharing"]),
    (Shape::Text, NO_SPICE,
        &["spicehost", "spicepasswd", "spice_image_compression", "spice_streaming_video"]),
    (Shape::Number, NO_SPICE, &["spiceport", "spicetls_port", "spiceusbredirection"]),
    (Shape::Text, NO_SOUND, &["soundhw"]),
    (Shape::Flag, NO_SOUND, &["audio"]),
    (Shape::Text, NO_QEMU,
        &["device_model_version", "device_model_override", "device_model_user", "stubdomain_kernel",
          "stubdomain_cmdline", "stubdomain_ramdisk", "device_model_stubdomain_seclabel"]),
    (Shape::Number, NO_QEMU, &["stubdomain_memory"]),
    (Shape::Flag, NO_QEMU, &["dm_restrict", "device_model_stubdomain_override", "monitor", "ne2000"]),
    (Shape::Any, NO_QEMU,
        &["device_model_args", "device_model_args_pv", "device_model_args_hvm", "loadvm"]),
    (Shape::Any, "list it in `disk`", &["cdrom", "fda", "fdb"]),
    (Shape::Any, "what the guest is shows from `kernel` and `firmware`",
        &["guest_os_type", "pvh", "xen_extended_power_mgmt", "s3_integrity"]),
    (Shape::Any, XM_NET,
        &["dhcp", "netmask", "gateway", "hostname", "ip", "nfs_server", "nfs_root", "interface"]),
    (Shape::Any, NO_DOM0,
        &["claim_mode", "run_hotplug_scripts", "vif2", "vifscript", "console", "blkif", "netif",
          "backend", "xenstore_feature_mask", "trusted_guest"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// The keys of xl.cfg(5) as its definition list names them, Xen 4.17.
    const MANUAL: &str = "acpi acpi_firmware acpi_laptop_slate acpi_s3 acpi_s4 altp2m altp2mhvm apic bios \
        bios_path_override boot bootloader bootloader_args builder cap channel cmdline cpu_weight cpuid cpus cpus_soft \
        device_model_args device_model_args_hvm device_model_args_pv device_model_override \
        device_model_stubdomain_override device_model_stubdomain_seclabel device_model_user device_model_version \
        device_tree disk dm_restrict driver_domain dtdev e820_host extra firmware gfx_passthru gic_version hap hdtype \
        hpet init_seclabel iomem ioports irqs kernel keymap localtime max_event_channels max_grant_frames \
        max_grant_version max_maptrack_frames maxmem maxvcpus mca_caps memory mmio_hole ms_vm_genid msr_relaxed name \
        nestedhvm nographic nomigrate nx on_crash on_poweroff on_reboot on_soft_reset on_watchdog oos opengl p9 pae \
        passthrough pci pci_msitranslate pci_permissive pci_power_mgmt pci_seize pool pvcalls pvshim pvshim_cmdline \
        pvshim_extra pvshim_path ramdisk rdm rdm_mem_boundary root rtc_timeoffset sdl seclabel serial shadow_memory \
        smbios_firmware soundhw spice spice_clipboard_sharing spice_image_compression spice_streaming_video \
        spiceagent_mouse spicedisable_ticketing spicehost spicepasswd spiceport spicetls_port spiceusbredirection \
        spicevdagent stdvga stubdomain_cmdline stubdomain_kernel stubdomain_memory stubdomain_ramdisk tee timer_mode \
        tsc_mode type usb usbctrl usbdev usbdevice usbversion uuid vcpus vdispl vendor_device vfb vga videoram vif \
        viridian vkb vkb_device vmtrace_buf_kb vnc vncdisplay vnclisten vncpasswd vncunused vnuma vpmu vpt_align vsnd \
        vtpm vuart xen_platform_pci xend_suspend_evtchn_compat";

    #[test]
    fn every_key_of_the_manual_page_is_known() {
        for key in MANUAL.split_whitespace() {
            assert!(find(key).is_some(), "{key}");
        }
    }

    #[test]
    fn no_key_is_listed_twice() {
        let mut all: Vec<_> = names().collect();
        all.sort_unstable();
        let listed = all.len();
        all.dedup();
        assert_eq!(all.len(), listed);
    }
}

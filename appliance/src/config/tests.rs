//! Whole configurations.

use super::*;
use alloc::format;
use proptest::prelude::*;
use std::string::ToString;

/// The founding text's example with its Python lines taken out, otherwise as it stands there.
const FLORIZEL: &str = r#"
device_model = '/usr/lib64/xen/bin/qemu-dm'

kernel = "/usr/lib/xen/boot/hvmloader" builder='hvm'
memory = 384
shadow_memory = 16
name = "florizel"
vcpus = 1
vif = [ 'type=ioemu, bridge=xenbr0' ]
disk = [ 'file:/opt/florizel.img,hda,w', 'file:/root/slackware-12.0-install-dvd.iso,hdc:cdrom,r' ]
boot = "dc"
vnc = 1
serial='pty'
"#;

fn load(toml: &str) -> Result<Loaded, ConfigError> {
    Config::load(toml, "")
}

fn config(toml: &str) -> Config {
    load(toml).unwrap().config
}

fn error(toml: &str) -> String {
    load(toml).unwrap_err().to_string()
}

#[test]
fn florizel_loads() {
    let Loaded { config, notes } = load(FLORIZEL).unwrap();
    assert_eq!(config.name, "florizel");
    assert_eq!(
        config.memory,
        Some(Memory {
            mib: 384,
            place: Place::Line(5)
        })
    );
    assert_eq!(config.shadow_memory_mib, Some(16));
    assert_eq!(config.vcpus, 1);
    assert_eq!(config.serial, Serial::Console);
    assert_eq!(
        config.boot,
        Boot::Firmware {
            firmware: Firmware::Builtin,
            order: [BootDevice::Cdrom, BootDevice::Disk].to_vec(),
            menu_s: 0,
            named_by: Some(("kernel", Place::Line(4))),
        }
    );
    let targets: Vec<_> = config
        .disks
        .iter()
        .map(|disk| (disk.target.as_ref().unwrap().name.as_str(), disk.medium))
        .collect();
    assert_eq!(
        targets,
        [
            ("/opt/florizel.img", Medium::Disk),
            ("/root/slackware-12.0-install-dvd.iso", Medium::Cdrom)
        ]
    );
    assert_eq!(config.vifs.len(), 1);
    let notes: Vec<_> = notes.iter().map(|note| note.key.as_str()).collect();
    assert_eq!(notes, ["vnc"]);
}

#[test]
fn the_founding_texts_three_lines_mean_firmware() {
    for line in [
        "builder = 'HVM'",
        "device_model = '/usr/lib/xen/bin/qemu-dm'",
        "kernel = '/usr/lib/xen/boot/hvmloader'",
        "type = 'hvm'",
        "name = 'no kernel at all'",
    ] {
        assert!(matches!(config(line).boot, Boot::Firmware { .. }), "{line}");
    }
}

#[test]
fn a_kernel_is_started_directly_even_under_builder_hvm() {
    let loaded = load(
        "builder='hvm'\nkernel='vmlinuz'\nramdisk='i'\nroot='/dev/vda'\nextra='quiet'\nboot='c'",
    )
    .unwrap();
    let Boot::Linux {
        kernel,
        initrd,
        command_line,
    } = loaded.config.boot
    else {
        panic!("a kernel is named");
    };
    assert_eq!(
        (kernel.name.as_str(), kernel.place),
        ("vmlinuz", Place::Line(2))
    );
    assert_eq!(initrd.unwrap().name, "i");
    assert_eq!(command_line, "root=/dev/vda quiet");
    assert_eq!(loaded.notes[0].key, "boot");
}

#[test]
fn cmdline_is_the_whole_line() {
    let loaded = load("kernel='k'\ncmdline='a=b'\nextra='x'").unwrap();
    let Boot::Linux { command_line, .. } = loaded.config.boot else {
        panic!("a kernel is named");
    };
    assert_eq!(command_line, "a=b");
    assert_eq!(
        loaded.notes[0].to_string(),
        "line 3: extra: ignored: `cmdline` is the whole command line"
    );
}

#[test]
fn defaults_are_as_documented() {
    let config = config("");
    assert_eq!(
        (config.name.as_str(), config.memory, config.vcpus),
        ("guest", None, 1)
    );
    assert_eq!(config.actions, Actions::default());
    assert_eq!(config.actions.poweroff, Action::Destroy);
    assert_eq!(config.paging, Paging::Auto);
    assert!(
        config.viridian == Viridian::NONE
            && config.kvm
            && config.disks.is_empty()
            && config.vifs.is_empty()
    );
}

#[test]
fn bad_values_name_line_key_and_value() {
    let cases = [
        (
            "\nvcpus = 0",
            "line 2: `vcpus = 0`: expected a whole number from 1 to 64",
        ),
        (
            "vcpus = 65",
            "line 1: `vcpus = 65`: expected a whole number from 1 to 64",
        ),
        (
            "vcpus = -1",
            "line 1: `vcpus = -1`: expected a whole number from 1 to 64",
        ),
        (
            "vcpus = 4\nmaxvcpus = 2",
            "line 2: `maxvcpus = 2`: expected a whole number from 4 to",
        ),
        (
            "vcpus = 1.5",
            "line 1: `vcpus = 1.5`: expected a whole number",
        ),
        (
            "memory = 0",
            "line 1: `memory = 0`: expected a whole number from 1 to",
        ),
        (
            "memory = -5",
            "line 1: `memory = -5`: expected a whole number",
        ),
        (
            "memory = 'lots'",
            "line 1: `memory = 'lots'`: expected a whole number",
        ),
        (
            "memory = [ 1 ]",
            "line 1: `memory = [ 1 ]`: expected a whole number",
        ),
        (
            "memory = 99999999999999999999999999999999999999999",
            "expected a whole number",
        ),
        (
            "kernel = 5",
            "line 1: `kernel = 5`: expected a text in quotes",
        ),
        (
            "kernel = ''",
            "line 1: `kernel = ''`: expected a text that is not empty",
        ),
        ("name = true", "line 1: `name = true`: expected a text"),
        (
            "disk = [ 'a.img,raw,xvda',\n 7 ]",
            "line 2: `disk = 7`: expected a disk",
        ),
        (
            "disk = [ 'a,raw,hda', 'b,raw,hda' ]",
            "another disk has this vdev",
        ),
        (
            "vif = [ 'mac=zz' ]",
            "line 1: `vif = 'mac=zz'`: `mac=zz`: expected six pairs",
        ),
        (
            "on_reboot = 'retsart'",
            "line 1: `on_reboot = 'retsart'`: expected destroy",
        ),
        ("paging = 'soft'", "expected auto, nested"),
        ("boot = 'x'", "expected letters"),
        ("boot_menu_s = 61", "expected a whole number from 0 to 60"),
        ("vnc = 2", "line 1: `vnc = 2`: expected 0 or 1"),
        (
            "videoram = 'big'",
            "line 1: `videoram = 'big'`: expected a whole number",
        ),
        ("type = 'pv'", "guests are unmodified"),
        (
            "kernel = 'k'\nramdisk = 'r'\ninitrd = 'i'",
            "line 3: `initrd = 'i'`",
        ),
        ("firmware = 'uefi'", "put OVMF.fd into the bundle"),
        (
            "[guest]\nmemory = 5",
            "neither xl.cfg(5) nor Monovisor has a key",
        ),
        (
            "memroy = 64",
            "line 1: `memroy = 64`: neither xl.cfg(5) nor Monovisor has a key of this name; did you mean `memory`?",
        ),
        ("memory = 64 MiB", "line 1: `memory = 64 MiB`: not TOML"),
        (
            "name = 'a'\nmemory = lots",
            "line 2: `memory = lots`: not TOML",
        ),
        ("import os, re", "line 1: `import os, re`: not TOML"),
    ];
    for (toml, text) in cases {
        let error = error(toml);
        assert!(error.contains(text), "{toml}\n{error}");
    }
}

#[test]
fn numbers_may_be_quoted_and_flags_are_zero_and_one() {
    assert_eq!(config("memory = '512'").memory.unwrap().mib, 512);
    assert_eq!(config("vcpus = '0x2'").vcpus, 2);
    assert_eq!(config("viridian = 1").viridian, Viridian::ALL);
    assert_eq!(config("viridian = true").viridian, Viridian::ALL);
    assert_eq!(config("viridian = '0'").viridian, Viridian::NONE);
    assert!(!config("kvm = 0").kvm);
    assert_eq!(config("hap = 0").paging, Paging::Shadow);
}

#[test]
fn viridians_groups_are_chosen_one_by_one() {
    let groups = |words: &str| config(&format!("viridian = [ {words} ]")).viridian;
    assert_eq!(groups("'all'"), Viridian::ALL);
    assert_eq!(groups("'defaults'"), Viridian::ALL);
    assert_eq!(groups(""), Viridian::NONE);
    assert_eq!(groups("'all', '!all'"), Viridian::NONE);
    let chosen = groups("'all', '!freq', '!base'");
    assert!(
        chosen.has(Group::ReferenceTsc)
            && chosen.has(Group::Base)
            && !chosen.has(Group::Frequencies)
    );
    assert!(groups("'time_ref_count'").has(Group::Base));
    let loaded = load("viridian = [ 'base', 'stimer', '!synic' ]").unwrap();
    assert_eq!(loaded.notes.len(), 1);
    assert!(loaded.notes[0].reason.contains("`stimer` is not offered"));
    assert!(error("viridian = [ 'base', 'hot' ]").contains("xl.cfg(5) has no group of this name"));
}

#[test]
fn options_of_the_cpu_are_left_out_by_list_or_by_words() {
    for toml in ["without = ['vpid', 'apicv']", "without = 'vpid, apicv'"] {
        let names: Vec<_> = config(toml).without.into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["vpid", "apicv"]);
    }
    assert!(config("").without.is_empty());
    assert_eq!(config("tsc_mhz = 2000").tsc.unwrap().mhz, 2000);
}

#[test]
fn actions_of_xl_are_mapped() {
    let loaded =
        load("on_poweroff='preserve'\non_crash='coredump-restart'\non_reboot='rename-restart'")
            .unwrap();
    let actions = loaded.config.actions;
    assert_eq!(
        (actions.poweroff, actions.crash, actions.reboot),
        (Action::Preserve, Action::Restart, Action::Restart)
    );
    assert_eq!(loaded.notes.len(), 2);
}

#[test]
fn the_command_line_overrides_the_file() {
    let Loaded { config, notes } = Config::load(
        "memory = 128\nkernel = 'a'\nname = 'x'",
        "BOOT_IMAGE=/boot/monovisor quiet memory=256 extra=\"console=ttyS0 rw\" disk=d.img,raw,vda",
    )
    .unwrap();
    assert_eq!(
        config.memory,
        Some(Memory {
            mib: 256,
            place: Place::CommandLine
        })
    );
    assert_eq!(config.disks.len(), 1);
    assert!(
        matches!(config.boot, Boot::Linux { command_line, .. } if command_line == "console=ttyS0 rw")
    );
    assert_eq!(notes.len(), 2);
    assert_eq!(
        Config::load("", "vcpus=0").unwrap_err().to_string(),
        "command line: `vcpus = 0`: expected a whole number from 1 to 64"
    );
}

#[test]
fn disks_may_be_tables() {
    let toml = "[[disk]]\ntarget = 'a.img'\nvdev = 'vda'\naccess = 'ro'\n\n[[disk]]\ntarget = 'b'\nvdev = 'vdb'\n";
    let disks = config(toml).disks;
    assert_eq!(disks.len(), 2);
    assert_eq!(disks[0].access, Access::ReadOnly);
    assert_eq!(
        error("disk = [ { target = 'a', vdev = 'qda' } ]"),
        "line 1: `vdev = 'qda'`: `qda`: expected a vdev such as xvda, vda, sda, hda (hda to hdd), fda or fdb"
    );
}

#[test]
fn media_for_later_are_files_of_the_bundle() {
    let loaded = config("disk = [',,fda', ',,hdc,,cdrom']\nmedia = ['a.iso', 'b.img']\n");
    let names: Vec<_> = loaded.media.iter().map(|blob| blob.name.as_str()).collect();
    assert_eq!(names, ["a.iso", "b.img"]);
    assert!(loaded.disks.iter().all(|disk| disk.target.is_none()));
    assert_eq!(config("media = 'one.iso'").media.len(), 1);
    assert!(
        error("media = [1]").contains("line 1"),
        "{}",
        error("media = [1]")
    );
}

#[test]
fn a_desktop_file_of_xl_loads_with_notes() {
    let toml = "builder = 'hvm'\nboot = 'dca'\nserial = 'pty'\nvga = 'cirrus'\nstdvga = 1\nvideoram = 16\n\
        usb = 1\nusbdevice = ['tablet']\nsdl = 0\nvnc = 1\nkeymap = 'de'\nlocaltime = 1\n\
        disk = ['file:/a.img,ioemu:hda,w', 'file:/b.iso,ioemu:hdc:cdrom,r', \
        { target = '/f.img', vdev = 'fda' }, { vdev = 'hdd', devtype = 'cdrom' }]\n";
    let Loaded { config, notes } = load(toml).unwrap();
    assert_eq!(config.serial, Serial::Console);
    let drives: Vec<_> = config
        .disks
        .iter()
        .map(|disk| (disk.vdev.bus, disk.vdev.index, disk.medium, disk.access))
        .collect();
    assert_eq!(
        drives,
        [
            (Bus::Ide, 0, Medium::Disk, Access::ReadWrite),
            (Bus::Ide, 2, Medium::Cdrom, Access::ReadOnly),
            (Bus::Floppy, 0, Medium::Disk, Access::ReadWrite),
            (Bus::Ide, 3, Medium::Cdrom, Access::ReadOnly),
        ]
    );
    let noted: Vec<_> = notes.iter().map(|note| note.key.as_str()).collect();
    let keys = "keymap localtime sdl stdvga usb usbdevice vga videoram vnc";
    assert_eq!(noted.join(" "), keys);
    assert!(
        notes
            .iter()
            .all(|note| note.reason.starts_with("ignored: "))
    );
}

#[test]
fn firmware_of_the_users_own_may_have_variables_and_a_video_rom() {
    let all = "firmware = 'code.fd'\nfirmware_vars = 'vars.fd'\nvideo_rom = 'vga.bin'";
    let Boot::Firmware {
        firmware: Firmware::Image(image),
        ..
    } = config(all).boot
    else {
        panic!("no image");
    };
    assert_eq!(image.code.name, "code.fd");
    assert_eq!(image.variables.unwrap().key, "firmware_vars");
    assert_eq!(image.video_rom.unwrap().name, "vga.bin");
    let notes = load("firmware_vars = 'vars.fd'").unwrap().notes;
    assert!(notes[0].reason.contains("`firmware` of your own"));
}

#[test]
fn every_honoured_key_is_read() {
    // A value that no key takes must be refused for each, or the key is honoured in name only.
    for key in key::HONOURED {
        let context = match *key {
            "ramdisk" | "initrd" | "cmdline" | "root" | "extra" => "kernel = 'k'\n",
            _ => "",
        };
        let refused = load(&format!("{context}{key} = 1979-05-27"));
        assert!(refused.is_err(), "{key}");
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(toml: String, line: String) {
        let _ = Config::load(&toml, &line);
    }

    #[test]
    fn any_value_of_any_key_is_answered(
        key in proptest::sample::select(key::names().collect::<Vec<_>>()),
        value in "(0|-?[1-9][0-9]{0,3}|'[a-z:,=/]{0,12}'|\\[ ?('[a-z:,=/]{0,12}', ?){0,3}\\]|true|1\\.5|\\{ a = 1 \\})",
    ) {
        if let Err(error) = load(&format!("\n\n{key} = {value}")) {
            prop_assert_eq!(error.place, Place::Line(3));
            prop_assert_eq!(error.key.as_str(), key);
        }
    }

    #[test]
    fn numbers_round_trip(mib in 1..=MAX_MEMORY_MIB, vcpus in 1..=MAX_VCPUS) {
        let config = config(&format!("memory = {mib}\nvcpus = {vcpus}"));
        prop_assert_eq!((config.memory.unwrap().mib, config.vcpus), (mib, vcpus));
    }
}

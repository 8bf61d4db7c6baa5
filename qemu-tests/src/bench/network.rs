//! Network traffic: what a hypervisor adds to each packet of a TCP stream, and to a ping.
//!
//! At the other end are stations inside QEMU, on the emulated card's hub, so no socket of this computer takes part: a sink and a
//! source of streams, and one that echoes. The machine is idle at times, so a plugin of QEMU counts, and not the TSC.

use super::counted::{Clock, single, start_with};
use super::figures::Figures;
use super::peer::{self, Inner};
use super::{Bench, COMMAND_LINE, GUEST_MIB, monovisor};
use crate::bundle::Guest;
use crate::cpio::Archive;
use crate::debian::Kernel;
use crate::initramfs;
use crate::loader::{Firmware, Loader, Payload};
use crate::package::Architecture;
use crate::program::{Form, build, build_plugin};
use anyhow::{Context, Result, ensure};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A machine that holds hypervisor and guest.
const HOST_MIB: u32 = 384;
/// A stream's length, and the part of a packet that is data: 1,500 bytes less two headers.
const STREAM_MIB: u64 = 16;
const SEGMENT_BYTES: u64 = 1460;
const PINGS: u64 = 1000;
/// How often all that is done. How a stream falls into frames is not the same each time, so medians are told.
const ROUNDS: usize = 3;
/// Marks of a round: two a turn.
const MARKS: usize = 10;

/// One card in the machine alone, then the guest's in a hypervisor's; what `stream` is asked for in turn.
const INIT: &str = r#"#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $(cat /lib/modules/order); do insmod /lib/modules/$module; done
until [ -e /sys/class/net/eth0 ]; do usleep 10000; done
ip addr add 10.0.2.30/24 dev eth0
ip link set eth0 up
until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do usleep 10000; done
for round in $(seq ROUNDS); do
    for turn in "tx STREAM plain" "rx STREAM plain" "ping PINGS plain" "tx STREAM long" "rx STREAM long"; do
        echo "TURN $turn"
        stream $turn
    done
done
echo TRAFFIC done
poweroff -f
"#;

/// The peer's network: the card and the guest's tap on a bridge.
const BRIDGE: &str = "\
brctl addbr br0
brctl addif br0 eth0
tunctl -t tap0
brctl addif br0 tap0
for name in eth0 tap0 br0; do ip link set $name up; done
";

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Count {
    instructions: u64,
    entries: u64,
}

/// The counts of one machine's run, in the order of the turns.
struct Traffic {
    sent: Count,
    received: Count,
    pings: Count,
    sent_long: Count,
    received_long: Count,
}

/// What each card of the guest adds to the same traffic of the bare machine.
pub fn measure(bench: &Bench) -> Result<Figures> {
    let kernel = Kernel::behind("linux-image-amd64", Architecture::Amd64)?;
    let ramdisk = ramdisk(bench, &kernel)?;
    let bare = bare(bench, &kernel, &ramdisk, Clock::Instructions)?;
    let under = |model: &str| {
        let directory = bench.place(&format!("monovisor-{model}"))?;
        let mut guest = Guest::new(kernel.image());
        guest.ramdisk = Some(ramdisk.clone());
        guest.memory_mib = GUEST_MIB;
        guest.cmdline = COMMAND_LINE.to_owned();
        guest.settings = format!("vif = [\"model={model},mac=00:16:3e:00:00:21\"]\n");
        run(
            &monovisor(&guest, &directory)?,
            HOST_MIB,
            Clock::Instructions,
            &directory,
        )
    };
    Ok(figures(&bare, &under("virtio")?, &under("rtl8139")?))
}

/// The same of KVM and QEMU, with a tap and a bridge; virtio-net by the kernel's back end.
pub fn measure_peer(bench: &Bench) -> Result<Figures> {
    let kernel = Kernel::behind("linux-image-amd64", Architecture::Amd64)?;
    let ramdisk = ramdisk(bench, &kernel)?;
    let bare = bare(bench, &kernel, &ramdisk, Clock::Real)?;
    let under = |model: &str, back_end: &str| {
        let directory = bench.place(&format!("peer-{model}"))?;
        let image = kernel.image();
        let devices = format!(
            "-netdev tap,id=tap,ifname=tap0,script=no,downscript=no{back_end} -device {model},netdev=tap,romfile=,mac=00:16:3e:00:00:21"
        );
        let inner = Inner {
            initrd: Some(&ramdisk),
            outer: Some(&kernel),
            modules: &["e1000", "bridge", "tun", "vhost_net"],
            before: BRIDGE,
            devices: &devices,
            ..Inner::new(&image)
        };
        let payload = peer::payload(bench, &inner, &directory)?;
        run(&payload, peer::PEER_MIB, Clock::Real, &directory)
    };
    let virtio = under("virtio-net-pci", ",vhost=on")?;
    Ok(figures(&bare, &virtio, &under("rtl8139", "")?))
}

fn bare(bench: &Bench, kernel: &Kernel, ramdisk: &Path, clock: Clock) -> Result<Traffic> {
    let payload = bench.payload(&kernel.image(), Some(ramdisk));
    run(&payload, GUEST_MIB, clock, &bench.place("bare-network")?)
}

fn figures(bare: &Traffic, virtio: &Traffic, rtl8139: &Traffic) -> Figures {
    let packets = (STREAM_MIB << 20) / SEGMENT_BYTES;
    let added = |with: Count, without: Count, units: u64| {
        (with.instructions as f64 - without.instructions as f64) / units as f64
    };
    let exits = |count: Count| count.entries as f64 / packets as f64;
    Figures::from([
        (
            "virtio_net_tx_insns_per_packet",
            added(virtio.sent, bare.sent, packets),
        ),
        (
            "virtio_net_rx_insns_per_packet",
            added(virtio.received, bare.received, packets),
        ),
        (
            "virtio_net_exits_per_packet",
            exits(virtio.sent).max(exits(virtio.received)),
        ),
        (
            "virtio_net_tx_gso_insns_per_packet",
            added(virtio.sent_long, bare.sent_long, packets),
        ),
        (
            "virtio_net_rx_gso_insns_per_packet",
            added(virtio.received_long, bare.received_long, packets),
        ),
        (
            "virtio_net_gso_exits_per_packet",
            exits(virtio.sent_long).max(exits(virtio.received_long)),
        ),
        (
            "rtl8139_tx_insns_per_packet",
            added(rtl8139.sent, bare.sent, packets),
        ),
        (
            "rtl8139_rx_insns_per_packet",
            added(rtl8139.received, bare.received, packets),
        ),
        ("ping_bridge_insns", added(virtio.pings, bare.pings, PINGS)),
    ])
}

/// What the guest starts, with a driver for every card.
fn ramdisk(bench: &Bench, kernel: &Kernel) -> Result<PathBuf> {
    let directory = bench.place("network-guest")?;
    let mut archive = Archive::default();
    for name in ["bin", "dev", "lib", "lib/modules", "proc", "sys"] {
        archive.directory(name);
    }
    archive
        .device("dev/console", (5, 1))
        .device("dev/null", (1, 3));
    let init = INIT
        .replace("STREAM", &STREAM_MIB.to_string())
        .replace("PINGS", &PINGS.to_string())
        .replace("ROUNDS", &ROUNDS.to_string());
    archive.file("init", 0o755, init.as_bytes());
    initramfs::busybox(&mut archive)?;
    let modules = ["e1000", "virtio_pci", "virtio_net", "8139cp"];
    initramfs::load_at_start(&mut archive, kernel, &modules)?;
    let program = fs::read(build("stream", Form::Executable)?)?;
    archive.file("bin/stream", 0o755, &program);
    let ramdisk = directory.join("initrd.cpio");
    fs::write(&ramdisk, archive.finish())?;
    Ok(ramdisk)
}

/// Boots `payload` beside the stations, and reads the counts.
fn run(payload: &Payload, memory_mib: u32, clock: Clock, directory: &Path) -> Result<Traffic> {
    let counts = directory.join("counts");
    let mut arguments = Loader::Direct(Firmware::Bios).arguments(payload, directory)?;
    arguments.extend(stations(directory)?);
    let plugin = build_plugin("count")?;
    let plugin = format!("{},to={}", plugin.display(), counts.display());
    arguments.extend(["-plugin".into(), plugin.into()]);
    let mut console = start_with(&arguments, single(memory_mib), clock, directory)?;
    console.expect("TRAFFIC done", super::counted::LIMIT)?;
    let text =
        fs::read_to_string(&counts).with_context(|| format!("cannot read {}", counts.display()))?;
    Traffic::read(&text)
}

/// QEMU's card, and the stations at its cable. A pipe's ends are whatever lies at their paths: nothing, and zeros without end.
fn stations(directory: &Path) -> Result<Vec<OsString>> {
    let mut network = "user,id=stations,restrict=on,ipv6=off".to_owned();
    let mut arguments: Vec<OsString> = Vec::new();
    for port in [7, 8] {
        let pipe = directory.join(format!("source{port}"));
        for (end, device) in [("in", "/dev/zero"), ("out", "/dev/null")] {
            let path = pipe.with_extension(end);
            let _ = fs::remove_file(&path);
            symlink(device, &path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        network.push_str(&format!(
            ",guestfwd=tcp:10.0.2.100:{port}-chardev:sink{port},guestfwd=tcp:10.0.2.101:{port}-chardev:source{port}"
        ));
        let source = format!("pipe,id=source{port},path={}", pipe.display());
        let sink = format!("null,id=sink{port}");
        arguments.extend(["-chardev", &sink, "-chardev", &source].map(OsString::from));
    }
    arguments.extend(
        [
            "-netdev",
            &network,
            "-netdev",
            "hubport,id=port0,hubid=0",
            "-netdev",
            "hubport,id=port1,hubid=0,netdev=stations",
            "-device",
            "e1000,netdev=port0",
        ]
        .map(OsString::from),
    );
    Ok(arguments)
}

impl Traffic {
    /// Of the plugin's lines: a mark's number, instructions, VM entries.
    fn read(text: &str) -> Result<Self> {
        let mut marks = Vec::new();
        for line in text.lines() {
            let numbers: Vec<u64> = line
                .split(' ')
                .map(str::parse)
                .collect::<Result<_, _>>()
                .with_context(|| format!("{line:?} is no count"))?;
            let [mark, instructions, entries] = numbers[..] else {
                anyhow::bail!("{line:?} is no count");
            };
            marks.push((
                mark,
                Count {
                    instructions,
                    entries,
                },
            ));
        }
        ensure!(
            marks.len() == ROUNDS * MARKS,
            "{} marks came of {}",
            marks.len(),
            ROUNDS * MARKS
        );
        let count = |round: &[(u64, Count)], turn: usize| match round[2 * turn..][..2] {
            [(1, from), (2, to)] => Ok(Count {
                instructions: to.instructions - from.instructions,
                entries: to.entries - from.entries,
            }),
            _ => anyhow::bail!("marks come out of order"),
        };
        let median = |turn: usize| -> Result<Count> {
            let rounds = marks.chunks_exact(MARKS).map(|round| count(round, turn));
            let mut counts = rounds.collect::<Result<Vec<_>>>()?;
            counts.sort_unstable();
            Ok(counts[ROUNDS / 2])
        };
        Ok(Self {
            sent: median(0)?,
            received: median(1)?,
            pings: median(2)?,
            sent_long: median(3)?,
            received_long: median(4)?,
        })
    }
}

//! The guest's network cards, with Linux' own drivers.

use super::linux::AMD64;
use super::session::{Lab, Session};
use super::{Case, Machines, Scope, Tier};
use crate::bundle::Guest;
use crate::debian::Kernel;
use crate::{initramfs, tree};
use anyhow::{Context, Result, ensure};
use std::path::Path;

pub(super) const CASES: &[Case] = &[Case {
    name: "network-cards",
    tier: Tier::Always,
    scope: Scope::Hypervisor,
    machines: Machines::WithVirtio,
    body: cards,
}];

/// What the guest loads beside the usual; the kernel for clouds has no Realtek cards.
const MODULES: [&str; 6] = [
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "8139cp",
    "8139too",
    "virtio_net",
];

/// A card: its name in `vif`, and what is to be seen of it in the guest.
struct Card {
    model: &'static str,
    mac: &'static str,
    driver: &'static str,
}

const CARDS: [Card; 3] = [
    Card {
        model: "rtl8139",
        mac: "00:16:3e:00:00:11",
        driver: "8139cp",
    },
    Card {
        model: "rtl8139-c",
        mac: "00:16:3e:00:00:12",
        driver: "8139too",
    },
    Card {
        model: "virtio",
        mac: "00:16:3e:00:00:13",
        driver: "virtio_net",
    },
];

/// The default guest on a kernel with drivers for all cards, with all of them.
fn guest(lab: &Lab) -> Result<Guest> {
    let kernel = Kernel::behind(AMD64.metapackage, AMD64.architecture)?;
    let ramdisk = tree::guests().join("network.cpio");
    let archive = initramfs::build_for(&kernel, Path::new(initramfs::BUSYBOX), &MODULES)?;
    tree::replace(&ramdisk, &archive)?;
    let vifs = CARDS.map(|card| format!("'model={},mac={}'", card.model, card.mac));
    let mut guest = Guest {
        kernel: kernel.image(),
        ramdisk: Some(ramdisk),
        ..lab.guest()
    };
    guest
        .settings
        .push_str(&format!("vif = [{}]\n", vifs.join(", ")));
    Ok(guest)
}

fn cards(lab: &mut Lab) -> Result<()> {
    let guest = guest(lab)?;
    let mut session = lab.start(&lab.machine(), &guest)?;
    lab.step("shell", |_| session.shell())?;
    for card in CARDS {
        lab.step(card.driver, |_| found(&mut session, &card))?;
    }
    Ok(())
}

/// The interface with a card's address.
fn interface(session: &mut Session, card: &Card) -> Result<String> {
    let found = session.run(&format!("grep -l {} /sys/class/net/*/address", card.mac))?;
    let name = found.split('/').nth(4).context(found.clone())?;
    Ok(name.to_owned())
}

/// The card has its driver and its address, and its driver can turn it on.
fn found(session: &mut Session, card: &Card) -> Result<()> {
    let name = interface(session, card)?;
    let driver = session.run(&format!(
        "basename $(readlink /sys/class/net/{name}/device/driver)"
    ))?;
    ensure!(
        driver == card.driver,
        "the {} card has the driver {driver:?}",
        card.model
    );
    session.run(&format!("ip link set {name} up"))?;
    let state = session.run(&format!("cat /sys/class/net/{name}/carrier"))?;
    ensure!(state == "0", "{name}: carrier {state:?}");
    Ok(())
}

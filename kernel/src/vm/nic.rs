//! The guest's network cards, as `vif` describes them.

use crate::net::{self, Frames, GuestPort};
use crate::{info, warn};
use ::net::Mac;
use ::net::switch::{Sources, Vlans};
use ::net::vif::{Attachment, Model, Senders, Vif};
use alloc::boxed::Box;
use appliance::config::Config;
use hvm::backend::Ethernet;
use hvm::pci::Function;
use pc::rtl8139::{Revision, Rtl8139};
use virtio_pv::net::{Nic, Settings};
use virtio_pv::pci::{Transport, TransportMode};

/// The cards of a configuration, in its order.
pub fn cards(config: &Config) -> impl Iterator<Item = Box<dyn Function>> {
    let name = &config.name;
    let pairs = config.vcpus.min(u32::from(virtio_pv::net::MAX_PAIRS)) as u16;
    (0..)
        .zip(&config.vifs)
        .map(move |(index, vif)| card(vif, index, name, pairs))
}

fn card(vif: &Vif, index: u32, name: &str, pairs: u16) -> Box<dyn Function> {
    let mac = vif.mac.unwrap_or_else(|| Mac::of_guest(name, index));
    note(vif, index);
    let frames = match vif.model {
        Model::Virtio => Frames::Long,
        Model::Rtl8139 | Model::Rtl8139C | Model::E1000 => Frames::Plain,
    };
    let port = GuestPort {
        mac,
        sources: match vif.senders {
            Senders::Any => Sources::Any,
            Senders::Own => Sources::Only(mac),
        },
        vlans: match vif.attachment {
            Attachment::Nat => Vlans::Private,
            Attachment::Bridge => vif.vlan.map_or(Vlans::All, Vlans::Access),
        },
        rate: vif.rate,
        gathering: vif.gathering,
    };
    let cable = net::plug(port, frames, super::kick_network);
    let longest_bytes = cable.longest_bytes();
    let cable: Box<dyn Ethernet> = Box::new(cable);
    let rtl8139 = |revision, cable| Box::new(Rtl8139::new(revision, cable, mac.0));
    let (kind, function): (_, Box<dyn Function>) = match vif.model {
        Model::Rtl8139 | Model::E1000 => ("RTL8139C+", rtl8139(Revision::CPlus, cable)),
        Model::Rtl8139C => ("RTL8139C", rtl8139(Revision::C, cable)),
        Model::Virtio => {
            let settings = Settings {
                mac: mac.0,
                pairs,
                mtu_bytes: vif.mtu_bytes,
                longest_bytes,
            };
            let transport = Transport::new(
                Box::new(Nic::new(cable, settings)),
                TransportMode::Transitional,
            );
            ("virtio", Box::new(transport))
        }
    };
    info!("guest network card {index}: {kind}, {mac}");
    function
}

/// What of a description has no effect yet.
fn note(vif: &Vif, index: u32) {
    if vif.model == Model::E1000 {
        warn!(
            "vif {index}: `model=e1000`: there is no such card yet, so the guest gets an RTL8139C+"
        );
    }
    if !vif.ip.is_empty() && vif.attachment == Attachment::Bridge {
        warn!("vif {index}: `ip`: not enforced yet; the guest may use any address");
    }
    // Behind the host's address, the DHCP server tells.
    let is_told = vif.model == Model::Virtio || vif.attachment == Attachment::Nat;
    if vif.mtu_bytes.is_some() && !is_told {
        warn!("vif {index}: `mtu`: only a virtio card can tell the guest; set it there");
    }
}

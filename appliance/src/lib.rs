//! The appliance: one guest with its configuration, packed as the hypervisor's initrd.
//!
//! A bundle is a `newc` cpio archive ([`newc`]) with `monovisor.toml` and the blobs that it names; [`Bundle`] finds
//! them. The configuration ([`config`]) is TOML with the key names of xl.cfg(5). The hypervisor reads bundles, the
//! host tools read and write them; both use this crate, so that what packs also boots.
//!
//! It guarantees to both that no input, however damaged, panics or is silently misread: what cannot be honoured
//! becomes an error or a [`config::Note`] that names the place, the key and the value.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod bundle;
pub mod config;
pub mod newc;

pub use bundle::{Bundle, BundleError, CONFIG_NAME, entry_name};
pub use config::{Config, Loaded};

//! The host side of Monovisor: packing appliances.
//!
//! [`plan::Plan`] reads a configuration and finds the files that it names; [`build`] packs them into a bundle, and [`iso`] makes
//! a bootable image of a bundle and the hypervisor. The command line tool and the build tasks both use it.
#![forbid(unsafe_code)]

pub mod build;
mod error;
pub mod iso;
pub mod plan;
mod tools;

pub use error::Error;

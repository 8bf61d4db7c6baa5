//! From power-on to the first instruction of the guest's `init`.

use super::counted::{number_after, single, transcript};
use super::{GUEST_MIB, HOST_MIB};
use crate::loader::Payload;
use anyhow::{Context, Result};
use std::path::Path;

/// What one boot under Monovisor costs.
pub struct Boot {
    /// TSC at the guest's `init`.
    pub init: u64,
    /// Monovisor's own part, from its first instruction to the guest's.
    pub own: u64,
    /// Memory that it keeps from the guest.
    pub kept_mib: u64,
}

/// TSC at `init` without a hypervisor.
pub fn bare(payload: &Payload, directory: &Path) -> Result<u64> {
    number_after(
        &transcript(payload, single(GUEST_MIB), directory, "\nTSC ")?,
        "\nTSC ",
    )
}

/// The same, under Monovisor. Its guest's TSC is the machine's, so it counts from power-on, too.
pub fn monovisor(payload: &Payload, directory: &Path) -> Result<Boot> {
    let said = transcript(payload, single(HOST_MIB), directory, "\nTSC ")?;
    let start = number_after(&said, "guest starts at TSC ")?;
    let entered = number_after(&said, "entered at TSC ")?;
    let (_, memory) = said
        .split_once("monovisor: memory: ")
        .context("no line says what memory is kept")?;
    Ok(Boot {
        init: number_after(&said, "\nTSC ")?,
        own: start
            .checked_sub(entered)
            .context("the guest started before Monovisor")?,
        kept_mib: number_after(memory, "MiB usable, ")?,
    })
}

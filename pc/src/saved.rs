//! Saved state as bytes: a version, then the device's own record, both in postcard's format.

use alloc::format;
use alloc::vec::Vec;
use hvm::device::RestoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes `state` behind `version`.
pub(crate) fn write<T: Serialize>(version: u16, state: &T) -> Vec<u8> {
    // Plain records of numbers always serialize; should one not, the empty payload is refused by `read`.
    postcard::to_allocvec(&(version, state)).unwrap_or_default()
}

/// Reads back what [`write`] made for the device `kind`, only if the version is `version` and nothing is left over.
pub(crate) fn read<T: DeserializeOwned>(
    kind: &str,
    version: u16,
    saved: &[u8],
) -> Result<T, RestoreError> {
    let bad = |error| RestoreError(format!("{kind}: the saved state does not decode: {error}"));
    let (found, rest) = postcard::take_from_bytes::<u16>(saved).map_err(bad)?;
    if found != version {
        return Err(RestoreError(format!(
            "{kind}: found saved state of version {found}, this build reads version {version}"
        )));
    }
    let (state, rest) = postcard::take_from_bytes(rest).map_err(bad)?;
    if rest.is_empty() {
        Ok(state)
    } else {
        Err(RestoreError(format!(
            "{kind}: {} bytes follow the saved state",
            rest.len()
        )))
    }
}

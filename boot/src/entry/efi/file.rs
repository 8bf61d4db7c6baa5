//! Whole files from the volume that we were loaded from.

use super::firmware::Firmware;
use boot::PhysRange;
use core::ptr::null_mut;
use uefi_raw::protocol::file_system::{
    FileAttribute, FileMode, FileProtocolV1, SimpleFileSystemProtocol,
};
use uefi_raw::{Handle, Status};

/// Some firmware fails to read more at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// Reads the file at `path` (backslashes, NUL-terminated) on `volume` into memory of its own. `None` if it is not there
/// or cannot be read, or if there is no memory for it.
pub fn read(firmware: &Firmware, volume: Handle, path: &[u16]) -> Option<PhysRange> {
    let root = File::root(firmware, volume)?;
    let file = root.open(path)?;
    let bytes = file.bytes().filter(|&bytes| bytes > 0)?;
    let base = firmware.allocate(bytes, None)?;
    if file.read(base, bytes).is_none() {
        firmware.free(base, bytes);
        return None;
    }
    Some(PhysRange { base, bytes })
}

/// An open file; closes itself.
struct File(*mut FileProtocolV1);

impl File {
    fn root(firmware: &Firmware, volume: Handle) -> Option<Self> {
        let system: *mut SimpleFileSystemProtocol =
            firmware.protocol(volume, &SimpleFileSystemProtocol::GUID)?;
        let mut root = null_mut();
        // SAFETY: a call by the specification on the firmware's own protocol.
        let status = unsafe { ((*system).open_volume)(system, &mut root) };
        (status == Status::SUCCESS).then(|| Self(root))
    }

    fn open(&self, path: &[u16]) -> Option<Self> {
        let mut file = null_mut();
        // SAFETY: as above; the path ends with a NUL.
        let status = unsafe {
            ((*self.0).open)(
                self.0,
                &mut file,
                path.as_ptr(),
                FileMode::READ,
                FileAttribute::empty(),
            )
        };
        (status == Status::SUCCESS).then(|| Self(file))
    }

    /// The size: where the end is (UEFI 2.10, 13.5: position FFFFFFFFFFFFFFFFh is the end). Directories have none.
    fn bytes(&self) -> Option<u64> {
        let mut end = 0;
        // SAFETY: as above.
        let done = unsafe {
            ((*self.0).set_position)(self.0, u64::MAX) == Status::SUCCESS
                && ((*self.0).get_position)(self.0, &mut end) == Status::SUCCESS
                && ((*self.0).set_position)(self.0, 0) == Status::SUCCESS
        };
        done.then_some(end)
    }

    /// Reads exactly `bytes` bytes to `base`, which the caller owns.
    fn read(&self, base: u64, bytes: u64) -> Option<()> {
        let mut done = 0;
        while done < bytes {
            let mut part = CHUNK_BYTES.min(bytes - done) as usize;
            // SAFETY: as above; the buffer has room for `bytes`.
            let status = unsafe { ((*self.0).read)(self.0, &mut part, (base + done) as *mut _) };
            if status != Status::SUCCESS || part == 0 {
                return None;
            }
            done += part as u64;
        }
        Some(())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: as above; the handle is not used again. By the specification this cannot fail.
        let _ = unsafe { ((*self.0).close)(self.0) };
    }
}

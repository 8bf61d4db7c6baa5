//! Where the appliance bundle comes from under EFI.

use super::file;
use super::firmware::Firmware;
use crate::console;
use boot::{CommandLine, PhysRange, directory_of, path_from_utf8};
use core::mem::size_of;
use core::ptr::null_mut;
use core::slice;
use uefi_raw::protocol::device_path::{DevicePathProtocol, DeviceSubType, DeviceType};
use uefi_raw::protocol::loaded_image::LoadedImageProtocol;
use uefi_raw::protocol::media::LoadFile2Protocol;
use uefi_raw::{Boolean, Guid, Status, guid};

/// Names of the bundle beside our own file, by preference.
const NAMES: [&str; 2] = ["monovisor.cpio", "bundle.cpio"];
const MAX_PATH_UNITS: usize = 512;
/// A device path with more nodes does not end.
const MAX_NODES: usize = 64;

/// The device path under which loaders offer an initrd: one vendor-defined media node with
/// LINUX_EFI_INITRD_MEDIA_GUID, and the end.
#[repr(C, packed)]
struct InitrdPath {
    vendor: DevicePathProtocol,
    guid: Guid,
    end: DevicePathProtocol,
}

static INITRD_PATH: InitrdPath = InitrdPath {
    vendor: DevicePathProtocol {
        major_type: DeviceType::MEDIA,
        sub_type: DeviceSubType::MEDIA_VENDOR,
        length: [20, 0],
    },
    guid: guid!("5568e427-68fc-4f3d-ac74-ca555231cc68"),
    end: DevicePathProtocol {
        major_type: DeviceType::END,
        sub_type: DeviceSubType::END_ENTIRE,
        length: [4, 0],
    },
};

/// The bundle: what a loader offers as initrd, else the file that `initrd=` names, else one of [`NAMES`] beside us. It may
/// be absent: the kernel says so with its report, and here people learn where it was looked for.
pub fn find(firmware: &Firmware, command_line: &CommandLine) -> PhysRange {
    if let Some(bundle) = offered(firmware) {
        return bundle;
    }
    let named = command_line.value("initrd");
    let bundle = firmware.loaded_image().and_then(|image| match named {
        Some(name) => on_volume(firmware, image, &[], name),
        None => beside(firmware, image),
    });
    bundle.unwrap_or_else(|| {
        console::say(format_args!(
            "\r\nMonovisor: no bundle: no loader offers an initrd, and this volume has no readable {}.\r\n",
            named.unwrap_or("monovisor.cpio or bundle.cpio beside the started file")
        ));
        PhysRange::default()
    })
}

/// From a loader or firmware, through the initrd's device path.
fn offered(firmware: &Firmware) -> Option<PhysRange> {
    let path = (&raw const INITRD_PATH).cast();
    let (device, rest) = firmware.device(path, &LoadFile2Protocol::GUID)?;
    let source: *mut LoadFile2Protocol = firmware.protocol(device, &LoadFile2Protocol::GUID)?;
    let mut bytes = 0;
    // SAFETY: a call by the specification; without a buffer it tells the size.
    let status =
        unsafe { ((*source).load_file)(source, rest, Boolean::FALSE, &mut bytes, null_mut()) };
    if status != Status::BUFFER_TOO_SMALL || bytes == 0 {
        return None;
    }
    let base = firmware.allocate(bytes as u64, None)?;
    // SAFETY: as above; the buffer has that size.
    let status =
        unsafe { ((*source).load_file)(source, rest, Boolean::FALSE, &mut bytes, base as *mut _) };
    if status != Status::SUCCESS {
        firmware.free(base, bytes as u64);
        return None;
    }
    Some(PhysRange {
        base,
        bytes: bytes as u64,
    })
}

/// A file in the directory of our own.
fn beside(firmware: &Firmware, image: &LoadedImageProtocol) -> Option<PhysRange> {
    let mut buffer = [0; MAX_PATH_UNITS];
    let own = image_path(image, &mut buffer);
    let directory = directory_of(own);
    NAMES
        .iter()
        .find_map(|name| on_volume(firmware, image, directory, name))
}

fn on_volume(
    firmware: &Firmware,
    image: &LoadedImageProtocol,
    directory: &[u16],
    name: &str,
) -> Option<PhysRange> {
    let mut buffer = [0; MAX_PATH_UNITS];
    let path = path_from_utf8(&mut buffer, directory, name)?;
    file::read(firmware, image.device_handle, path)
}

/// Our file's path on its volume, from the file-path nodes of its device path (UEFI 2.10, 10.3.5.4). Empty if it is
/// unknown or too long, as for a file that came from memory.
fn image_path<'a>(image: &LoadedImageProtocol, buffer: &'a mut [u16]) -> &'a [u16] {
    let header_bytes = size_of::<DevicePathProtocol>();
    let mut node = image.file_path;
    let mut len = 0;
    for _ in 0..MAX_NODES {
        if node.is_null() {
            break;
        }
        // SAFETY: the firmware's device path; we stop at its end node.
        let header = unsafe { &*node };
        let bytes = usize::from(header.length());
        if header.major_type == DeviceType::END || bytes < header_bytes {
            break;
        }
        if header.major_type == DeviceType::MEDIA
            && header.sub_type == DeviceSubType::MEDIA_FILE_PATH
        {
            // SAFETY: the node is as long as it says.
            let text = unsafe {
                slice::from_raw_parts(node.cast::<u8>().add(header_bytes), bytes - header_bytes)
            };
            let units = text
                .chunks_exact(2)
                .map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
            for unit in units.take_while(|&unit| unit != 0) {
                match buffer.get_mut(len) {
                    Some(place) => *place = unit,
                    None => return &[],
                }
                len += 1;
            }
        }
        // SAFETY: the next node follows.
        node = unsafe { node.byte_add(bytes) };
    }
    &buffer[..len]
}

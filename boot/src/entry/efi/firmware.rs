//! The boot services that we use, with our types.

use crate::{console, fail};
use core::ffi::c_void;
use core::mem::size_of;
use core::ptr::{null, null_mut};
use core::slice;
use uefi_raw::protocol::device_path::DevicePathProtocol;
use uefi_raw::protocol::loaded_image::LoadedImageProtocol;
use uefi_raw::table::boot::{AllocateType, BootServices, MemoryType, PAGE_SIZE};
use uefi_raw::table::configuration::ConfigurationTable;
use uefi_raw::table::runtime::VariableVendor;
use uefi_raw::table::system::SystemTable;
use uefi_raw::{Guid, Handle, Status};

/// The firmware while its boot services live.
pub struct Firmware {
    image: Handle,
    table: &'static SystemTable,
    services: &'static BootServices,
}

impl Firmware {
    /// Takes what the firmware handed us.
    ///
    /// # Safety
    /// The handle and the table are the firmware's, and its boot services live.
    pub unsafe fn new(image: Handle, table: *const SystemTable) -> Self {
        // SAFETY: says the caller; both tables stay until the boot services end.
        let (table, services) = unsafe { (&*table, &*(*table).boot_services) };
        // SAFETY: the protocol is the firmware's; `end` takes it back.
        unsafe { console::use_firmware(table.stdout) };
        // Whether it works or not: if it does not, the machine resets after five minutes of a failure's message.
        // SAFETY: a call by the specification; 0 turns the watchdog off.
        let _ = unsafe { (services.set_watchdog_timer)(0, 0, 0, null()) };
        Self {
            image,
            table,
            services,
        }
    }

    /// The raw services.
    pub fn services(&self) -> &BootServices {
        self.services
    }

    /// How we were loaded.
    pub fn loaded_image(&self) -> Option<&LoadedImageProtocol> {
        let image: *const LoadedImageProtocol =
            self.protocol(self.image, &LoadedImageProtocol::GUID)?;
        // SAFETY: the firmware keeps it as long as we run.
        Some(unsafe { &*image })
    }

    /// The protocol `guid`, whose structure is `T`, of `handle`.
    pub fn protocol<T>(&self, handle: Handle, guid: &Guid) -> Option<*mut T> {
        let mut found: *mut c_void = null_mut();
        // SAFETY: a call by the specification.
        let status = unsafe { (self.services.handle_protocol)(handle, guid, &mut found) };
        (status == Status::SUCCESS && !found.is_null()).then_some(found.cast())
    }

    /// The first protocol `guid` anywhere.
    pub fn first_protocol<T>(&self, guid: &Guid) -> Option<*mut T> {
        let mut found: *mut c_void = null_mut();
        // SAFETY: a call by the specification.
        let status = unsafe { (self.services.locate_protocol)(guid, null(), &mut found) };
        (status == Status::SUCCESS && !found.is_null()).then_some(found.cast())
    }

    /// The device that offers `guid` nearest to `path`, and what of the path is left over.
    pub fn device(
        &self,
        path: *const DevicePathProtocol,
        guid: &Guid,
    ) -> Option<(Handle, *const DevicePathProtocol)> {
        let (mut rest, mut handle) = (path, null_mut());
        // SAFETY: a call by the specification; the callers' paths end properly.
        let status = unsafe { (self.services.locate_device_path)(guid, &mut rest, &mut handle) };
        (status == Status::SUCCESS).then_some((handle, rest))
    }

    /// The list of configuration tables.
    pub fn configuration_tables(&self) -> &[u8] {
        let bytes =
            self.table.number_of_configuration_table_entries * size_of::<ConfigurationTable>();
        // SAFETY: the firmware says that so many entries are there.
        unsafe { slice::from_raw_parts(self.table.configuration_table.cast(), bytes) }
    }

    /// Whether the firmware verifies what it starts (UEFI 2.10, 3.3: SecureBoot is 1).
    pub fn secure_boot(&self) -> bool {
        const NAME: [u16; 11] = [83, 101, 99, 117, 114, 101, 66, 111, 111, 116, 0]; // "SecureBoot"
        let (mut value, mut bytes) = (0_u8, size_of::<u8>());
        // SAFETY: a call by the specification; the buffer is as large as it says.
        let status = unsafe {
            let get = (*self.table.runtime_services).get_variable;
            get(
                NAME.as_ptr(),
                &VariableVendor::GLOBAL_VARIABLE.0,
                null_mut(),
                &mut bytes,
                &mut value,
            )
        };
        status == Status::SUCCESS && value == 1
    }

    /// Memory for `bytes` bytes that stays ours until the kernel frees it: anywhere, or at `address`.
    pub fn allocate(&self, bytes: u64, address: Option<u64>) -> Option<u64> {
        let kind = match address {
            Some(_) => AllocateType::ADDRESS,
            None => AllocateType::ANY_PAGES,
        };
        let pages = usize::try_from(bytes).ok()?.div_ceil(PAGE_SIZE);
        let mut address = address.unwrap_or(0);
        // SAFETY: a call by the specification.
        let status = unsafe {
            (self.services.allocate_pages)(kind, MemoryType::LOADER_DATA, pages, &mut address)
        };
        (status == Status::SUCCESS).then_some(address)
    }

    /// Gives back what [`Firmware::allocate`] gave.
    pub fn free(&self, address: u64, bytes: u64) {
        // SAFETY: the callers own it and do not use it again. Should it fail, memory is lost until the kernel runs.
        let _ =
            unsafe { (self.services.free_pages)(address, (bytes as usize).div_ceil(PAGE_SIZE)) };
    }

    /// Ends the boot services if the memory map is still the one of `key`.
    pub fn exit_boot_services(&self, key: usize) -> Status {
        // SAFETY: a call by the specification.
        unsafe { (self.services.exit_boot_services)(self.image, key) }
    }

    /// To be called before the boot services end: from now on the firmware shows nothing for us.
    pub fn stop_output(&self) {
        // SAFETY: nothing is promised.
        unsafe { console::use_firmware(null_mut()) };
    }

    /// Stops with a message about a service that failed.
    pub fn fail(&self, what: &str, status: Status, advice: &str) -> ! {
        fail(format_args!(
            "the EFI firmware could not {what} ({:#x}); {advice}",
            status.0
        ))
    }
}

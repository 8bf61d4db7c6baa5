//! VMware's port of guest requests, and its absolute pointer (open-vm-tools, `backdoor_def.h`; xf86-input-vmmouse,
//! `vmmouse_proto.h` and `vmmouse_defs.h`).

/// What EAX must hold.
pub(super) const MAGIC: u32 = 0x564d_5868;

/// Commands, in CX.
pub(super) const GET_VERSION: u16 = 10;
pub(super) const POINTER_DATA: u16 = 39;
pub(super) const POINTER_STATUS: u16 = 40;
pub(super) const POINTER_COMMAND: u16 = 41;

/// The version of the port, in EAX, and the product behind it, in ECX: a workstation.
pub(super) const VERSION: u32 = 6;
pub(super) const PRODUCT: u32 = 4;

/// Pointer commands, in EBX.
pub(super) const READ_ID: u32 = 0x4541_4552;
pub(super) const DISABLE: u32 = 0x0000_00f5;
pub(super) const REQUEST_RELATIVE: u32 = 0x4c45_5252;
pub(super) const REQUEST_ABSOLUTE: u32 = 0x5342_4152;

/// The word that READ_ID puts into the queue.
pub(super) const POINTER_ID: u32 = 0x3442_554a;
/// Status: the pointer is off.
pub(super) const STATUS_OFF: u32 = 0xffff_0000;

/// First word of a packet: buttons, and that it is relative.
pub(super) const LEFT: u32 = 0x20;
pub(super) const RIGHT: u32 = 0x10;
pub(super) const MIDDLE: u32 = 0x08;
pub(super) const RELATIVE: u32 = 0x0001_0000;

//! From the specification, and as SeaBIOS and OVMF read it.

use super::*;
use crate::testing::twins;
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::*;

const REQUEST: u64 = 0x100;

fn device() -> FwCfg {
    let file = |name: &str, bytes: &[u8]| (Key::File(name.to_string()), bytes.to_vec());
    FwCfg::new(vec![
        file("etc/e820", &[7; 20]),
        file("bootorder", b"/pci@i0cf8\0"),
        (Key::Selector(3), 0x4000_0000_u64.to_le_bytes().to_vec()),
        (Key::Selector(0x8003), vec![1]),
    ])
    .unwrap()
}

fn memory() -> GuestMemory {
    GuestMemory::anonymous(&[(Gpa(0), 0x2_0000)])
}

fn port_read(device: &mut FwCfg, selector: u16, bytes: usize) -> Vec<u8> {
    device.select(selector);
    (0..bytes).map(|_| device.read_data()).collect()
}

/// Makes a DMA request; the control word afterwards.
fn request(
    device: &mut FwCfg,
    memory: &GuestMemory,
    control: u32,
    length: u32,
    address: u64,
) -> u32 {
    let mut bytes = control.to_be_bytes().to_vec();
    bytes.extend(length.to_be_bytes());
    bytes.extend(address.to_be_bytes());
    memory.write(Gpa(REQUEST), &bytes).unwrap();
    device.write_address_high(0);
    device.write_address_low((REQUEST as u32).to_be(), memory);
    u32::from_be(memory.load(Gpa(REQUEST)).unwrap())
}

#[test]
fn detection_and_the_directory() {
    let mut device = device();
    assert_eq!(port_read(&mut device, 0, 5), *b"QEMU\0");
    assert_eq!(port_read(&mut device, 1, 4), [3, 0, 0, 0]);
    let signature: Vec<u8> = (0..8).map(|index| device.read_address(index)).collect();
    assert_eq!(signature, *b"QEMU CFG");
    assert_eq!(port_read(&mut device, 3, 8), [0, 0, 0, 0x40, 0, 0, 0, 0]);
    assert_eq!(port_read(&mut device, 0x4003, 4), [0, 0, 0, 0x40]);
    assert_eq!(port_read(&mut device, 0x8003, 2), [1, 0]);
    assert_eq!(port_read(&mut device, 0x1f, 2), [0, 0], "no such item");
    let directory = port_read(&mut device, 0x19, 4 + 2 * 64);
    assert_eq!(directory[..4], [0, 0, 0, 2]);
    assert_eq!(directory[4..12], [0, 0, 0, 11, 0, 0x20, 0, 0]);
    assert_eq!(directory[12..22], *b"bootorder\0");
    assert_eq!(directory[68..76], [0, 0, 0, 20, 0, 0x21, 0, 0]);
    assert_eq!(port_read(&mut device, 0x21, 21)[18..], [7, 7, 0]);
}

#[test]
fn requests_in_memory() {
    let (mut device, memory) = (device(), memory());
    let read_file = 0x20 << 16 | SELECT | READ;
    memory.fill(Gpa(0x1000), 32, 0xaa).unwrap();
    assert_eq!(request(&mut device, &memory, read_file, 4, 0x1000), 0);
    assert_eq!(memory.load::<[u8; 5]>(Gpa(0x1000)), Ok(*b"/pci\xaa"));
    assert_eq!(request(&mut device, &memory, SKIP, 1, 0), 0);
    assert_eq!(request(&mut device, &memory, READ, 10, 0x1000), 0);
    assert_eq!(
        memory.load::<[u8; 11]>(Gpa(0x1000)),
        Ok(*b"i0cf8\0\0\0\0\0\xaa"),
        "zeros behind the end"
    );
    assert_eq!(request(&mut device, &memory, WRITE, 1, 0x1000), ERROR);
    assert_eq!(request(&mut device, &memory, read_file, 4, 0x1_fffe), ERROR);
    assert_eq!(request(&mut device, &memory, READ, 4, u64::MAX), ERROR);
    assert_eq!(
        request(&mut device, &memory, READ, u32::MAX, 0x1000),
        ERROR,
        "no flood of zeros"
    );
    assert_eq!(request(&mut device, &memory, READ, 4, 0x1000), 0);
    assert_eq!(memory.load::<[u8; 4]>(Gpa(0x1000)), Ok(*b"/pci"));
    device.write_address_high(u32::MAX);
    device.write_address_low(u32::MAX, &memory);
}

#[test]
fn lists_that_cannot_be_offered() {
    let refused = |items: Vec<(Key, Vec<u8>)>| FwCfg::new(items).unwrap_err().0;
    let file = |name: &str| (Key::File(name.to_string()), vec![]);
    assert!(refused(vec![file("a"), file("a")]).contains("twice"));
    assert!(refused(vec![file("")]).contains("1 to 55"));
    assert!(refused(vec![file(&"x".repeat(56))]).contains("1 to 55"));
    assert!(refused(vec![(Key::Selector(0x19), vec![])]).contains("0x19"));
    assert!(refused(vec![(Key::Selector(0x20), vec![])]).contains("0x20"));
    assert!(FwCfg::new(vec![file(&"x".repeat(55))]).is_ok());
}

type Operation = (u8, u16, u32, u64);

fn step(device: &mut FwCfg, &(what, selector, length, address): &Operation) -> u32 {
    std::thread_local! {
        static MEMORY: GuestMemory = memory();
    }
    MEMORY.with(|memory| match what {
        0 => {
            device.select(selector);
            0
        }
        1 | 2 => device.read_data().into(),
        3 => {
            device.write_address_high(length);
            0
        }
        4 => {
            device.write_address_low(length, memory);
            0
        }
        _ => request(
            device,
            memory,
            u32::from(selector) << 16 | length & 0x1e,
            length,
            address,
        ),
    })
}

proptest! {
    #[test]
    fn any_trace_is_harmless_and_state_round_trips(
        operations in prop::collection::vec(
            (0_u8..8, prop_oneof![0_u16..0x24, any::<u16>()], prop_oneof![0_u32..64, any::<u32>()], prop_oneof![0_u64..0x3_0000, any::<u64>()]),
            0..100,
        ),
        cut in 0_usize..100,
    ) {
        twins(device, &operations, cut, step);
    }
}

//! The disk, as drivers use it.

use crate::driver::{Buffer, EVENT_INDEX, INDIRECT, Legacy, Modern, Ring, VERSION_1};
use crate::machine::Machine;
use crate::medium::{SECTORS, Slow, disk};
use guest_mem::Gpa;
use hvm::Width;
use hvm::backend::BlockError;
use virtio_pv::block::Disk;
use virtio_pv::pci::TransportMode;
use virtio_pv::ram::Access;

const HEADER: u64 = 0x7000;
const STATUS: u64 = 0x7800;
const DATA: u64 = 0x8000;
const FLUSH: u64 = 1 << 9;
const CONFIG_CACHE: u64 = 1 << 11;

fn header(machine: &Machine, kind: u32, sector: u64) {
    machine.memory.store(Gpa(HEADER), &kind).unwrap();
    machine.memory.store(Gpa(HEADER + 8), &sector).unwrap();
    machine.memory.store(Gpa(STATUS), &0xff_u8).unwrap();
}

fn status(machine: &Machine) -> u8 {
    machine.memory.load(Gpa(STATUS)).unwrap()
}

/// Sends one request and returns its status and used length.
fn request(
    machine: &mut Machine,
    (driver, ring): (&Modern, &mut Ring),
    kind: u32,
    sector: u64,
    data: &[Buffer],
) -> (u8, u32) {
    header(machine, kind, sector);
    let mut buffers = vec![Buffer::In(HEADER, 16)];
    buffers.extend_from_slice(data);
    buffers.push(Buffer::Out(STATUS, 1));
    let head = ring.add(&machine.memory, &buffers);
    driver.kick(machine, ring);
    let (used, bytes) = ring.pop(&machine.memory).expect("the request came back");
    assert_eq!(used, head);
    (status(machine), bytes)
}

fn start(access: Access, features: u64) -> (Machine, Modern, Ring) {
    let mut machine = Machine::new(disk(access), TransportMode::Transitional);
    let (driver, mut rings) = Modern::start(&mut machine, VERSION_1 | features, 1);
    (machine, driver, rings.remove(0))
}

#[test]
fn what_is_written_is_read_back() {
    let (mut machine, driver, mut ring) = start(Access::ReadWrite, FLUSH);
    machine.memory.fill(Gpa(DATA), 1024, 0xa5).unwrap();
    let out = [Buffer::In(DATA, 1000), Buffer::In(DATA + 1000, 24)];
    let done = request(&mut machine, (&driver, &mut ring), 1, 5, &out);
    assert_eq!(done, (0, 1));
    assert_eq!(
        request(&mut machine, (&driver, &mut ring), 4, 0, &[]),
        (0, 1)
    );
    let back = [Buffer::Out(0x2_0000, 512), Buffer::Out(0x2_1000, 1536)];
    let done = request(&mut machine, (&driver, &mut ring), 0, 4, &back);
    assert_eq!(done, (0, 2049));
    assert_eq!(machine.memory.load::<u8>(Gpa(0x2_0000)), Ok(4));
    assert_eq!(machine.memory.load::<u8>(Gpa(0x2_1000)), Ok(0xa5));
    assert_eq!(machine.memory.load::<u8>(Gpa(0x2_13ff)), Ok(0xa5));
    assert_eq!(machine.memory.load::<u8>(Gpa(0x2_1400)), Ok(7));
}

#[test]
fn legacy_drivers_read_and_write() {
    let mut machine = Machine::new(disk(Access::ReadWrite), TransportMode::Transitional);
    let mut ring = Legacy::start(&mut machine, 0, 1).remove(0);
    for round in 0..600_u32 {
        header(&machine, 0, u64::from(round) % SECTORS);
        let buffers = [
            Buffer::In(HEADER, 16),
            Buffer::Out(DATA, 512),
            Buffer::Out(STATUS, 1),
        ];
        ring.add(&machine.memory, &buffers);
        Legacy::kick(&mut machine, &ring);
        assert_eq!(ring.pop(&machine.memory).map(|used| used.1), Some(513));
        assert_eq!(machine.memory.load::<u8>(Gpa(DATA)), Ok((round % 64) as u8));
    }
}

#[test]
fn framing_is_the_drivers_choice() {
    let (mut machine, driver, mut ring) = start(Access::ReadWrite, 0);
    header(&machine, 1, 9);
    machine.memory.fill(Gpa(HEADER + 16), 512, 0x77).unwrap();
    // Header and data in one buffer; the header of the read cut in three, status at the end of its data.
    ring.add(
        &machine.memory,
        &[Buffer::In(HEADER, 528), Buffer::Out(STATUS, 1)],
    );
    driver.kick(&mut machine, &ring);
    assert_eq!(
        (ring.pop(&machine.memory).unwrap().1, status(&machine)),
        (1, 0)
    );
    header(&machine, 0, 9);
    let parts = [
        Buffer::In(HEADER, 3),
        Buffer::In(HEADER + 3, 0),
        Buffer::In(HEADER + 3, 8),
        Buffer::In(HEADER + 11, 5),
        Buffer::Out(DATA, 513),
    ];
    ring.add(&machine.memory, &parts);
    driver.kick(&mut machine, &ring);
    assert_eq!(ring.pop(&machine.memory).unwrap().1, 513);
    assert_eq!(machine.memory.load::<u16>(Gpa(DATA + 511)), Ok(0x0077));
}

#[test]
fn indirect_tables_serve_as_chains() {
    let (mut machine, driver, mut ring) = start(Access::ReadWrite, INDIRECT);
    header(&machine, 0, 3);
    let mut parts = vec![Buffer::In(HEADER, 16)];
    parts.extend((0..64).map(|part| Buffer::Out(DATA + 64 * (63 - part), 64)));
    parts.push(Buffer::Out(STATUS, 1));
    ring.add_indirect(&machine.memory, 0x9_0000, &parts);
    driver.kick(&mut machine, &ring);
    assert_eq!(ring.pop(&machine.memory), Some((0, 4097)));
    assert_eq!(machine.memory.load::<u8>(Gpa(DATA + 4095)), Ok(3));
    assert_eq!(machine.memory.load::<u8>(Gpa(DATA)), Ok(10));
}

#[test]
fn event_indices_spare_kicks_and_interrupts() {
    let mut machine = Machine::new(disk(Access::ReadWrite), TransportMode::Modern);
    machine.enable_msix();
    let (driver, mut rings) = Modern::start(&mut machine, VERSION_1 | EVENT_INDEX, 1);
    let ring = &mut rings[0];
    let add = |machine: &Machine, ring: &mut Ring| {
        header(machine, 0, 1);
        let buffers = [Buffer::In(HEADER, 16), Buffer::Out(DATA, 513)];
        ring.add(&machine.memory, &buffers);
    };
    ring.set_used_event(&machine.memory, 2);
    add(&machine, ring);
    assert!(ring.wants_kick(&machine.memory));
    add(&machine, ring);
    assert!(
        !ring.wants_kick(&machine.memory),
        "one kick covers the batch"
    );
    driver.kick(&mut machine, ring);
    assert_eq!(machine.sent.0, [], "the used index has not passed 2");
    add(&machine, ring);
    assert!(ring.wants_kick(&machine.memory), "the batch is over");
    driver.kick(&mut machine, ring);
    assert_eq!(machine.sent.0, [0x40]);
    add(&machine, ring);
    driver.kick(&mut machine, ring);
    assert_eq!(machine.sent.0, [0x40], "the driver did not ask again");
    assert_eq!(std::iter::from_fn(|| ring.pop(&machine.memory)).count(), 4);
}

#[test]
fn no_interrupt_flag_is_honoured() {
    let (mut machine, driver, mut ring) = start(Access::ReadWrite, 0);
    machine.memory.store(Gpa(ring.available), &1_u16).unwrap();
    request(&mut machine, (&driver, &mut ring), 4, 0, &[]);
    assert_eq!(driver.read(&mut machine, Modern::ISR, 0, Width::Byte), 0);
}

#[test]
fn the_disk_names_itself_and_tells_its_size() {
    let (mut machine, driver, mut ring) = start(Access::ReadWrite, 0);
    let id = [Buffer::Out(DATA, 20)];
    let done = request(&mut machine, (&driver, &mut ring), 8, 0, &id);
    assert_eq!(done, (0, 21));
    let mut name = [0; 20];
    machine.memory.read(Gpa(DATA), &mut name).unwrap();
    assert_eq!(&name, b"florizel\0\0\0\0\0\0\0\0\0\0\0\0");
    let config =
        |machine: &mut Machine, offset| driver.read(machine, Modern::DEVICE, offset, Width::Dword);
    assert_eq!(config(&mut machine, 0), SECTORS);
    assert_eq!(config(&mut machine, 12), 254);
    assert_eq!(config(&mut machine, 20), 512);
    assert_eq!(config(&mut machine, 0xff8), 0);
}

#[test]
fn what_cannot_be_done_is_answered_and_harms_nothing() {
    let (mut machine, driver, mut ring) = start(Access::ReadWrite, 0);
    let mut ask = |kind, sector, data: &[Buffer]| {
        request(&mut machine, (&driver, &mut ring), kind, sector, data)
    };
    let sector = [Buffer::Out(DATA, 512)];
    assert_eq!(ask(99, 0, &[]), (2, 1));
    assert_eq!(ask(0, SECTORS, &sector), (1, 0));
    assert_eq!(ask(0, u64::MAX, &sector), (1, 0));
    assert_eq!(ask(0, 0, &[Buffer::Out(DATA, 511)]), (1, 0));
    assert_eq!(ask(0, 0, &[Buffer::Out(0xf000_0000, 512)]), (1, 0));
    assert_eq!(ask(1, 0, &[Buffer::In(0xf000_0000, 512)]), (1, 1));
    assert_eq!(ask(0, 0, &sector), (0, 513));
    let (mut machine, driver, mut ring) = start(Access::ReadOnly, 0);
    let write = [Buffer::In(DATA, 512)];
    let done = request(&mut machine, (&driver, &mut ring), 1, 0, &write);
    assert_eq!(done, (1, 1));
    assert_ne!(driver.features(&mut machine) & 1 << 5, 0);
}

fn slow(
    features: u64,
) -> (
    Machine,
    Modern,
    Ring,
    std::sync::Arc<std::sync::Mutex<crate::medium::Desk>>,
) {
    let (medium, desk) = Slow::new();
    let device = Box::new(Disk::new(Box::new(medium), "slow"));
    let mut machine = Machine::new(device, TransportMode::Modern);
    let (driver, mut rings) = Modern::start(&mut machine, VERSION_1 | features, 1);
    (machine, driver, rings.remove(0), desk)
}

#[test]
fn pending_requests_come_back_in_any_order() {
    let (mut machine, driver, mut ring, desk) = slow(FLUSH);
    for part in 0..3 {
        header(&machine, 0, 1);
        let status = STATUS + part;
        ring.add(
            &machine.memory,
            &[
                Buffer::In(HEADER, 16),
                Buffer::Out(DATA, 512),
                Buffer::Out(status, 1),
            ],
        );
    }
    driver.kick(&mut machine, &ring);
    assert_eq!(ring.pop(&machine.memory), None);
    {
        let mut desk = desk.lock().unwrap();
        let tokens: Vec<u64> = desk.asked.iter().map(|asked| asked.1).collect();
        desk.answers.push_back((tokens[2], Ok(())));
        desk.answers.push_back((tokens[0], Err(BlockError::Medium)));
    }
    machine.poll();
    assert!(machine.function_line());
    assert_eq!(ring.pop(&machine.memory), Some((6, 513)));
    assert_eq!(ring.pop(&machine.memory), Some((0, 0)));
    assert_eq!(ring.pop(&machine.memory), None);
    assert_eq!(machine.memory.load::<u8>(Gpa(STATUS)), Ok(1));
}

#[test]
fn writes_are_flushed_while_the_cache_is_off() {
    for features in [0, FLUSH | CONFIG_CACHE] {
        let (mut machine, driver, mut ring, desk) = slow(features);
        if features != 0 {
            assert_eq!(
                driver.read(&mut machine, Modern::DEVICE, 32, Width::Byte),
                1
            );
            driver.write(&mut machine, Modern::DEVICE, 32, Width::Byte, 0);
        }
        assert_eq!(
            driver.read(&mut machine, Modern::DEVICE, 32, Width::Byte),
            0
        );
        header(&machine, 1, 1);
        let buffers = [
            Buffer::In(HEADER, 16),
            Buffer::In(DATA, 512),
            Buffer::Out(STATUS, 1),
        ];
        ring.add(&machine.memory, &buffers);
        driver.kick(&mut machine, &ring);
        for step in ["write", "flush"] {
            assert_eq!(ring.pop(&machine.memory), None);
            let (name, token) = *desk.lock().unwrap().asked.last().unwrap();
            assert_eq!(name, step);
            desk.lock().unwrap().answers.push_back((token, Ok(())));
            machine.poll();
        }
        assert_eq!(ring.pop(&machine.memory), Some((0, 1)));
    }
}

#[test]
fn a_reset_ends_when_the_medium_let_go_of_the_buffers() {
    let (mut machine, driver, mut ring, desk) = slow(0);
    header(&machine, 0, 1);
    ring.add(
        &machine.memory,
        &[Buffer::In(HEADER, 16), Buffer::Out(DATA, 513)],
    );
    driver.kick(&mut machine, &ring);
    driver.set_status(&mut machine, 0);
    assert_ne!(driver.status(&mut machine), 0);
    let token = desk.lock().unwrap().asked[0].1;
    desk.lock().unwrap().answers.push_back((token, Ok(())));
    machine.poll();
    assert_eq!(driver.status(&mut machine), 0);
    assert_eq!(ring.pop(&machine.memory), None);
}

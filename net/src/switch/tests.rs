use super::*;
use hvm::packet::Pool;
use proptest::prelude::*;
use std::vec;

const UPLINK: Port = 0;
const HOST: Port = 1;
const GUEST: Port = 2;
const HOST_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const GUEST_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);
const PEER_MAC: Mac = Mac([2, 0, 0, 0, 0, 3]);
const BROADCAST: Mac = Mac([0xff; 6]);

#[derive(Default)]
struct Sink(Vec<Vec<u8>>, bool);

impl Outlet for Sink {
    fn send(&mut self, packet: Packet) -> Result<(), Refusal> {
        if self.1 {
            return Err(Refusal::Later(packet));
        }
        self.0.push(packet.frame().to_vec());
        Ok(())
    }
}

struct Bench {
    switch: Switch,
    sinks: [Sink; 3],
    pool: &'static Pool,
    now_s: u64,
    /// The last frame has to wait.
    waits: bool,
}

impl Bench {
    fn new(guest: Sources) -> Self {
        Self::with(guest, Vlans::All)
    }

    /// The host takes untagged frames alone where the guest is in a VLAN.
    fn with(guest: Sources, vlans: Vlans) -> Self {
        let port = |station, sources, when_full| PortSetup {
            station,
            sources,
            when_full,
            vlans: Vlans::All,
        };
        Self {
            switch: Switch::new([
                port(None, Sources::Any, WhenFull::Lose),
                port(Some(HOST_MAC), Sources::Only(HOST_MAC), WhenFull::Wait),
                PortSetup {
                    vlans,
                    ..port(None, guest, WhenFull::Wait)
                },
            ]),
            sinks: Default::default(),
            pool: Pool::ordinary(4, 256),
            now_s: 0,
            waits: false,
        }
    }

    /// Sends a frame; how many came out at each port.
    fn send(&mut self, from: Port, frame: &[u8]) -> [usize; 3] {
        let packet = self.pool.copy_of(frame).unwrap();
        let [a, b, c] = &mut self.sinks;
        let now_ms = self.now_s * 1000;
        self.waits = self
            .switch
            .pass(from, packet, now_ms, &mut [a, b, c])
            .is_some();
        assert_eq!(self.pool.available(), 4);
        core::array::from_fn(|port| {
            let came = core::mem::take(&mut self.sinks[port].0);
            assert!(came.iter().all(|it| it == frame));
            came.len()
        })
    }
}

fn frame(to: Mac, from: Mac) -> Vec<u8> {
    let mut frame = vec![];
    frame.extend(to.0);
    frame.extend(from.0);
    frame.extend([0x08, 0x00]);
    frame.extend([0x55; 46]);
    frame
}

fn tagged(to: Mac, from: Mac, vlan: u16) -> Vec<u8> {
    let mut frame = frame(to, from);
    let [high, low] = vlan.to_be_bytes();
    frame.splice(12..12, [0x81, 0x00, high, low]);
    frame
}

#[test]
fn stations_are_learned_and_forgotten() {
    let mut bench = Bench::new(Sources::Any);
    assert_eq!(bench.send(GUEST, &frame(PEER_MAC, GUEST_MAC)), [1, 1, 0]);
    assert_eq!(bench.send(UPLINK, &frame(GUEST_MAC, PEER_MAC)), [0, 0, 1]);
    assert_eq!(bench.send(GUEST, &frame(PEER_MAC, GUEST_MAC)), [1, 0, 0]);
    // Both behind the same port: it has seen the frame already.
    let neighbour = Mac([2, 0, 0, 0, 0, 4]);
    assert_eq!(bench.send(UPLINK, &frame(PEER_MAC, neighbour)), [0, 0, 0]);
    bench.now_s = 301;
    assert_eq!(bench.send(GUEST, &frame(PEER_MAC, GUEST_MAC)), [1, 1, 0]);
}

#[test]
fn groups_reach_everybody_else_and_reserved_ones_nobody() {
    let mut bench = Bench::new(Sources::Any);
    assert_eq!(bench.send(UPLINK, &frame(BROADCAST, PEER_MAC)), [0, 1, 1]);
    let mdns = Mac([0x01, 0, 0x5e, 0, 0, 0xfb]);
    assert_eq!(bench.send(HOST, &frame(mdns, HOST_MAC)), [1, 0, 1]);
    let pause = Mac([0x01, 0x80, 0xc2, 0, 0, 1]);
    assert_eq!(bench.send(GUEST, &frame(pause, GUEST_MAC)), [0, 0, 0]);
    assert_eq!(bench.switch.counters(GUEST).refused, 1);
}

#[test]
fn nobody_takes_the_hosts_address() {
    let mut bench = Bench::new(Sources::Any);
    assert_eq!(bench.send(GUEST, &frame(PEER_MAC, HOST_MAC)), [0, 0, 0]);
    assert_eq!(bench.send(UPLINK, &frame(HOST_MAC, PEER_MAC)), [0, 1, 0]);
    assert_eq!(bench.switch.counters(GUEST).refused, 1);
}

#[test]
fn a_port_with_one_source_passes_nobody_elses_frames() {
    let mut bench = Bench::new(Sources::Only(GUEST_MAC));
    assert_eq!(bench.send(GUEST, &frame(BROADCAST, PEER_MAC)), [0, 0, 0]);
    assert_eq!(bench.send(GUEST, &frame(BROADCAST, GUEST_MAC)), [1, 1, 0]);
}

#[test]
fn tags_pass_and_vlans_learn_apart() {
    let mut bench = Bench::new(Sources::Any);
    assert_eq!(
        bench.send(UPLINK, &tagged(BROADCAST, PEER_MAC, 7)),
        [0, 1, 1]
    );
    assert_eq!(
        bench.send(GUEST, &tagged(PEER_MAC, GUEST_MAC, 7)),
        [1, 0, 0]
    );
    assert_eq!(
        bench.send(GUEST, &tagged(PEER_MAC, GUEST_MAC, 8)),
        [1, 1, 0]
    );
    let cut = &tagged(PEER_MAC, GUEST_MAC, 8)[..15];
    assert_eq!(bench.send(GUEST, cut), [0, 0, 0]);
}

#[test]
fn a_guest_in_a_vlan_is_there_without_knowing() {
    let mut bench = Bench::with(Sources::Any, Vlans::Access(7));
    let pass = |bench: &mut Bench, from: Port, frame: &[u8]| {
        let packet = bench.pool.copy_of(frame).unwrap();
        let [a, b, c] = &mut bench.sinks;
        let back = bench.switch.pass(from, packet, 0, &mut [a, b, c]);
        let sent = bench.sinks.each_mut().map(|sink| sink.0.split_off(0));
        (sent, back.map(|packet| packet.frame().to_vec()))
    };
    let (plain, inside) = (frame(PEER_MAC, GUEST_MAC), tagged(PEER_MAC, GUEST_MAC, 7));
    // Out: its tag comes on, also for the host's port, which carries all here.
    let ([uplink, ..], back) = pass(&mut bench, GUEST, &plain);
    assert_eq!((uplink, back), (vec![inside.clone()], None));
    // In: its tag comes off; other VLANs and none do not come.
    let ([.., guest], _) = pass(&mut bench, UPLINK, &tagged(GUEST_MAC, PEER_MAC, 7));
    assert_eq!(guest, [frame(GUEST_MAC, PEER_MAC)]);
    for vlan in [8, 0] {
        let ([.., guest], _) = pass(&mut bench, UPLINK, &tagged(GUEST_MAC, PEER_MAC, vlan));
        assert!(guest.is_empty());
    }
    let ([.., guest], _) = pass(&mut bench, UPLINK, &frame(BROADCAST, PEER_MAC));
    assert!(guest.is_empty());
    // It puts on none itself.
    pass(&mut bench, GUEST, &tagged(PEER_MAC, GUEST_MAC, 8));
    assert_eq!(bench.switch.counters(GUEST).refused, 1);
    // A frame that has to wait comes back as it was.
    bench.sinks[UPLINK].1 = true;
    let (_, back) = pass(&mut bench, GUEST, &plain);
    assert_eq!(back, Some(plain));
    assert_eq!(bench.pool.available(), 4);
}

#[test]
fn a_full_port_loses_frames_and_others_do_not() {
    let mut bench = Bench::new(Sources::Any);
    bench.sinks[GUEST].1 = true;
    assert_eq!(bench.send(UPLINK, &frame(BROADCAST, PEER_MAC)), [0, 1, 0]);
    let guest = bench.switch.counters(GUEST);
    assert_eq!((guest.lost, guest.sent), (1, 0));
    let host = bench.switch.counters(HOST);
    assert_eq!((host.sent, host.sent_bytes), (1, 60));
}

#[test]
fn a_sender_that_can_wait_does_for_a_while() {
    let mut bench = Bench::new(Sources::Any);
    bench.send(UPLINK, &frame(HOST_MAC, PEER_MAC));
    bench.sinks[UPLINK].1 = true;
    let wait = |bench: &mut Bench, later_ms| {
        let packet = bench.pool.copy_of(&frame(PEER_MAC, GUEST_MAC)).unwrap();
        let [a, b, c] = &mut bench.sinks;
        let back = bench.switch.pass(GUEST, packet, later_ms, &mut [a, b, c]);
        back.is_some()
    };
    assert!(wait(&mut bench, 0));
    assert!(wait(&mut bench, PATIENCE_MS - 1));
    assert_eq!(bench.switch.counters(GUEST).received, 0, "it is not in yet");
    assert!(!wait(&mut bench, PATIENCE_MS));
    assert!(!wait(&mut bench, PATIENCE_MS + 1), "nobody waits twice");
    assert_eq!(bench.switch.counters(UPLINK).lost, 2);
    assert_eq!(bench.switch.counters(GUEST).received, 2);
    bench.sinks[UPLINK].1 = false;
    assert!(!wait(&mut bench, 100));
    assert_eq!(bench.switch.counters(UPLINK).sent, 1);
    bench.sinks[UPLINK].1 = true;
    assert!(wait(&mut bench, 200), "it has taken one since");
    bench.sinks[UPLINK].0.clear();
    // Frames from the wire cannot wait.
    bench.send(GUEST, &frame(HOST_MAC, GUEST_MAC));
    bench.sinks[GUEST].1 = true;
    bench.send(UPLINK, &frame(GUEST_MAC, PEER_MAC));
    assert!(!bench.waits);
    assert_eq!(bench.switch.counters(GUEST).lost, 1);
}

#[test]
fn without_buffers_for_copies_one_still_gets_the_frame() {
    let mut bench = Bench::new(Sources::Any);
    let held: Vec<_> = (0..3).map(|_| bench.pool.packet().unwrap()).collect();
    let packet = bench.pool.copy_of(&frame(BROADCAST, PEER_MAC)).unwrap();
    let [a, b, c] = &mut bench.sinks;
    let back = bench.switch.pass(UPLINK, packet, 0, &mut [a, b, c]);
    assert!(back.is_none());
    drop(held);
    assert_eq!(bench.switch.counters(HOST).lost, 1);
    assert_eq!(bench.switch.counters(GUEST).sent, 1);
}

proptest! {
    /// Whatever comes in, a frame never leaves where it came in, never twice at a port, and no buffer is lost.
    #[test]
    fn any_frames_are_switched(
        frames in proptest::collection::vec(
            (0usize..3, proptest::collection::vec(prop_oneof![Just(0u8), Just(2), Just(0x81), any::<u8>()], 0..40), 0u64..500),
            1..200,
        ),
    ) {
        let mut bench = Bench::new(Sources::Any);
        for (from, frame, later_s) in frames {
            bench.now_s += later_s;
            let out = bench.send(from, &frame);
            prop_assert_eq!(out[from], 0);
            prop_assert!(out.iter().all(|count| *count <= 1));
        }
    }

    /// A station is found where it was heard last, as long as fewer stations than a set holds are about.
    #[test]
    fn the_last_place_counts(moves in proptest::collection::vec((0u8..4, 0usize..3), 1..50)) {
        let mut table = Table::new();
        let mut places = [None; 4];
        for (station, port) in moves {
            places[usize::from(station)] = Some(port);
            table.learn(Station { mac: Mac([2, 0, 0, 0, 0, station]), vlan: 0 }, port, 0);
            for (station, place) in (0..).zip(places) {
                let station = Station { mac: Mac([2, 0, 0, 0, 0, station]), vlan: 0 };
                prop_assert_eq!(table.find(station, 0), place);
            }
        }
    }
}

#[test]
fn a_private_network_is_no_part_of_the_other() {
    const ROUTER_MAC: Mac = Mac([2, 0, 0, 0, 0, 4]);
    let port = |station, vlans| PortSetup {
        station,
        sources: Sources::Any,
        when_full: WhenFull::Wait,
        vlans,
    };
    // The uplink, the router, and two guests of its.
    let mut switch = Switch::new([
        port(None, Vlans::All),
        port(Some(ROUTER_MAC), Vlans::Private),
        port(None, Vlans::Private),
        port(None, Vlans::Private),
    ]);
    let pool = Pool::ordinary(8, 256);
    let mut pass = |from: Port, bytes: &[u8]| {
        let mut sinks: [Sink; 4] = Default::default();
        let [a, b, c, d] = &mut sinks;
        let packet = pool.copy_of(bytes).unwrap();
        assert!(switch.pass(from, packet, 0, &mut [a, b, c, d]).is_none());
        sinks.map(|sink| sink.0.len())
    };
    let plain = |to: Mac, from: Mac| {
        let mut frame = Vec::from(to.0);
        frame.extend(from.0);
        frame.extend([8, 0, 1, 2, 3]);
        frame
    };
    assert_eq!(pass(2, &plain(BROADCAST, GUEST_MAC)), [0, 1, 0, 1]);
    assert_eq!(pass(0, &plain(BROADCAST, PEER_MAC)), [0; 4]);
    // Nobody outside learns the way to a guest, and no guest to the outside.
    assert_eq!(pass(0, &plain(GUEST_MAC, PEER_MAC)), [0; 4]);
    assert_eq!(pass(2, &plain(PEER_MAC, GUEST_MAC)), [0, 1, 0, 1]);
    assert_eq!(pass(1, &plain(GUEST_MAC, ROUTER_MAC)), [0, 0, 1, 0]);
    assert_eq!(pass(3, &plain(GUEST_MAC, HOST_MAC)), [0, 0, 1, 0]);
    // A tag of the private network's number (which is one of no VLAN) changes nothing.
    let mut tagged = plain(BROADCAST, GUEST_MAC);
    tagged.splice(12..12, [0x81, 0, 0x10, 0]);
    assert_eq!(pass(2, &tagged), [0; 4]);
    assert_eq!(pass(0, &tagged), [0; 4]);
}

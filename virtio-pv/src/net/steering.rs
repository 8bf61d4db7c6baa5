//! Which pair of queues a flow uses: frames come in on the pair that the driver last sent the same flow's frames from (virtio 1.2,
//! 5.1.6.5.5.1, automatic receive steering).

/// Places for flows; several may share one.
const PLACES: usize = 256;

/// The pair of each flow.
#[derive(Debug)]
pub struct Steering([u8; PLACES]);

impl Steering {
    /// All flows on the first pair.
    pub const fn new() -> Self {
        Self([0; PLACES])
    }

    /// The driver sent `frame` from pair `pair`.
    #[inline]
    pub fn learn(&mut self, frame: &[u8], pair: u8) {
        if let Some(place) = flow(frame) {
            self.0[usize::from(place)] = pair;
        }
    }

    /// The pair for a frame that came in.
    #[inline]
    pub fn pair(&self, frame: &[u8]) -> u8 {
        flow(frame).map_or(0, |place| self.0[usize::from(place)])
    }
}

const ETHERNET_BYTES: usize = 14;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A number that both directions of a flow share; `None` for what is no IP packet.
fn flow(frame: &[u8]) -> Option<u8> {
    let (kind, packet) = match (frame.get(12..14)?, frame) {
        ([0x81, 0x00], tagged) => (tagged.get(16..18)?, tagged.get(ETHERNET_BYTES + 4..)?),
        (kind, plain) => (kind, plain.get(ETHERNET_BYTES..)?),
    };
    let (addresses, ports) = match kind {
        [0x08, 0x00] => {
            let header_bytes = usize::from(packet.first()? & 0xf) * 4;
            // Later fragments have no ports, so no fragment's are looked at.
            let fragment = u16::from_be_bytes(*packet.get(6..8)?.first_chunk()?) & 0x3fff;
            let ports = matches!(packet.get(9)?, &TCP | &UDP) && fragment == 0;
            (packet.get(12..20)?, ports.then_some(header_bytes))
        }
        [0x86, 0xdd] => {
            let ports = matches!(packet.get(6)?, &TCP | &UDP);
            (packet.get(8..40)?, ports.then_some(40))
        }
        _ => return None,
    };
    let ports = ports.and_then(|at| packet.get(at..at + 4)).unwrap_or(&[]);
    let halves = |bytes: &[u8]| {
        let (source, destination) = bytes.split_at(bytes.len() / 2);
        source.iter().zip(destination).fold(0_u32, |mixed, (a, b)| {
            mixed.rotate_left(8) ^ u32::from(a ^ b)
        })
    };
    // Multiplied by 2^32 over the golden ratio, so that every input bit reaches the top byte.
    let mixed = halves(addresses) ^ halves(ports).rotate_left(16);
    Some((mixed.wrapping_mul(0x9e37_79b9) >> 24) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// A TCP frame over IPv4.
    fn tcp(source: [u8; 6], destination: [u8; 6]) -> Vec<u8> {
        let mut frame = alloc::vec![0; 54];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14] = 0x45;
        frame[23] = TCP;
        frame[26..30].copy_from_slice(&source[..4]);
        frame[30..34].copy_from_slice(&destination[..4]);
        frame[34..36].copy_from_slice(&source[4..]);
        frame[36..38].copy_from_slice(&destination[4..]);
        frame
    }

    #[test]
    fn answers_come_where_questions_went() {
        let mut steering = Steering::new();
        let (here, there) = ([10, 0, 0, 1, 4, 5], [10, 0, 0, 2, 0, 80]);
        steering.learn(&tcp(here, there), 3);
        assert_eq!(steering.pair(&tcp(there, here)), 3);
        let mut tagged = tcp(there, here);
        tagged.splice(12..12, [0x81, 0, 0, 7]);
        assert_eq!(steering.pair(&tagged), 3);
        assert_eq!(steering.pair(&[0; 60]), 0);
    }

    #[test]
    fn flows_spread() {
        let place = |port: u8| flow(&tcp([10, 0, 0, 1, 200, port], [10, 0, 0, 2, 0, 80])).unwrap();
        let mut places: Vec<u8> = (0..64).map(place).collect();
        places.sort_unstable();
        places.dedup();
        assert!(places.len() > 40, "{} places for 64 flows", places.len());
    }

    proptest! {
        #[test]
        fn any_frame_is_answered(frame: Vec<u8>, kind in 0_usize..3) {
            let mut frame = frame;
            if let Some(place) = frame.get_mut(12..14) {
                place.copy_from_slice(&[[8, 0], [0x86, 0xdd], [0x81, 0]][kind]);
            }
            let _ = flow(&frame);
        }
    }
}

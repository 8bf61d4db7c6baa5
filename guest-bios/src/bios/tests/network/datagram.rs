//! A server's datagram on the wire. Shared by the tests and the fuzz target.

use hvm::checksum;

/// The station's card.
pub const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
/// The server's card.
pub const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The server's address.
pub const SERVER: [u8; 4] = [10, 0, 0, 1];

/// A frame with a datagram of UDP between these ports, without a checksum of its own.
pub fn udp(from: u16, to: u16, to_address: [u8; 4], payload: &[u8]) -> std::vec::Vec<u8> {
    let mut frame = [MAC, SERVER_MAC].concat();
    frame.extend([8, 0, 0x45, 0]);
    frame.extend((28 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend(SERVER);
    frame.extend(to_address);
    let sum = checksum::of(&frame[14..34]).to_be_bytes();
    frame[24..26].copy_from_slice(&sum);
    for word in [from, to, 8 + payload.len() as u16, 0] {
        frame.extend(word.to_be_bytes());
    }
    frame.extend(payload);
    frame
}

//! The wire, and the server at its other end.

use super::*;

/// The wire, and the server at its other end.
pub(super) struct Wire {
    pub(super) pool: &'static Pool,
    pub(super) to_station: VecDeque<Vec<u8>>,
    pub(super) link: Link,
    pub(super) server: Server,
}

/// What the server has.
pub(super) struct Server {
    pub(super) offers: bool,
    pub(super) file_name: &'static [u8],
    pub(super) file: Vec<u8>,
    /// A proxy beside the DHCP server names the file, and has these options of PXE's.
    pub(super) proxy: Option<&'static [u8]>,
    /// What the boot server was asked for: options of PXE's.
    pub(super) asked: Vec<Vec<u8>>,
    pub(super) knows_options: bool,
    pub(super) block_bytes: usize,
    /// Datagrams from the station to other ports: port and payload.
    pub(super) other: Vec<(u16, Vec<u8>)>,
    /// Every how manieth answer is lost.
    pub(super) loses_every: usize,
    pub(super) answers: usize,
}

pub(super) struct Cable(pub(super) Arc<Mutex<Wire>>);

impl Ethernet for Cable {
    fn packet(&mut self, _: usize) -> Option<Packet> {
        self.0.lock().unwrap().pool.packet()
    }

    fn send(&mut self, packet: Packet) -> Result<(), Packet> {
        self.0.lock().unwrap().take(packet.frame());
        Ok(())
    }

    fn receive(&mut self) -> Option<Packet> {
        let mut wire = self.0.lock().unwrap();
        let frame = wire.to_station.pop_front()?;
        wire.pool.copy_of(&frame)
    }

    fn link(&self) -> Link {
        self.0.lock().unwrap().link
    }
}

/// A message of the server's.
pub(super) fn dhcp_answer(
    question: &[u8],
    kind: u8,
    address: [u8; 4],
    name: &[u8],
    options: &[u8],
) -> Vec<u8> {
    let mut answer = question[..240].to_vec();
    answer[0] = 2;
    answer[16..20].copy_from_slice(&address);
    answer[20..24].copy_from_slice(&SERVER);
    answer[108..108 + name.len()].copy_from_slice(name);
    answer.extend([53, 1, kind, 54, 4]);
    answer.extend(SERVER);
    answer.extend(options);
    answer.push(255);
    answer
}

impl Wire {
    pub(super) fn answer(&mut self, frame: Vec<u8>) {
        self.server.answers += 1;
        if self.server.loses_every == 0
            || !self.server.answers.is_multiple_of(self.server.loses_every)
        {
            self.to_station.push_back(frame);
        }
    }

    pub(super) fn take(&mut self, frame: &[u8]) {
        match frame[12..14] {
            [8, 6] if frame[38..42] == SERVER => {
                let mut answer = [MAC, SERVER_MAC].concat();
                answer.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
                answer.extend(SERVER_MAC);
                answer.extend(SERVER);
                answer.extend(&frame[22..32]);
                self.answer(answer);
            }
            [8, 0] => {
                let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
                let end = 34 + usize::from(word(38));
                let (from, to, payload) = (word(34), word(36), &frame[42..end]);
                match to {
                    67 if self.server.offers => self.dhcp(payload),
                    4011 => self.boot_server(payload),
                    69 | 5000 => self.tftp(from, payload),
                    _ => self.server.other.push((to, payload.to_vec())),
                }
            }
            _ => {}
        }
    }

    pub(super) fn dhcp(&mut self, question: &[u8]) {
        let kind = if question[242] == 1 { 2 } else { 5 };
        let name: &[u8] = match self.server.proxy {
            None => self.server.file_name,
            Some(_) => b"",
        };
        let network = [1, 4, 255, 255, 255, 0];
        let answer = dhcp_answer(question, kind, STATION, name, &network);
        self.answer(udp(67, 68, [255; 4], &answer));
        if let (Some(vendor), 2) = (self.server.proxy, kind) {
            let options = [b"\x3c\x09PXEClient\x2b", &[vendor.len() as u8][..], vendor].concat();
            let answer = dhcp_answer(question, kind, [0; 4], b"", &options);
            self.answer(udp(67, 68, [255; 4], &answer));
        }
    }

    pub(super) fn boot_server(&mut self, question: &[u8]) {
        let start = question.windows(2).position(|window| window == [43, 7]);
        let item = start.map(|start| question[start + 2..start + 9].to_vec());
        self.server.asked.push(item.unwrap_or_default());
        let answer = dhcp_answer(question, 5, [0; 4], self.server.file_name, &[]);
        self.answer(udp(4011, 68, STATION, &answer));
    }

    pub(super) fn tftp(&mut self, from: u16, payload: &[u8]) {
        let word = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
        let reply = match word(0) {
            1 if !payload[2..].starts_with(self.server.file_name) => {
                [&[0, 5, 0, 1][..], b"no such thing\0"].concat()
            }
            1 if self.server.knows_options => {
                self.server.block_bytes = 1024;
                let size =
                    std::format!("\0\x06tsize\0{}\0blksize\0001024\0", self.server.file.len());
                size.into_bytes()
            }
            1 => {
                self.server.block_bytes = 512;
                self.block(1)
            }
            4 => {
                let start = usize::from(word(2)) * self.server.block_bytes;
                if start > self.server.file.len() {
                    return;
                }
                self.block(word(2) + 1)
            }
            _ => return,
        };
        self.answer(udp(5000, from, STATION, &reply));
    }

    pub(super) fn block(&self, number: u16) -> Vec<u8> {
        let bytes = self.server.block_bytes;
        let start = usize::from(number - 1) * bytes;
        let data = &self.server.file[start..self.server.file.len().min(start + bytes)];
        [&[0, 3], &number.to_be_bytes()[..], data].concat()
    }
}

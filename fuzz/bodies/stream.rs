//! The stream decoder on any bytes in any pieces: invariants C1 to C7.

use arbitrary::{Arbitrary, Unstructured};
use heartbeat_proto::codec::{DecodeError, Decoder, Encoder, Frame, HEADER_LEN, Item, MAX_FRAME};

use super::datagram;
use super::input::Input;

/// R3: no more than one frame can be kept, whatever comes.
const _: () = assert!(size_of::<Decoder>() <= MAX_FRAME + 128);

/// What a stream says. Application bytes run together, since pieces of them may be cut anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    items: Vec<Whole>,
    /// The first bad byte's frame, and what is wrong with it.
    error: Option<(u64, DecodeError)>,
    ends_within: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Whole {
    /// With the bytes it came in.
    Frame(Frame, Vec<u8>),
    Data(Vec<u8>),
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (head, cut) = (input.byte(), input.byte());
    let stream = if head & 1 == 0 { input.0.to_vec() } else { composed(input.0) };
    let whole = Said::parsed(&stream);
    for piece in [stream.len(), 1, usize::from(cut) + 1] {
        assert_eq!(Said::fed(&stream, |_| piece), whole, "C3, C5: pieces of {piece}");
    }
    let mut state = u32::from(head) << 8 | u32::from(cut);
    let odd = |_| {
        state = state.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        (state >> 24) as usize % 40
    };
    assert_eq!(Said::fed(&stream, odd), whole, "C3, C5: odd pieces");
    let mut left = stream.len();
    for item in &whole.items {
        let Whole::Frame(frame, bytes) = item else { continue };
        datagram::canonical(frame, bytes);
        if left > 0 {
            prefixes(bytes);
            left = 0; // The first of a stream is enough.
        }
    }
    if let Some((at, error)) = whole.error {
        length_first(stream.get(at as usize..).unwrap_or_default(), error);
    }
}

/// Good frames and data, and then a few bytes changed.
fn composed(data: &[u8]) -> Vec<u8> {
    let mut from = Unstructured::new(data);
    let mut stream = Vec::new();
    let edits = from.arbitrary::<u8>().unwrap_or(0) % 4;
    let edits: Vec<(u16, u8)> = (0..edits).map(|_| from.arbitrary().unwrap_or_default()).collect();
    while !from.is_empty() && stream.len() < 4096 {
        if from.ratio(1, 4).unwrap_or(false) {
            let len = from.int_in_range(1..=700).unwrap_or(1);
            stream.extend(Encoder::header(len).expect("a length within the limit"));
            stream.extend((0..len).map(|i| i as u8));
        } else if let Ok(frame) = Frame::arbitrary(&mut from) {
            let _ = frame.encode(&mut stream);
        }
    }
    for (at, value) in edits {
        let len = stream.len().max(1);
        if let Some(byte) = stream.get_mut(usize::from(at) % len) {
            *byte = value;
        }
    }
    stream
}

impl Said {
    /// By the words of the protocol: one frame after another, all bytes at hand.
    fn parsed(stream: &[u8]) -> Self {
        let mut said = Self::default();
        let mut rest = stream;
        while !rest.is_empty() {
            let at = (stream.len() - rest.len()) as u64;
            match Frame::decode(rest) {
                Ok(Some((frame, len))) => {
                    said.items.push(Whole::Frame(frame, rest[..len].to_vec()));
                    rest = &rest[len..];
                }
                Ok(None) => {
                    said.ends_within = true;
                    break;
                }
                Err(DecodeError::UnexpectedData { len }) => {
                    let body = &rest[HEADER_LEN..];
                    let got = body.len().min(usize::from(len));
                    said.data(&body[..got]);
                    said.ends_within = got < usize::from(len);
                    rest = &body[got..];
                }
                Err(error) => {
                    said.error = Some((at, error));
                    break;
                }
            }
        }
        said
    }

    /// By the decoder, fed with pieces of the sizes that `piece` says.
    fn fed(stream: &[u8], mut piece: impl FnMut(usize) -> usize) -> Self {
        let mut said = Self::default();
        let mut decoder = Decoder::new();
        let mut taken = 0;
        while taken < stream.len() {
            let size = piece(taken).min(stream.len() - taken);
            let mut input = &stream[taken..taken + size];
            taken += size;
            loop {
                match decoder.feed(input) {
                    Ok((consumed, item)) => {
                        assert!(consumed <= input.len(), "C7: {consumed}");
                        assert!(item.is_some() || consumed == input.len(), "C4: bytes left over");
                        match item {
                            Some(Item::Frame(frame)) => {
                                let bytes = decoder.frame_bytes(input, consumed).to_vec();
                                said.items.push(Whole::Frame(frame, bytes));
                            }
                            Some(item) => said.data(item.data(input)),
                            None => {}
                        }
                        input = &input[consumed..];
                        if input.is_empty() {
                            break;
                        }
                    }
                    Err(error) => {
                        let at = decoder.offset();
                        assert_eq!(decoder.feed(&stream[..1]), Err(error), "C5: it stays");
                        assert_eq!(decoder.feed(&[]), Err(error), "C5: it stays");
                        assert_eq!((decoder.finish(), decoder.offset()), (Err(error), at), "C5");
                        said.error = Some((at, error));
                        return said;
                    }
                }
            }
        }
        said.ends_within = decoder.finish().is_err();
        said
    }

    fn data(&mut self, bytes: &[u8]) {
        if let Some(Whole::Data(before)) = self.items.last_mut() {
            before.extend_from_slice(bytes);
        } else if !bytes.is_empty() {
            self.items.push(Whole::Data(bytes.to_vec()));
        }
    }
}

/// C4: a part of a frame is nothing yet.
fn prefixes(bytes: &[u8]) {
    for len in 0..bytes.len() {
        assert_eq!(Frame::decode(&bytes[..len]), Ok(None), "C4: {len} of {}", bytes.len());
    }
}

/// C6: what the header forbids is refused when the header is there.
fn length_first(bytes: &[u8], error: DecodeError) {
    let seen = match error {
        DecodeError::Version { .. } => 1,
        DecodeError::Kind { .. } => 2,
        DecodeError::Length { .. } => HEADER_LEN,
        _ => return,
    };
    assert_eq!(Frame::decode(&bytes[..seen]), Err(error), "C6");
}

//! The thin shell over the slice core for the `bytes` crate.

use bytes::{Buf, BufMut};

use super::error::{DecodeError, EncodeError};
use super::frame::Frame;
use super::wire::{MAX_FRAME, PING_LEN};

impl Frame {
    /// Appends the frame to `out`. Never panics.
    ///
    /// # Errors
    ///
    /// As [`Frame::encode_into`]; nothing is then appended.
    ///
    /// ```
    /// use heartbeat_proto::PingId;
    /// use heartbeat_proto::codec::Frame;
    ///
    /// let ping = Frame::Ping { id: PingId::new(1, 7), handle: 3, stamp: 9, status: None };
    /// let mut out = bytes::BytesMut::new();
    /// ping.encode(&mut out)?;
    /// assert_eq!(Frame::decode_buf(&mut out), Ok(Some(ping)));
    /// assert!(out.is_empty());
    /// # Ok::<(), heartbeat_proto::codec::EncodeError>(())
    /// ```
    #[inline]
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        let found = out.remaining_mut();
        match self.plain_words() {
            Some(_) if found < PING_LEN => Err(EncodeError::NoSpace { found, needed: PING_LEN }),
            Some(words) => {
                for word in words {
                    out.put_u64(word);
                }
                Ok(())
            }
            None => self.encode_rare_buf(out),
        }
    }

    /// Takes one frame from the front of `from`. `Ok(None)`: more bytes are needed, and none was
    /// taken. Never panics.
    ///
    /// `AsRef<[u8]>` stands for "contiguous": `Bytes`, `BytesMut` and `&[u8]` are.
    ///
    /// # Errors
    ///
    /// As [`Frame::decode`]; nothing is then taken.
    #[inline]
    pub fn decode_buf<B: Buf + AsRef<[u8]>>(from: &mut B) -> Result<Option<Self>, DecodeError> {
        let Some((frame, len)) = Self::decode(from.chunk())? else { return Ok(None) };
        // `chunk` is never longer than what remains.
        from.advance(len);
        Ok(Some(frame))
    }

    fn encode_rare_buf(&self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        let mut bytes = [0; MAX_FRAME];
        let needed = self.encode_into(&mut bytes)?;
        let found = out.remaining_mut();
        match bytes.get(..needed) {
            // `put_slice` panics if there is too little room.
            Some(bytes) if needed <= found => {
                out.put_slice(bytes);
                Ok(())
            }
            _ => Err(EncodeError::NoSpace { found, needed }),
        }
    }
}

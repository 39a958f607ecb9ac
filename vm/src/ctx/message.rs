//! The data of a message in pieces, as a socket has it: programs see one piece at a time, or what they pulled together.

use std::ops::Range;

use ring3_platform::Errno;

/// Pieces of one message, at most (`MAX_MSG_FRAGS`).
const MAX_PIECES: usize = 17;
/// Bytes of a message, at most.
const MAX_MESSAGE: usize = crate::packet::MAX_PACKET;

/// How long the pieces are, and what of all bytes the program sees.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    lens: Vec<usize>,
    pub seen: Range<usize>,
}

impl Pieces {
    /// One piece.
    pub fn new(len: usize) -> Pieces {
        Pieces { lens: vec![len], seen: 0..len }
    }

    fn len(&self) -> usize {
        self.lens.iter().sum()
    }

    /// The first piece that has this byte, and where it starts; without one, the last.
    fn find(&self, at: usize) -> (usize, usize) {
        let mut offset = 0;
        for (index, len) in self.lens.iter().enumerate() {
            if at < offset + len || index + 1 == self.lens.len() {
                return (index, offset);
            }
            offset += len;
        }
        (0, 0)
    }

    /// After a change the program sees the first piece.
    fn see_first(&mut self) {
        self.seen = 0..self.lens.first().copied().unwrap_or(0);
    }

    /// Makes the bytes from `start` to `end` one stretch that the program sees.
    pub fn pull(&mut self, start: usize, end: usize) -> Result<(), Errno> {
        let (first, offset) = self.find(start);
        if end <= start || start >= self.len() || end > self.len() {
            return Err(Errno::EINVAL);
        }
        let mut joined = self.lens[first];
        while joined < end - offset {
            joined += self.lens.remove(first + 1);
        }
        self.lens[first] = joined;
        self.seen = start..end;
        Ok(())
    }

    /// Puts `len` zeroes in before byte `start`.
    pub fn push(&mut self, bytes: &mut Vec<u8>, start: usize, len: usize) -> Result<(), Errno> {
        if len == 0 {
            return Ok(());
        }
        if start > self.len() {
            return Err(Errno::EINVAL);
        }
        if len > MAX_MESSAGE.saturating_sub(bytes.len()) {
            return Err(Errno::ENOMEM);
        }
        let (at, offset) = self.find(start);
        let room = MAX_PIECES.saturating_sub(self.lens.len());
        let front = start - offset;
        match self.lens.get(at).copied() {
            // Nothing is there: what comes is all.
            None | Some(0) if self.len() == 0 => self.lens = vec![len],
            // No room for pieces of its own.
            Some(whole) if room == 0 || room == 1 && front > 0 && front < whole => self.lens[at] = whole + len,
            Some(whole) if front == whole => self.lens.insert(at + 1, len),
            Some(whole) if front > 0 => {
                self.lens.splice(at..=at, [front, len, whole - front]);
            }
            Some(_) | None => self.lens.insert(at, len),
        }
        bytes.splice(start..start, std::iter::repeat_n(0, len));
        self.see_first();
        Ok(())
    }

    /// Takes `len` bytes out from byte `start` on.
    pub fn pop(&mut self, bytes: &mut Vec<u8>, start: usize, len: usize) -> Result<(), Errno> {
        if len == 0 {
            return Ok(());
        }
        if start >= self.len() || len > self.len() - start {
            return Err(Errno::EINVAL);
        }
        let (mut at, offset) = self.find(start);
        let (front, mut left) = (start - offset, len);
        if front > 0 {
            let whole = self.lens[at];
            let behind = whole.saturating_sub(front + len);
            if behind > 0 && self.lens.len() < MAX_PIECES {
                self.lens.splice(at..=at, [front, behind]);
            } else {
                self.lens[at] = front + behind;
            }
            left = len.saturating_sub(whole - front);
            at += 1;
        }
        while left > 0 {
            let Some(piece) = self.lens.get_mut(at) else { break };
            if left < *piece {
                *piece -= left;
                left = 0;
            } else {
                left -= *piece;
                self.lens.remove(at);
            }
        }
        bytes.drain(start..start + len);
        self.see_first();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(lens: &[usize]) -> (Pieces, Vec<u8>) {
        let len = lens.iter().sum::<usize>();
        (Pieces { lens: lens.to_vec(), seen: 0..lens[0] }, (0..len as u8).collect())
    }

    #[test]
    fn what_is_pulled_is_seen() {
        let (mut pieces, _) = message(&[4, 4, 4]);
        assert_eq!((pieces.pull(1, 3), pieces.seen.clone(), pieces.lens.clone()), (Ok(()), 1..3, vec![4, 4, 4]));
        // Over pieces: they are joined.
        assert_eq!((pieces.pull(5, 10), pieces.seen.clone(), pieces.lens.clone()), (Ok(()), 5..10, vec![4, 8]));
        for (start, end) in [(3, 3), (4, 3), (12, 13), (0, 13), (u32::MAX as usize, 1)] {
            assert_eq!(pieces.pull(start, end), Err(Errno::EINVAL), "{start} {end}");
        }
        assert_eq!(pieces.seen, 5..10);
    }

    #[test]
    fn what_is_pushed_is_a_piece() {
        let (mut pieces, mut bytes) = message(&[4, 4]);
        pieces.push(&mut bytes, 2, 3).unwrap();
        assert_eq!(
            (&bytes[..], pieces.lens.clone(), pieces.seen.clone()),
            (&[0, 1, 0, 0, 0, 2, 3, 4, 5, 6, 7][..], vec![2, 3, 2, 4], 0..2)
        );
        pieces.push(&mut bytes, 11, 1).unwrap();
        assert_eq!((bytes.len(), pieces.lens.clone()), (12, vec![2, 3, 2, 4, 1]));
        pieces.push(&mut bytes, 0, 2).unwrap();
        assert_eq!((pieces.lens[0], pieces.seen.clone()), (2, 0..2));
        assert_eq!(pieces.push(&mut bytes, 15, 1), Err(Errno::EINVAL));
        assert_eq!((pieces.push(&mut bytes, 99, 0), bytes.len()), (Ok(()), 14));
        assert_eq!(pieces.push(&mut bytes, 0, u32::MAX as usize), Err(Errno::ENOMEM));
        // Of nothing.
        let (mut pieces, mut bytes) = message(&[0]);
        pieces.push(&mut bytes, 0, 5).unwrap();
        assert_eq!((bytes.len(), pieces.seen), (5, 0..5));
        // Where there is no room for one more piece, one grows.
        let (mut pieces, mut bytes) = message(&[1; MAX_PIECES]);
        pieces.push(&mut bytes, 3, 2).unwrap();
        assert_eq!((bytes.len(), pieces.lens.len(), pieces.lens[3]), (MAX_PIECES + 2, MAX_PIECES, 3));
    }

    #[test]
    fn what_is_popped_is_gone() {
        let (mut pieces, mut bytes) = message(&[4, 4, 4]);
        pieces.pop(&mut bytes, 1, 2).unwrap();
        assert_eq!((&bytes[..], pieces.lens.clone()), (&[0, 3, 4, 5, 6, 7, 8, 9, 10, 11][..], vec![1, 1, 4, 4]));
        pieces.pop(&mut bytes, 1, 6).unwrap();
        assert_eq!((&bytes[..], pieces.lens.clone(), pieces.seen.clone()), (&[0, 9, 10, 11][..], vec![1, 3], 0..1));
        for (start, len) in [(4, 1), (3, 2), (0, 5), (0, usize::MAX)] {
            assert_eq!(pieces.pop(&mut bytes, start, len), Err(Errno::EINVAL), "{start} {len}");
        }
        pieces.pop(&mut bytes, 0, 4).unwrap();
        assert_eq!((bytes.len(), pieces.seen), (0, 0..0));
    }

    /// Whatever is done, pieces and bytes have the same length, and what is seen is there.
    #[test]
    fn lengths_agree() {
        let (mut pieces, mut bytes) = message(&[9]);
        let mut seed = 3u64;
        let mut next = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        for _ in 0..20_000 {
            let (at, len) = (next(60), next(20));
            let _ = match next(3) {
                0 => pieces.pull(at, at + len),
                1 => pieces.push(&mut bytes, at, len),
                _ => pieces.pop(&mut bytes, at, len),
            };
            if bytes.len() > 400 {
                pieces.pop(&mut bytes, 0, 390).unwrap();
            }
            assert_eq!(pieces.len(), bytes.len());
            assert!(
                pieces.lens.len() <= MAX_PIECES
                    && pieces.seen.start <= pieces.seen.end
                    && pieces.seen.end <= bytes.len()
            );
        }
    }
}

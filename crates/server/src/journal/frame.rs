//! Frames: length and checksum, four bytes each, little end first; then the bytes. A frame is whole or it is the torn end of its file; nothing is read past one that is
//! not whole.
#![warn(clippy::indexing_slicing)]

/// The longest fact that is believed when read back.
const FACT_MAX: usize = 1 << 20;

/// Appends one frame, whose body `body` appends.
pub(super) fn write(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let head = out.len();
    out.extend_from_slice(&[0; 8]);
    let begin = out.len();
    body(out);
    let written = out.get(begin..).unwrap_or_default();
    let (length, sum) = (u32::try_from(written.len()).unwrap_or(u32::MAX), crc32fast::hash(written));
    if let Some(place) = out.get_mut(head..begin) {
        let (first, last) = place.split_at_mut(4);
        first.copy_from_slice(&length.to_le_bytes());
        last.copy_from_slice(&sum.to_le_bytes());
    }
}

/// The first frame of `bytes`: its body and what stands behind it. `None` when it is not whole.
pub(super) fn read(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= FACT_MAX)?;
    let (body, rest) = rest.split_at_checked(length)?;
    (crc32fast::hash(body) == u32::from_le_bytes(*sum)).then_some((body, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_frame_is_no_frame() {
        let mut bytes = Vec::new();
        write(&mut bytes, |out| out.extend_from_slice(b"one"));
        write(&mut bytes, |out| out.extend_from_slice(b"two"));
        let (first, rest) = read(&bytes).unwrap();
        assert_eq!((first, read(rest).map(|r| r.0)), (&b"one"[..], Some(&b"two"[..])));
        for cut in 0..rest.len() {
            assert_eq!(rest.get(..cut).and_then(read), None, "{cut}");
        }
        let last = bytes.len() - 1;
        bytes.iter_mut().skip(last).for_each(|byte| *byte ^= 1);
        let (_, rest) = read(&bytes).unwrap();
        assert_eq!(read(rest), None);
    }
}

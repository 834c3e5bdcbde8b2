//! The first frame of an HTTP/2 server: it must be SETTINGS (RFC 9113 §3.4). Looked for before a connection is used, so that a peer that agreed to
//! HTTP/2 and speaks something else is known by name, and no more streams are opened than it takes.

/// What the bytes so far say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preface {
    /// Not enough of them.
    More,
    /// HTTP/2, and how many streams at a time; `None`: as many as one likes.
    Http2(Option<u32>),
    /// Something else.
    Other,
}

/// Bytes of a frame's head.
const HEAD: usize = 9;
/// The type of SETTINGS.
const SETTINGS: u8 = 4;
/// `SETTINGS_MAX_CONCURRENT_STREAMS`.
const MAX_CONCURRENT_STREAMS: u16 = 3;
/// Bytes of one setting: an identifier of two, a value of four.
const SETTING: usize = 6;
/// More settings than this in a first frame are no settings. There are eight kinds.
const MOST: usize = 128 * SETTING;

/// Reads them.
pub(super) fn judge(bytes: &[u8]) -> Preface {
    let Some(head) = bytes.first_chunk::<HEAD>() else { return Preface::More };
    let [high, middle, low, kind, flags, stream @ ..] = *head;
    let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
    if kind != SETTINGS || flags & 1 != 0 || u32::from_be_bytes(stream) != 0 || length % SETTING != 0 || length > MOST {
        return Preface::Other;
    }
    let Some(settings) = bytes.get(HEAD..HEAD + length) else { return Preface::More };
    let streams = settings.chunks_exact(SETTING).rev().find_map(|setting| {
        let (name, value) = setting.split_first_chunk()?;
        (u16::from_be_bytes(*name) == MAX_CONCURRENT_STREAMS).then(|| value.first_chunk().copied().map(u32::from_be_bytes))?
    });
    Preface::Http2(streams)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_frame_says_whether_it_is_http2_and_how_many_streams_it_takes() {
        let check = |bytes: &[u8], expected: Preface| assert_eq!(judge(bytes), expected, "{bytes:?}");
        let limited = [0, 0, 12, 4, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0, 3, 0, 0, 0, 128];
        check(&limited, Preface::Http2(Some(128)));
        check(&[0, 0, 0, 4, 0, 0, 0, 0, 0], Preface::Http2(None));
        for cut in 0..limited.len() {
            check(&limited[..cut], Preface::More);
        }
        check(b"HTTP/1.1 400 Bad Request\r\n\r\n", Preface::Other);
        check(&[0, 0, 0, 4, 1, 0, 0, 0, 0], Preface::Other);
        check(&[0, 0, 8, 7, 0, 0, 0, 0, 0], Preface::Other);
        check(&[0, 0, 5, 4, 0, 0, 0, 0, 0], Preface::Other);
        check(&[255, 255, 252, 4, 0, 0, 0, 0, 0], Preface::Other);
    }
}

//! How many tokens an image is: by its width and height, which stand at the beginning of its bytes, and the rules that providers publish.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::DecodePaddingMode,
    engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig},
};

/// By whose rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Scaled down into 2,048², then to a shorter side of 768; 85 tokens and 170 for each tile of 512² (OpenAI, "Images and vision", high detail, which
    /// is the default; its newer models take fewer, at most 1,536 patches of 32²).
    Tiles,
    /// Width · height / 750, at most 1,600 for what is scaled down to 1,568 (Anthropic, "Vision").
    Area,
    /// 258 for up to 384², else 258 for each tile of 768² (Google, "Understand and count tokens").
    Crops,
}

/// Of an image whose size cannot be seen (an URL, a file's id): 1,024² in tiles, the most by area, four crops.
const UNSEEN: [u64; 3] = [765, 1600, 1032];

/// Bytes of base64 that are looked at: cameras write up to 64 KiB of what else they know before the size.
const LOOK: usize = 96 << 10;

/// The tokens of an image as it stands in a string: a `data:` URL, base64, or anything else.
pub(super) fn tokens(raw: &[u8], rule: Rule) -> u64 {
    match (size(raw), rule) {
        (None, Rule::Tiles) => UNSEEN[0],
        (None, Rule::Area) => UNSEEN[1],
        (None, Rule::Crops) => UNSEEN[2],
        (Some((width, height)), Rule::Tiles) => {
            let (width, height) = within(width, height, width.max(height), 2048);
            let (width, height) = within(width, height, width.min(height), 768);
            85 + 170 * width.div_ceil(512) * height.div_ceil(512)
        }
        (Some((width, height)), Rule::Area) => {
            let (width, height) = within(width, height, width.max(height), 1568);
            (width * height).div_ceil(750).clamp(1, UNSEEN[1])
        }
        (Some((width, height)), Rule::Crops) if width <= 384 && height <= 384 => 258,
        (Some((width, height)), Rule::Crops) => 258 * width.div_ceil(768).min(16) * height.div_ceil(768).min(16),
    }
}

/// Scaled down so that `side` is at most `most`.
fn within(width: u64, height: u64, side: u64, most: u64) -> (u64, u64) {
    if side <= most { (width, height) } else { ((width * most / side).max(1), (height * most / side).max(1)) }
}

/// Width and height of a PNG, JPEG, GIF or `WebP`.
fn size(raw: &[u8]) -> Option<(u64, u64)> {
    let text = if raw.starts_with(b"data:") { &raw[memchr::memchr(b',', &raw[..raw.len().min(256)])? + 1..] } else { raw };
    let look = text.len().min(LOOK) / 4 * 4;
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
    let decode = |length: usize| GeneralPurpose::new(&STANDARD, lenient).decode(&text[..length]).ok();
    // All but JPEG have it within the first bytes.
    let head = decode(look.min(64))?;
    let (width, height) = match () {
        () if head.starts_with(b"\x89PNG") => (big(&head, 16, 4)?, big(&head, 20, 4)?),
        () if head.starts_with(b"GIF8") => (little(&head, 6, 2)?, little(&head, 8, 2)?),
        () if head.get(8..12) == Some(b"WEBP") => webp(&head)?,
        () if head.starts_with(b"\xff\xd8") => jpeg(&decode(look)?)?,
        () => return None,
    };
    ((1..=1 << 16).contains(&width) && (1..=1 << 16).contains(&height)).then_some((width, height))
}

fn webp(bytes: &[u8]) -> Option<(u64, u64)> {
    match bytes.get(12..16)? {
        b"VP8 " => Some((little(bytes, 26, 2)? & 0x3fff, little(bytes, 28, 2)? & 0x3fff)),
        b"VP8L" => {
            let bits = little(bytes, 21, 4)?;
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => Some((little(bytes, 24, 3)? + 1, little(bytes, 27, 3)? + 1)),
        _ => None,
    }
}

/// Goes from segment to segment to the one that begins a frame.
fn jpeg(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut at = 2;
    loop {
        let marker = *bytes.get(at..at + 2)?.strip_prefix(b"\xff")?.first()?;
        match marker {
            0xff => at += 1,
            0xc4 | 0xc8 | 0xcc | 0..=0xbf | 0xd0..=0xfe => at += 2 + usize::try_from(big(bytes, at + 2, 2)?).ok()?,
            0xc0..=0xcf => return Some((big(bytes, at + 7, 2)?, big(bytes, at + 5, 2)?)),
        }
    }
}

fn big(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    Some(bytes.get(at..at + length)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn little(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    Some(bytes.get(at..at + length)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::{Rule, size, tokens};

    fn png(width: u32, height: u32) -> Vec<u8> {
        [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &width.to_be_bytes(), &height.to_be_bytes(), &[8, 6, 0, 0, 0]].concat()
    }

    fn jpeg(width: u16, height: u16) -> Vec<u8> {
        let more = [&b"\xff\xe1\x80\x02"[..], &vec![7; 0x8000]].concat();
        [b"\xff\xd8", &more[..], &more, b"\xff\xc4\0\x04ab\xff\xc0\0\x11\x08", &height.to_be_bytes(), &width.to_be_bytes(), &[3; 40]].concat()
    }

    #[test]
    fn the_size_is_seen_in_the_first_bytes() {
        let webp = |kind: &[u8], rest: &[u8]| [b"RIFF\x10\0\0\0WEBP", kind, b"\0\0\0\0", rest].concat();
        for (bytes, expected) in [
            (png(1024, 768), Some((1024, 768))),
            (jpeg(640, 480), Some((640, 480))),
            (b"GIF89a\x40\x01\xf0\0".to_vec(), Some((320, 240))),
            (webp(b"VP8X", &[0, 0, 0, 0, 0x7f, 2, 0, 0xdf, 1, 0]), Some((640, 480))),
            (webp(b"VP8 ", &[0, 0, 0, 0x9d, 1, 0x2a, 0x80, 2, 0xe0, 1]), Some((640, 480))),
            (webp(b"VP8L", &[0x2f, 0x7f, 0xc2, 0x77, 0]), Some((640, 480))),
            (png(0, 10), None),
            (b"%PDF-1.7".to_vec(), None),
            (vec![0xff, 0xd8, 0xff], None),
            (Vec::new(), None),
        ] {
            let text = STANDARD.encode(&bytes);
            assert_eq!(size(text.as_bytes()), expected, "{text:.40}");
            assert_eq!(size(format!("data:image/png;base64,{text}").as_bytes()), expected, "{text:.40}");
        }
        assert_eq!(size(b"https://example.com/cat.png"), None);
    }

    #[test]
    fn an_image_costs_what_its_provider_says() {
        let of = |width, height, rule| tokens(STANDARD.encode(png(width, height)).as_bytes(), rule);
        // The examples of the providers' own pages.
        assert_eq!(of(1024, 1024, Rule::Tiles), 765);
        assert_eq!(of(2048, 4096, Rule::Tiles), 1105);
        assert_eq!(of(1000, 1000, Rule::Area), 1334);
        assert_eq!(of(200, 200, Rule::Area), 54);
        assert_eq!(of(300, 300, Rule::Crops), 258);
        assert_eq!(of(960, 540, Rule::Crops), 516);
        assert_eq!(of(60_000, 60_000, Rule::Area), 1600);
        assert_eq!(tokens(b"https://example.com/cat.png", Rule::Tiles), 765);
    }
}

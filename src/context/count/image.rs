//! How many tokens an image is: by its width and height, which stand at the beginning of its bytes, and the rules that providers publish.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::DecodePaddingMode,
    engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig},
};

use super::is_later_claude;

/// By whose rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Scaled down into 2,048², then to a shorter side of 768: tokens for all of it, and for each tile of 512².
    Tiles(u64, u64),
    /// Scaled down until it is within limits, then by cells.
    Cells(Cells),
    /// 258 for up to 384², else 258 for each tile of 768² (Google, "Understand and count tokens").
    Crops,
    /// As many whatever its size.
    Fixed(u64),
}

/// How an image is parted into square cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cells {
    /// Of so many pixels' side.
    side: u64,
    /// The image's longer side is at most so many pixels.
    edge: u64,
    /// It has at most so many cells.
    most: u64,
    /// Hundredths of a token that each is.
    price: u64,
}

const fn cells(side: u64, edge: u64, most: u64, price: u64) -> Rule {
    Rule::Cells(Cells { side, edge, most, price })
}

/// Until Opus 4.7 and since (Anthropic, "Vision").
const CLAUDE: Rule = cells(28, 1568, 1568, 100);
const CLAUDE_LATER: Rule = cells(28, 2576, 4784, 100);

/// Before Gemini 3, and the default since ("Media resolution").
const GEMINI_EARLIER: [&str; 2] = ["gemini-1", "gemini-2"];
const GEMINI: Rule = Rule::Fixed(1120);

/// Beginnings of names, most telling first (OpenAI, "Images and vision", of the `detail` that is the default). Where that says 1.62 and 2.46 tokens a cell of
/// GPT-5's small models, users have measured 1.2 and 1.5, and 1.2 of all since. What GPT-4o mini is charged beyond GPT-4o does not fill its window.
const OPENAI: [(&str, Rule); 19] = [
    ("gpt-4.1-mini", cells(32, 2048, 1536, 162)),
    ("gpt-4.1-nano", cells(32, 2048, 1536, 246)),
    ("gpt-4", Rule::Tiles(85, 170)),
    ("chatgpt-4o", Rule::Tiles(85, 170)),
    ("o4-mini", cells(32, 2048, 1536, 172)),
    ("codex-mini", cells(32, 2048, 1536, 172)),
    ("o1", Rule::Tiles(75, 150)),
    ("o3", Rule::Tiles(75, 150)),
    ("computer-use", Rule::Tiles(65, 129)),
    ("gpt-5-nano", cells(32, 2048, 1536, 150)),
    ("gpt-5-mini", cells(32, 2048, 1536, 120)),
    ("gpt-5-codex", cells(32, 2048, 1536, 120)),
    ("gpt-5-", Rule::Tiles(70, 140)),
    ("gpt-5.1", cells(32, 2048, 1536, 120)),
    ("gpt-5.2", cells(32, 2048, 1536, 120)),
    ("gpt-5.3", cells(32, 2048, 1536, 120)),
    ("gpt-5.4", cells(32, 2048, 2500, 120)),
    ("gpt-5.5", cells(32, 6000, 10_000, 120)),
    ("gpt-", cells(32, u64::MAX, u64::MAX, 120)),
];

impl Rule {
    /// By a model's own name. One of another maker is taken as Claude, until Opus 4.7.
    pub(super) fn of(model: &str) -> Self {
        if let Some(is_later) = is_later_claude(model) {
            return if is_later { CLAUDE_LATER } else { CLAUDE };
        }
        if model.contains("gemini") {
            return if GEMINI_EARLIER.iter().any(|part| model.contains(part)) { Self::Crops } else { GEMINI };
        }
        match model {
            "gpt-5" => Self::Tiles(70, 140),
            _ => OPENAI.iter().find(|(start, _)| model.starts_with(start)).map_or(CLAUDE, |(_, rule)| *rule),
        }
    }
}

/// What an image whose size cannot be seen (an URL, a file's id) is taken as.
const UNSEEN: (u64, u64) = (1280, 1280);

/// Bytes of base64 that are looked at: cameras write up to 64 KiB of what else they know before the size.
const LOOK: usize = 96 << 10;

/// The tokens of an image as it stands in a string: a `data:` URL, base64, or anything else.
pub(super) fn tokens(raw: &[u8], rule: Rule) -> u64 {
    let (width, height) = size(raw).unwrap_or(UNSEEN);
    match rule {
        Rule::Tiles(base, tile) => {
            let (width, height) = within(width, height, width.max(height), 2048);
            let (width, height) = within(width, height, width.min(height), 768);
            base + tile * width.div_ceil(512) * height.div_ceil(512)
        }
        Rule::Cells(cells) => (cells.of(width, height) * cells.price).div_ceil(100),
        Rule::Crops if width <= 384 && height <= 384 => 258,
        Rule::Crops => 258 * width.div_ceil(768).min(16) * height.div_ceil(768).min(16),
        Rule::Fixed(tokens) => tokens,
    }
}

impl Cells {
    /// Cells of an image, scaled down with its shape kept.
    fn of(self, width: u64, height: u64) -> u64 {
        let (width, height) = within(width, height, width.max(height), self.edge);
        let cells = width.div_ceil(self.side) * height.div_ceil(self.side);
        if cells <= self.most {
            return cells;
        }
        // As many columns as fit, with the rows that belong to them, or the other way round.
        let fitting = |along: u64, across: u64| {
            let columns = (self.most * along / across).isqrt().max(1);
            columns * (columns * across).div_ceil(along)
        };
        let fits = [fitting(width, height), fitting(height, width)].into_iter().filter(|&cells| cells <= self.most);
        fits.max().unwrap_or(self.most)
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
        let of = |model: &str, width, height| tokens(STANDARD.encode(png(width, height)).as_bytes(), Rule::of(model));
        for (model, (width, height), expected) in [
            // The examples of the providers' own pages.
            ("gpt-4o-2024-08-06", (1024, 1024), 765),
            ("gpt-4.1", (2048, 4096), 1105),
            ("gpt-4.1-mini", (1024, 1024), 1659),
            ("claude-sonnet-4-6", (1920, 1080), 1560),
            ("claude-opus-4-7", (1920, 1080), 2691),
            ("anthropic.claude-opus-4-8-v1:0", (3840, 2160), 4784),
            ("gemini-2.5-pro", (300, 300), 258),
            ("gemini-2.5-pro", (960, 540), 516),
            ("gemini-3-pro-preview", (300, 4000), 1120),
            // What users have measured.
            ("claude-haiku-4-5", (256, 256), 100),
            ("claude-opus-5-5", (1024, 1024), 1369),
            ("gpt-5-mini", (1280, 720), 1104),
            ("gpt-5-mini", (2048, 768), 1844),
            ("gpt-6-astra", (4032, 3024), 14_364),
            ("gpt-5.5", (3840, 2160), 9792),
            // By the rules.
            ("gpt-5", (1024, 1024), 630),
            ("o3", (1024, 1024), 675),
            ("qwen2.5-vl", (60_000, 60_000), 1521),
            ("claude-3-5-sonnet", (60_000, 1), 56),
        ] {
            assert_eq!(of(model, width, height), expected, "{model}: {width} × {height}");
        }
        assert_eq!(tokens(b"https://example.com/cat.png", Rule::of("gpt-4o")), 765);
    }

    #[test]
    fn an_image_that_is_scaled_down_has_no_more_cells_than_it_may() {
        let mut random = fastrand::Rng::with_seed(4);
        for _ in 0..2000 {
            let (width, height) = (random.u32(1..1 << 16), random.u32(1..1 << 16));
            let raw = STANDARD.encode(png(width, height));
            for (model, most) in [("claude-sonnet-4-6", 1568), ("claude-opus-4-8", 4784), ("gpt-5.2", 1844), ("gpt-5.5", 12_000)] {
                let tokens = tokens(raw.as_bytes(), Rule::of(model));
                assert!((1..=most).contains(&tokens), "{model}: {width} × {height}: {tokens}");
            }
        }
    }
}

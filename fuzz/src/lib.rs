//! What the targets share: bytes in pieces of sizes that the input chooses, and conversations made from bytes.

use pillion::wire::Dialect;

pub mod talk;

/// The dialects, by the first byte of an input.
pub fn dialect(byte: u8) -> Dialect {
    const ALL: [Dialect; 7] = [
        Dialect::OpenaiChat,
        Dialect::OpenaiResponses,
        Dialect::OpenaiCompletions,
        Dialect::OpenaiEmbeddings,
        Dialect::AnthropicMessages,
        Dialect::Gemini,
        Dialect::Ollama,
    ];
    ALL[usize::from(byte) % ALL.len()]
}

/// Pieces of changing sizes, from 0 bytes on: a small generator, so that an input says the same each time.
pub fn pieces(bytes: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut state = u32::from(seed) + 1;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (piece, after) = rest.split_at(((state >> 24) as usize % 23).min(rest.len()));
        rest = after;
        Some(piece)
    })
}

//! Reads what a message holds beside texts: images, files, documents, in each dialect's shape. Of each its bytes, or its address, are one piece.

use super::{
    PieceKind,
    fields::Seen,
    reader::{Reader, word},
};
use crate::wire::skim::{NotJson, Skim};

impl Reader {
    /// Reads a medium: itself or its URL, an object with either, or a list of them.
    pub(super) fn media(&mut self, skim: &mut Skim<'_>, kind: PieceKind) -> Result<(), NotJson> {
        match skim.peek()? {
            b'"' => return self.text(skim, kind),
            b'[' | b'{' if skim.is_deep() => return Err(NotJson),
            b'[' => return skim.array(|skim| self.media(skim, kind)),
            b'{' => {}
            _ => return skim.skip(),
        }
        let mut seen = Seen::default();
        skim.object(|skim, key| {
            let number = match key {
                b"url" => 0,
                b"data" => 1,
                b"file_data" => 2,
                b"file_id" | b"id" => 3,
                b"file_uri" | b"file_url" => 4,
                b"filename" => 5,
                _ => return skim.skip(),
            };
            match number {
                _ if !seen.is_first(number) => Err(NotJson),
                5 => self.name(skim),
                _ => self.media(skim, kind),
            }
        })
    }

    /// Reads Anthropic's `source`, of an image or a document; of a search result it is a name.
    pub(super) fn source(&mut self, skim: &mut Skim<'_>) -> Result<(), NotJson> {
        if skim.peek()? != b'{' {
            return self.name(skim);
        }
        let (mut is_text, mut seen, from) = (false, Seen::default(), self.place());
        skim.object(|skim, key| {
            let number = match key {
                b"type" => 0,
                b"data" => 1,
                b"url" => 2,
                b"file_id" => 3,
                b"content" => 4,
                _ => return skim.skip(),
            };
            match number {
                _ if !seen.is_first(number) => Err(NotJson),
                0 => word(skim).map(|word| is_text = word.as_deref() == Some(b"text")),
                4 => self.value(skim),
                _ => self.media(skim, PieceKind::File),
            }
        })?;
        if is_text {
            self.recast(from, &[PieceKind::File], PieceKind::Text);
        }
        Ok(())
    }

    /// Reads Gemini's `inlineData` or `fileData`: by its type of media an image, or another file.
    pub(super) fn blob(&mut self, skim: &mut Skim<'_>) -> Result<(), NotJson> {
        if skim.peek()? != b'{' {
            return Err(NotJson);
        }
        let (mut is_image, mut seen, from) = (false, Seen::default(), self.place());
        skim.object(|skim, key| {
            let number = match key {
                b"mimeType" | b"mime_type" => 0,
                b"data" => 1,
                b"fileUri" | b"file_uri" => 2,
                b"displayName" | b"display_name" => 3,
                _ => return skim.skip(),
            };
            match number {
                _ if !seen.is_first(number) => Err(NotJson),
                0 => word(skim).map(|word| is_image = word.is_some_and(|word| word.starts_with(b"image/"))),
                3 => self.name(skim),
                _ => self.media(skim, PieceKind::File),
            }
        })?;
        if is_image {
            self.recast(from, &[PieceKind::File], PieceKind::Image);
        }
        Ok(())
    }
}

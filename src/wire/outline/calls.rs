//! Reads calls of tools where a message has a key for them, and what a function of Gemini's gave back, which is any JSON.

use std::ops::Range;

use super::{
    Link, Piece, PieceKind,
    fields::Seen,
    reader::{Reader, link, quoted},
};
use crate::wire::skim::{NotJson, Skim};

/// Texts within Gemini's results that are at least so long, in bytes, are pieces of their own; shorter ones are not worth shortening.
const OWN_MIN: usize = 256;

impl Reader {
    /// Reads a call of a tool: an element of `tool_calls`, `function_call`, `functionCall`.
    pub(super) fn call(&mut self, skim: &mut Skim<'_>) -> Result<(), NotJson> {
        if skim.peek()? != b'{' {
            return skim.skip();
        }
        let id = self.call_fields(skim)?;
        self.calls(id);
        Ok(())
    }

    fn call_fields(&mut self, skim: &mut Skim<'_>) -> Result<Link, NotJson> {
        if skim.peek()? != b'{' {
            return skim.skip().map(|()| None);
        }
        if skim.is_deep() {
            return Err(NotJson);
        }
        let (mut id, mut seen) = (None, Seen::default());
        skim.object(|skim, key| {
            let number = match key {
                b"id" => 0,
                b"name" => 1,
                b"arguments" | b"input" | b"args" => 2,
                b"function" | b"custom" => 3,
                b"extra_content" => 4,
                b"thought_signature" | b"thoughtSignature" => 5,
                b"type" => 6,
                _ => return skim.skip(),
            };
            match number {
                _ if !seen.is_first(number) => Err(NotJson),
                0 => link(skim).map(|link| id = link),
                1 | 2 => self.whole(skim, PieceKind::Call),
                3 => self.call_fields(skim).map(drop),
                6 => skim.skip(),
                _ => self.whole(skim, PieceKind::Sealed),
            }
        })?;
        Ok(id)
    }

    /// Reads Gemini's `functionResponse`.
    pub(super) fn response(&mut self, skim: &mut Skim<'_>) -> Result<(), NotJson> {
        if skim.peek()? != b'{' || skim.is_deep() {
            return Err(NotJson);
        }
        let (from, spoke) = (self.place(), self.speaks());
        let (mut id, mut seen) = (None, Seen::default());
        skim.object(|skim, key| {
            let number = match key {
                b"id" => 0,
                b"name" => 1,
                b"response" => 2,
                b"parts" => 3,
                _ => return skim.skip(),
            };
            match number {
                _ if !seen.is_first(number) => Err(NotJson),
                0 => link(skim).map(|link| id = link),
                1 => self.name(skim),
                2 => self.outcome(skim),
                _ => self.value(skim),
            }
        })?;
        self.brings(id, from, spoke);
        Ok(())
    }

    /// Reads what a function gave back: JSON all of which counts, but whose long texts are pieces of their own.
    fn outcome(&mut self, skim: &mut Skim<'_>) -> Result<(), NotJson> {
        if matches!(skim.peek()?, b'"' | b'n') {
            return self.value(skim);
        }
        let mut done = skim.offset();
        self.long_texts(skim, &mut done)?;
        self.between(done..skim.offset())
    }

    fn long_texts(&mut self, skim: &mut Skim<'_>, done: &mut usize) -> Result<(), NotJson> {
        match skim.peek()? {
            b'"' => {
                let at = quoted(skim)?;
                if at.len() >= OWN_MIN {
                    self.between(*done..at.start)?;
                    *done = at.end;
                    self.push(Piece { at, is_quoted: true, kind: PieceKind::Result })?;
                }
                Ok(())
            }
            b'[' if !skim.is_deep() => skim.array(|skim| self.long_texts(skim, done)),
            b'{' if !skim.is_deep() => skim.object(|skim, _| self.long_texts(skim, done)),
            _ => skim.skip(),
        }
    }

    /// What lies between two such texts cannot be shortened.
    fn between(&mut self, at: Range<usize>) -> Result<(), NotJson> {
        self.push(Piece { at, is_quoted: false, kind: PieceKind::Call })
    }
}

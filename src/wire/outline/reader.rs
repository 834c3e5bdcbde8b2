//! Reads a message in whatever shape the dialect has, in one pass: what counts of it is noted as it comes, and recast at the end of the object that it
//! stands in, since its `type` may stand behind what it says. A key that is there twice makes the message unclear, and nothing is read.

use std::{borrow::Cow, ops::Range};

use xxhash_rust::xxh3::xxh3_64;

use super::{
    Item, Link, Piece, PieceKind,
    fields::{self, Field, Seen},
};
use crate::wire::{
    Dialect, Role, prompt,
    skim::{NotJson, Skim, unescaped},
};

/// Most pieces of a conversation that is read.
const PIECES_MAX: usize = 64 << 10;

/// Reads messages, one at a time.
pub(super) struct Reader {
    dialect: Dialect,
    /// What was read of the message so far.
    item: Item,
    /// Pieces of all messages.
    count: usize,
}

/// The plain fields of an object within a message.
#[derive(Default)]
struct Object<'a> {
    seen: Seen,
    role: Option<Cow<'a, [u8]>>,
    kind: Option<Cow<'a, [u8]>>,
    id: Link,
    call_id: Link,
    result_id: Link,
    approval_id: Link,
    is_thought: bool,
    /// Where it lies.
    at: Range<usize>,
    /// Where its pieces begin.
    from: usize,
    /// Whether something was said before it.
    spoke: bool,
}

impl Object<'_> {
    fn kind(&self) -> &[u8] {
        self.kind.as_deref().unwrap_or_default()
    }
}

impl Reader {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, item: Item::default(), count: 0 }
    }

    /// Reads a text that stands beside the messages.
    pub(super) fn beside(&mut self, skim: &mut Skim<'_>) -> Result<Vec<Piece>, NotJson> {
        self.value(skim)?;
        Ok(std::mem::take(&mut self.item).pieces)
    }

    /// Reads an element of the list of messages, and says whether it stands for something that the provider holds.
    pub(super) fn item(&mut self, skim: &mut Skim<'_>) -> Result<(Item, bool), NotJson> {
        let first = skim.peek()?;
        let start = skim.offset();
        let mut is_held = false;
        match first {
            b'"' => {
                self.text(skim, PieceKind::Text)?;
                self.item.role = Role::User;
            }
            b'{' => {
                let object = self.object(skim)?;
                is_held = object.kind() == b"item_reference";
                self.item.role = prompt::role(self.dialect, object.role.as_deref(), object.kind());
                self.settle_item(&object)?;
            }
            _ => return Err(NotJson),
        }
        self.item.at = start..skim.offset();
        Ok((std::mem::take(&mut self.item), is_held))
    }

    /// Reads a value that holds texts: one, a list of them, or an object of a message's kind.
    pub(super) fn value(&mut self, skim: &mut Skim<'_>) -> Result<(), NotJson> {
        match skim.peek()? {
            b'"' => self.text(skim, PieceKind::Text),
            b'[' | b'{' if skim.is_deep() => Err(NotJson),
            b'[' => skim.array(|skim| self.value(skim)),
            b'{' => {
                let object = self.object(skim)?;
                self.settle(&object)
            }
            _ => skim.skip(),
        }
    }

    fn object<'a>(&mut self, skim: &mut Skim<'a>) -> Result<Object<'a>, NotJson> {
        let start = skim.offset();
        let mut object = Object { from: self.item.pieces.len(), spoke: self.item.speaks, ..Object::default() };
        skim.object(|skim, key| match fields::known(self.dialect, key, fields::within_message)? {
            Some((number, _)) if !object.seen.is_first(number) => Err(NotJson),
            Some((_, field)) => self.field(skim, field, &mut object),
            None => skim.skip(),
        })?;
        object.at = start..skim.offset();
        Ok(object)
    }

    fn field<'a>(&mut self, skim: &mut Skim<'a>, field: Field, object: &mut Object<'a>) -> Result<(), NotJson> {
        match field {
            Field::Role => object.role = word(skim)?,
            Field::Kind => object.kind = word(skim)?,
            Field::Id => object.id = link(skim)?,
            Field::CallId => object.call_id = link(skim)?,
            Field::ResultId => object.result_id = link(skim)?,
            Field::ApprovalId => object.approval_id = link(skim)?,
            Field::IsThought => object.is_thought = skim.value()? == b"true",
            Field::Name => self.name(skim)?,
            Field::Texts => self.value(skim)?,
            Field::Reasoning => {
                let (from, spoke) = (self.item.pieces.len(), self.item.speaks);
                self.value(skim)?;
                self.recast(from, &[PieceKind::Text], PieceKind::Reasoning);
                self.item.speaks = spoke;
            }
            Field::Whole(kind) => self.whole(skim, kind)?,
            Field::Media(kind) => self.media(skim, kind)?,
            Field::Source => self.source(skim)?,
            Field::Blob => self.blob(skim)?,
            Field::Calls if skim.peek()? == b'[' => skim.array(|skim| self.call(skim))?,
            Field::Calls => skim.skip()?,
            Field::Call => self.call(skim)?,
            Field::Response => self.response(skim)?,
        }
        Ok(())
    }

    /// A message has ended: its calls and results are noted, and its texts are what it says they are.
    fn settle_item(&mut self, object: &Object<'_>) -> Result<(), NotJson> {
        use PieceKind::{Result, Text};
        if self.dialect == Dialect::OpenaiResponses && object.role.is_none() {
            return self.settle_bare(object);
        }
        if self.item.role != Role::Tool {
            return self.settle(object);
        }
        if self.item.results.is_empty() {
            let has_id = object.role.as_deref() == Some(b"tool") && self.dialect != Dialect::Ollama;
            self.item.results.push(object.result_id.filter(|_| has_id));
        }
        self.unsaid(object, &[Text], Result);
        Ok(())
    }

    /// The same of an item of the Responses API that is not a message.
    fn settle_bare(&mut self, object: &Object<'_>) -> Result<(), NotJson> {
        use PieceKind::{Call, Name, Result, Text};
        match object.kind() {
            b"item_reference" => {}
            b"mcp_approval_request" => {
                self.item.calls.push(object.id);
                self.unsaid(object, &[Text, Name], Call);
            }
            b"mcp_approval_response" => {
                self.item.results.push(object.approval_id);
                self.unsaid(object, &[Text], Result);
            }
            kind if kind.ends_with(b"_output") => {
                // Its documentation says `id`, its guide `call_id`.
                let id = object.id.filter(|_| kind == b"local_shell_call_output");
                self.item.results.push(object.call_id.or(id));
                self.unsaid(object, &[Text], Result);
            }
            kind => {
                self.item.leads = kind == b"reasoning";
                // What the provider ran by itself has no id but its own.
                if object.call_id.is_some() || matches!(kind, b"function_call" | b"custom_tool_call") {
                    self.item.calls.push(object.call_id);
                }
                return self.settle(object);
            }
        }
        Ok(())
    }

    /// An object has ended: makes of its pieces what its `type` says.
    fn settle(&mut self, object: &Object<'_>) -> Result<(), NotJson> {
        use PieceKind::{Call, File, Image, Name, Reasoning, Result, Sealed, Text};
        let kind = object.kind();
        match kind {
            b"tool_use" => {
                self.item.calls.push(object.id);
                self.unsaid(object, &[Text, Name], Call);
            }
            b"tool_result" => {
                self.item.results.push(object.result_id);
                self.unsaid(object, &[Text], Result);
            }
            b"image" | b"input_image" | b"image_url" | b"computer_screenshot" => self.recast(object.from, &[File, Sealed], Image),
            b"thinking" | b"redacted_thinking" | b"reasoning" | b"reasoning_text" | b"summary_text" => self.unsaid(object, &[Text], Reasoning),
            _ if object.is_thought => self.unsaid(object, &[Text], Reasoning),
            b"" | b"message" | b"text" | b"input_text" | b"output_text" | b"refusal" | b"document" | b"search_result" => {}
            _ => {
                // What the provider runs by itself goes back to it as it came.
                if kind.ends_with(b"_call") || kind.ends_with(b"_tool_use") || kind.ends_with(b"_tool_result") {
                    self.unsaid(object, &[Text, Name, Result], Call);
                }
                // Of something in which nothing is known all counts.
                if self.place() == object.from {
                    self.push(Piece { at: object.at.clone(), is_quoted: false, kind: Call })?;
                }
            }
        }
        Ok(())
    }

    /// What an object told is nothing that is said.
    fn unsaid(&mut self, object: &Object<'_>, from: &[PieceKind], to: PieceKind) {
        self.recast(object.from, from, to);
        self.item.speaks = object.spoke;
    }

    /// Makes pieces of some kinds, from this place on, pieces of another.
    pub(super) fn recast(&mut self, start: usize, from: &[PieceKind], to: PieceKind) {
        for piece in self.item.pieces.iter_mut().skip(start).filter(|piece| from.contains(&piece.kind)) {
            piece.kind = to;
        }
    }

    /// A name, a title, an address.
    pub(super) fn name(&mut self, skim: &mut Skim<'_>) -> Result<(), NotJson> {
        if skim.peek()? != b'"' {
            return skim.skip();
        }
        let at = quoted(skim)?;
        let kind = if skim.since(at.start).starts_with(b"data:") { PieceKind::File } else { PieceKind::Name };
        self.push(Piece { at, is_quoted: true, kind })
    }

    /// A text, or a medium that is written as one.
    pub(super) fn text(&mut self, skim: &mut Skim<'_>, kind: PieceKind) -> Result<(), NotJson> {
        let at = quoted(skim)?;
        self.push(Piece { at, is_quoted: true, kind })
    }

    /// What counts as it stands.
    pub(super) fn whole(&mut self, skim: &mut Skim<'_>, kind: PieceKind) -> Result<(), NotJson> {
        whole(skim, kind)?.map_or(Ok(()), |piece| self.push(piece))
    }

    /// The message calls a tool.
    pub(super) fn calls(&mut self, id: Link) {
        self.item.calls.push(id.filter(|_| self.dialect != Dialect::Ollama));
    }

    /// What was read from this place on, before which something was said or not, is a tool's result.
    pub(super) fn brings(&mut self, id: Link, from: usize, spoke: bool) {
        self.recast(from, &[PieceKind::Text], PieceKind::Result);
        self.item.speaks = spoke;
        self.item.results.push(id);
    }

    /// Whether something was said so far.
    pub(super) fn speaks(&self) -> bool {
        self.item.speaks
    }

    /// Where the next piece will stand.
    pub(super) fn place(&self) -> usize {
        self.item.pieces.len()
    }

    /// Notes a piece, unless it is empty.
    pub(super) fn push(&mut self, piece: Piece) -> Result<(), NotJson> {
        if piece.at.is_empty() {
            return Ok(());
        }
        self.count += 1;
        if self.count > PIECES_MAX {
            return Err(NotJson);
        }
        self.item.speaks |= matches!(piece.kind, PieceKind::Text | PieceKind::Image | PieceKind::File);
        self.item.pieces.push(piece);
        Ok(())
    }
}

/// A text that counts as it stands, or other JSON that does; `None` for nothing.
pub(super) fn whole(skim: &mut Skim<'_>, kind: PieceKind) -> Result<Option<Piece>, NotJson> {
    if skim.peek()? == b'"' {
        let at = quoted(skim)?;
        return Ok((!at.is_empty()).then_some(Piece { at, is_quoted: true, kind }));
    }
    let start = skim.offset();
    let value = skim.value()?;
    Ok((!matches!(value, b"null" | b"[]")).then(|| Piece { at: start..skim.offset(), is_quoted: false, kind }))
}

/// Where a string's text lies, between its quotes.
pub(super) fn quoted(skim: &mut Skim<'_>) -> Result<Range<usize>, NotJson> {
    let length = skim.text()?.len();
    let end = skim.offset() - 1;
    Ok(end - length..end)
}

/// A string's text; `None` for any other value.
pub(super) fn word<'a>(skim: &mut Skim<'a>) -> Result<Option<Cow<'a, [u8]>>, NotJson> {
    if skim.peek()? != b'"' {
        return skim.skip().map(|()| None);
    }
    let raw = skim.text()?;
    let is_plain = !raw.contains(&b'\\');
    Ok(Some(if is_plain { Cow::Borrowed(raw) } else { unescaped(raw).map_or(Cow::Borrowed(raw), |text| Cow::Owned(text.into_bytes())) }))
}

/// What an id is known by. Not keyed: every replica is to come to the same order of them.
pub(super) fn link(skim: &mut Skim<'_>) -> Result<Link, NotJson> {
    Ok(word(skim)?.filter(|id| !id.is_empty()).map(|id| xxh3_64(&id)))
}

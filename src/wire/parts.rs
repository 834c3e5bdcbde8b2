//! What a message is made of, gathered in one pass whatever its dialect: texts, calls of tools, results of tools. An object is judged at its end,
//! since its `type` may stand behind what it says; of a repeated key the last wins.

use super::{
    Characters,
    json::name,
    message::{CalledTool, Data, Text, ToolResult},
    skim::{NotJson, Skim},
};

/// Most texts, calls and results of a prompt that are kept.
const PARTS_MAX: usize = 50_000;

/// What is gathered of a prompt; between two messages its lists are empty.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    /// Texts, in order.
    pub(super) texts: Vec<Text<'a>>,
    /// Calls of tools.
    pub(super) calls: Vec<CalledTool<'a>>,
    /// Results of tools.
    pub(super) results: Vec<ToolResult<'a>>,
    /// Texts that were counted, whether kept or not, and their characters.
    counted: Counted,
    /// What the keys of the objects that are being read have added, innermost last.
    runs: Vec<Run>,
    /// Texts, calls and results that were kept before.
    kept: usize,
}

/// The plain fields of an object within a message, as they are written.
#[derive(Debug, Default)]
pub(super) struct Item<'a> {
    /// `role`.
    pub(super) role: Option<&'a [u8]>,
    /// `type`.
    pub(super) kind: Option<&'a [u8]>,
    /// `name`.
    pub(super) name: Option<&'a [u8]>,
    /// `tool_name`: Ollama's, of a result.
    pub(super) tool_name: Option<&'a [u8]>,
    /// `tool_call_id` or `tool_use_id`: of a result.
    pub(super) result_id: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
    call_id: Option<&'a [u8]>,
    pub(super) is_error: Option<bool>,
    is_thought: bool,
    arguments: Option<Data<'a>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counted {
    texts: u64,
    characters: Characters,
}

/// Where the lists were before a key's value was read.
#[derive(Debug, Clone, Copy)]
struct Run {
    key: Key,
    before: Before,
}

#[derive(Debug, Clone, Copy)]
struct Before {
    texts: usize,
    calls: usize,
    results: usize,
    counted: Counted,
}

impl<'a> Parts<'a> {
    /// Characters of what was read; `None` if there was no text.
    pub(super) fn characters(&self) -> Option<Characters> {
        (self.counted.texts > 0).then_some(self.counted.characters)
    }

    /// Whether there was more than is kept.
    pub(super) fn is_overfull(&self) -> bool {
        self.kept > PARTS_MAX
    }

    /// A message has ended: what it is made of, and its characters.
    pub(super) fn message(&mut self) -> (Vec<Text<'a>>, Vec<CalledTool<'a>>, Vec<ToolResult<'a>>, Option<Characters>) {
        let characters = self.characters();
        self.counted = Counted::default();
        (std::mem::take(&mut self.texts), std::mem::take(&mut self.calls), std::mem::take(&mut self.results), characters)
    }

    /// Reads a value that holds texts: one, a list of them, or an object of a message's kind.
    pub(super) fn value(&mut self, skim: &mut Skim<'a>) -> Result<(), NotJson> {
        match skim.peek()? {
            b'"' => self.text(skim),
            b'[' if !skim.is_deep() => skim.array(|skim| self.value(skim)),
            b'{' if !skim.is_deep() => self.part(skim),
            _ => skim.skip(),
        }
    }

    /// Reads an object's fields.
    pub(super) fn item(&mut self, skim: &mut Skim<'a>) -> Result<Item<'a>, NotJson> {
        let mut item = Item::default();
        let base = self.runs.len();
        skim.object(|skim, key| match Key::of(key) {
            Key::Other => skim.skip(),
            key => {
                if key >= Key::FIRST_THAT_ADDS {
                    self.begin(base, key);
                }
                self.field(skim, key, &mut item)
            }
        })?;
        self.runs.truncate(base);
        Ok(item)
    }

    /// Reads an object within a message: what it says is kept as that which it is.
    fn part(&mut self, skim: &mut Skim<'a>) -> Result<(), NotJson> {
        let from = self.texts.len();
        let item = self.item(skim)?;
        self.settle(&item, from);
        Ok(())
    }

    /// Makes of an object's texts and fields what its `type` says: `from` is where its texts begin.
    pub(super) fn settle(&mut self, item: &Item<'a>, from: usize) {
        let kind = item.kind.unwrap_or_default();
        match kind {
            b"tool_use" => self.call(item.id, item.name, item.arguments),
            b"function_call" | b"custom_tool_call" => self.call(item.call_id, item.name, item.arguments),
            b"local_shell_call" | b"shell_call" | b"apply_patch_call" | b"computer_call" => {
                self.call(item.call_id, kind.strip_suffix(b"_call"), item.arguments);
            }
            b"tool_result" => self.result(item.result_id, None, item.is_error, from),
            b"function_call_output"
            | b"custom_tool_call_output"
            | b"local_shell_call_output"
            | b"shell_call_output"
            | b"apply_patch_call_output"
            | b"computer_call_output" => self.result(item.call_id.or(item.id), None, item.is_error, from),
            b"reasoning" | b"reasoning_text" | b"summary_text" => self.texts.truncate(from),
            _ if item.is_thought || kind.ends_with(b"_call") => self.texts.truncate(from),
            _ => {}
        }
    }

    /// The texts from `from` on are a tool's result.
    pub(super) fn result(&mut self, id: Option<&'a [u8]>, tool: Option<&'a [u8]>, is_error: Option<bool>, from: usize) {
        let texts = if from == 0 { std::mem::take(&mut self.texts) } else { self.texts.split_off(from.min(self.texts.len())) };
        if self.has_room() {
            self.results.push(ToolResult { id: id.and_then(name), name: tool.and_then(name), texts, is_error });
        }
    }

    fn call(&mut self, id: Option<&'a [u8]>, tool: Option<&'a [u8]>, arguments: Option<Data<'a>>) {
        if let Some(tool) = tool.and_then(name)
            && self.has_room()
        {
            self.calls.push(CalledTool { id: id.and_then(name), name: tool, arguments });
        }
    }

    fn field(&mut self, skim: &mut Skim<'a>, key: Key, item: &mut Item<'a>) -> Result<(), NotJson> {
        match key {
            Key::Role => item.role = word(skim)?,
            Key::Kind => item.kind = word(skim)?,
            Key::Name => item.name = word(skim)?,
            Key::ToolName => item.tool_name = word(skim)?,
            Key::Id => item.id = word(skim)?,
            Key::CallId => item.call_id = word(skim)?,
            Key::ResultId => item.result_id = word(skim)?,
            Key::IsError => item.is_error = flag(skim)?,
            Key::IsThought => item.is_thought = flag(skim)?.unwrap_or(false),
            Key::Content | Key::Text | Key::Parts | Key::Output | Key::Refusal => self.value(skim)?,
            Key::Code | Key::Reasoning | Key::ReasoningContent | Key::Thinking | Key::Summary | Key::ExecutableCode | Key::CodeResult => {
                let from = self.texts.len();
                self.value(skim)?;
                self.texts.truncate(from);
            }
            Key::Arguments | Key::Input | Key::Args | Key::Action | Key::Operation => item.arguments = self.data(skim)?,
            Key::Calls if skim.peek()? == b'[' => skim.array(|skim| self.called(skim))?,
            Key::Call => self.called(skim)?,
            Key::Response if skim.peek()? == b'{' && !skim.is_deep() => self.response(skim)?,
            Key::Calls | Key::Response | Key::Other => skim.skip()?,
        }
        Ok(())
    }

    /// Reads a call of a tool: an element of `tool_calls`, `function_call`, `functionCall`.
    fn called(&mut self, skim: &mut Skim<'a>) -> Result<(), NotJson> {
        let item = self.called_fields(skim)?;
        self.call(item.id, item.name, item.arguments);
        Ok(())
    }

    fn called_fields(&mut self, skim: &mut Skim<'a>) -> Result<Item<'a>, NotJson> {
        let (mut item, mut within) = (Item::default(), None);
        if skim.peek()? != b'{' || skim.is_deep() {
            return skim.skip().map(|()| item);
        }
        let base = self.runs.len();
        skim.object(|skim, key| {
            match key {
                b"id" => item.id = word(skim)?,
                b"name" => item.name = word(skim)?,
                b"function" | b"custom" => {
                    self.begin(base, Key::Call);
                    within = Some(self.called_fields(skim)?);
                }
                b"arguments" | b"input" | b"args" => {
                    self.begin(base, Key::Arguments);
                    item.arguments = self.data(skim)?;
                }
                _ => skim.skip()?,
            }
            Ok(())
        })?;
        self.runs.truncate(base);
        if let Some(within) = within {
            (item.name, item.arguments) = (within.name, within.arguments);
        }
        Ok(item)
    }

    /// Reads Gemini's `functionResponse`. All texts of its `response` are the result's.
    fn response(&mut self, skim: &mut Skim<'a>) -> Result<(), NotJson> {
        let (mut id, mut tool, mut is_error) = (None, None, None);
        let (base, from) = (self.runs.len(), self.texts.len());
        skim.object(|skim, key| {
            match key {
                b"id" => id = word(skim)?,
                b"name" => tool = word(skim)?,
                b"response" => {
                    self.begin(base, Key::Response);
                    is_error = self.outcome(skim)?;
                }
                _ => skim.skip()?,
            }
            Ok(())
        })?;
        self.runs.truncate(base);
        self.result(id, tool, is_error, from);
        Ok(())
    }

    /// Reads a function's response: by Gemini's API an `error` in it says that the function failed.
    fn outcome(&mut self, skim: &mut Skim<'a>) -> Result<Option<bool>, NotJson> {
        if skim.peek()? != b'{' || skim.is_deep() {
            return self.everything(skim).map(|()| None);
        }
        let mut is_error = None;
        skim.object(|skim, key| {
            if key == b"error" {
                is_error = (skim.peek()? != b'n').then_some(true);
            }
            self.everything(skim)
        })?;
        Ok(is_error)
    }

    /// Reads arguments, as a text that holds JSON or as JSON itself. `None` for `null`.
    fn data(&mut self, skim: &mut Skim<'a>) -> Result<Option<Data<'a>>, NotJson> {
        if skim.peek()? == b'"' {
            let (raw, characters) = skim.counted()?;
            self.count(characters);
            return Ok(Some(Data::Quoted(Text(raw))));
        }
        let (start, from) = (skim.offset(), self.texts.len());
        self.everything(skim)?;
        self.texts.truncate(from);
        let raw = skim.since(start);
        Ok((raw != b"null").then_some(Data::Plain(raw)))
    }

    /// Reads a value all of whose texts count, under whatever key.
    fn everything(&mut self, skim: &mut Skim<'a>) -> Result<(), NotJson> {
        match skim.peek()? {
            b'"' => self.text(skim),
            b'[' if !skim.is_deep() => skim.array(|skim| self.everything(skim)),
            b'{' if !skim.is_deep() => skim.object(|skim, _| self.everything(skim)),
            _ => skim.skip(),
        }
    }

    fn text(&mut self, skim: &mut Skim<'a>) -> Result<(), NotJson> {
        let (raw, characters) = skim.counted()?;
        self.count(characters);
        if self.has_room() {
            self.texts.push(Text(raw));
        }
        Ok(())
    }

    fn count(&mut self, characters: Characters) {
        self.counted.texts += 1;
        self.counted.characters = self.counted.characters.and(characters);
    }

    /// Whether one more may be kept, which then is.
    fn has_room(&mut self) -> bool {
        self.kept += 1;
        self.kept <= PARTS_MAX
    }

    /// A key's value is about to be read in the object whose runs begin at `base`. What an earlier one of the same key added is taken back.
    fn begin(&mut self, base: usize, key: Key) {
        if let Some(index) = self.runs.iter().skip(base).position(|run| run.key == key) {
            self.take_back(base + index);
        }
        let before = self.here();
        self.runs.push(Run { key, before });
    }

    fn here(&self) -> Before {
        Before { texts: self.texts.len(), calls: self.calls.len(), results: self.results.len(), counted: self.counted }
    }

    fn take_back(&mut self, index: usize) {
        let from = self.runs.remove(index).before;
        let to = self.runs.get(index).map_or_else(|| self.here(), |next| next.before);
        self.texts.drain(from.texts..to.texts);
        self.calls.drain(from.calls..to.calls);
        self.results.drain(from.results..to.results);
        let (texts, characters) = (to.counted.texts - from.counted.texts, from.counted.characters.out_of(to.counted.characters));
        for run in self.runs.iter_mut().skip(index) {
            run.before.texts -= to.texts - from.texts;
            run.before.calls -= to.calls - from.calls;
            run.before.results -= to.results - from.results;
            run.before.counted.texts -= texts;
            run.before.counted.characters = characters.out_of(run.before.counted.characters);
        }
        self.counted.texts -= texts;
        self.counted.characters = characters.out_of(self.counted.characters);
    }
}

/// A string, as written; `None` for any other value.
fn word<'a>(skim: &mut Skim<'a>) -> Result<Option<&'a [u8]>, NotJson> {
    if skim.peek()? == b'"' { skim.text().map(Some) } else { skim.skip().map(|()| None) }
}

fn flag(skim: &mut Skim<'_>) -> Result<Option<bool>, NotJson> {
    Ok(match skim.value()? {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    })
}

/// What a key of an object within a message means. Other keys hold names, ids, and encoded data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Key {
    Other,
    Role,
    Kind,
    Name,
    ToolName,
    Id,
    CallId,
    ResultId,
    IsError,
    IsThought,
    Content,
    Text,
    Parts,
    Output,
    Refusal,
    Code,
    Reasoning,
    ReasoningContent,
    Thinking,
    Summary,
    ExecutableCode,
    CodeResult,
    Arguments,
    Input,
    Args,
    Action,
    Operation,
    Calls,
    Call,
    Response,
}

impl Key {
    /// From this one on a key's value adds texts, calls or results.
    const FIRST_THAT_ADDS: Self = Self::Content;

    fn of(key: &[u8]) -> Self {
        match key {
            b"role" => Self::Role,
            b"type" => Self::Kind,
            b"name" => Self::Name,
            b"tool_name" => Self::ToolName,
            b"id" => Self::Id,
            b"call_id" => Self::CallId,
            b"tool_call_id" | b"tool_use_id" => Self::ResultId,
            b"is_error" => Self::IsError,
            b"thought" => Self::IsThought,
            b"content" => Self::Content,
            b"text" => Self::Text,
            b"parts" => Self::Parts,
            b"output" => Self::Output,
            b"refusal" => Self::Refusal,
            b"code" => Self::Code,
            b"reasoning" => Self::Reasoning,
            b"reasoning_content" => Self::ReasoningContent,
            b"thinking" => Self::Thinking,
            b"summary" => Self::Summary,
            b"executableCode" | b"executable_code" => Self::ExecutableCode,
            b"codeExecutionResult" | b"code_execution_result" => Self::CodeResult,
            b"arguments" => Self::Arguments,
            b"input" => Self::Input,
            b"args" => Self::Args,
            b"action" => Self::Action,
            b"operation" => Self::Operation,
            b"tool_calls" => Self::Calls,
            b"functionCall" | b"function_call" => Self::Call,
            b"functionResponse" | b"function_response" => Self::Response,
            _ => Self::Other,
        }
    }
}

//! Conversations made up from a seed, in every dialect, written the way nobody's serializer would: blanks, keys and escapes as chance has them.

use std::fmt::Write;

use fastrand::Rng;

use crate::wire::Dialect;

pub(super) const DIALECTS: [Dialect; 5] =
    [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages, Dialect::Gemini, Dialect::Ollama];

/// How it goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Course {
    /// Users and assistants take turns; some turns use tools.
    Turns,
    /// Several speak as users, by name and one behind the other.
    Group,
    /// One task, and tools from then on.
    Task,
}

pub(super) const COURSES: [Course; 3] = [Course::Turns, Course::Group, Course::Task];

/// A conversation.
pub(super) struct Talk {
    pub(super) dialect: Dialect,
    pub(super) course: Course,
    /// Its items as they are written, and what is written before each.
    items: Vec<(String, String)>,
    /// With so many items it is sent.
    pub(super) sent: Vec<usize>,
    head: String,
    tail: String,
}

impl Talk {
    /// Of so many turns; the texts of many are shorter than those of few.
    pub(super) fn new(dialect: Dialect, course: Course, turns: usize, seed: u64) -> Self {
        let mut writer = Writer {
            dialect,
            random: Rng::with_seed(seed),
            ids: 0,
            texts: 0,
            reasons: false,
            reuses: false,
            is_odd: false,
            share: [1, 6, 12][usize::from(turns >= 50) + usize::from(turns >= 200)],
        };
        writer.reasons = writer.random.bool();
        writer.reuses = writer.random.u8(..4) == 0;
        writer.is_odd = writer.random.bool();
        let (list, head) = writer.head();
        let mut talk = Self { dialect, course, items: Vec::new(), sent: Vec::new(), head, tail: String::new() };
        talk.head = format!("{}{}:{}[", talk.head, quoted(list), writer.blank());
        talk.tail = format!("{}],{}\"x_unknown\":{{\"messages\":[1,2]}}}}", writer.blank(), writer.blank());
        if writer.random.u8(..4) > 0 && !matches!(dialect, Dialect::AnthropicMessages | Dialect::Gemini) {
            let text = writer.text(30);
            talk.push(&mut writer, |writer| vec![writer.system(&text)]);
        }
        for turn in 0..turns {
            talk.turn(&mut writer, turn);
        }
        if writer.random.u8(..8) == 0 && course != Course::Task {
            talk.push(&mut writer, |writer| writer.calls(1).0);
        }
        talk
    }

    fn turn(&mut self, writer: &mut Writer, turn: usize) {
        if turn == 0 || self.course == Course::Turns {
            self.push(writer, |writer| vec![writer.user(false)]);
            self.sent.push(self.items.len());
        }
        if self.course == Course::Group {
            for _ in 0..writer.random.usize(0..3) {
                self.push(writer, |writer| vec![writer.user(true)]);
                self.sent.push(self.items.len());
            }
        }
        if writer.random.u8(..20) == 0 && !matches!(self.dialect, Dialect::AnthropicMessages | Dialect::Gemini) {
            let text = writer.text(10);
            self.push(writer, |writer| vec![writer.system(&text)]);
        }
        let rounds = if self.course == Course::Task { 1 } else { writer.random.usize(0..3) };
        for _ in 0..rounds {
            let number = if writer.random.u8(..3) == 0 { writer.random.usize(2..4) } else { 1 };
            let (calls, ids) = writer.calls(number);
            self.push(writer, |_| calls);
            self.push(writer, |writer| writer.results(&ids));
            self.sent.push(self.items.len());
        }
        if self.course == Course::Turns {
            self.push(writer, Writer::says);
        }
    }

    fn push(&mut self, writer: &mut Writer, items: impl FnOnce(&mut Writer) -> Vec<String>) {
        for item in items(writer) {
            let before = if self.items.is_empty() { writer.blank() } else { format!("{},{}", writer.blank(), writer.blank()) };
            self.items.push((before, item));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The body of the request that sends the first items.
    pub(super) fn body(&self, items: usize) -> Vec<u8> {
        let items: String = self.items[..items].iter().flat_map(|(before, item)| [before.as_str(), item]).collect();
        format!("{}{items}{}", self.head, self.tail).into_bytes()
    }

    pub(super) fn path(&self) -> &'static str {
        match self.dialect {
            Dialect::OpenaiChat => "/v1/chat/completions",
            Dialect::OpenaiResponses => "/v1/responses",
            Dialect::AnthropicMessages => "/v1/messages",
            Dialect::Gemini => "/v1beta/models/gemini-2.5-pro:generateContent",
            _ => "/api/chat",
        }
    }
}

/// Writes items.
struct Writer {
    dialect: Dialect,
    random: Rng,
    ids: u32,
    /// Texts so far: each has its number, so that none is like another.
    texts: u32,
    /// Whether the model reasons.
    reasons: bool,
    /// Whether ids of calls are used again and again.
    reuses: bool,
    /// Whether blanks and the order of keys are odd.
    is_odd: bool,
    /// Texts are of so many times fewer words.
    share: usize,
}

impl Writer {
    fn head(&mut self) -> (&'static str, String) {
        let system = quoted(&self.text(20));
        match self.dialect {
            Dialect::OpenaiResponses => ("input", format!(r#"{{"model":"m","instructions":{system},"#)),
            Dialect::AnthropicMessages => ("messages", format!(r#"{{"model":"m","max_tokens":10,"system":{system},"#)),
            Dialect::Gemini => ("contents", format!(r#"{{"systemInstruction":{{"parts":[{{"text":{system}}}]}},"#)),
            _ => ("messages", r#"{"model":"m","tools":[{"type":"function","function":{"name":"look","parameters":{}}}],"#.to_owned()),
        }
    }

    fn blank(&mut self) -> String {
        let blanks = ["", "", " ", "\n  ", "\r\n\t"];
        if self.is_odd { blanks[self.random.usize(..blanks.len())].to_owned() } else { String::new() }
    }

    fn object(&mut self, mut fields: Vec<(&str, String)>) -> String {
        if self.is_odd {
            self.random.shuffle(&mut fields);
        }
        let fields: Vec<_> =
            fields.into_iter().map(|(key, value)| format!("{}\"{key}\"{}:{}{value}", self.blank(), self.blank(), self.blank())).collect();
        format!("{{{}{}}}", fields.join(","), self.blank())
    }

    fn is_gemini(&self) -> bool {
        self.dialect == Dialect::Gemini
    }

    fn system(&mut self, text: &str) -> String {
        let role = if self.random.bool() && self.dialect != Dialect::Ollama { "developer" } else { "system" };
        self.object(vec![("role", quoted(role)), ("content", quoted(text))])
    }

    fn user(&mut self, is_named: bool) -> String {
        let size = if self.random.u8(..6) == 0 { 1200 } else { 30 };
        let size = self.random.usize(1..size) / self.share;
        let text = self.text(size);
        if self.is_gemini() {
            let text = self.object(vec![("text", quoted(&text))]);
            return self.object(vec![("role", quoted("user")), ("parts", format!("[{text}]"))]);
        }
        let text = quoted(&text);
        let content = match self.dialect {
            Dialect::OpenaiChat if self.random.u8(..5) == 0 => {
                let image = r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB"}}"#;
                format!(r#"[{{"type":"text","text":{text}}},{image}]"#)
            }
            Dialect::AnthropicMessages if self.random.bool() => {
                format!(r#"[{{"type":"text","text":{text},"cache_control":{{"type":"ephemeral"}}}}]"#)
            }
            Dialect::OpenaiResponses if self.random.bool() => format!(r#"[{{"type":"input_text","text":{text}}}]"#),
            _ => text,
        };
        let mut fields = vec![("role", quoted("user")), ("content", content)];
        if is_named && self.dialect == Dialect::OpenaiChat {
            fields.push(("name", quoted(["Ann", "Bob", "Eve"][self.random.usize(..3)])));
        }
        if self.is_odd {
            fields.push(("x_kept", "{ \"a\" : [1 ,2] }".to_owned()));
        }
        self.object(fields)
    }

    fn reasoning(&mut self) -> Option<String> {
        let (text, seal) = (quoted(&self.text(12)), quoted(&"c2VhbGVk".repeat(6)));
        self.ids += 1;
        let id = self.ids;
        self.reasons.then(|| match self.dialect {
            Dialect::OpenaiResponses => format!(r#"{{"type":"reasoning","id":"rs_{id}","summary":[],"encrypted_content":{seal}}}"#),
            Dialect::AnthropicMessages => format!(r#"{{"type":"thinking","thinking":{text},"signature":{seal}}}"#),
            Dialect::Gemini => seal,
            _ => text,
        })
    }

    fn says(&mut self) -> Vec<String> {
        let (size, reasoning) = (self.random.usize(1..40), self.reasoning());
        let text = quoted(&self.text(size));
        match self.dialect {
            Dialect::OpenaiChat => vec![self.object(vec![("role", quoted("assistant")), ("content", text), ("refusal", "null".to_owned())])],
            Dialect::OpenaiResponses => {
                let message =
                    format!(r#"{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":{text},"annotations":[]}}]}}"#);
                reasoning.into_iter().chain([message]).collect()
            }
            Dialect::AnthropicMessages => {
                let blocks: Vec<_> = reasoning.into_iter().chain([format!(r#"{{"type":"text","text":{text}}}"#)]).collect();
                vec![self.object(vec![("role", quoted("assistant")), ("content", format!("[{}]", blocks.join(",")))])]
            }
            Dialect::Gemini => vec![self.object(vec![("role", quoted("model")), ("parts", format!(r#"[{{"text":{text}}}]"#))])],
            _ => {
                let thinking = reasoning.unwrap_or_else(|| quoted(""));
                vec![self.object(vec![("role", quoted("assistant")), ("content", text), ("thinking", thinking)])]
            }
        }
    }

    fn calls(&mut self, number: usize) -> (Vec<String>, Vec<String>) {
        let ids: Vec<String> = (0..number)
            .map(|at| {
                self.ids += 1;
                if self.reuses { format!("call_{at}") } else { format!("call_{}", self.ids) }
            })
            .collect();
        let reasoning = self.reasoning();
        let size = self.random.usize(1..10);
        let arguments = quoted(&format!(r#"{{"q":{}}}"#, quoted(&self.text(size))));
        let plain = format!(r#"{{"q":"x y z","n":{}}}"#, self.ids);
        let call = |id: &String| match self.dialect {
            Dialect::OpenaiResponses => {
                format!(r#"{{"type":"function_call","id":"fc_{id}","call_id":"{id}","name":"look","arguments":{arguments}}}"#)
            }
            Dialect::AnthropicMessages => format!(r#"{{"type":"tool_use","id":"{id}","name":"look","input":{plain}}}"#),
            Dialect::Gemini => match &reasoning {
                Some(seal) => format!(r#"{{"functionCall":{{"name":"look","args":{plain}}},"thoughtSignature":{seal}}}"#),
                None => format!(r#"{{"functionCall":{{"name":"look","args":{plain}}}}}"#),
            },
            Dialect::Ollama => format!(r#"{{"function":{{"name":"look","arguments":{plain}}}}}"#),
            _ => format!(r#"{{"id":"{id}","type":"function","function":{{"name":"look","arguments":{arguments}}}}}"#),
        };
        let calls: Vec<String> = ids.iter().map(call).collect();
        let items = match self.dialect {
            Dialect::OpenaiResponses => reasoning.into_iter().chain(calls).collect(),
            Dialect::AnthropicMessages => {
                let blocks: Vec<_> = reasoning.into_iter().chain(calls).collect();
                vec![self.object(vec![("role", quoted("assistant")), ("content", format!("[{}]", blocks.join(",")))])]
            }
            Dialect::Gemini => vec![self.object(vec![("role", quoted("model")), ("parts", format!("[{}]", calls.join(",")))])],
            _ => {
                let list = format!("[{}]", calls.join(", "));
                vec![self.object(vec![("role", quoted("assistant")), ("content", quoted("")), ("tool_calls", list)])]
            }
        };
        (items, ids)
    }

    fn results(&mut self, ids: &[String]) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        for _ in ids {
            let size = if self.random.u8(..5) == 0 { 1500 } else { 60 };
            let size = self.random.usize(1..size) / self.share;
            texts.push(if self.random.u8(..6) == 0 { quoted(&self.blob(size)) } else { self.written(size) });
        }
        let results: Vec<_> = ids.iter().zip(texts).collect();
        match self.dialect {
            Dialect::OpenaiResponses => {
                results.into_iter().map(|(id, text)| format!(r#"{{"type":"function_call_output","call_id":"{id}","output":{text}}}"#)).collect()
            }
            Dialect::AnthropicMessages => {
                let mut blocks: Vec<_> = results
                    .into_iter()
                    .map(|(id, text)| {
                        format!(r#"{{"type":"tool_result","tool_use_id":"{id}","content":[{{"type":"text","text":{text}}}],"is_error":false}}"#)
                    })
                    .collect();
                if self.random.u8(..8) == 0 {
                    blocks.push(r#"{"type":"text","text":"Go on."}"#.to_owned());
                }
                vec![self.object(vec![("role", quoted("user")), ("content", format!("[{}]", blocks.join(",")))])]
            }
            Dialect::Gemini => {
                let parts: Vec<_> = results
                    .into_iter()
                    .map(|(_, text)| format!(r#"{{"functionResponse":{{"name":"look","response":{{"result":{text}}}}}}}"#))
                    .collect();
                vec![self.object(vec![("role", quoted("user")), ("parts", format!("[{}]", parts.join(",")))])]
            }
            Dialect::Ollama => results.into_iter().map(|(_, text)| self.object(vec![("role", quoted("tool")), ("content", text)])).collect(),
            _ => {
                let result = |(id, text): (&String, String)| vec![("role", quoted("tool")), ("tool_call_id", quoted(id)), ("content", text)];
                results.into_iter().map(|found| self.object(result(found))).collect()
            }
        }
    }

    fn text(&mut self, words: usize) -> String {
        const WORDS: [&str; 16] = [
            "the",
            "model",
            "window",
            "fits",
            "naïve",
            "日本語",
            "🎉",
            "\"quoted\"",
            "C:\\temp\\new",
            "line\n",
            "\r\n",
            "a/b",
            "\t",
            "{}",
            "then",
            "cut.\n",
        ];
        let words: Vec<&str> = (0..words).map(|_| WORDS[self.random.usize(..WORDS.len())]).collect();
        self.texts += 1;
        format!("{}. {}", self.texts, words.join(" "))
    }

    fn blob(&mut self, words: usize) -> String {
        self.texts += 1;
        (0..words * 5).map(|_| self.random.alphanumeric()).chain(self.texts.to_string().chars()).collect()
    }

    /// A text as JSON, with escapes where none are needed.
    fn written(&mut self, words: usize) -> String {
        let text = self.text(words);
        if self.random.bool() {
            return quoted(&text);
        }
        let mut written = String::from('"');
        for unit in text.encode_utf16() {
            match char::from_u32(u32::from(unit)).filter(|letter| letter.is_ascii_alphanumeric() || *letter == ' ') {
                Some(letter) => written.push(letter),
                None if unit == 10 => written.push_str("\\n"),
                None => write!(written, "\\u{unit:04x}").unwrap(),
            }
        }
        written + "\""
    }
}

pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

//! Conversations made from bytes: each says what comes next, and how it is written. Most are such as a provider takes; some are not.

use std::fmt::Write as _;

use pillion::wire::Dialect;

/// What is longest of a text, in its parts.
const PARTS_MAX: usize = 64;

/// A body in this dialect. Its list of messages is the last thing in it but for a field that nobody knows.
pub fn body(dialect: Dialect, bytes: &[u8]) -> Vec<u8> {
    let mut writer = Writer { dialect, bytes, ids: 0, open: Vec::new(), list: String::new() };
    let head = writer.head();
    while !writer.bytes.is_empty() {
        writer.one();
    }
    let blank = writer.blank(1);
    format!("{head}[{blank}{}{blank}] ,\"x\":{{\"messages\":[1]}}}}", writer.list).into_bytes()
}

struct Writer<'a> {
    dialect: Dialect,
    bytes: &'a [u8],
    ids: usize,
    /// Calls without results.
    open: Vec<String>,
    list: String,
}

impl Writer<'_> {
    fn byte(&mut self) -> usize {
        let [first, rest @ ..] = self.bytes else { return 0 };
        self.bytes = rest;
        usize::from(*first)
    }

    fn head(&mut self) -> String {
        let system = self.text();
        match self.dialect {
            Dialect::OpenaiResponses => format!("{{\"model\":\"m\",\"instructions\":{system},\"input\":"),
            Dialect::AnthropicMessages => format!("{{\"model\":\"m\",\"max_tokens\":5,\"system\":{system} ,\"messages\" : "),
            Dialect::Gemini => format!("{{\"systemInstruction\":{{\"parts\":[{{\"text\":{system}}}]}},\"contents\":"),
            _ => "{\"model\":\"m\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{}}}],\"messages\":".to_owned(),
        }
    }

    /// What comes next. While calls are open that is mostly their results.
    fn one(&mut self) {
        let byte = self.byte();
        let closes = !self.open.is_empty() && byte % 16 != 15;
        match byte % 8 {
            _ if closes => self.results(byte),
            0 | 1 => {
                let text = self.text();
                self.says("user", &text, byte & 8 != 0);
            }
            2 | 3 => {
                let text = self.text();
                self.says("assistant", &text, byte & 8 != 0);
            }
            4 if !matches!(self.dialect, Dialect::AnthropicMessages | Dialect::Gemini) => {
                let text = self.text();
                self.says(if byte & 8 == 0 { "system" } else { "developer" }, &text, false);
            }
            _ => self.calls(1 + byte / 16 % 3, byte),
        }
    }

    fn item(&mut self, item: &str) {
        if !self.list.is_empty() {
            let (before, behind) = (self.blank(self.list.len()), self.blank(item.len()));
            let _ = write!(self.list, "{before},{behind}");
        }
        self.list.push_str(item);
    }

    fn blank(&self, seed: usize) -> &'static str {
        ["", "", " ", "\n  ", "\r\n\t"][seed % 5]
    }

    fn says(&mut self, role: &str, text: &str, is_odd: bool) {
        let item = match self.dialect {
            Dialect::Gemini => format!("{{\"role\":\"{}\",\"parts\":[{{\"text\":{text}}}]}}", if role == "user" { "user" } else { "model" }),
            Dialect::OpenaiResponses if role == "assistant" => {
                self.ids += 1;
                let id = self.ids;
                let (kind, tie) =
                    if is_odd { (format!("{{\"type\":\"reasoning\",\"id\":\"rs_{id}\",\"summary\":[]}}"), "r") } else { (String::new(), "x") };
                if is_odd {
                    self.item(&kind);
                }
                format!(
                    "{{\"type\":\"message\",\"id\":\"msg_{tie}{id}\",\"role\":\"assistant\",\"content\":[{{\"type\":\"output_text\",\"text\":{text}}}]}}"
                )
            }
            Dialect::AnthropicMessages if role == "assistant" && is_odd => {
                format!(
                    "{{\"role\":\"assistant\",\"content\":[{{\"type\":\"thinking\",\"thinking\":\"so\",\"signature\":\"ab\"}},{{\"type\":\"text\",\"text\":{text}}}]}}"
                )
            }
            Dialect::AnthropicMessages => format!("{{ \"content\":[{{\"text\":{text},\"type\":\"text\"}}] ,\"role\":\"{role}\"}}"),
            _ if is_odd => format!("{{\"content\":{text},\"name\":\"Ann\",\"role\":\"{role}\", \"y\":[ ]}}"),
            _ => format!("{{\"role\":\"{role}\",\"content\":{text}}}"),
        };
        self.item(&item);
    }

    fn calls(&mut self, number: usize, byte: usize) {
        let is_reused = byte & 128 != 0 && self.dialect == Dialect::OpenaiChat;
        let first = self.ids + 1;
        let ids: Vec<usize> = (0..number).map(|at| if is_reused { at } else { first + at }).collect();
        self.ids += number;
        let reasons = byte & 8 != 0;
        let call = |id: &usize| match self.dialect {
            Dialect::OpenaiResponses => {
                let tie = if reasons && *id == first { "r" } else { "x" };
                format!("{{\"type\":\"function_call\",\"id\":\"fc_{tie}{id}\",\"call_id\":\"c{id}\",\"name\":\"f\",\"arguments\":\"{{}}\"}}")
            }
            Dialect::AnthropicMessages => format!("{{\"type\":\"tool_use\",\"id\":\"c{id}\",\"name\":\"f\",\"input\":{{\"a\":\"b\"}}}}"),
            Dialect::Gemini => "{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":1}}}".to_owned(),
            Dialect::Ollama => "{\"function\":{\"name\":\"f\",\"arguments\":{}}}".to_owned(),
            _ => format!("{{\"id\":\"c{id}\",\"type\":\"function\",\"function\":{{\"name\":\"f\",\"arguments\":\"{{}}\"}}}}"),
        };
        let calls: Vec<String> = ids.iter().map(call).collect();
        match self.dialect {
            Dialect::OpenaiResponses => {
                if reasons {
                    self.item(&format!("{{\"type\":\"reasoning\",\"id\":\"rs_{first}\",\"summary\":[]}}"));
                }
                calls.iter().for_each(|call| self.item(call));
            }
            Dialect::AnthropicMessages => {
                let thought = if reasons { "{\"type\":\"thinking\",\"thinking\":\"so\",\"signature\":\"ab\"}," } else { "" };
                self.item(&format!("{{\"role\":\"assistant\",\"content\":[{thought}{}]}}", calls.join(", ")));
            }
            Dialect::Gemini => self.item(&format!("{{\"role\":\"model\",\"parts\":[{}]}}", calls.join(","))),
            _ => self.item(&format!("{{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{}]}}", calls.join(","))),
        }
        self.open = ids.iter().map(|id| format!("c{id}")).collect();
    }

    /// All of them, in order or backwards.
    fn results(&mut self, byte: usize) {
        let mut ids = std::mem::take(&mut self.open);
        if byte & 32 != 0 {
            ids.reverse();
        }
        let texts: Vec<(String, String)> = ids.into_iter().map(|id| (id, self.text())).collect();
        match self.dialect {
            Dialect::AnthropicMessages => {
                let mut blocks: Vec<String> =
                    texts.iter().map(|(id, text)| format!("{{\"type\":\"tool_result\",\"tool_use_id\":\"{id}\",\"content\":{text}}}")).collect();
                if byte & 64 != 0 {
                    blocks.push("{\"type\":\"text\",\"text\":\"Go on.\"}".to_owned());
                }
                self.item(&format!("{{\"role\":\"user\",\"content\":[{}]}}", blocks.join(",")));
            }
            Dialect::Gemini => {
                let parts: Vec<String> =
                    texts.iter().map(|(_, text)| format!("{{\"functionResponse\":{{\"name\":\"f\",\"response\":{{\"result\":{text}}}}}}}")).collect();
                self.item(&format!("{{\"role\":\"user\",\"parts\":[{}]}}", parts.join(" ,")));
            }
            _ => {
                for (id, text) in texts {
                    let item = match self.dialect {
                        Dialect::OpenaiResponses => format!("{{\"type\":\"function_call_output\",\"call_id\":\"{id}\",\"output\":{text}}}"),
                        Dialect::Ollama => format!("{{\"role\":\"tool\",\"content\":{text}}}"),
                        _ => format!("{{\"role\":\"tool\",\"tool_call_id\":\"{id}\",\"content\":{text}}}"),
                    };
                    self.item(&item);
                }
            }
        }
    }

    /// A text as it stands in a body, with its quotes.
    fn text(&mut self) -> String {
        const PARTS: [&str; 16] = [
            "the model reads ",
            "a line\\n",
            "\\u00e9\\uD83D\\ude00",
            "日本語",
            "🎉",
            "\\\\",
            "\\\"",
            "\\\\n",
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "12345678901234567890",
            "[… 5 tokens left out …]",
            "\\/",
            "\\ud83d",
            "word. ",
            "\\r\\n",
            "    ",
        ];
        let (count, kind) = (self.byte(), self.byte());
        let parts = match count {
            0..=199 => 1 + count % 8,
            _ => (count - 199).min(PARTS_MAX) * 4,
        };
        let text: String = (0..parts).map(|at| PARTS[(kind + at * (kind / 16)) % PARTS.len()]).collect();
        format!("\"{text}\"")
    }
}

//! Prompts to count and to estimate: prose, code, tables and JSON, as agents have them.

/// What prompts are made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mix {
    /// One kind more than the others, which one as it comes; tables now and then.
    Any,
    Prose,
    Code,
    Json,
    /// Mostly tables.
    Tables,
}

pub(super) struct Corpus {
    pub(super) random: fastrand::Rng,
    code: Vec<&'static str>,
    prose: Vec<&'static str>,
    table: Vec<&'static str>,
}

impl Corpus {
    pub(super) fn new(seed: u64) -> Self {
        let sources = [include_str!("../wire/parts.rs"), include_str!("../wire/skim.rs"), include_str!("estimate.rs"), include_str!("name.rs")];
        let prose = include_str!("../../tests/fixtures/prose.md").split("\n\n").collect();
        Self { random: fastrand::Rng::with_seed(seed), code: sources.to_vec(), prose, table: include_str!("models.csv").lines().collect() }
    }

    /// Messages of so many bytes in all, of one kind each.
    pub(super) fn messages(&mut self, mix: Mix, bytes: std::ops::Range<usize>) -> Vec<String> {
        let bytes = self.random.usize(bytes);
        let bias = self.random.usize(0..3);
        let mut messages: Vec<String> = Vec::new();
        while messages.iter().map(String::len).sum::<usize>() < bytes {
            let size = self.random.usize(60..3_000);
            messages.push(self.message(mix, bias, size));
        }
        messages
    }

    pub(super) fn message(&mut self, mix: Mix, bias: usize, size: usize) -> String {
        let kind = match mix {
            Mix::Any if self.random.u8(..10) == 0 => 3,
            Mix::Any if self.random.bool() => bias,
            Mix::Tables if self.random.u8(..10) < 7 => 3,
            Mix::Any | Mix::Tables => self.random.usize(0..3),
            Mix::Prose => 0,
            Mix::Code => 1,
            Mix::Json => 2,
        };
        let mut text = String::new();
        while text.len() < size {
            match kind {
                0 => text.extend([self.random.choice(&self.prose).unwrap(), "\n\n"]),
                1 => {
                    let lines: Vec<&str> = self.random.choice(&self.code).unwrap().lines().collect();
                    let from = self.random.usize(..lines.len());
                    text += &lines[from..lines.len().min(from + 12)].join("\n");
                }
                2 => text += &self.object().to_string(),
                _ => text.extend([self.random.choice(&self.table).unwrap(), "\n"]),
            }
        }
        text.truncate(text.floor_char_boundary(size));
        text
    }

    fn object(&mut self) -> serde_json::Value {
        let (amount, minute) = (self.random.u32(..100_000), self.random.u8(10..60));
        let words: Vec<&str> = self.random.choice(&self.prose).unwrap().split_whitespace().take(9).collect();
        serde_json::json!({"id": format!("{:016x}", self.random.u64(..)), "amount": amount, "ok": self.random.bool(),
            "at": format!("2026-11-21T10:{minute}:00Z"), "note": words.join(" ")})
    }
}

/// The 95th percentile and the mean, in thousandths.
pub(super) fn of_errors(mut errors: Vec<u64>) -> (u64, u64) {
    errors.sort_unstable();
    (errors[errors.len() * 95 / 100], errors.iter().sum::<u64>() / u64::try_from(errors.len()).unwrap())
}

/// What the wire says that texts weigh.
pub(super) fn weight<'a>(texts: impl IntoIterator<Item = &'a String>) -> u64 {
    let messages: Vec<_> = texts.into_iter().map(|text| serde_json::json!({"role": "user", "content": text})).collect();
    let body = serde_json::json!({"messages": messages}).to_string();
    let request = crate::wire::Request::read(crate::wire::Dialect::OpenaiChat, "/", body.as_bytes(), None);
    request.call.prompt_weight.unwrap()
}

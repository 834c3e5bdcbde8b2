//! Where a streamed request of OpenAI's asks for its token counts, if the agent has not asked itself: one place of the body, and what is to stand there.
//! Everything else of the body stays as it was written.

use std::ops::Range;

use memchr::memmem;

use super::{
    Dialect,
    skim::{NotJson, Skim},
};

/// The key of a request under which options of its stream stand.
const OPTIONS: &[u8] = b"stream_options";
/// The option that asks for token counts.
const INCLUDE: &[u8] = b"include_usage";
/// vLLM's option that puts token counts into every chunk as well. Where an agent wishes that, what it wishes is left alone.
const CONTINUOUS: &[u8] = b"continuous_usage_stats";

/// One change of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splice {
    /// What is replaced; empty where something is put in.
    pub at: Range<usize>,
    /// What stands there instead.
    pub with: &'static str,
}

impl Splice {
    /// How to ask for token counts in the body of a streamed request, which is known to be an object of JSON. `list` is where its messages lie, if that is known:
    /// what stands there is not looked at. `None` where nothing is to be done: the dialect has no such option, the agent has asked itself, or it
    /// has set what is not understood.
    ///
    /// An agent's other options stay. Its explicit `false` becomes `true`: it is to see what it would have seen, and that is the same as if it had said nothing.
    pub fn usage(dialect: Dialect, body: &[u8], list: &Range<usize>) -> Option<Self> {
        if !matches!(dialect, Dialect::OpenaiChat | Dialect::OpenaiCompletions) {
            return None;
        }
        let around = [body.get(..list.start)?, body.get(list.end..)?];
        if around.iter().any(|part| memmem::find(part, OPTIONS).is_some())
            && let Some(options) = options(body).ok()?
        {
            return in_options(body, options);
        }
        let open = body.iter().position(|byte| !byte.is_ascii_whitespace()).filter(|open| body[*open] == b'{')?;
        Some(Self { at: open + 1..open + 1, with: r#""stream_options":{"include_usage":true},"# })
    }

    /// What a body of `length` bytes comes to.
    pub fn length(&self, length: usize) -> usize {
        length - self.at.len() + self.with.len()
    }
}

/// Where the value of `stream_options` lies. Of a repeated key the last counts.
fn options(body: &[u8]) -> Result<Option<Range<usize>>, NotJson> {
    let mut found = None;
    Skim::new(body).object(|skim, key| {
        let value = value(skim)?;
        if key == OPTIONS {
            found = Some(value);
        }
        Ok(())
    })?;
    Ok(found)
}

fn value(skim: &mut Skim<'_>) -> Result<Range<usize>, NotJson> {
    skim.peek()?;
    let start = skim.offset();
    skim.skip()?;
    Ok(start..skim.offset())
}

fn in_options(body: &[u8], options: Range<usize>) -> Option<Splice> {
    let text = &body[options.clone()];
    if text == b"null" {
        return Some(Splice { at: options, with: r#"{"include_usage":true}"# });
    }
    let (mut include, mut keys, mut continuous) = (None, false, false);
    let mut skim = Skim::new(text);
    let read = skim.object(|skim, key| {
        let value = value(skim)?;
        keys = true;
        continuous |= key == CONTINUOUS;
        if key == INCLUDE {
            include = Some(value);
        }
        Ok(())
    });
    if read.is_err() || continuous {
        return None;
    }
    let first = options.start + 1;
    match include {
        None if keys => Some(Splice { at: first..first, with: r#""include_usage":true,"# }),
        None => Some(Splice { at: first..first, with: r#""include_usage":true"# }),
        Some(value) => matches!(&text[value.clone()], b"false" | b"null")
            .then(|| Splice { at: options.start + value.start..options.start + value.end, with: "true" }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spliced(body: &str) -> Option<String> {
        let splice = Splice::usage(Dialect::OpenaiChat, body.as_bytes(), &(0..0))?;
        let text = format!("{}{}{}", &body[..splice.at.start], splice.with, &body[splice.at.end..]);
        assert_eq!(splice.length(body.len()), text.len());
        Some(text)
    }

    #[test]
    fn an_option_is_put_in_and_the_rest_stays_as_it_was_written() {
        let check = |body: &str, expected: &str| assert_eq!(spliced(body).as_deref(), Some(expected), "{body}");
        check(r#"{"stream": true}"#, r#"{"stream_options":{"include_usage":true},"stream": true}"#);
        check(" \n{ \"stream\":true }\n", " \n{\"stream_options\":{\"include_usage\":true}, \"stream\":true }\n");
        check(r#"{"stream":true,"stream_options":null}"#, r#"{"stream":true,"stream_options":{"include_usage":true}}"#);
        check(r#"{"stream_options": { }, "stream":true}"#, r#"{"stream_options": {"include_usage":true }, "stream":true}"#);
        check(
            r#"{"stream_options":{ "include_obfuscation": false},"stream":true}"#,
            r#"{"stream_options":{"include_usage":true, "include_obfuscation": false},"stream":true}"#,
        );
        check(r#"{"stream_options":{"include_usage" : false}}"#, r#"{"stream_options":{"include_usage" : true}}"#);
        check(r#"{"stream_options":{"a":[],"include_usage":null,"b":1}}"#, r#"{"stream_options":{"a":[],"include_usage":true,"b":1}}"#);
    }

    #[test]
    fn what_an_agent_asks_for_itself_or_what_is_not_understood_stays() {
        for body in [
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"stream_options":{"include_usage":false},"stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"stream_options":{"continuous_usage_stats":true}}"#,
            r#"{"stream_options":{"include_usage":"yes"}}"#,
            r#"{"stream_options":true}"#,
            r#"{"stream_options":{"include_usage":false"#,
            "[]",
            "",
        ] {
            assert_eq!(spliced(body), None, "{body}");
        }
        for dialect in [Dialect::OpenaiResponses, Dialect::OpenaiEmbeddings, Dialect::AnthropicMessages, Dialect::Gemini, Dialect::Ollama] {
            assert_eq!(Splice::usage(dialect, br#"{"stream":true}"#, &(0..0)), None, "{dialect}");
        }
    }

    #[test]
    fn what_messages_say_is_no_option() {
        let body = json!({"messages": [{"role": "user", "content": "\"stream_options\":{\"include_usage\":true}", "stream_options": {"include_usage": true}}], "stream": true});
        let text = spliced(&body.to_string()).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&read["messages"], &read["stream_options"]), (&body["messages"], &json!({"include_usage": true})));
        // Where the messages are known to lie, they are not even looked at.
        let body = br#"{"messages":[{"stream_options":1}],"stream_options":{"include_usage":true}}"#;
        let list = 13..33;
        assert_eq!(&body[list.clone()], br#"{"stream_options":1}"#);
        assert_eq!(Splice::usage(Dialect::OpenaiChat, body, &list), None);
        assert_eq!(Splice::usage(Dialect::OpenaiChat, body, &(5..1000)), None);
    }
}

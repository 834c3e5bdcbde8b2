//! What OpenTelemetry-instrumented programs say in W3C Baggage: `gen_ai.agent.name` and `gen_ai.conversation.id`. Nothing else of it is read.

use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode;

use crate::{config::is_agent_name, telemetry::names::attributes::gen_ai};

/// The most that a program must be able to send (W3C Baggage, 3.3.2); longer is not read.
const LENGTH_MAX: usize = 8 << 10;

/// `gen_ai.agent.name` of the request's baggage, if it is a valid name (see [`is_agent_name`]). The first member of that name counts.
pub fn baggage_agent(headers: &HeaderMap) -> Option<String> {
    member(headers, gen_ai::AGENT_NAME).filter(|name| is_agent_name(name))
}

/// `gen_ai.conversation.id` of the request's baggage. The first member of that name counts.
pub fn baggage_conversation(headers: &HeaderMap) -> Option<String> {
    member(headers, gen_ai::CONVERSATION_ID).filter(|id| !id.is_empty())
}

fn member(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all("baggage");
    if lines.iter().map(HeaderValue::len).sum::<usize>() > LENGTH_MAX {
        return None;
    }
    lines.iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b',')).find_map(|member| value_of(member, name))
}

/// The value of `NAME=VALUE;properties`, decoded; `None` for any other member.
fn value_of(member: &[u8], name: &str) -> Option<String> {
    let equals = member.iter().position(|&byte| byte == b'=')?;
    let (key, value) = (&member[..equals], &member[equals + 1..]);
    if key.trim_ascii() != name.as_bytes() {
        return None;
    }
    let value = value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    percent_decode(value).decode_utf8().ok().map(|name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{baggage_agent, baggage_conversation, is_agent_name};

    fn check(lines: &[&str], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("baggage", HeaderValue::from_str(line).unwrap());
        }
        assert_eq!(baggage_agent(&headers).as_deref(), expected, "{lines:?}");
    }

    #[test]
    fn a_conversation_without_an_id_is_none() {
        let of = |line: &'static str| {
            baggage_conversation(&HeaderMap::from_iter([(http::header::HeaderName::from_static("baggage"), HeaderValue::from_static(line))]))
        };
        assert_eq!(of("gen_ai.conversation.id=%20"), None);
        assert_eq!(of("gen_ai.conversation.id=run-7"), Some("run-7".to_owned()));
    }

    #[test]
    fn the_agent_is_found_among_the_members() {
        check(&["gen_ai.agent.name=planner"], Some("planner"));
        check(&["a=b , gen_ai.agent.name = web%20surfer ;ttl=1,c=d"], Some("web surfer"));
        check(&["a=b", "gen_ai.agent.name=r%C3%A9dacteur"], Some("rédacteur"));
    }

    #[test]
    fn what_is_no_name_is_not_read() {
        for line in ["", "gen_ai.agent.name", "gen_ai.agent.name=", "x.gen_ai.agent.name=a", "gen_ai.agent.name=%ff", "gen_ai.agent.name=a%0Ab"] {
            check(&[line], None);
        }
        check(&[&format!("gen_ai.agent.name={}", "a".repeat(65))], None);
        check(&[&format!("gen_ai.agent.name={}", "a".repeat(64))], Some(&"a".repeat(64)));
    }

    #[test]
    fn baggage_beyond_the_bound_is_not_read() {
        let long = format!("a={}", "x".repeat(60 << 10));
        check(&["gen_ai.agent.name=planner", &long], None);
    }

    #[test]
    fn names_are_letters_digits_and_four_marks() {
        for name in ["planner", "A.b_c-1 d", "研究"] {
            assert!(is_agent_name(name), "{name}");
        }
        for name in ["", "  ", "a/b", "a\n", "a\u{1b}[1m", "a\"b", "a@b"] {
            assert!(!is_agent_name(name), "{name}");
        }
    }
}

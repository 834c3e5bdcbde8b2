//! W3C Trace Context: who our parent is, and who we are. Reads `traceparent`; writes `x-pillion-exchange` and the `traceparent` of an attempt.
//! `tracestate` is not read: it travels as it came.

use std::fmt;

use http::{HeaderMap, HeaderValue};

mod baggage;

pub use baggage::{baggage_agent, baggage_conversation};

/// `trace-flags`: the caller may have recorded this trace.
const SAMPLED: u8 = 0x01;
/// `trace-flags` of level 2: the trace id's last 7 bytes are random.
const RANDOM: u8 = 0x02;
/// `00-` trace id `-` parent id `-` flags.
const TRACEPARENT_LENGTH: usize = 55;

/// The exchange's place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// 16 bytes, never all zero.
    pub trace_id: u128,
    /// Of the exchange's own span; never 0.
    pub span_id: u64,
    /// The agent's span, if it sent one.
    pub parent_id: Option<u64>,
    /// `trace-flags`: the parent's, or sampled.
    pub flags: u8,
}

impl TraceContext {
    /// A child of the agent's span where the request has exactly one valid `traceparent`, else a new trace (W3C Trace Context, 3.2).
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all("traceparent").iter();
        match (values.next(), values.next()) {
            (Some(value), None) => parse(value.as_bytes()).unwrap_or_else(Self::new_root),
            _ => Self::new_root(),
        }
    }

    /// A trace of its own, sampled. Ids are random, not secret.
    pub fn new_root() -> Self {
        Self { trace_id: fastrand::u128(1..), span_id: fastrand::u64(1..), parent_id: None, flags: SAMPLED }
    }

    /// Whether the parent was recorded; `true` without a parent.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// `TRACEID-SPANID`, lower hex: the value of `x-pillion-exchange` and of `trace=` in the log.
    pub fn exchange_id(&self) -> ExchangeId {
        let mut text = [b'-'; 49];
        write_hex(&mut text[..32], self.trace_id);
        write_hex(&mut text[33..], self.span_id.into());
        ExchangeId(text)
    }

    /// The span id of the attempt with this index (from 0). It is derived, so that the `traceparent` sent upstream and the span reported at the end
    /// agree without being passed along. Never 0.
    pub fn attempt_span_id(&self, index: usize) -> u64 {
        // SplitMix64's finalizer over our own random id: bijective, so two attempts of an exchange never share an id.
        let step = u64::try_from(index).unwrap_or(u64::MAX).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut z = self.span_id.wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).max(1)
    }

    /// The `traceparent` for an attempt: this trace, with the attempt's span as the parent (see [`TraceContext::attempt_span_id`]).
    #[expect(clippy::missing_panics_doc, reason = "it cannot: hex digits and dashes are ASCII and valid in a header")]
    pub fn child_traceparent(&self, span_id: u64) -> HeaderValue {
        let mut text = [b'-'; TRACEPARENT_LENGTH];
        text[..2].copy_from_slice(b"00");
        write_hex(&mut text[3..35], self.trace_id);
        write_hex(&mut text[36..52], span_id.into());
        write_hex(&mut text[53..], self.flags.into());
        HeaderValue::from_bytes(&text).expect("hex digits and dashes are valid in a header")
    }
}

/// `TRACEID-SPANID` in lower hex, 49 characters, on the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ExchangeId([u8; 49]);

impl ExchangeId {
    /// The text.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: hex digits and dashes are ASCII and valid in a header")]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hex digits and a dash are ASCII")
    }

    /// The text, as a header's value.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: hex digits and dashes are ASCII and valid in a header")]
    pub fn to_header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).expect("hex digits and a dash are valid in a header")
    }
}

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Version 00 is read to the letter; of later versions the part that must not change (3.2.4: longer is allowed, after a dash).
fn parse(value: &[u8]) -> Option<TraceContext> {
    let (head, rest) = value.split_at_checked(TRACEPARENT_LENGTH)?;
    let version = read_hex(&head[..2])?;
    let tail_fits = if version == 0 { rest.is_empty() } else { rest.first().is_none_or(|&byte| byte == b'-') };
    let dashes = [2, 35, 52].iter().all(|&at| head[at] == b'-');
    if version == 0xff || !tail_fits || !dashes {
        return None;
    }
    let trace_id = read_hex(&head[3..35]).filter(|&id| id != 0)?;
    let parent_id = read_hex(&head[36..52]).and_then(|id| u64::try_from(id).ok()).filter(|&id| id != 0)?;
    let flags = read_hex(&head[53..]).and_then(|flags| u8::try_from(flags).ok())?;
    Some(TraceContext { trace_id, span_id: fastrand::u64(1..), parent_id: Some(parent_id), flags: flags & (SAMPLED | RANDOM) })
}

/// Lower-case hex of at most 32 digits.
fn read_hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |number, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// Fills `out` with the last digits of `number`.
fn write_hex(out: &mut [u8], mut number: u128) {
    for digit in out.iter_mut().rev() {
        let [low, ..] = number.to_le_bytes();
        *digit = b"0123456789abcdef"[usize::from(low & 0xf)];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests;

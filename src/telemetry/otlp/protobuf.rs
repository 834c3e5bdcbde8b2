//! Reads what matters of a receiver's answers: how many spans it refused (`ExportTraceServiceResponse.partial_success.rejected_spans` of
//! opentelemetry-proto; the exporter reads it too, and tells nobody), and the fields of any message of Protocol Buffers.

/// Of the wire format of Protocol Buffers.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// Spans refused; 0 where the answer says nothing of it or cannot be read.
pub(super) fn rejected(response: &[u8]) -> u64 {
    let partial = fields(response).find_map(|field| match field {
        (1, Value::Bytes(bytes)) => Some(bytes),
        _ => None,
    });
    let number = partial.and_then(|partial| {
        fields(partial).find_map(|field| match field {
            (1, Value::Number(number)) => Some(number),
            _ => None,
        })
    });
    // The field is signed: a negative number of spans is none.
    number.and_then(|number| i64::try_from(number).ok()).map_or(0, i64::unsigned_abs)
}

/// A field's value, as far as it is of use.
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The fields of a message, up to the first that cannot be read.
pub(super) fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        let key = varint(&mut message)?;
        let value = match key & 7 {
            VARINT => Value::Number(varint(&mut message)?),
            LENGTH => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                Value::Bytes(message.split_off(..length)?)
            }
            FIXED64 => message.split_off(..8).map(|_| Value::Other)?,
            FIXED32 => message.split_off(..4).map(|_| Value::Other)?,
            _ => return None,
        };
        Some((key >> 3, value))
    })
}

/// Seven bits a byte, lowest first, at most ten bytes.
fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..70).step_by(7) {
        let byte = *message.split_off_first()?;
        number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
    use prost::Message;

    use super::rejected;

    #[test]
    fn what_the_receiver_refused_is_read() {
        for count in [0, 1, 127, 128, 300, i64::MAX] {
            let partial = ExportTracePartialSuccess { rejected_spans: count, error_message: "too old".repeat(30) };
            let response = ExportTraceServiceResponse { partial_success: Some(partial) };
            assert_eq!(rejected(&response.encode_to_vec()), u64::try_from(count).unwrap());
        }
    }

    #[test]
    fn an_answer_that_says_nothing_or_nonsense_refuses_nothing() {
        let negative = ExportTracePartialSuccess { rejected_spans: -5, error_message: String::new() };
        assert_eq!(rejected(&ExportTraceServiceResponse { partial_success: Some(negative) }.encode_to_vec()), 0);
        assert_eq!(rejected(&ExportTraceServiceResponse::default().encode_to_vec()), 0);
        for nonsense in [&b"<html>"[..], &[0xff; 64], &[0x0a, 0xff], &[0x0a, 0x02, 0x08], &[0x0f]] {
            assert_eq!(rejected(nonsense), 0, "{nonsense:?}");
        }
    }
}

use http::{HeaderMap, HeaderValue};

use super::TraceContext;

const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn context(values: &[&str]) -> TraceContext {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append("traceparent", HeaderValue::from_str(value).unwrap());
    }
    TraceContext::from_headers(&headers)
}

#[test]
fn a_valid_traceparent_makes_a_child() {
    let child = context(&[VALID]);
    assert_eq!(child.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
    assert_eq!(child.parent_id, Some(0x00f0_67aa_0ba9_02b7));
    assert!(child.is_sampled() && child.span_id != 0 && Some(child.span_id) != child.parent_id);
    assert!(!context(&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"]).is_sampled());
}

#[test]
fn the_random_flag_stays_and_unknown_flags_go() {
    assert_eq!(context(&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03"]).flags, 3);
    assert_eq!(context(&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff"]).flags, 3);
}

#[test]
fn a_later_version_may_be_longer_after_a_dash() {
    assert!(context(&["01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"]).parent_id.is_some());
    assert!(context(&["cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]).parent_id.is_some());
}

#[test]
fn anything_else_starts_a_new_trace() {
    let invalid: &[&[&str]] = &[
        &[],
        &[VALID, VALID],
        &[""],
        &["garbage"],
        &["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
        &["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"],
        &["00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
        &["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"],
        &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"],
        &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"],
        &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g"],
        &["00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
        &["01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more"],
        &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 "],
    ];
    for values in invalid {
        let root = context(values);
        assert!(root.parent_id.is_none() && root.trace_id != 0 && root.span_id != 0 && root.is_sampled(), "{values:?}");
        assert_ne!(root.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, "{values:?}");
    }
}

#[test]
fn ids_are_written_as_they_were_read() {
    let trace = TraceContext { trace_id: 0xabc, span_id: 0x1, parent_id: None, flags: 3 };
    assert_eq!(trace.exchange_id().as_str(), "00000000000000000000000000000abc-0000000000000001");
    assert_eq!(trace.exchange_id().to_header(), "00000000000000000000000000000abc-0000000000000001");
    let sent = trace.child_traceparent(0xff);
    assert_eq!(sent, "00-00000000000000000000000000000abc-00000000000000ff-03");
    let read = context(&[sent.to_str().unwrap()]);
    assert_eq!((read.trace_id, read.parent_id, read.flags), (0xabc, Some(0xff), 3));
}

#[test]
fn attempts_have_ids_of_their_own_that_do_not_change() {
    let trace = context(&[VALID]);
    let ids: Vec<u64> = (0..100).map(|index| trace.attempt_span_id(index)).collect();
    let again: Vec<u64> = (0..100).map(|index| trace.attempt_span_id(index)).collect();
    let distinct: std::collections::HashSet<u64> = ids.iter().copied().chain([0, trace.span_id]).collect();
    assert_eq!(ids, again);
    assert_eq!(distinct.len(), 102);
}

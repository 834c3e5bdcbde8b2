//! What changes in a head, and that nothing else does.

use super::*;
use crate::secret::Secret;

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    }
    map
}

fn upstream(api_key: Option<&str>) -> Upstream {
    Upstream { api_key: api_key.map(Secret::new), ..Upstream::parse("up", "https://up.example").unwrap() }
}

fn list(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
}

fn check(headers: &[(&str, &str)], (dialect, key): (Option<Dialect>, Option<&str>), expected: &[(&str, &str)]) {
    let (host, carry, upstream) = (HeaderValue::from_static("up.example"), Carry { via: false, ..Carry::default() }, upstream(key));
    let upward = Upward {
        uri: Uri::from_static("https://up.example/"),
        host: &host,
        upstream: &upstream,
        dialect,
        carry: &carry,
        mark: "pillion-0",
        switch: None,
        usage: None,
        is_trimmed: false,
    };
    assert_eq!(list(&request_headers(&map(headers), &upward)), expected, "{headers:?}");
}

#[test]
fn a_request_s_headers_go_up_in_their_order_with_only_the_host_replaced() {
    check(
        &[("accept", "*/*"), ("host", "localhost:4100"), ("x-a", "1"), ("cookie", "c"), ("x-a", "2"), ("traceparent", "tp")],
        (None, None),
        &[("accept", "*/*"), ("host", "up.example"), ("x-a", "1"), ("x-a", "2"), ("cookie", "c"), ("traceparent", "tp")],
    );
    check(&[("x-a", "1")], (None, None), &[("host", "up.example"), ("x-a", "1")]);
}

#[test]
fn hop_by_hop_headers_and_our_own_end_here() {
    check(
        &[
            ("host", "localhost"),
            ("connection", "keep-alive, X-Hop"),
            ("keep-alive", "timeout=5"),
            ("x-hop", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("x-pillion-agent", "planner"),
            ("x-pillion-timeout", "3s"),
            ("x-kept", "1"),
        ],
        (None, None),
        &[("host", "up.example"), ("x-kept", "1"), ("te", "trailers"), ("connection", "te")],
    );
    check(&[("te", "gzip, Trailers;q=1")], (None, None), &[("host", "up.example")]);
}

#[test]
fn naming_a_header_in_connection_takes_neither_credentials_nor_framing_away() {
    let named = ("connection", "close, authorization, content-length, host, x-api-key, content-type");
    let kept =
        [("host", "up.example"), ("authorization", "Bearer a"), ("content-length", "2"), ("x-api-key", "k"), ("content-type", "application/json")];
    let sent: Vec<_> = std::iter::once(named).chain(kept).collect();
    check(&sent, (None, None), &kept);
}

#[test]
fn a_configured_key_replaces_whatever_the_agent_sent() {
    let sent =
        [("host", "x"), ("authorization", "Bearer agent"), ("x-api-key", "agent"), ("x-goog-api-key", "agent"), ("api-key", "agent"), ("x-b", "1")];
    for (dialect, name, value) in [
        (Some(Dialect::OpenaiChat), "authorization", "Bearer sk-own"),
        (None, "authorization", "Bearer sk-own"),
        (Some(Dialect::AnthropicMessages), "x-api-key", "sk-own"),
        (Some(Dialect::Gemini), "x-goog-api-key", "sk-own"),
    ] {
        check(&sent, (dialect, Some("sk-own")), &[("host", "up.example"), ("x-b", "1"), (name, value)]);
    }
}

fn down(headers: &[(&str, &str)], carry: &Carry, spent: bool) -> Vec<(String, String)> {
    let mut head = Response::builder().status(503).version(http::Version::HTTP_10).body(()).unwrap().into_parts().0;
    head.headers = map(headers);
    let downward = Downward { carry, mark: "pillion-0", exchange: HeaderValue::from_static("t-s"), attempts: 3, trim: None, spent, shortened: false };
    let rewritten = reply_head(&mut head, &downward);
    assert_eq!((rewritten.status.as_u16(), rewritten.version), (503, http::Version::HTTP_11));
    list(&rewritten.headers).into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_reply_s_headers_go_down_as_they_came_with_ours_behind_them() {
    let plain = Carry { via: false, exchange_headers: false, should_retry: false, ..Carry::default() };
    let sent = [
        ("set-cookie", "a"),
        ("server", "x"),
        ("set-cookie", "b"),
        ("connection", "close, x-hop"),
        ("x-hop", "1"),
        ("content-length", "3"),
        ("x-should-retry", "true"),
    ];
    let kept = [("set-cookie", "a"), ("set-cookie", "b"), ("server", "x"), ("content-length", "3"), ("x-should-retry", "true")];
    assert_eq!(down(&sent, &plain, true), owned(&kept));
    let ours = [("via", "1.1 pillion-0"), ("x-should-retry", "false"), ("x-pillion-exchange", "t-s"), ("x-pillion-attempts", "3")];
    let expected: Vec<_> = kept[..4].iter().chain(&ours).copied().collect();
    assert_eq!(down(&sent, &Carry::default(), true), owned(&expected));
}

#[test]
fn a_reply_framed_twice_goes_on_by_its_transfer_encoding() {
    let plain = Carry { via: false, exchange_headers: false, ..Carry::default() };
    assert_eq!(down(&[("content-length", "3"), ("transfer-encoding", "chunked"), ("x-a", "1")], &plain, false), owned(&[("x-a", "1")]));
}

#[test]
fn a_request_that_has_been_here_is_known_by_its_via() {
    assert!(has_passed(&map(&[("via", "1.1 other"), ("via", "1.0 fred, 1.1 pillion-12ab (x)")]), "pillion-12ab"));
    assert!(!has_passed(&map(&[("via", "1.1 pillion-12ac"), ("x-via", "1.1 pillion-12ab")]), "pillion-12ab"));
}

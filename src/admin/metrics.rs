//! `/metrics`: in `OpenMetrics` for who prefers that, else in Prometheus' text format.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::Full;

use crate::telemetry::{Exposition, Telemetry};

/// The page.
pub(super) fn page(telemetry: &Telemetry, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let exposition = preferred(headers);
    let mut response = Response::new(Full::from(telemetry.render(exposition)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(exposition.content_type()));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// What `Accept` asks for (RFC 9110 §12.5.1). `OpenMetrics` has to be named: who takes anything gets the text format.
fn preferred(headers: &HeaderMap) -> Exposition {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let (mut open_metrics, mut text) = (0, 0);
    for range in lines.flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).map(|(name, value)| (name.trim(), value.trim())).collect();
        let of = |wanted: &str| parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim_matches('"'));
        let weight = of("q").map_or(1000, thousandths);
        match media.as_str() {
            "application/openmetrics-text" if of("version").is_none_or(|version| version == "1.0.0") => open_metrics = weight.max(open_metrics),
            "text/plain" => text = weight.max(text),
            _ => {}
        }
    }
    if open_metrics > 0 && open_metrics >= text { Exposition::OpenMetrics } else { Exposition::Text }
}

/// A weight in thousandths; what is none weighs nothing.
fn thousandths(weight: &str) -> u32 {
    let (whole, digits) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = format!("{digits:0<3}");
    match (whole, digits.get(..3).and_then(|digits| digits.parse().ok())) {
        ("0", Some(thousandths)) => thousandths,
        ("1", Some(0)) => 1000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::{preferred, thousandths};
    use crate::telemetry::Exposition::{self, OpenMetrics, Text};

    fn check(accept: &[&'static str], expected: Exposition) {
        let mut headers = HeaderMap::new();
        for line in accept {
            headers.append(header::ACCEPT, HeaderValue::from_static(line));
        }
        assert_eq!(preferred(&headers), expected, "{accept:?}");
    }

    #[test]
    fn openmetrics_is_for_who_prefers_it() {
        // Prometheus 2.42 and 3.
        check(
            &[
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            ],
            OpenMetrics,
        );
        check(
            &[
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            ],
            OpenMetrics,
        );
        check(&["text/plain", "Application/OpenMetrics-Text"], OpenMetrics);
        check(&["application/openmetrics-text; version=\"1.0.0\" ; q=0.3, text/plain; q=0.299"], OpenMetrics);
    }

    #[test]
    fn all_others_get_the_text_format() {
        for accept in [
            "*/*",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.000",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=many",
            "",
        ] {
            check(&[accept], Text);
        }
        check(&[], Text);
    }

    #[test]
    fn weights_have_at_most_three_digits() {
        for (weight, expected) in
            [("1", 1000), ("1.000", 1000), ("0", 0), ("0.5", 500), ("0.123", 123), ("0.1239", 123), ("2", 0), ("", 0), ("0.é", 0)]
        {
            assert_eq!(thousandths(weight), expected, "{weight}");
        }
    }
}

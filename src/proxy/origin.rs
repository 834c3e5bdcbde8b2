//! `Host` and `Origin` on loopback: a page in a browser must not reach the agent's upstreams by a name that resolves to this machine (DNS rebinding).

use http::{HeaderMap, Uri, Version, header, uri::Authority};

use super::refusal::Refusal;
use crate::telemetry::names::Reason;

/// Checks a head that came in on loopback. `hosts` are the names beside `localhost`, `127.0.0.1` and `[::1]`.
pub fn check_origin(hosts: &[String], uri: &Uri, version: Version, headers: &HeaderMap) -> Result<(), Reason> {
    let mut stated = headers.get_all(header::HOST).iter();
    let (first, second) = (stated.next(), stated.next());
    let named = |host: &str| is_known(hosts, host);
    // A target in absolute form overrules Host (RFC 9112 §3.2.2), but neither may name another.
    let by_target = uri.authority().map(Authority::as_str).is_none_or(named);
    let by_header = match first {
        Some(host) => host.to_str().is_ok_and(named),
        None => version < Version::HTTP_11 || uri.authority().is_some(),
    };
    if !by_target || !by_header || second.is_some() {
        return Err(Reason::Host);
    }
    let is_ours = |origin: &str| origin.split_once("://").is_some_and(|(_, host)| named(host));
    match headers.get(header::ORIGIN) {
        Some(origin) if !origin.to_str().is_ok_and(is_ours) => Err(Reason::Origin),
        _ => Ok(()),
    }
}

/// What an agent is told.
pub(super) fn refusal(reason: Reason) -> Refusal {
    let message = match reason {
        Reason::Origin => "Pages of other origins may not use this proxy. Add the origin's host to server.hosts if they should",
        _ => "The request's Host is not one of this proxy. Add the name that you use for it to server.hosts",
    };
    Refusal::new(reason, message)
}

fn is_known(hosts: &[String], host: &str) -> bool {
    let name = match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => host.get(..colon).unwrap_or(host),
        _ => host,
    };
    let same = |known: &str| name.eq_ignore_ascii_case(known);
    ["localhost", "127.0.0.1", "[::1]"].into_iter().any(same) || hosts.iter().any(|known| same(known))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn check(target: &str, headers: &[(&'static str, &'static str)], expected: Result<(), Reason>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let hosts = ["pillion.internal".to_owned()];
        assert_eq!(check_origin(&hosts, &target.parse().unwrap(), Version::HTTP_11, &map), expected, "{target} {headers:?}");
    }

    #[test]
    fn only_names_of_this_machine_are_served_on_loopback() {
        for host in ["localhost", "LOCALHOST:4100", "127.0.0.1:4100", "[::1]", "[::1]:4100", "pillion.internal:80"] {
            check("/v1/models", &[("host", host)], Ok(()));
        }
        for host in ["evil.example", "localhost.evil.example:4100", "127.0.0.1.evil.example", "", "[::2]:4100"] {
            check("/v1/models", &[("host", host)], Err(Reason::Host));
        }
        check("/v1/models", &[], Err(Reason::Host));
        check("/v1/models", &[("host", "localhost"), ("host", "localhost")], Err(Reason::Host));
        check("http://evil.example/v1/models", &[("host", "localhost")], Err(Reason::Host));
        check("http://localhost/v1/models", &[("host", "evil.example")], Err(Reason::Host));
    }

    #[test]
    fn only_pages_of_this_machine_are_served() {
        check("/", &[("host", "localhost"), ("origin", "http://localhost:3000")], Ok(()));
        for origin in ["https://evil.example", "null", "http://127.0.0.1.evil.example"] {
            check("/", &[("host", "localhost"), ("origin", origin)], Err(Reason::Origin));
        }
    }
}

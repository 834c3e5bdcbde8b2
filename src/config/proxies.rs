//! The proxies that the environment names for what goes out: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, and `NO_PROXY` for what goes there directly.
//! The rules are curl's, and the lower-case spelling wins. SOCKS is not spoken.

use std::{fmt, sync::Arc};

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use super::{Hop, Upstream, environment::Environment, fields::Reading};
use crate::secret::Secret;

/// What the environment says of proxies.
#[derive(Debug)]
pub(super) struct Proxies {
    matcher: Matcher,
    http: Option<&'static str>,
    https: Option<&'static str>,
}

impl Proxies {
    /// From the environment. What cannot be used is told as a warning, without its value: it can hold credentials.
    pub(super) fn of(reading: &mut Reading<'_>) -> Self {
        let environment = reading.environment;
        // In a CGI script `HTTP_PROXY` is a header of whoever calls it (CVE-2016-5385).
        let shouted = if environment.of("REQUEST_METHOD").is_none() { "HTTP_PROXY" } else { "http_proxy" };
        let mut proxy = |names: [&'static str; 2]| {
            let (name, value) = first(environment, names)?;
            if is_usable(value) {
                return Some((name, value));
            }
            reading.warnings.push(format!("{name} names no proxy of the form `http://HOST:PORT` or `https://HOST:PORT`: it is not used"));
            None
        };
        let (http, https, all) = (proxy(["http_proxy", shouted]), proxy(["https_proxy", "HTTPS_PROXY"]), proxy(["all_proxy", "ALL_PROXY"]));
        let (http, https) = (http.or(all), https.or(all));
        let no = first(environment, ["no_proxy", "NO_PROXY"]).map_or("", |(_, value)| value);
        let value = |proxy: Option<(&str, &str)>| proxy.map_or_else(String::new, |(_, value)| value.to_owned());
        let matcher = Matcher::builder().http(value(http)).https(value(https)).no(no).build();
        Self { matcher, http: http.map(|(name, _)| name), https: https.map(|(name, _)| name) }
    }

    /// The upstream with the proxy that leads there, if one does. What is on this machine is never reached through another.
    pub(super) fn lead_to(&self, mut upstream: Upstream) -> Upstream {
        upstream.hop = self.hop(&upstream).map(Arc::new);
        upstream
    }

    fn hop(&self, upstream: &Upstream) -> Option<Hop> {
        if upstream.is_loopback() {
            return None;
        }
        let variable = if upstream.tls { self.https } else { self.http }?;
        let proxy = self.matcher.intercept(&upstream.url().parse().ok()?)?;
        let uri = proxy.uri();
        let tls = uri.scheme_str() == Some("https");
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let authorization = proxy.basic_auth().and_then(|value| value.to_str().ok()).map(Secret::new);
        Some(Hop { tls, host, port, authorization, variable })
    }
}

/// Its URL, credentials masked.
impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let masked = if self.authorization.is_some() { "***@" } else { "" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{masked}{open}{}{close}:{}", self.host, self.port)
    }
}

fn first<'e>(environment: &'e Environment, names: [&'static str; 2]) -> Option<(&'static str, &'e str)> {
    names.into_iter().find_map(|name| environment.of(name).map(|value| (name, value.trim())))
}

fn is_usable(value: &str) -> bool {
    let anywhere = Uri::from_static("https://example.com/");
    let proxy = Matcher::builder().https(value.to_owned()).build().intercept(&anywhere);
    proxy
        .as_ref()
        .map(Intercept::uri)
        .is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, read};

    /// The proxy that leads to `url` in this environment, and the warnings.
    fn through(variables: &[(&str, &str)], url: &str) -> (Option<String>, Vec<String>) {
        let environment: Environment = variables.iter().copied().collect();
        let flags = Flags { upstream: Some(url.to_owned()), ..Flags::default() };
        let loaded = read(b"", None, &flags, &environment).unwrap();
        let hop = loaded.config.only_upstream.and_then(|upstream| upstream.hop.clone());
        (hop.map(|hop| format!("{hop} {}", hop.variable)), loaded.warnings)
    }

    #[test]
    fn each_scheme_has_its_variable_and_all_stands_in_for_both() {
        let check = |variables: &[(&str, &str)], url: &str, expected: Option<&str>| {
            assert_eq!(through(variables, url), (expected.map(str::to_owned), Vec::new()), "{variables:?} {url}");
        };
        let (http, https) = (("HTTP_PROXY", "http://a:1"), ("HTTPS_PROXY", "http://b:2"));
        check(&[], "https://x.example", None);
        check(&[http, https], "http://x.example", Some("http://a:1 HTTP_PROXY"));
        check(&[http, https], "https://x.example", Some("http://b:2 HTTPS_PROXY"));
        check(&[http], "https://x.example", None);
        check(&[("ALL_PROXY", "c:3")], "https://x.example", Some("http://c:3 ALL_PROXY"));
        check(&[("all_proxy", "https://c"), https], "http://x.example", Some("https://c:443 all_proxy"));
        check(&[("https_proxy", "http://d"), https], "https://x.example", Some("http://d:80 https_proxy"));
        check(&[("HTTPS_PROXY", "http://[::1]:3128")], "https://x.example", Some("http://[::1]:3128 HTTPS_PROXY"));
        check(&[http, ("REQUEST_METHOD", "GET")], "http://x.example", None);
        check(&[("HTTPS_PROXY", "")], "https://x.example", None);
    }

    #[test]
    fn what_no_proxy_names_and_this_machine_are_reached_directly() {
        let all = ("ALL_PROXY", "http://p:1");
        for (no, url) in [
            ("x.example", "https://x.example"),
            ("example", "https://x.example"),
            (".example, other", "https://x.example"),
            ("10.0.0.0/8", "http://10.1.2.3"),
            ("*", "https://x.example"),
            ("", "http://127.0.0.1:8000"),
            ("", "http://localhost:8000"),
            ("", "http://[::1]:8000"),
            ("", "unix:///run/model.sock"),
        ] {
            assert_eq!(through(&[all, ("NO_PROXY", no)], url).0, None, "{no} {url}");
        }
        assert!(through(&[all, ("no_proxy", "ample, y.example")], "https://x.example").0.is_some());
    }

    #[test]
    fn credentials_are_kept_for_the_proxy_alone() {
        let (hop, _) = through(&[("HTTPS_PROXY", "http://us%65r:canary@p:1")], "https://x.example");
        assert_eq!(hop.as_deref(), Some("http://***@p:1 HTTPS_PROXY"));
        let environment: Environment = [("HTTPS_PROXY", "http://us%65r:canary@p:1")].into_iter().collect();
        let loaded = read(b"", None, &Flags::default(), &environment).unwrap();
        assert!(!format!("{loaded:?}").contains("canary"));
        let hop = loaded.config.upstreams["openai"].hop.clone().unwrap();
        assert_eq!(hop.authorization.as_ref().map(Secret::reveal), Some("Basic dXNlcjpjYW5hcnk="));
        let mut page = Vec::new();
        loaded.print(&mut page, &crate::config::Selection::default()).unwrap();
        assert!(String::from_utf8(page).unwrap().contains("# through the proxy http://***@p:1 (env:HTTPS_PROXY)"));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_told_without_its_value() {
        for value in ["socks5://canary:1080", "http://", "not a url canary", "ftp://canary"] {
            let (hop, warnings) = through(&[("HTTPS_PROXY", value)], "https://x.example");
            assert_eq!(hop, None, "{value}");
            assert!(warnings.len() == 1 && warnings[0].starts_with("HTTPS_PROXY names no proxy") && !warnings[0].contains("canary"), "{warnings:?}");
        }
    }
}

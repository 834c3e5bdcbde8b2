//! Where requests can go: the built-in table, URLs, and which provider stands behind a host. Nothing here connects.

use std::{fmt, net::IpAddr, path::PathBuf};

use http::{HeaderName, HeaderValue, header};

use super::{Http2, Upstream, fields::Wanted};
use crate::wire::Dialect;

/// The upstreams that need no config: name and base URL. A base URL holds what stands before the part that its users write
/// themselves: `deepseek` serves two dialects under different paths, so its is bare.
const BUILT_IN: [(&str, &str); 12] = [
    ("openai", "https://api.openai.com/v1"),
    ("anthropic", "https://api.anthropic.com"),
    ("gemini", "https://generativelanguage.googleapis.com"),
    ("mistral", "https://api.mistral.ai/v1"),
    ("groq", "https://api.groq.com/openai/v1"),
    ("deepseek", "https://api.deepseek.com"),
    ("together", "https://api.together.xyz/v1"),
    ("fireworks", "https://api.fireworks.ai/inference/v1"),
    ("openrouter", "https://openrouter.ai/api/v1"),
    ("xai", "https://api.x.ai/v1"),
    ("ollama", "http://127.0.0.1:11434"),
    ("vllm", "http://127.0.0.1:8000/v1"),
];

/// Known hosts and their `gen_ai.provider.name`. One that begins with a dot is the end of a host, or all of it but the dot.
const PROVIDERS: [(&str, &str); 17] = [
    (".api.openai.com", "openai"),
    (".api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    (".aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("-aiplatform.googleapis.com", "gcp.vertex_ai"),
    (".openai.azure.com", "azure.ai.openai"),
    (".cognitiveservices.azure.com", "azure.ai.openai"),
    (".services.ai.azure.com", "azure.ai.openai"),
    (".mistral.ai", "mistral_ai"),
    (".api.groq.com", "groq"),
    (".api.deepseek.com", "deepseek"),
    (".api.x.ai", "x_ai"),
    (".cohere.com", "cohere"),
    (".cohere.ai", "cohere"),
    (".api.perplexity.ai", "perplexity"),
    (".moonshot.ai", "moonshot_ai"),
    (".moonshot.cn", "moonshot_ai"),
];

/// Longest name of an upstream, in characters.
const LONGEST_NAME: usize = 64;

/// Longest path of a Unix socket in bytes: `sun_path` holds 108 with its end.
const LONGEST_SOCKET: usize = 107;

/// Names that would hide a path of the dialects, or be taken for a label's overflow or for `--upstream`.
const RESERVED: [&str; 8] = ["v1", "v1alpha", "v1beta", "v1beta1", "api", "other", "unknown", "upstream"];

/// What an upstream's URL is not. A message says what is wanted and never repeats the URL: it can hold a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not `http://`, `https://` or `unix://`.
    #[error("a URL that begins with `http://`, `https://` or `unix://`")]
    Scheme,
    /// A Unix socket, where there can be none.
    #[error("a URL that begins with `http://` or `https://`")]
    NotHttp,
    /// No URL by RFC 3986.
    #[error("a URL such as `https://api.example.com/v1`")]
    Malformed,
    /// No host, or one that is neither a name nor an address.
    #[error("a URL with a host: a name in ASCII, an IPv4 address, or an IPv6 address in brackets")]
    Host,
    /// A port beyond 1 to 65535.
    #[error("a URL whose port is 1 to 65535")]
    Port,
    /// `user:password@`.
    #[error("a URL without user or password; credentials go under `api_key`")]
    Userinfo,
    /// A socket whose path is not absolute, or is longer than the kernel takes.
    #[error("a URL such as `unix:///run/model.sock`, or `unix:///run/model.sock:/v1` with a path, the socket's at most 107 bytes")]
    Socket,
    /// `?` or `#`.
    #[error("a URL without query or fragment; those of each request are carried")]
    Query,
}

impl UrlError {
    pub(super) fn wanted(self) -> Wanted {
        self.to_string().into()
    }
}

/// The parts of a base URL.
pub(super) struct Url {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// Without a trailing slash.
    pub(super) path: String,
    /// The Unix socket that stands in for host and port.
    pub(super) socket: Option<String>,
}

impl Upstream {
    /// The destination that `url` names: `http` or `https`, host, perhaps a port and a path; or `unix`, a socket, perhaps `:` and a path; nothing
    /// else. Its provider is known by the host, else called `name`. All else is left unset.
    pub fn parse(name: &str, url: &str) -> Result<Self, UrlError> {
        let Url { tls, host, port, path, socket } = Url::parse(url)?;
        let provider = provider_of(&host).unwrap_or(name).into();
        let (name, socket, http2) = (name.into(), socket.map(PathBuf::from), Http2::default());
        Ok(Self { name, tls, host, port, path, dialect: None, api_key: None, ca: None, socket, http2, hop: None, provider })
    }

    /// The upstreams that need no config.
    pub fn built_in() -> impl Iterator<Item = Self> {
        // A test sees that no entry is lost here.
        BUILT_IN.into_iter().filter_map(|(name, url)| Self::parse(name, url).ok())
    }

    /// The header that carries its own key, if it has one: each provider's dialect has its own.
    pub fn credentials(&self, dialect: Option<Dialect>) -> Option<(HeaderName, HeaderValue)> {
        let key = self.api_key.as_ref()?.reveal();
        let (name, value) = match dialect {
            Some(Dialect::AnthropicMessages) => (HeaderName::from_static("x-api-key"), HeaderValue::try_from(key)),
            Some(Dialect::Gemini) => (HeaderName::from_static("x-goog-api-key"), HeaderValue::try_from(key)),
            _ => (header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {key}"))),
        };
        let mut value = value.ok()?;
        value.set_sensitive(true);
        Some((name, value))
    }

    /// Its base URL, the default port left out.
    pub fn url(&self) -> String {
        let socket = self.socket.as_ref().map(|socket| socket.display().to_string());
        Url { tls: self.tls, host: self.host.clone(), port: self.port, path: self.path.clone(), socket }.to_string()
    }

    /// Whether it is this machine by its name or address.
    pub fn is_loopback(&self) -> bool {
        if self.socket.is_some() {
            return true;
        }
        let host = self.host.strip_suffix('.').unwrap_or(&self.host);
        host == "localhost" || host.ends_with(".localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    }
}

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            "unix" => return Self::of_socket(rest),
            _ => return Err(UrlError::Scheme),
        };
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        if authority.contains('@') {
            return Err(UrlError::Userinfo);
        }
        let path = base_path(path)?;
        let (host, port) = split_port(authority)?;
        let port = match port {
            Some(port) if port.starts_with(|c: char| c.is_ascii_digit()) => port.parse().ok().filter(|port| *port > 0).ok_or(UrlError::Port)?,
            Some(_) => return Err(UrlError::Port),
            None if tls => 443,
            None => 80,
        };
        Ok(Self { tls, host: host_of(host)?, port, path: path.to_owned(), socket: None })
    }

    /// `/run/model.sock`, or with a path of its own behind a colon: `/run/model.sock:/v1`.
    fn of_socket(rest: &str) -> Result<Self, UrlError> {
        let (socket, path) = rest.split_once(":/").map_or((rest, ""), |(socket, _)| (socket, rest.get(socket.len() + 1..).unwrap_or_default()));
        let is_socket = socket.starts_with('/') && !socket.ends_with('/') && (2..=LONGEST_SOCKET).contains(&socket.len());
        if !is_socket || socket.contains(['\0', '\n', '\r']) {
            return Err(UrlError::Socket);
        }
        Ok(Self { tls: false, host: "localhost".to_owned(), port: 80, path: base_path(path)?.to_owned(), socket: Some(socket.to_owned()) })
    }
}

/// What goes in front of each request's path, without a trailing slash.
fn base_path(path: &str) -> Result<&str, UrlError> {
    if path.contains(['?', '#']) {
        return Err(UrlError::Query);
    }
    let path = path.trim_end_matches('/');
    let is_path = path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'));
    if !is_path || path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(UrlError::Malformed);
    }
    Ok(path)
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(socket) = &self.socket {
            let colon = if self.path.is_empty() { "" } else { ":" };
            return write!(f, "unix://{socket}{colon}{}", self.path);
        }
        f.write_str(if self.tls { "https://" } else { "http://" })?;
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        if self.port != if self.tls { 443 } else { 80 } {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path)
    }
}

/// Whether a configured upstream may bear this name; else what it should be.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || name.chars().count() > LONGEST_NAME || !name.chars().all(is_word) || name.starts_with('.') {
        return Err(format!("an upstream's name is 1 to {LONGEST_NAME} letters, digits, `_`, `.` or `-`, the first no `.`"));
    }
    if RESERVED.contains(&name) {
        return Err(format!("an upstream cannot be called `{name}`: it would hide a path or a label of that name"));
    }
    Ok(())
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), UrlError> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(UrlError::Host)?;
        return match after.strip_prefix(':') {
            _ if host.parse::<std::net::Ipv6Addr>().is_err() => Err(UrlError::Host),
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(UrlError::Host),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(UrlError::Host),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn host_of(host: &str) -> Result<String, UrlError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let name = host.strip_suffix('.').unwrap_or(host);
    let last_is_number = name.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    if host.len() > 253 || last_is_number || !name.split('.').all(is_label) {
        return Err(UrlError::Host);
    }
    Ok(host.to_ascii_lowercase())
}

fn provider_of(host: &str) -> Option<&'static str> {
    if host.starts_with("bedrock-runtime.") && host.ends_with(".amazonaws.com") {
        return Some("aws.bedrock");
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_it = |known: &str| host == known.trim_start_matches('.') || known.starts_with(['.', '-']) && host.ends_with(known);
    PROVIDERS.into_iter().find(|(known, _)| is_it(known)).map(|(_, provider)| provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_holds_what_the_contract_names() {
        let table: Vec<_> = Upstream::built_in().map(|upstream| format!("{} {} {}", upstream.name, upstream.url(), upstream.provider)).collect();
        let expected = [
            "openai https://api.openai.com/v1 openai",
            "anthropic https://api.anthropic.com anthropic",
            "gemini https://generativelanguage.googleapis.com gcp.gemini",
            "mistral https://api.mistral.ai/v1 mistral_ai",
            "groq https://api.groq.com/openai/v1 groq",
            "deepseek https://api.deepseek.com deepseek",
            "together https://api.together.xyz/v1 together",
            "fireworks https://api.fireworks.ai/inference/v1 fireworks",
            "openrouter https://openrouter.ai/api/v1 openrouter",
            "xai https://api.x.ai/v1 x_ai",
            "ollama http://127.0.0.1:11434 ollama",
            "vllm http://127.0.0.1:8000/v1 vllm",
        ];
        assert_eq!(table, expected);
    }

    #[test]
    fn a_url_is_scheme_host_port_and_path() {
        for (text, expected) in [
            ("http://a", (false, "a", 80, "")),
            ("HTTPS://API.Example.com/", (true, "api.example.com", 443, "")),
            ("https://a.b:8443/x/v1/", (true, "a.b", 8443, "/x/v1")),
            ("http://[::1]:11434", (false, "::1", 11434, "")),
            ("http://[0:0::1]/v1", (false, "::1", 80, "/v1")),
            ("http://my_model:8000/v1//", (false, "my_model", 8000, "/v1")),
            (" http://127.0.0.1:1 ", (false, "127.0.0.1", 1, "")),
        ] {
            let upstream = Upstream::parse("x", text).expect(text);
            assert_eq!((upstream.tls, upstream.host.as_str(), upstream.port, upstream.path.as_str()), expected, "{text}");
            assert_eq!(Upstream::parse("x", &upstream.url()).map(|again| again.url()), Ok(upstream.url()));
        }
    }

    #[test]
    fn a_socket_takes_the_place_of_host_and_port() {
        for (text, socket, path) in [
            ("unix:///run/model.sock", "/run/model.sock", ""),
            ("UNIX:///run/model.sock:/v1/", "/run/model.sock", "/v1"),
            ("unix:///run/a:b.sock:/", "/run/a:b.sock", ""),
        ] {
            let upstream = Upstream::parse("x", text).expect(text);
            assert_eq!((upstream.socket.as_deref(), upstream.path.as_str()), (Some(std::path::Path::new(socket)), path), "{text}");
            assert_eq!((upstream.tls, upstream.host.as_str(), upstream.port), (false, "localhost", 80));
            assert_eq!(Upstream::parse("x", &upstream.url()).map(|again| again.url()), Ok(upstream.url()));
        }
    }

    #[test]
    fn this_machine_is_known_by_any_of_its_names() {
        for (host, expected) in [
            ("localhost", true),
            ("api.localhost.", true),
            ("127.8.9.1", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("localhost.example.com", false),
            ("10.0.0.1", false),
        ] {
            let upstream = Upstream::parse("x", &format!("http://{host}")).expect(host);
            assert_eq!(upstream.is_loopback(), expected, "{host}");
        }
    }

    #[test]
    fn a_url_that_hides_something_is_refused_and_not_repeated() {
        use UrlError::{Host, Malformed, Port, Query, Scheme, Socket, Userinfo};
        for (text, expected) in [
            ("", Scheme),
            ("api.openai.com", Scheme),
            ("localhost:8000", Scheme),
            ("ftp://a", Scheme),
            ("unix:x", Scheme),
            ("unix://x", Socket),
            ("unix:///", Socket),
            ("unix:///x/", Socket),
            ("unix:///x:/v1?key=canary", Query),
            ("unix:///x:/../v1", Malformed),
            ("http://", Host),
            ("http:///v1", Host),
            ("http://a b", Host),
            ("http://exämple.com", Host),
            ("http://a..b", Host),
            ("http://999.1.1.1", Host),
            ("http://::1", Host),
            ("http://[::1", Host),
            ("http://[a]", Host),
            ("http://a:", Port),
            ("http://a:0", Port),
            ("http://a:65536", Port),
            ("http://a:+1", Port),
            ("http://canary@a", Userinfo),
            ("http://u:canary@a/v1", Userinfo),
            ("http://a/v1?key=canary", Query),
            ("http://a?key=canary", Query),
            ("http://a/v1#x", Query),
            ("http://a/x y", Malformed),
            ("http://a/../v1", Malformed),
            ("http://a/ü", Malformed),
        ] {
            let error = Upstream::parse("x", text).err();
            assert_eq!(error, Some(expected), "{text}");
            assert!(!expected.to_string().contains("canary"));
        }
    }

    #[test]
    fn the_provider_is_known_by_the_whole_host() {
        for (host, expected) in [
            ("eu.api.openai.com", "openai"),
            ("us-central1-aiplatform.googleapis.com", "gcp.vertex_ai"),
            ("aiplatform.googleapis.com", "gcp.vertex_ai"),
            ("mine.openai.azure.com", "azure.ai.openai"),
            ("bedrock-runtime.us-east-1.amazonaws.com", "aws.bedrock"),
            ("codestral.mistral.ai", "mistral_ai"),
            ("api.cohere.com", "cohere"),
            ("api.perplexity.ai", "perplexity"),
            ("api.moonshot.cn", "moonshot_ai"),
            ("api.openai.com.evil.example", "name"),
            ("notapi.openai.com", "name"),
            ("127.0.0.1", "name"),
        ] {
            let upstream = Upstream::parse("name", &format!("https://{host}/v1")).expect(host);
            assert_eq!(&*upstream.provider, expected, "{host}");
        }
    }

    #[test]
    fn names_that_would_hide_a_path_are_refused() {
        for name in ["my-llm", "a", "A_b.c", "openai", "4o"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "@a", "a/b", "a b", "..", "ü", "v1", "v1beta", "api", "upstream", "other", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}

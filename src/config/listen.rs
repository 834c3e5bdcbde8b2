//! Where Pillion listens: an address and port, or a Unix socket that containers of one pod share by a volume.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{fields::Wanted, values};

/// What a Unix socket's path is told by.
const UNIX: &str = "unix:";
/// Longest path of a Unix socket, in bytes: the kernel's 108 with the closing zero.
const LONGEST: usize = 107;

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket at this absolute path.
    Unix(PathBuf),
}

impl Listen {
    /// The address and port, if it has one.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// The path of the Unix socket, if it is one.
    pub fn unix(&self) -> Option<&Path> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(path) => Some(path),
        }
    }

    /// Whether a page in a browser on this machine could reach it, so that names have to be checked. Nothing in a browser opens a Unix socket.
    pub fn is_loopback(&self) -> bool {
        self.tcp().is_some_and(|address| address.ip().is_loopback())
    }

    /// Whether other machines may reach it.
    pub fn is_beyond_loopback(&self) -> bool {
        self.tcp().is_some_and(|address| !address.ip().is_loopback())
    }

    /// The URL of its root. A Unix socket has none that HTTP knows of: `unix:` and the path stand in for it.
    pub fn url(&self, tls: bool) -> String {
        match self {
            Self::Tcp(address) => format!("{}://{address}", if tls { "https" } else { "http" }),
            Self::Unix(_) => self.to_string(),
        }
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// `127.0.0.1:4100`, or `unix:` and an absolute path.
pub(super) fn listen(text: &str) -> Result<Listen, Wanted> {
    let Some(path) = text.strip_prefix(UNIX) else { return values::address(text).map(Listen::Tcp) };
    // `unix:///run/x` is the same as `unix:/run/x` to everybody else who reads such addresses.
    let path = if path.starts_with("///") { path.trim_start_matches("//") } else { path };
    let is_good = path.starts_with('/') && !path.ends_with('/') && path.len() <= LONGEST && !path.contains('\0');
    if is_good {
        Ok(Listen::Unix(PathBuf::from(path)))
    } else {
        Err(format!("a path such as `unix:/run/pillion/pillion.sock`: absolute, at most {LONGEST} bytes").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_tcp_or_the_path_of_a_socket_and_reads_back_as_it_prints() {
        for text in ["127.0.0.1:4100", "[::1]:80", "unix:/run/pillion/pillion.sock"] {
            assert_eq!(listen(text).map(|listen| listen.to_string()).as_deref(), Ok(text));
        }
        assert_eq!(listen("unix:///run/p.sock"), Ok(Listen::Unix(PathBuf::from("/run/p.sock"))));
        for text in ["unix:", "unix:p.sock", "unix:/run/", "unix:/a\0b", &format!("unix:/{}", "x".repeat(107)), "/run/p.sock", "4100"] {
            assert!(listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_tcp_has_names_to_check_and_neighbours_to_fear() {
        let of = |text| listen(text).expect("a good address");
        assert!(of("127.0.0.1:1").is_loopback() && !of("127.0.0.1:1").is_beyond_loopback());
        assert!(of("0.0.0.0:1").is_beyond_loopback() && !of("unix:/x").is_beyond_loopback() && !of("unix:/x").is_loopback());
        assert_eq!((of("[::1]:1").url(true), of("unix:/x").url(false)), ("https://[::1]:1".to_owned(), "unix:/x".to_owned()));
    }
}

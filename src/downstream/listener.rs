//! Binds TCP and Unix sockets, and accepts from them. A Unix socket's file is replaced when nobody listens behind it any more, and removed at the end.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, UnixListener};

use super::transport::Transport;
use crate::config::Listen;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;
/// Who may connect to a Unix socket: its owner and group. Containers of one pod that run as different users share a group (`fsGroup`).
const MODE: u32 = 0o660;

/// Where connections come in.
#[derive(Debug)]
pub struct Listener {
    door: Door,
    address: Listen,
}

#[derive(Debug)]
enum Door {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// The file of a Unix socket of ours; removed when dropped, unless it is another's by then.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl Listener {
    /// Binds an address.
    pub fn bind(address: &Listen) -> io::Result<Self> {
        match address {
            Listen::Tcp(wanted) => {
                let socket = socket2::Socket::new(socket2::Domain::for_address(*wanted), socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
                socket.set_reuse_address(true)?;
                socket.set_nonblocking(true)?;
                socket.bind(&(*wanted).into())?;
                socket.listen(BACKLOG)?;
                let listener = TcpListener::from_std(socket.into())?;
                let address = Listen::Tcp(listener.local_addr()?);
                Ok(Self { door: Door::Tcp(listener), address })
            }
            Listen::Unix(path) => {
                make_way(path)?;
                let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
                socket.set_nonblocking(true)?;
                socket.bind(&socket2::SockAddr::unix(path)?)?;
                let file = SocketFile::of(path)?;
                fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
                socket.listen(BACKLOG)?;
                let listener = UnixListener::from_std(socket.into())?;
                Ok(Self { door: Door::Unix { listener, _file: file }, address: address.clone() })
            }
        }
    }

    /// Where it listens: a port of the system's choice is known by now.
    pub fn address(&self) -> &Listen {
        &self.address
    }

    pub(super) async fn accept(&self) -> io::Result<Transport> {
        match &self.door {
            Door::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Refused only by a socket that is closed already, which the first read will tell.
                let _ = stream.set_nodelay(true);
                Ok(Transport::Tcp(stream))
            }
            Door::Unix { listener, .. } => Ok(Transport::Unix(listener.accept().await?.0)),
        }
    }
}

/// Removes the file of a socket that nobody listens on. What else lies there is not ours to remove.
fn make_way(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of that name that is no socket"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there already")),
    }
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // What cannot be removed is replaced by the next who listens there.
            let _ = fs::remove_file(&self.path);
        }
    }
}

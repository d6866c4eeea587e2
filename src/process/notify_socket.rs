//! The socket of sd_notify(3), through which the app reports that it is ready. It is an abstract one, whose name the
//! kernel chooses: it needs no writable directory, leaves nothing behind, and two bookends cannot collide. Every process
//! of the network namespace can reach such a name, and the containers of a pod share that namespace. So the kernel is
//! asked which process has sent a datagram, and datagrams of other containers are dropped.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Once;
use std::time::Duration;

use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, UnixCredentials, bind, getsockname,
    recvmsg, setsockopt, socket,
};
use tokio::io::Interest;
use tokio::task::yield_now;
use tokio::time::sleep;
use tracing::warn;

use super::procfs;

/// The socket, bound.
#[derive(Debug)]
pub(crate) struct NotifySocket {
    socket: UnixDatagram,
    /// The value of the app's NOTIFY_SOCKET.
    pub(crate) address: String,
}

impl NotifySocket {
    /// Binds the socket. Needs no file of the image, and no runtime.
    pub(crate) fn open() -> io::Result<NotifySocket> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd: OwnedFd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        setsockopt(&fd, PassCred, &true)?;
        // An empty address: the kernel finds a free abstract one (unix(7), autobind).
        bind(fd.as_raw_fd(), &UnixAddr::new_unnamed())?;
        let name: UnixAddr = getsockname(fd.as_raw_fd())?;
        let name = name.as_abstract().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let address = format!("@{}", String::from_utf8_lossy(name));
        Ok(NotifySocket { socket: fd.into(), address })
    }

    /// Begins to listen. Called inside the runtime.
    pub(crate) fn listen(self) -> io::Result<Listening> {
        Ok(Listening { socket: tokio::net::UnixDatagram::from_std(self.socket)?, datagram: [0; MOST_BYTES] })
    }
}

/// The socket, being read.
pub(crate) struct Listening {
    socket: tokio::net::UnixDatagram,
    datagram: [u8; MOST_BYTES],
}

impl Listening {
    /// The next datagram that a process of this container has sent.
    pub(crate) async fn next(&mut self) -> &[u8] {
        let length = loop {
            let Listening { socket, datagram } = self;
            match socket.async_io(Interest::READABLE, || receive(socket, datagram)).await {
                Ok((length, Some(sender))) if is_ours(&sender) => break length,
                // It is of another container, or carried descriptors (BARRIER=1, FDSTORE=1), which the kernel has
                // closed. The next one may be read.
                Ok(_) => yield_now().await,
                // The datagram stays in the socket: without a pause a refusal for good would keep the loop busy.
                Err(error) => {
                    static REPORTED: Once = Once::new();
                    REPORTED.call_once(|| {
                        warn!(%error, "cannot receive sd_notify messages: does a seccomp profile forbid recvmsg(2)?");
                    });
                    sleep(PAUSE).await;
                }
            }
        };
        self.datagram.get(..length).unwrap_or_default()
    }
}

/// One datagram, and its sender according to the kernel.
fn receive(socket: &impl AsRawFd, datagram: &mut [u8]) -> io::Result<(usize, Option<UnixCredentials>)> {
    // There is room for the credentials only: the kernel closes descriptors that are sent along.
    let mut control = nix::cmsg_space!(UnixCredentials);
    let mut bytes = [IoSliceMut::new(datagram)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut bytes, Some(&mut control), flags)?;
    let credentials = |control| match control {
        ControlMessageOwned::ScmCredentials(sender) => Some(sender),
        _ => None,
    };
    let sender = message.cmsgs().ok().and_then(|mut all| all.find_map(credentials));
    Ok((message.bytes, sender))
}

/// Whether a sender is a process of this container. As PID 1 we see no others; elsewhere it must descend from us.
fn is_ours(sender: &UnixCredentials) -> bool {
    // 0: a process of a PID namespace that we cannot see.
    if sender.pid() <= 0 {
        return false;
    }
    // A sender that has ended meanwhile, as systemd-notify(1) does at once, is accepted if it had our user.
    let may_have_been = || sender.uid() == nix::unistd::geteuid().as_raw();
    super::is_first_process()
        || procfs::descends_closely_from(sender.pid(), procfs::own_pid()).unwrap_or_else(may_have_been)
}

/// systemd's own limit; a longer datagram is cut.
const MOST_BYTES: usize = 4096;
/// Between two attempts after an error: a lack of memory passes, a refusal does not.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;

    use super::*;

    #[test]
    fn a_datagram_of_another_container_is_not_ours() {
        let creds = |pid: i32| {
            let raw = libc::ucred { pid, uid: 12345, gid: 0 };
            UnixCredentials::from(raw)
        };
        assert!(!is_ours(&creds(0)), "a process that we cannot see");
        assert!(!is_ours(&creds(1)), "not a descendant of ours");
        assert!(!is_ours(&creds(i32::MAX)), "gone, and of another user");
    }

    #[test]
    fn the_kernel_chooses_the_name_and_reports_the_sender() {
        let socket = NotifySocket::open().unwrap();
        let name = socket.address.strip_prefix('@').unwrap();
        assert!(!name.is_empty());
        let sender = UnixDatagram::unbound().unwrap();
        let address = <std::os::unix::net::SocketAddr as SocketAddrExt>::from_abstract_name(name).unwrap();
        sender.send_to_addr(b"READY=1", &address).unwrap();
        let mut datagram = [0; 64];
        let (length, from) = receive(&socket.socket, &mut datagram).unwrap();
        assert_eq!(&datagram[..length], b"READY=1");
        assert_eq!(u32::try_from(from.unwrap().pid()).unwrap(), std::process::id());
    }
}

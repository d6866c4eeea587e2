//! Clients that go on for a while after a stop has begun, as proxies do: tests/containers/pasted/clients.

use crate::docker::{Container, Folder, TOOLS};
use crate::docker::{Namespaces, PATIENCE};

/// In the network of the app that they call.
#[derive(Debug)]
pub(crate) struct Clients {
    container: Container,
    _folder: Folder,
}

impl Clients {
    /// Starts them, and returns when the first request was sent.
    pub(crate) fn of_port(name: &str, beside: &Container, port: u16) -> Clients {
        let folder = Folder::new(&format!("{name}-clients"));
        folder.write_program("clients", PROGRAM);
        let options = [&folder.mount("clients", "/clients"), "--entrypoint=perl"];
        let port = port.to_string();
        let name = format!("{name}-clients");
        let container =
            Container::start_beside(&name, beside, Namespaces::Network, TOOLS, &options, &["/clients", &port]);
        container.wait_until("clients are there", || container.log().contains("clients are there"));
        Clients { container, _folder: folder }
    }

    /// Call this at the moment when the stop begins.
    pub(crate) fn stop_begins(&self) {
        self.container.kill("USR1");
    }

    /// Waits for their report: no request may be lost.
    pub(crate) fn lost_nothing(&self, log: impl Fn() -> String) {
        let code = self.container.exit_code();
        let report = self.container.log();
        assert!(code == 0 && report.contains(", lost 0\n"), "within {PATIENCE:?}: {report}\n{}", log());
        let sent = report.rsplit("sent ").next().and_then(|rest| rest.split(',').next()?.parse::<u32>().ok());
        // A busy machine sends a tenth of what an idle one does.
        assert!(sent.is_some_and(|sent| sent > 5), "{report}");
    }
}

pub(crate) const PROGRAM: &str = include_str!("pasted/clients");

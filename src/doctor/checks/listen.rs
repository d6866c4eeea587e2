//! Addresses: whether clients reach the server, and the kubelet bookend. Pure.

use crate::doctor::facts::Facts;
use crate::doctor::facts::known_server::is_php_fpm;
use crate::doctor::finding::{FileLine, Finding};
use bookend_config::address::HostPort;

/// The server's own addresses, as far as they are configured or seen.
pub(crate) fn loopback_only(facts: &Facts) -> Vec<Finding> {
    let (listens, at): (Vec<String>, Option<FileLine>) = if let Some(nginx) = &facts.nginx {
        let listen: Vec<_> = nginx.directives.iter().filter(|directive| directive.name == "listen").collect();
        let addresses = listen.iter().filter_map(|listen| listen.args.first().cloned()).collect();
        (addresses, listen.first().map(|listen| listen.at.clone()))
    } else if let Some(gunicorn) = &facts.gunicorn {
        let binds = gunicorn.binds();
        // Its default, unless PORT is set.
        let default = || vec!["127.0.0.1:8000".to_owned()];
        (if binds.is_empty() && !facts.container.port_is_given { default() } else { binds }, None)
    } else if is_php_fpm(facts.command.program()) || !facts.container.inside {
        // The clients of php-fpm are in its own pod.
        return Vec::new();
    } else {
        (facts.container.listens.clone(), None)
    };
    if listens.is_empty() || !listens.iter().all(|address| is_loopback(address)) {
        return Vec::new();
    }
    let found = Finding::new(
        format!("{} listens on loopback only: {}", facts.command.program(), listens.join(", ")),
        "neither a Service nor a kubelet's probe reaches it: they connect to the pod's IP",
        "listen on 0.0.0.0 or [::]",
    );
    vec![found.at(at)]
}

fn is_loopback(address: &str) -> bool {
    // An IPv6 address without brackets has no port.
    let host = HostPort::parse(address).map_or(address, |found| found.host);
    host.starts_with("127.") || ["localhost", "[::1]", "::1"].contains(&host)
}

pub(crate) fn hooks_on_loopback(facts: &Facts) -> Vec<Finding> {
    let Some(http) = facts.settings.http.as_ref().filter(|http| http.listen.ip().is_loopback()) else {
        return Vec::new();
    };
    vec![Finding::new(
        format!("http.listen is {}", http.listen),
        "a kubelet connects to the pod's IP: its hooks and probes are refused",
        format!("http.listen = \"0.0.0.0:{}\"", http.listen.port()),
    )]
}

pub(crate) fn allow_from(facts: &Facts) -> Vec<Finding> {
    let http = facts.settings.http.as_ref().filter(|http| !http.listen.ip().is_loopback());
    let networks = http.and_then(|http| http.allow_from.as_ref());
    let (Some(networks), Some(bridge)) = (networks, facts.container.bridge) else { return Vec::new() };
    if !facts.container.inside || networks.iter().any(|network| network.contains(bridge)) {
        return Vec::new();
    }
    vec![Finding::new(
        format!("http.allowFrom leaves out {bridge}, the address of the bridge"),
        "on a bridge network the kubelet and the engine call from it: their hooks are refused",
        format!("add \"{bridge}\" to http.allowFrom"),
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::command::AppCommand;
    use crate::doctor::facts::gunicorn::Gunicorn;
    use crate::doctor::facts::nginx::Nginx;
    use bookend_config::{Document, Sources};

    fn facts(config: &str) -> Facts {
        let files = vec![Document { name: "test".to_owned(), text: config.to_owned() }];
        let settings = bookend_config::load(&Sources { files, ..Sources::default() }).expect("it is valid").settings;
        Facts { settings, ..Facts::default() }
    }

    fn command(line: &str) -> Facts {
        let words = line.split(' ').map(str::to_owned).collect();
        Facts { command: AppCommand::new(words, |_| None), ..Facts::default() }
    }

    #[test]
    fn a_server_on_loopback_only_is_found() {
        let with = |listen: &str| {
            let mut nginx = command("nginx");
            nginx.nginx = Some(Nginx::read(&format!("# configuration file /n.conf:\n{listen}"), "", ""));
            loopback_only(&nginx).len()
        };
        assert_eq!(with("listen 127.0.0.1:80; listen [::1]:80;"), 1);
        assert_eq!(with("listen 80;"), 0);
        assert_eq!(with("listen 127.0.0.1:81; listen [::]:80;"), 0);
        let mut gunicorn = command("gunicorn app");
        gunicorn.gunicorn = Some(Gunicorn::default());
        assert_eq!(loopback_only(&gunicorn).len(), 1, "its default is 127.0.0.1:8000");
        gunicorn.container.port_is_given = true;
        assert_eq!(loopback_only(&gunicorn), []);
        let mut seen = command("own-server");
        seen.container.inside = true;
        for (address, findings) in
            [("::1", 1), ("[::1]:80", 1), ("localhost:80", 1), ("[::]:80", 0), ("10.0.0.1:80", 0)]
        {
            seen.container.listens = vec![address.to_owned()];
            assert_eq!(loopback_only(&seen).len(), findings, "{address}");
        }
    }

    #[test]
    fn hooks_on_loopback_are_found() {
        assert_eq!(hooks_on_loopback(&facts("http.listen = \"127.0.0.1:9797\"")).len(), 1);
        assert_eq!(hooks_on_loopback(&facts("http.listen = \"0.0.0.0:9797\"")), []);
    }

    #[test]
    fn an_allow_from_without_the_bridge_is_found() {
        let found = |networks: &str, inside: bool| {
            let mut facts = facts(&format!("http = {{ listen = \"0.0.0.0:9797\", allowFrom = {networks} }}"));
            facts.container.bridge = Some("172.17.0.1".parse().expect("an address"));
            facts.container.inside = inside;
            allow_from(&facts).len()
        };
        assert_eq!(found("[\"10.0.0.0/8\"]", true), 1);
        assert_eq!(found("[\"10.0.0.0/8\"]", false), 0, "not the container's own network");
        assert_eq!(found("[\"10.0.0.0/8\", \"172.17.0.1\"]", true), 0);
    }
}

//! After the stop signal: an app that only idle connections hold gets a second signal, which never cuts a request, and
//! requests that SIGKILL cuts are reported.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::drain::deny_sockets;
use crate::support::{Folder, Init, get, in_network_of, signal, wait_until};

/// Like nginx: SIGQUIT closes the listener and waits for every connection, silent ones too; SIGTERM exits at once.
/// A request is answered after four seconds, and the request HOLD never.
const SERVER: &str = "
import os, signal, socket, threading, time
stop, clients = threading.Event(), []
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
signal.signal(signal.SIGQUIT, lambda *_: stop.set())
server = socket.create_server(('', 80))
def serve(client):
    request = client.recv(100)
    if request:
        print('asked', flush=True)
        time.sleep(1000 if request == b'HOLD' else 4)
        client.sendall(b'the whole answer')
    client.close()
def accept():
    while True:
        try:
            client = server.accept()[0]
        except OSError:
            return
        thread = threading.Thread(target=serve, args=(client,), daemon=True)
        thread.start()
        clients.append(thread)
        print('accepted', flush=True)
threading.Thread(target=accept, daemon=True).start()
stop.wait()
server.shutdown(socket.SHUT_RDWR)
server.close()
for client in clients:
    client.join()
";

fn start(config: &str) -> Init {
    let init = Init::in_a_pod(Folder::new(), config, "", &["--", "python3", "-c", SERVER]);
    in_network_of(init.pid(), || wait_until("the app listens", || TcpStream::connect("127.0.0.1:80").is_ok()));
    init.wait_for_out("accepted");
    init
}

/// A client that the app has accepted.
fn connect(init: &Init) -> TcpStream {
    let accepted = || init.out().matches("accepted").count();
    let before = accepted();
    let client = knock(init);
    wait_until("the client is accepted", || accepted() > before);
    client
}

/// A client, accepted or not.
fn knock(init: &Init) -> TcpStream {
    in_network_of(init.pid(), || TcpStream::connect("127.0.0.1:80").unwrap())
}

const SECOND_SIGNAL: &str = "terminationGracePeriodSeconds = 25\napp.stopSignal = \"SIGQUIT\"\napp.secondSignal = { signal = \"SIGTERM\", afterSeconds = 0.2 }";

#[test]
fn silent_connections_do_not_hold_an_app_until_sigkill() {
    let init = start(SECOND_SIGNAL);
    let _silent = connect(&init);
    init.signal(15);
    let finished = init.finish();
    assert!(finished.log.contains("SIGTERM sent to the app: only idle connections are left"), "{}", finished.log);
    assert!(!finished.log.contains("SIGKILL") && !finished.log.contains(" cut"), "{}", finished.log);
    assert_eq!(finished.code(), 0);
}

#[test]
fn a_look_at_the_connections_that_fails_is_repeated() {
    let init = start(SECOND_SIGNAL);
    let _silent = connect(&init);
    let mut strace = deny_sockets(&init);
    init.signal(15);
    init.wait_for_log("without netlink, busy connections look like idle ones");
    signal(strace.id().cast_signed(), 15);
    strace.wait().unwrap();
    let finished = init.finish();
    assert!(finished.log.contains("SIGTERM sent to the app: only idle connections are left"), "{}", finished.log);
    assert!(!finished.log.contains("SIGKILL sent"), "{}", finished.log);
}

#[test]
fn a_request_in_flight_gets_no_second_signal() {
    let init = start(SECOND_SIGNAL);
    let _silent = connect(&init);
    let mut client = connect(&init);
    client.write_all(b"GET").unwrap();
    // A connection in the app's accept queue is reset by the app itself when it stops listening.
    init.wait_for_out("asked");
    init.signal(15);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "the whole answer", "{}", init.log());
    let finished = init.finish();
    assert!(finished.log.contains("only idle connections are left"), "{}", finished.log);
}

#[test]
fn cut_requests_are_reported_everywhere() {
    let folder = Folder::new();
    let (message, seen) = (folder.write("message", ""), folder.path("seen"));
    let config = format!(
        "terminationGracePeriodSeconds = 5\nterminationMessagePath = {message:?}\nhttp.listen = \"127.0.0.1:9797\"\n\
         app.stopSignal = \"SIGURG\"\n[lifecycle.postStop]\ntimeoutSeconds = 10\n\
         exec.command = [\"sh\", \"-c\", \"until [ -e {} ]; do sleep 0.02; done\"]",
        seen.display()
    );
    let mut init = Init::in_a_pod(folder, &config, "", &["--", "python3", "-c", SERVER]);
    in_network_of(init.pid(), || wait_until("the app listens", || TcpStream::connect("127.0.0.1:80").is_ok()));
    let mut clients = [connect(&init), connect(&init)];
    clients.iter_mut().for_each(|client| client.write_all(b"HOLD").unwrap());
    init.signal(15);
    let body = |path| in_network_of(init.pid(), || get(9797, path)).unwrap_or_default();
    wait_until("the cut is reported", || body("/status").contains("\"requestsCut\": 2"));
    assert!(body("/metrics").contains("\nbookend_requests_cut_total 2\n"), "{}", body("/metrics"));
    init.folder.write("seen", "");
    let finished = init.end();
    let message = init.folder.read("message");
    assert!(
        message.contains("requests on up to 2 connections cut: app was killed by SIGKILL"),
        "{message}\n{}",
        finished.log
    );
}

#[test]
fn requests_cut_by_sigkill_are_counted_and_reported() {
    let init = start("terminationGracePeriodSeconds = 2\napp.stopSignal = \"SIGURG\"");
    let mut clients = [connect(&init), connect(&init), connect(&init)];
    // The third client sent nothing, so it does not wait for a response.
    clients.iter_mut().take(2).for_each(|client| client.write_all(b"HOLD").unwrap());
    init.signal(15);
    let finished = init.finish();
    assert!(
        finished.log.contains("s, requests on up to 2 connections cut: app was killed by SIGKILL"),
        "{}",
        finished.log
    );
}

/// The log of a stop during which two clients wait in the accept queue of the process that `script` runs in the background.
fn stopped_while_two_wait(script: &str, listen: impl Fn(&Init) -> Option<TcpListener>) -> String {
    let config = "terminationGracePeriodSeconds = 25";
    let server =
        "import socket, time\nserver = socket.create_server(('', 80))\nprint('up', flush=True)\ntime.sleep(1000)";
    let init = Init::in_a_pod(Folder::new(), config, "", &["--", "sh", "-c", script, "sh", server]);
    let _listener = listen(&init);
    init.wait_for_out("up");
    let _clients = [knock(&init), knock(&init)];
    init.signal(15);
    init.finish().log
}

const TWO_WAITED: &str = "2 connections waited to be accepted when the stop signal was sent";

#[test]
fn unaccepted_connections_at_the_stop_signal_are_reported() {
    let log = stopped_while_two_wait("exec python3 -c \"$1\"", |_| None);
    assert!(log.contains(TWO_WAITED), "{log}");
}

#[test]
fn a_daemon_of_the_app_counts_as_the_app() {
    let log = stopped_while_two_wait("(setsid python3 -c \"$1\" &); exec sleep 1000", |_| None);
    assert!(log.contains(TWO_WAITED), "{log}");
}

#[test]
fn connections_to_other_containers_are_not_counted() {
    let log = stopped_while_two_wait("echo up; exec sleep 1000", |init| {
        Some(in_network_of(init.pid(), || TcpListener::bind("0.0.0.0:80").unwrap()))
    });
    assert!(log.contains("SIGTERM sent to the app") && !log.contains("waited to be accepted"), "{log}");
}

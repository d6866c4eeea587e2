use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use super::*;
use crate::runtime::listeners::bind;
use bookend_config::{Document, Sources};

fn in_runtime<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// A dispatcher with a port, in a process that began at this time.
fn dispatcher(began: Instant) -> (Dispatcher, SocketAddr) {
    let file = Document { name: "file".to_owned(), text: "http.listen = \"127.0.0.1:0\"".to_owned() };
    let settings = bookend_config::load(&Sources { files: vec![file], ..Sources::default() }).unwrap().settings;
    let listener = bind(&settings).unwrap().unwrap();
    let address = listener.local_addr().unwrap();
    let mut dispatcher = Dispatcher::new(began, &settings);
    dispatcher.listeners.open_port(listener, &settings);
    (dispatcher, address)
}

fn long_ago() -> Instant {
    Instant::now().checked_sub(FIRST_HOOK).unwrap()
}

#[test]
fn without_clients_the_exit_does_not_wait() {
    in_runtime(async {
        let (mut dispatcher, _) = dispatcher(long_ago());
        let began = Instant::now();
        assert!(dispatcher.late_request(began + Duration::from_secs(60), &mut 0).await.is_none());
        assert!(began.elapsed() < Duration::from_secs(30));
    });
}

#[test]
fn a_client_in_the_backlog_is_waited_for() {
    in_runtime(async {
        let (mut dispatcher, address) = dispatcher(long_ago());
        let mut caller = TcpStream::connect(address).unwrap();
        caller.write_all(b"GET /lifecycle/preStop HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let request = dispatcher.late_request(Instant::now() + Duration::from_secs(60), &mut 0).await;
        assert!(matches!(request, Some(Request::Hook(..))), "{request:?}");
    });
}

#[test]
fn a_request_behind_other_work_is_read_after_the_time_is_over() {
    in_runtime(async {
        let (mut dispatcher, address) = dispatcher(long_ago());
        let mut caller = TcpStream::connect(address).unwrap();
        caller.write_all(b"GET /lifecycle/preStop HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let over = Instant::now();
        assert!(dispatcher.late_request(over, &mut 0).await.is_none(), "no turn is left");
        // Many turns: how many the runtime needs to accept and to read is not promised.
        let request = dispatcher.late_request(over, &mut 1000).await;
        assert!(matches!(request, Some(Request::Hook(..))), "{request:?}");
    });
}

#[test]
fn soon_after_the_start_the_exit_waits_for_a_post_start_hook() {
    in_runtime(async {
        // A beginning in the future: this process stays young however slow the machine is.
        let (mut dispatcher, address) = dispatcher(Instant::now() + Duration::from_secs(60));
        let caller = std::thread::spawn(move || {
            let mut caller = TcpStream::connect(address).unwrap();
            caller.write_all(b"GET /lifecycle/postStart HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            caller
        });
        let request = dispatcher.late_request(Instant::now() + Duration::from_secs(60), &mut 0).await;
        assert!(matches!(request, Some(Request::Hook(..))), "{request:?}");
        drop(caller.join().unwrap());
    });
}

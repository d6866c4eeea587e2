"""A small HTTP server that stops well, or with one planted defect. Usage: server.py PORT HOW

`/` answers after 30 ms, `/slow` after a second; `/file` is a download, a POST an upload, `/events` a stream that ends with the stop, and `/ws` a
websocket that is closed then. After SIGTERM the server goes on for LINGER seconds, as a server that was told how long
clients still come; then it closes its listener, answers what it has begun with, and exits.

HOW is `well`, or the defect:
  drops     it closes kept connections in the moment of the stop, also those with a request in flight
  unread    it answers no request on a kept connection after the stop has begun: it reads it and closes
  early     it exits 100 ms before its last slow request is answered, whenever that is
  refuses   it closes its listener 300 ms before the last client comes
  503       it answers 503 while it stops
  at-once   it exits in the moment of the stop
"""

import os
import signal
import socket
import sys
import threading
import time

port, how = int(sys.argv[1]), sys.argv[2]
LINGER = float(os.environ.get("LINGER", "2.5"))
stopping, closed = threading.Event(), threading.Event()
lock = threading.Lock()
kept, busy, slow = set(), [0], [0]


def answer(connection):
    """One connection, until one side closes it."""
    served = 0
    with connection:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = connection.recv(4096)
                if not more:
                    return
                data += more
            head, data = data.split(b"\r\n\r\n", 1)
            if how == "unread" and stopping.is_set() and served:
                return
            with lock:
                busy[0] += 1
            try:
                if b"GET /ws" in head or b"GET /events" in head:
                    return talk(connection, b"GET /ws" in head)
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                left = int(length[0].split(b":")[1]) - len(data) if length else 0
                while left > 0:
                    left -= len(connection.recv(min(left, 65536))) or left
                if b"GET /file" in head:
                    return connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n" + bytes(20000000))
                if b"GET /slow" in head:
                    slow_response()
                else:
                    time.sleep(0.03)
                close = b"connection: close" in head.lower() or (stopping.is_set() and how != "unread")
                status = "503 Service Unavailable" if how == "503" and stopping.is_set() else "200 OK"
                fields = "Connection: close\r\n" if close else ""
                connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 6\r\n{fields}\r\nhello\n".encode())
            finally:
                with lock:
                    busy[0] -= 1
            served += 1
            if close:
                return
            with lock:
                kept.add(connection)


def slow_response():
    with lock:
        slow[0] += 1
        number = slow[0]
    time.sleep(0.9)
    is_last = how == "early" and stopping.is_set() and slow[0] == number
    if is_last and closed.wait(2) and slow[0] == number:
        os._exit(0)
    time.sleep(0.1)


def talk(connection, websocket):
    """A response that goes on until the stop."""
    if websocket:
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    else:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not stopping.wait(0.1):
        connection.sendall(b"\x81\x02hi" if websocket else b"2\r\nhi\r\n")
    connection.sendall(b"\x88\x00" if websocket else b"0\r\n\r\n")


def serve(connection):
    try:
        answer(connection)
    except OSError:
        pass
    finally:
        with lock:
            kept.discard(connection)


def stop(*_):
    if how == "at-once":
        os._exit(0)
    stopping.set()
    threading.Thread(target=end).start()


def end():
    if how == "drops":
        with lock:
            for connection in kept:
                connection.shutdown(socket.SHUT_RDWR)
    time.sleep(LINGER - (0.8 if how == "refuses" else 0))
    listener.close()
    closed.set()
    while busy[0]:
        time.sleep(0.005)
    os._exit(0)


signal.signal(signal.SIGTERM, stop)
listener = socket.create_server(("127.0.0.1", port), backlog=128)
while True:
    try:
        connection, _ = listener.accept()
    except OSError:
        time.sleep(60)
        continue
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=serve, args=(connection,), daemon=True).start()

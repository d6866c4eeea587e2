"""The application of `make conformance`. Usage: app.py FOLDER MODE. It reports with files in the folder."""

import os
import signal
import sys
import time

folder, mode = sys.argv[1], sys.argv[2]


def note(name, text=""):
    with open(os.path.join(folder, name), "a") as file:
        file.write(text + "\n")


def wait_for_the_stop():
    while True:
        number = signal.sigwaitinfo(signal.valid_signals()).si_signo
        note("signals", str(number))
        if number in (signal.SIGTERM, signal.SIGINT):
            note("ended")
            os._exit(0)


signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
if mode == "crash" and not os.path.exists(os.path.join(folder, "crashed")):
    note("crashed")
    time.sleep(1.5)
    os._exit(3)
if mode.startswith("orphans"):
    count = int(mode.split("-")[1])
    if os.fork() == 0:
        parent = os.getpid()
        for _ in range(count):
            if os.fork() == 0:
                while os.getppid() == parent:
                    time.sleep(0.01)
                os._exit(0)
        time.sleep(0.3)
        os._exit(0)
    os.wait()
if mode == "child" and os.fork() == 0:
    signal.sigwaitinfo({signal.SIGTERM, signal.SIGINT})
    time.sleep(0.3)
    note("child-ended")
    os._exit(0)
note("started")
if mode == "exit":
    os._exit(7)
if mode == "die":
    os.kill(os.getpid(), signal.SIGKILL)
wait_for_the_stop()

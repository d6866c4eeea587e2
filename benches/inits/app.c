/* The application of the bench. It tells $BENCH_SOCKET, a datagram socket, when something happened to it by the monotonic
 * clock, in nanoseconds: "main" when its main began, "signal" at each SIGUSR1, "storm" how long it took until all of
 * $BENCH_ORPHANS orphans, made at SIGUSR2, were reaped. It ends at SIGTERM. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_un bench = {.sun_family = AF_UNIX};
static int out;

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void tell(const char *what, long long nanoseconds) {
    char text[64];
    int length = snprintf(text, sizeof text, "%s %lld", what, nanoseconds);
    sendto(out, text, length, 0, (struct sockaddr *)&bench, sizeof bench);
}

/* A parent forks its children, which wait for its end, and ends: they are the init's now, and end all at once. They are a
 * process group of their own, which is there until the last of them is reaped. */
static void storm(int orphans) {
    int alive[2], status;
    if (pipe(alive) != 0)
        return tell("storm", -1);
    pid_t parent = fork();
    if (parent == 0) {
        setpgid(0, 0);
        for (int i = 0; i < orphans; i++)
            if (fork() == 0) {
                char none;
                close(alive[1]);
                _exit(read(alive[0], &none, 1) != 0);
            }
        _exit(0);
    }
    close(alive[0]);
    waitpid(parent, &status, 0);
    long long began = now(), end = began + 10000000000LL;
    close(alive[1]);
    while (kill(-parent, 0) == 0 || errno == EPERM) {
        if (now() > end)
            return tell("storm", -1);
        nanosleep(&(struct timespec){.tv_nsec = 20000}, 0);
    }
    tell("storm", now() - began);
}

int main(void) {
    long long began = now();
    const char *path = getenv("BENCH_SOCKET"), *orphans = getenv("BENCH_ORPHANS");
    if (!path)
        return 1;
    strncpy(bench.sun_path, path, sizeof bench.sun_path - 1);
    out = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGCHLD);
    sigprocmask(SIG_SETMASK, &all, 0);
    tell("main", began);
    for (;;) {
        siginfo_t got;
        int signal = sigwaitinfo(&all, &got);
        long long at = now();
        if (signal == SIGUSR1)
            tell("signal", at);
        else if (signal == SIGUSR2)
            storm(orphans ? atoi(orphans) : 0);
        else if (signal == SIGTERM)
            return 0;
    }
}

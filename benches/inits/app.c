/* The application of the bench. It reports its events to $BENCH_SOCKET, a datagram socket, with their times on the monotonic
 * clock, in nanoseconds: "main" when its main began, "signal" at each SIGUSR1, "storm" how long it took until all of
 * $BENCH_ORPHANS orphans, made at SIGUSR2, were reaped. It ends at SIGTERM. $BENCH_ATTACK names something that processes of
 * the container do to their init meanwhile. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

static int sleeper(void *unused) {
    (void)unused;
    while (pause())
        ;
    return 0;
}

/* Processes that sleep. They share our memory: thousands of copies would fill the machine. */
static void sleepers(int count) {
    enum { STACK = 8192 };
    char *stacks = mmap(0, (size_t)count * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; stacks != MAP_FAILED && i < count; i++)
        clone(sleeper, stacks + (size_t)(i + 1) * STACK, CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, 0);
}

/* Makes orphans that end at once. */
static void churn(void) {
    for (;;) {
        pid_t parent = fork();
        if (parent == 0) {
            for (int i = 0; i < 20; i++)
                if (fork() == 0)
                    _exit(0);
            _exit(0);
        }
        waitpid(parent, 0, 0);
    }
}

static void toggle(int count) {
    pid_t group = fork();
    if (group == 0) {
        setpgid(0, 0);
        sleepers(count);
        _exit(0);
    }
    waitpid(group, 0, 0);
    for (;;) {
        kill(-group, SIGSTOP);
        kill(-group, SIGCONT);
    }
}

static void flood(int signal) {
    for (;;)
        kill(1, signal);
}

/* The attacker is an orphan of the init, and so is everything that it leaves behind. */
static void attack(const char *name) {
    pid_t parent = fork();
    if (parent != 0) {
        waitpid(parent, 0, 0);
        return;
    }
    if (!strcmp(name, "churn"))
        sleepers(5000);
    if (!strcmp(name, "crowd"))
        sleepers(15000);
    int attackers = !strcmp(name, "churn") ? 2 : 1;
    for (int i = 0; i < attackers; i++) {
        if (fork() != 0)
            continue;
        if (!strcmp(name, "churn"))
            churn();
        if (!strcmp(name, "toggle"))
            toggle(200);
        if (!strcmp(name, "SIGCHLD"))
            flood(SIGCHLD);
        if (!strcmp(name, "realtime"))
            flood(SIGRTMIN + 5);
        _exit(0);
    }
    _exit(0);
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
    if (getenv("BENCH_ATTACK"))
        attack(getenv("BENCH_ATTACK"));
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

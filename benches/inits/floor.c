/* The lower bound: the smallest program that is an init. It starts the application, sleeps until a signal comes, hands every signal on, reaps
 * whatever ended, and ends as the application ended. No options, no messages, no process group, no stop. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    sigset_t all, before;
    siginfo_t got;
    if (argc < 2)
        return 125;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t app = vfork();
    if (app == 0) {
        sigprocmask(SIG_SETMASK, &before, 0);
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    if (app < 0)
        return 125;
    for (;;) {
        int signal = sigwaitinfo(&all, &got), status;
        pid_t ended;
        if (signal > 0 && signal != SIGCHLD)
            kill(app, signal);
        while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
            if (ended == app)
                return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
}

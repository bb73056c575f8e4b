/* The only container of a shadow pod: it lives until SIGKILL, so that a deleted pod keeps its namespace and its
 * termination grace period while the guest it stands for shuts down. */
#include <signal.h>
#include <unistd.h>

int main(void) {
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    for (;;) pause();
}

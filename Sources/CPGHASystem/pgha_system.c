#define _GNU_SOURCE
#include "pgha_system.h"

#include <sys/syscall.h>
#include <unistd.h>

int pgha_pidfd_open(pid_t pid) {
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

int pgha_pidfd_send_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, (void *)0, 0);
}

#define _GNU_SOURCE
#include "pgha_system.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

int pgha_pidfd_open(pid_t pid) {
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

int pgha_pidfd_send_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, (void *)0, 0);
}

int pgha_reap(int pidfd, int *status) {
    siginfo_t info;
    info.si_pid = 0;
    int result;
    do {
        result = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
    } while (result == -1 && errno == EINTR);
    if (result == -1) return -1;
    if (info.si_pid == 0) return 0;
    *status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    return 1;
}

int pgha_spawn(const char *path, char *const argv[], char *const envp[], const char *cwd,
               int in, int out, int err, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int result = posix_spawn_file_actions_init(&actions);
    if (result != 0) return result;
    result = posix_spawnattr_init(&attributes);
    if (result != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return result;
    }
    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    // 32 and 33 belong to glibc's threads; setting their action fails on some versions.
    sigdelset(&all, 32);
    sigdelset(&all, 33);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    if (result == 0) result = posix_spawn_file_actions_adddup2(&actions, in, 0);
    if (result == 0) result = posix_spawn_file_actions_adddup2(&actions, out, 1);
    if (result == 0) result = posix_spawn_file_actions_adddup2(&actions, err, 2);
    if (result == 0) result = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (result == 0 && cwd != NULL) result = posix_spawn_file_actions_addchdir_np(&actions, cwd);
    if (result == 0) result = posix_spawn(pid, path, &actions, &attributes, argv, envp);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return result;
}

int pgha_lock_exclusively(int fd) {
    return flock(fd, LOCK_EX | LOCK_NB);
}

int pgha_wait_readable(int fd, int milliseconds) {
    struct pollfd entry = {.fd = fd, .events = POLLIN, .revents = 0};
    int result;
    do {
        result = poll(&entry, 1, milliseconds);
    } while (result == -1 && errno == EINTR);
    return result > 0 ? 1 : result;
}

int pgha_file_status(const char *path, int follow, struct pgha_file_status *result) {
    struct stat status;
    if ((follow ? stat(path, &status) : lstat(path, &status)) != 0) return -1;
    result->mode = status.st_mode;
    result->owner = status.st_uid;
    result->device = status.st_dev;
    result->size = status.st_size;
    result->occupied = (int64_t)status.st_blocks * 512;
    return 0;
}

int pgha_is_directory(uint32_t mode) {
    return S_ISDIR(mode);
}

int pgha_pipe(int *ends) {
    return pipe2(ends, O_CLOEXEC);
}

// Code only: read-only data may hold relocated pointers, which a private mapping would lose.
static int forget_code(struct dl_phdr_info *object, size_t size, void *page_size) {
    (void)size;
    if (strncmp(object->dlpi_name, "linux-vdso", 10) == 0) return 0;
    uintptr_t page = *(uintptr_t *)page_size;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) || (segment->p_flags & PF_W)) continue;
        uintptr_t begin = (object->dlpi_addr + segment->p_vaddr) & ~(page - 1);
        uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_memsz;
        madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
    return 0;
}

void pgha_forget_code(void) {
    uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    dl_iterate_phdr(forget_code, &page_size);
}

#pragma once
#include <stdint.h>
#include <sys/types.h>

/// pidfd_open(2): a descriptor that becomes readable when `pid` ends; -1 and errno on failure.
/// glibc 2.36 has a wrapper, but Swift's Glibc module does not export <sys/pidfd.h>.
int pgha_pidfd_open(pid_t pid);

/// pidfd_send_signal(2): signals exactly the process behind the descriptor, even if its pid was reused.
int pgha_pidfd_send_signal(int pidfd, int signal);

/// Reaps the child behind `pidfd` without waiting. 1 and `*status` when it has ended: its exit status, or the
/// negated number of the signal that ended it. 0 while it runs. -1 and errno otherwise (ECHILD: not our child).
int pgha_reap(int pidfd, int *status);

/// Starts `path` with its own session, signal mask and default signal actions, the working directory `cwd`
/// (or the caller's when NULL), and the three descriptors as its standard streams; every other descriptor is
/// closed in it. 0 and `*pid`, or an errno. posix_spawn(3), so the caller's threads do not matter.
int pgha_spawn(const char *path, char *const argv[], char *const envp[], const char *cwd,
               int in, int out, int err, pid_t *pid);

/// Takes an exclusive flock(2) without waiting; 0, or -1 and errno (EWOULDBLOCK: another process has it).
int pgha_lock_exclusively(int fd);

/// Waits up to `milliseconds` until `fd` is readable: 1, 0 on time-out, -1 and errno.
int pgha_wait_readable(int fd, int milliseconds);

/// What stat(2) says of a file. A struct of our own: Swift cannot see through to glibc's when another C module
/// of the build includes <sys/stat.h> first.
struct pgha_file_status {
    /// Type and permission bits as in `st_mode`.
    uint32_t mode;
    uint32_t owner;
    /// The file system.
    uint64_t device;
    /// Bytes of content, and bytes occupied on disk.
    int64_t size;
    int64_t occupied;
};

/// stat(2), or lstat(2) when `follow` is 0; 0, or -1 and errno.
int pgha_file_status(const char *path, int follow, struct pgha_file_status *result);

/// Whether `mode` is that of a directory.
int pgha_is_directory(uint32_t mode);

/// pipe2(2) with O_CLOEXEC; `ends` has room for two descriptors. 0, or -1 and errno.
int pgha_pipe(int *ends);

/// Unmaps the pages of code that this process has touched, its libraries' included; what runs again is mapped again
/// from the page cache, which costs a minor fault per 64 KiB. Nothing is lost: code is never written to.
void pgha_forget_code(void);

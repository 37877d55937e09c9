#pragma once
#include <sys/types.h>

/// pidfd_open(2): a descriptor that becomes readable when `pid` ends; -1 and errno on failure.
/// glibc 2.36 has a wrapper, but Swift's Glibc module does not export <sys/pidfd.h>.
int pgha_pidfd_open(pid_t pid);

/// pidfd_send_signal(2): signals exactly the process behind the descriptor, even if its pid was reused.
int pgha_pidfd_send_signal(int pidfd, int signal);

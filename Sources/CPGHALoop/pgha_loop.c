#define _GNU_SOURCE
#include "pgha_loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

_Static_assert(pgha_readable == EPOLLIN && pgha_writable == EPOLLOUT, "flags are epoll's");
_Static_assert(pgha_hung_up == (EPOLLERR | EPOLLHUP | EPOLLRDHUP), "flags are epoll's");
_Static_assert(pgha_broken == (EPOLLERR | EPOLLHUP), "flags are epoll's");

/// The result, or a negated errno. The calls of every transaction go around the C library: its check for thread
/// cancellation costs as much as the rest of a call's user side, and syscall(2) moves each argument twice.
static inline long call(long number, long first, long second, long third, long fourth) {
#ifdef __x86_64__
    long result;
    register long fourth_place __asm__("r10") = fourth;
    register long fifth_place __asm__("r8") = 0;
    register long sixth_place __asm__("r9") = 0;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(first), "S"(second), "d"(third), "r"(fourth_place), "r"(fifth_place),
                       "r"(sixth_place)
                     : "rcx", "r11", "memory");
    return result;
#else
    long result = syscall(number, first, second, third, fourth, 0L, 0L);
    return result < 0 ? -errno : result;
#endif
}

int pgha_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

static int add(int epoll, int fd, uint32_t flags, uint64_t token) {
    struct epoll_event event = {.events = flags, .data.u64 = token};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int pgha_epoll_add(int epoll, int fd, uint64_t token) {
    return add(epoll, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, token);
}

int pgha_epoll_watch_room(int epoll, int fd, uint64_t token, int watched) {
    uint32_t flags = EPOLLIN | EPOLLRDHUP | EPOLLET | (watched ? EPOLLOUT : 0);
    struct epoll_event event = {.events = flags, .data.u64 = token};
    return epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}

int pgha_epoll_add_level(int epoll, int fd, uint64_t token) { return add(epoll, fd, EPOLLIN, token); }

int pgha_epoll_remove(int epoll, int fd) { return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL); }

int pgha_epoll_wait(int epoll, struct pgha_event *events, int capacity, int milliseconds) {
    struct epoll_event ready[256];
    // epoll_pwait(2) without a mask is epoll_wait(2), which newer architectures lack.
    int count = (int)call(SYS_epoll_pwait, epoll, (long)ready, capacity < 256 ? capacity : 256, milliseconds);
    if (count < 0) return count == -EINTR ? 0 : count;
    for (int i = 0; i < count; i++) {
        events[i].flags = ready[i].events;
        events[i].token = ready[i].data.u64;
    }
    return count;
}

int pgha_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

void pgha_eventfd_signal(int fd) {
    uint64_t one = 1;
    // A full counter is readable already.
    if (write(fd, &one, sizeof one) < 0) return;
}

void pgha_eventfd_clear(int fd) {
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0) return;
}

long pgha_receive(int fd, void *buffer, size_t capacity) {
    for (;;) {
        long count = call(SYS_recvfrom, fd, (long)buffer, (long)capacity, 0);
        if (count != -EINTR) return count;
    }
}

long pgha_send(int fd, const void *bytes, size_t count) {
    for (;;) {
        long sent = call(SYS_sendto, fd, (long)bytes, (long)count, MSG_NOSIGNAL);
        if (sent != -EINTR) return sent;
    }
}

long pgha_send_vector(int fd, const struct iovec *spans, size_t count) {
    struct msghdr message = {.msg_iov = (struct iovec *)spans, .msg_iovlen = count};
    for (;;) {
        long sent = call(SYS_sendmsg, fd, (long)&message, MSG_NOSIGNAL, 0);
        if (sent != -EINTR) return sent;
    }
}

/// Fills `address` from a numeric host; its length, or 0 when `host` is none.
static socklen_t numeric(const char *host, uint16_t port, struct sockaddr_storage *address) {
    memset(address, 0, sizeof *address);
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return sizeof *v6;
    }
    return 0;
}

static int fail(int fd) {
    int reason = errno;
    close(fd);
    return -reason;
}

int pgha_listen_tcp(const char *host, uint16_t port, int shared, int backlog) {
    struct sockaddr_storage address;
    socklen_t length = numeric(host, port, &address);
    if (length == 0) return -EINVAL;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) return fail(fd);
    if (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0) return fail(fd);
    if (address.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, length) < 0) return fail(fd);
    if (listen(fd, backlog) < 0) return fail(fd);
    return fd;
}

int pgha_listen_unix(const char *path, int backlog) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    // Somebody who accepts there keeps the name.
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN) {
        errno = EADDRINUSE;
        return fail(fd);
    }
    close(fd);
    unlink(path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) return fail(fd);
    if (chmod(path, 0777) < 0 || listen(fd, backlog) < 0) return fail(fd);
    return fd;
}

uint16_t pgha_local_port(int fd) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) return 0;
    if (address.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&address)->sin_port);
    if (address.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return 0;
}

int pgha_accept(int fd) {
    int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0) return -errno;
    int on = 1;
    // Fails on a Unix socket, which needs it not.
    setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return accepted;
}

int pgha_connect(const char *host, uint16_t port) {
    struct sockaddr_storage address;
    socklen_t length;
    if (host[0] == '/') {
        struct sockaddr_un *local = (struct sockaddr_un *)&address;
        memset(&address, 0, sizeof address);
        local->sun_family = AF_UNIX;
        int written = snprintf(local->sun_path, sizeof local->sun_path, "%s/.s.PGSQL.%u", host, port);
        if (written < 0 || (size_t)written >= sizeof local->sun_path) return -ENAMETOOLONG;
        length = sizeof *local;
    } else {
        length = numeric(host, port, &address);
        if (length == 0) return -EINVAL;
    }
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int on = 1;
    if (address.ss_family != AF_UNIX) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&address, length) < 0 && errno != EINPROGRESS) return fail(fd);
    return fd;
}

int pgha_socket_error(int fd) {
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? errno : error;
}

int pgha_peer_address(int fd, char *text, size_t capacity, uint16_t *port) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    *port = 0;
    if (capacity > 0) text[0] = 0;
    if (getpeername(fd, (struct sockaddr *)&address, &length) < 0) return -errno;
    if (address.ss_family == AF_INET) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
        *port = ntohs(v4->sin_port);
        return inet_ntop(AF_INET, &v4->sin_addr, text, capacity) ? 0 : -errno;
    }
    if (address.ss_family == AF_INET6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
        *port = ntohs(v6->sin6_port);
        return inet_ntop(AF_INET6, &v6->sin6_addr, text, capacity) ? 0 : -errno;
    }
    return 0;
}

static uint64_t big_endian(const uint8_t *bytes, int count) {
    uint64_t value = 0;
    for (int i = 0; i < count; i++) value = value << 8 | bytes[i];
    return value;
}

struct pgha_peer pgha_peer(int fd) {
    struct pgha_peer peer = {0};
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getpeername(fd, (struct sockaddr *)&address, &length) < 0) return peer;
    if (address.ss_family == AF_INET) {
        peer.version = 4;
        peer.low = big_endian((uint8_t *)&((struct sockaddr_in *)&address)->sin_addr, 4);
    } else if (address.ss_family == AF_INET6) {
        const uint8_t *bytes = ((struct sockaddr_in6 *)&address)->sin6_addr.s6_addr;
        peer.version = 6;
        peer.high = big_endian(bytes, 8);
        peer.low = big_endian(bytes + 8, 8);
    }
    return peer;
}

int pgha_peer_user(int fd, char *name, size_t capacity) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) return -errno;
    struct passwd entry;
    struct passwd *found;
    char buffer[16384];
    int result = getpwuid_r(credentials.uid, &entry, buffer, sizeof buffer, &found);
    if (result != 0 || found == NULL) return result != 0 ? -result : -ENOENT;
    if (strlen(entry.pw_name) >= capacity) return -ENAMETOOLONG;
    strcpy(name, entry.pw_name);
    return 0;
}

void pgha_keepalive(int fd, int idle, int interval, int count) {
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

void pgha_block_sigpipe(void) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

int64_t pgha_wall_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

uint64_t pgha_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

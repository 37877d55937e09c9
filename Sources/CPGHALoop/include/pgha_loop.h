#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/// One readiness report. A struct of our own: glibc's `epoll_event` is packed, which Swift reads field by field
/// through copies.
struct pgha_event {
    uint32_t flags;
    uint64_t token;
};

enum {
    pgha_readable = 1,
    pgha_writable = 4,
    /// The peer has sent its last byte, or the connection is gone.
    pgha_hung_up = 8 | 16 | 0x2000,
    pgha_broken = 8 | 16,
};

/// epoll_create1(2) with close-on-exec; -1 and errno on failure.
int pgha_epoll_create(void);

/// Registers `fd` once, edge-triggered, for reading and writing; 0, or -1 and errno.
int pgha_epoll_add(int epoll, int fd, uint64_t token);

/// Whether `fd`, registered with `pgha_epoll_add`, is reported when it can be written to; 0, or -1 and errno.
int pgha_epoll_watch_room(int epoll, int fd, uint64_t token, int watched);

/// Registers a listener or an eventfd: level-triggered, for reading; 0, or -1 and errno.
int pgha_epoll_add_level(int epoll, int fd, uint64_t token);

/// Takes `fd` out of the set; 0, or -1 and errno.
int pgha_epoll_remove(int epoll, int fd);

/// Waits up to `milliseconds` (-1: for ever). The number of events, 0 on time-out or signal, or a negated errno.
int pgha_epoll_wait(int epoll, struct pgha_event *events, int capacity, int milliseconds);

/// eventfd(2), non-blocking, close-on-exec; -1 and errno on failure.
int pgha_eventfd(void);

/// Makes the eventfd readable, or unreadable again.
void pgha_eventfd_signal(int fd);
void pgha_eventfd_clear(int fd);

/// recv(2). The number of bytes, 0 at the end of the stream, -EAGAIN, or the negated errno.
long pgha_receive(int fd, void *buffer, size_t capacity);

/// send(2) without SIGPIPE; the number of bytes taken or the negated errno.
long pgha_send(int fd, const void *bytes, size_t count);

/// sendmsg(2) without SIGPIPE; the number of bytes taken or the negated errno.
long pgha_send_vector(int fd, const struct iovec *spans, size_t count);

/// A listening TCP socket with SO_REUSEADDR, and SO_REUSEPORT when `shared`; `host` is a numeric address and
/// `port` may be 0. The descriptor or the negated errno.
int pgha_listen_tcp(const char *host, uint16_t port, int shared, int backlog);

/// A listening Unix socket; an unused file of that name is replaced. The descriptor or the negated errno.
int pgha_listen_unix(const char *path, int backlog);

/// The port that a TCP socket is bound to; 0 when it has none.
uint16_t pgha_local_port(int fd);

/// accept4(2), non-blocking, close-on-exec, TCP_NODELAY where it applies; the descriptor or the negated errno.
int pgha_accept(int fd);

/// Starts connecting to a numeric address or, when `host` starts with `/`, to the Unix socket `host`/.s.PGSQL.port.
/// The descriptor (the connection may still be under way) or the negated errno.
int pgha_connect(const char *host, uint16_t port);

/// SO_ERROR: 0 once connected, else the errno of the failure.
int pgha_socket_error(int fd);

/// Numeric address of the other end into `text` and its port (0 for a Unix socket); 0, or the negated errno.
int pgha_peer_address(int fd, char *text, size_t capacity, uint16_t *port);

/// The other end of a TCP connection: `version` 4 (in `low`), 6, or 0 for a Unix socket.
struct pgha_peer {
    int version;
    uint64_t high;
    uint64_t low;
};
struct pgha_peer pgha_peer(int fd);

/// Name of the system's user at the other end of a Unix socket; 0, or the negated errno.
int pgha_peer_user(int fd, char *name, size_t capacity);

/// TCP keepalive: seconds of idleness, seconds between probes, number of probes.
void pgha_keepalive(int fd, int idle, int interval, int count);

/// Blocks SIGPIPE in this thread: OpenSSL writes to sockets without MSG_NOSIGNAL.
void pgha_block_sigpipe(void);

/// CLOCK_REALTIME in microseconds since 1970.
int64_t pgha_wall_clock(void);

/// CLOCK_MONOTONIC in nanoseconds.
uint64_t pgha_now(void);

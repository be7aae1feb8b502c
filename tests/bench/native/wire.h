/* What the programs here share: a blocking connection to a port of the loopback interface, and lines read from it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void check(int ok, const char *what) {
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static inline double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* Connect from 127.0.0.<host>: many clients need more ports than one address has. */
static int dial(int port, int host) {
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000u + host)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    check(fd >= 0, "socket");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    check(bind(fd, (struct sockaddr *)&from, sizeof from) == 0, "bind");
    check(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static inline void say(int fd, const char *data, size_t count) {
    while (count > 0) {
        ssize_t sent = send(fd, data, count, MSG_NOSIGNAL);
        check(sent > 0, "send");
        data += sent;
        count -= sent;
    }
}

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Print the number of round trips, the seconds of it all, and the median, the 99th percentile and the maximum of one. */
static inline void report(float *trips, size_t count, double seconds) {
    check(count > 0, "no round trip");
    qsort(trips, count, sizeof *trips, by_size);
    printf("%zu %.9f %.9f %.9f %.9f\n", count, seconds, trips[count / 2], trips[count * 99 / 100], trips[count - 1]);
}

/* Read up to the end of so many lines and not a byte further. */
static void skip_lines(int fd, int lines) {
    char c;
    while (lines > 0) {
        check(recv(fd, &c, 1, 0) == 1, "recv of a line");
        lines -= c == '\n';
    }
}

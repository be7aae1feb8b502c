/* knock PORT AT_ONCE SECONDS
 *
 * Keeps AT_ONCE clients waiting for their welcome; who has it is reset, and followed by another. Prints the number of
 * welcomes, the seconds of it all, and the median, the 99th percentile and the maximum of the seconds from before a
 * connection to its welcome.
 */
#include "wire.h"

#define MOST (1 << 24)
#define WELCOME "WELCOME "

static void read_welcome(int fd) {
    char line[256];
    check(recv(fd, line, sizeof line, 0) > (ssize_t)strlen(WELCOME), "recv of a welcome");
    errno = EPROTO;
    check(memcmp(line, WELCOME, strlen(WELCOME)) == 0, "welcome");
}

static void reset(int fd) {
    struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

int main(int argc, char **argv) {
    check(argc == 4, "arguments");
    int port = atoi(argv[1]), clients = atoi(argv[2]);
    double seconds = atof(argv[3]), came[clients], began = now(), got = began;
    float *trips = malloc(MOST * sizeof *trips);
    size_t count = 0;
    struct pollfd polled[clients];
    for (int i = 0; i < clients; i++) {
        came[i] = now();
        polled[i] = (struct pollfd){.fd = dial(port, 1), .events = POLLIN};
    }
    while (got - began < seconds && count < MOST - clients) {
        check(poll(polled, clients, -1) > 0, "poll");
        for (int i = 0; i < clients; i++) {
            if (!polled[i].revents)
                continue;
            read_welcome(polled[i].fd);
            got = now();
            trips[count++] = got - came[i];
            reset(polled[i].fd);
            came[i] = now();
            polled[i].fd = dial(port, 1);
        }
    }
    report(trips, count, got - began);
    return 0;
}

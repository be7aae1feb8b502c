/* pingpong PORT GREETING REQUEST REPLY SECONDS PAUSE
 *
 * Sends REQUEST, waits for REPLY, rests for PAUSE microseconds, again and again. Prints the number of round trips, the
 * seconds of it all, and the median, the 99th percentile and the maximum of a round trip in seconds.
 */
#include "wire.h"

#define MOST (1 << 24)

static void expect(int fd, const char *reply, char *buffer, size_t count) {
    check(recv(fd, buffer, count, MSG_WAITALL) == (ssize_t)count, "recv of a reply");
    errno = EPROTO;
    check(memcmp(buffer, reply, count) == 0, "reply");
}

int main(int argc, char **argv) {
    check(argc == 7, "arguments");
    size_t asked = strlen(argv[3]), answered = strlen(argv[4]), count = 0;
    float *trips = malloc(MOST * sizeof *trips);
    char *buffer = malloc(answered);
    double seconds = atof(argv[5]), sent, got;
    useconds_t pause = atoi(argv[6]);
    int fd = dial(atoi(argv[1]), 1);
    skip_lines(fd, atoi(argv[2]));
    double began = got = now();
    while (got - began < seconds && count < MOST) {
        sent = now();
        say(fd, argv[3], asked);
        expect(fd, argv[4], buffer, answered);
        got = now();
        trips[count++] = got - sent;
        if (pause)
            usleep(pause);
    }
    report(trips, count, got - began);
    return 0;
}

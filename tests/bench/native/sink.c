/* sink PORT GREETING REQUEST HEAD_END SIZE TAIL REPEAT
 *
 * Asks for a file REPEAT times (0: for ever) and discards it. GREETING and TAIL count lines: before the first request,
 * and behind each body. HEAD_END ends what stands before a body. Prints the bytes of all bodies and the seconds from
 * before the connection on.
 */
#include "wire.h"

static void skip_head(int fd, const char *end) {
    size_t matched = 0;
    char c;
    while (end[matched] != '\0') {
        check(recv(fd, &c, 1, 0) == 1, "recv of a head");
        matched = c == end[matched] ? matched + 1 : c == end[0];
    }
}

/* MSG_TRUNC: the kernel drops the bytes, so that no copy of ours slows the sender down. */
static void discard(int fd, long long count) {
    while (count > 0) {
        ssize_t got = recv(fd, NULL, count < 1 << 30 ? count : 1 << 30, MSG_TRUNC);
        check(got > 0, "recv of a body");
        count -= got;
    }
}

int main(int argc, char **argv) {
    check(argc == 8, "arguments");
    long long size = atoll(argv[5]), repeat = atoll(argv[7]), done = 0;
    double began = now();
    int fd = dial(atoi(argv[1]), 1);
    skip_lines(fd, atoi(argv[2]));
    for (; repeat == 0 || done < repeat; done++) {
        say(fd, argv[3], strlen(argv[3]));
        skip_head(fd, argv[4]);
        discard(fd, size);
        skip_lines(fd, atoi(argv[6]));
    }
    printf("%lld %.9f\n", done * size, now() - began);
    return 0;
}

/* Fetches a file from a chatfile server and verifies it:
 *
 *     cc -o fetch fetch.c && ./fetch HOST PORT NAME [OUTPUT]
 *
 * It ends with 0 once the file is whole, verified, and under its name; otherwise as chatfile-client does: see the enum.
 * After TIMEOUT (60) seconds of silence it gives up. sha256sum(1) computes the digest: this needs no library. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { USAGE = 2, NO_GREETING, FULL, REFUSED, BROKEN, MISMATCH, LOCAL_FILE };

static char part[4096]; /* the file's path until it is whole and verified: beside its final one */

static void fail(int status, const char *what, const char *said) {
    fprintf(stderr, "fetch: %s", what);
    for (; *said; said++) /* what a server says may be more than text to a terminal */
        putc(*said >= ' ' && *said <= '~' ? *said : '?', stderr);
    putc('\n', stderr);
    unlink(part);
    exit(status);
}

static void interrupted(int number) { unlink(part), _exit(128 + number); }

static FILE *connected(const char *host, const char *port) {
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found = NULL, *each;
    struct timeval patience = {.tv_sec = getenv("TIMEOUT") ? atoi(getenv("TIMEOUT")) : 60};
    int s = -1, unknown = getaddrinfo(host, port, &wanted, &found);
    if (unknown) fail(NO_GREETING, "no such address: ", gai_strerror(unknown));
    for (each = found; each; each = each->ai_next) {
        s = socket(each->ai_family, each->ai_socktype, each->ai_protocol);
        setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (!connect(s, each->ai_addr, each->ai_addrlen)) break;
    }
    if (!each) fail(NO_GREETING, "no connection: ", strerror(errno));
    freeaddrinfo(found);
    return fdopen(s, "r");
}

static char *reply(FILE *server, int otherwise) { /* the next line without its end; a line has at most 8192 bytes */
    static char line[8192 + 2], code[10];
    char *end = fgets(line, sizeof line, server) ? strchr(line, '\n') : NULL;
    if (!end) fail(otherwise, "the server closed the connection, or sent what is no line", "");
    *end = '\0';
    if (sscanf(line, "ERROR %9s", code) != 1) return line;
    int breaks = strstr("changed timeout shutdown internal", code) != NULL;
    fail(!strcmp(code, "full") ? FULL : breaks ? BROKEN : REFUSED, "the server says: ", line + 6);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 4 && argc != 5) fail(USAGE, "usage: fetch HOST PORT NAME [OUTPUT]", "");
    const char *name = argv[3], *output = argv[argc - 1], *slash = strrchr(output, '/');
    if (!*name || strpbrk(name, "/\n")) fail(USAGE, "no file of a chatfile server has the name ", name);
    if (!access(output, F_OK)) fail(LOCAL_FILE, "it exists already and is left as it is: ", output);
    signal(SIGPIPE, SIG_IGN), signal(SIGINT, interrupted), signal(SIGTERM, interrupted);

    /* The server speaks first. Its name for us goes back, and the requests right behind: replies keep their order. */
    FILE *server = connected(argv[1], argv[2]), *file, *sum;
    char me[64], ack[68], size[19], digest[65], *line = reply(server, NO_GREETING);
    int at = 0;
    if (sscanf(line, "WELCOME %63s chatfile/1%n", me, &at) != 1 || !at || line[at]) fail(BROKEN, "who is this? ", line);
    dprintf(fileno(server), "%s\nget %s\nexit\n", me, name);
    snprintf(ack, sizeof ack, "%s ACK", me);
    if (strcmp(line = reply(server, BROKEN), ack)) fail(BROKEN, "not the acknowledgement: ", line);

    line = reply(server, BROKEN), at = 0; /* FILE <size> <mtime> <name>: the name is everything behind one space */
    if (sscanf(line, "FILE %18[0-9] %*s%n", size, &at) != 1 || !at || line[at] != ' ' || strcmp(line + at + 1, name))
        fail(BROKEN, "not the header of that file: ", line);
    snprintf(part, sizeof part, "%.*s.fetch.%ld", slash ? (int)(slash - output + 1) : 0, output, (long)getpid());
    if (!(file = fopen(part, "wx"))) *part = '\0', fail(LOCAL_FILE, "nothing can be written beside it: ", output);

    static char buffer[1 << 16]; /* exactly so many bytes, then END <sha256>, or ERROR changed in its place */
    long long left = strtoll(size, NULL, 10);
    for (size_t n; left > 0; left -= n) {
        n = left < (long long)sizeof buffer ? (size_t)left : sizeof buffer;
        if (fread(buffer, 1, n, server) != n) fail(BROKEN, "the connection ended within the file", "");
        if (fwrite(buffer, 1, n, file) != n) fail(LOCAL_FILE, "can't be written: ", strerror(errno));
    }
    if (fclose(file)) fail(LOCAL_FILE, "can't be written: ", strerror(errno));
    if (strncmp(line = reply(server, BROKEN), "END ", 4)) fail(BROKEN, "not the end of a file: ", line);
    if (!freopen(part, "r", stdin) || !(sum = popen("sha256sum", "r")) || fscanf(sum, "%64s", digest) != 1)
        fail(LOCAL_FILE, "sha256sum failed", "");
    if (strcmp(line + 4, digest)) fail(MISMATCH, "the digest does not match, the file was not kept: ", line);
    if (link(part, output)) fail(LOCAL_FILE, "can't be made: ", output); /* link() never replaces a file */
    unlink(part);
    return 0;
}

/* pipeline PORT GREETING CLIENTS BATCH REQUEST REPLY_BYTES REPLY SECONDS
 *
 * Each of CLIENTS writes REQUEST BATCH times without waiting, reads as many replies of REPLY_BYTES, and begins again,
 * until SECONDS are over and the last batch is answered. Replies are compared with REPLY unless that is empty. Prints
 * the number of replies and the seconds.
 */
#include "wire.h"

#define CHUNK (1 << 18)

struct client {
    size_t to_send, to_read;
};

static char *requests, *replies, buffer[CHUNK];
static size_t batch_bytes, replies_bytes, reply_bytes;

static char *repeated(const char *text, size_t length, size_t times) {
    char *all = malloc(length * times + 1);
    for (size_t i = 0; i < times; i++)
        memcpy(all + i * length, text, length);
    return all;
}

static void begin_batch(struct client *client) {
    client->to_send = batch_bytes;
    client->to_read = replies_bytes;
}

static void push(int fd, struct client *client) {
    ssize_t sent = send(fd, requests + batch_bytes - client->to_send, client->to_send, MSG_DONTWAIT | MSG_NOSIGNAL);
    check(sent > 0, "send");
    client->to_send -= sent;
}

static void pull(int fd, struct client *client) {
    ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    check(got > 0, "recv");
    errno = EPROTO;
    check((size_t)got <= client->to_read, "length of the replies");
    if (replies != NULL)
        check(memcmp(buffer, replies + (replies_bytes - client->to_read) % reply_bytes, got) == 0, "reply");
    client->to_read -= got;
}

/* The number of clients that are still waiting for something. */
static int turn(struct pollfd *polls, struct client *clients, int count, int go_on, size_t *batches) {
    int busy = 0;
    check(poll(polls, count, 60000) > 0, "poll");
    for (int i = 0; i < count; i++) {
        if (polls[i].revents & POLLOUT)
            push(polls[i].fd, &clients[i]);
        if (polls[i].revents & ~POLLOUT)
            pull(polls[i].fd, &clients[i]);
        if (clients[i].to_read == 0 && polls[i].revents) {
            ++*batches;
            if (go_on)
                begin_batch(&clients[i]);
        }
        polls[i].events = clients[i].to_send ? POLLIN | POLLOUT : POLLIN;
        busy += clients[i].to_read > 0;
    }
    return busy;
}

int main(int argc, char **argv) {
    check(argc == 9, "arguments");
    int port = atoi(argv[1]), count = atoi(argv[3]), batch = atoi(argv[4]);
    double seconds = atof(argv[8]);
    size_t batches = 0;
    reply_bytes = atoll(argv[6]);
    batch_bytes = strlen(argv[5]) * batch;
    replies_bytes = reply_bytes * batch;
    requests = repeated(argv[5], strlen(argv[5]), batch);
    if (argv[7][0] != '\0') /* one chunk longer than a whole number of replies: it is compared from any offset in one */
        replies = repeated(argv[7], reply_bytes, CHUNK / reply_bytes + 2);
    struct pollfd *polls = calloc(count, sizeof *polls);
    struct client *clients = calloc(count, sizeof *clients);
    for (int i = 0; i < count; i++) {
        polls[i] = (struct pollfd){.fd = dial(port, 1), .events = POLLIN | POLLOUT};
        skip_lines(polls[i].fd, atoi(argv[2]));
        begin_batch(&clients[i]);
    }
    double began = now();
    while (turn(polls, clients, count, now() - began < seconds, &batches) > 0)
        ;
    printf("%zu %.9f\n", batches * batch, now() - began);
    return 0;
}

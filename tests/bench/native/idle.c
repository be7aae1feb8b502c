/* idle PORT GREETING CLIENTS
 *
 * Connects so many clients, reads GREETING lines of each, prints "ready", and keeps them until standard input ends.
 */
#include "wire.h"

#define PER_ADDRESS 5000

int main(int argc, char **argv) {
    check(argc == 4, "arguments");
    char c;
    for (int i = 0; i < atoi(argv[3]); i++)
        skip_lines(dial(atoi(argv[1]), 1 + i / PER_ADDRESS), atoi(argv[2]));
    puts("ready");
    fflush(stdout);
    while (read(0, &c, 1) > 0)
        ;
    return 0;
}

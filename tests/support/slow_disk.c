/* A disk that is slow, or hangs, for some files: preloaded into a server, between it and the C library.

   SLOW_DISK holds rules `CALL:NAME:SECONDS`, parted by commas. CALL is one of stat, open, fstat, read, close, list. It
   holds for files whose name begins with NAME; with `hangs` for SECONDS, until the file that SLOW_DISK_GATE names is gone. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif
#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))

static void hang(void)
{
    const char *gate = getenv("SLOW_DISK_GATE");
    int before = errno;
    while (gate && access(gate, F_OK) == 0)
        usleep(10000);
    errno = before;
}

/* Whether a rule holds for that call and path; if `waits`, after the time that it says. */
static int slowed(const char *call, const char *path, int waits)
{
    const char *rules = getenv("SLOW_DISK"), *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char rule[256], name[128], seconds[32], what[16];
    while (rules && *rules) {
        size_t length = strcspn(rules, ",");
        snprintf(rule, sizeof rule, "%.*s", (int) length, rules);
        rules += length + (rules[length] == ',');
        if (sscanf(rule, "%15[^:]:%127[^:]:%31s", what, name, seconds) != 3 || strcmp(what, call)
            || strncmp(base, name, strlen(name)))
            continue;
        if (waits && !strcmp(seconds, "hangs"))
            hang();
        else if (waits)
            usleep((useconds_t) (atof(seconds) * 1e6));
        return 1;
    }
    return 0;
}

static int slowed_descriptor(const char *call, int fd, int waits)
{
    char link[64], path[4096];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0)
        return 0;
    path[length] = 0;
    return slowed(call, path, waits);
}

int openat64(int folder, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = va_arg(arguments, mode_t);
    va_end(arguments);
    slowed("open", path, 1);
    return REAL(openat64)(folder, path, flags, mode);
}

int fstatat64(int folder, const char *path, struct stat64 *status, int flags)
{
    slowed("stat", path, 1);
    return REAL(fstatat64)(folder, path, status, flags);
}

int fstat64(int fd, struct stat64 *status)
{
    slowed_descriptor("fstat", fd, 1);
    return REAL(fstat64)(fd, status);
}

ssize_t pread64(int fd, void *buffer, size_t size, off64_t offset)
{
    slowed_descriptor("read", fd, 1);
    return REAL(pread64)(fd, buffer, size, offset);
}

ssize_t preadv64v2(int fd, const struct iovec *pieces, int count, off64_t offset, int flags)
{
    if (slowed_descriptor("read", fd, !(flags & RWF_NOWAIT)) && flags & RWF_NOWAIT) {
        errno = EAGAIN;
        return -1;
    }
    return REAL(preadv64v2)(fd, pieces, count, offset, flags);
}

ssize_t preadv64(int fd, const struct iovec *pieces, int count, off64_t offset)
{
    return preadv64v2(fd, pieces, count, offset, 0);
}

int close(int fd)
{
    slowed_descriptor("close", fd, 1);
    return REAL(close)(fd);
}

struct dirent64 *readdir64(DIR *folder)
{
    slowed_descriptor("list", dirfd(folder), 1);
    return REAL(readdir64)(folder);
}

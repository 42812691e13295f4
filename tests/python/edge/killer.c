/* Preloaded into a server under test: the process is killed (SIGKILL) instead of sending the first SIP message in whose first kilobyte
 * all words of KILL_AT stand, which are separated by bars; the first of them at its beginning. Other writes pass. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static void look(const void *data, size_t length) {
    const char *words = getenv("KILL_AT");
    char head[1025], wanted[256];
    if (words == NULL || *words == 0 || data == NULL || length < 8 || strlen(words) >= sizeof wanted) return;
    if (length >= sizeof head) length = sizeof head - 1;
    memcpy(head, data, length);
    head[length] = 0;
    strcpy(wanted, words);
    char *rest = NULL;
    int first = 1;
    for (char *word = strtok_r(wanted, "|", &rest); word != NULL; word = strtok_r(NULL, "|", &rest)) {
        char *found = strstr(head, word);
        if (found == NULL || (first && found != head)) return;
        first = 0;
    }
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

ssize_t sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t size) {
    static ssize_t (*next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "sendto");
    look(data, length);
    return next(fd, data, length, flags, to, size);
}

ssize_t send(int fd, const void *data, size_t length, int flags) {
    static ssize_t (*next)(int, const void *, size_t, int);
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "send");
    look(data, length);
    return next(fd, data, length, flags);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    static ssize_t (*next)(int, const struct iovec *, int);
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "writev");
    if (count > 0) look(parts[0].iov_base, parts[0].iov_len);
    return next(fd, parts, count);
}

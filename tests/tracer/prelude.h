/* What every small program of the battery starts from. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* A step that has to work, or the case says nothing. */
static inline long must(long result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(99);
    }
    return result;
}

static inline void drain(int fd) {
    char room[4096];
    while (read(fd, room, sizeof room) > 0) {
    }
    close(fd);
}

static inline void take(const char *name) { drain(must(open(name, O_RDONLY), name)); }

static inline void put(const char *name, const char *text) {
    int fd = must(open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644), name);
    must(write(fd, text, strlen(text)), "write");
    close(fd);
}

static inline int finish(pid_t child) {
    int status;
    must(waitpid(child, &status, 0), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

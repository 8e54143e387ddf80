/* A disk that can be watched, filled, broken and cut off, between a process and its file system.
 *
 * LD_PRELOAD=disk.so DISK_FOLDER=/abs/folder DISK_CONTROL=/file [DISK_LOG=/file] PROGRAM
 *
 * Only calls on files under DISK_FOLDER are touched. DISK_CONTROL is a page that the test maps as
 * well (tests/faults/edge/disk.py has the same layout): it sets faults while the program runs.
 * DISK_LOG receives every call that changes the disk, with its data, in order: from it every state
 * in which a power cut could have left the disk is built. A file whose name begins with "mark"
 * takes notes: what is written to it goes to the log and nowhere else.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_FDS 1024
#define NAME 192

struct control {
    int32_t write_errno; /* of every call that changes the disk, and of opening to write */
    int32_t sync_errno;
    int32_t read_errno;
    int32_t sync_stall_ms;
    int64_t kill_at; /* SIGKILL instead of the call with this number; 0: never */
    int64_t calls;   /* that change the disk, so far */
    int64_t bytes;   /* written so far */
};

struct record {
    uint8_t op; /* 'c'reate 'w'rite 't'runcate 's'ync 'd'irectory sync 'r'ename 'u'nlink 'm'ark */
    uint8_t reserved;
    uint16_t name_size;
    uint32_t data_size;
    int64_t offset;
};

static struct control none, *control = &none;
static char folder[PATH_MAX];
static size_t folder_size;
static int log_fd = -1;
static char names[MAX_FDS][NAME]; /* below the folder, "" for a file that is none of ours */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_read)(int, void *, size_t);
static ssize_t (*real_pread)(int, void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_rename)(const char *, const char *);
static int (*real_unlink)(const char *);

__attribute__((constructor)) static void begin(void)
{
    real_open = dlsym(RTLD_NEXT, "open");
    real_openat = dlsym(RTLD_NEXT, "openat");
    real_close = dlsym(RTLD_NEXT, "close");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_read = dlsym(RTLD_NEXT, "read");
    real_pread = dlsym(RTLD_NEXT, "pread64");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    const char *path = getenv("DISK_FOLDER");
    if (!path || !realpath(path, folder))
        return;
    folder_size = strlen(folder);
    path = getenv("DISK_CONTROL");
    int fd = path ? real_open(path, O_RDWR) : -1;
    if (fd >= 0) {
        void *page = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (page != MAP_FAILED)
            control = page;
        real_close(fd);
    }
    path = getenv("DISK_LOG");
    if (path)
        log_fd = real_open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
}

/* Path → its name below the folder, NULL if it is elsewhere. */
static const char *below(const char *path)
{
    if (!folder_size || strncmp(path, folder, folder_size) != 0)
        return NULL;
    path += folder_size;
    return *path == '/' ? path + 1 : *path == 0 ? "." : NULL;
}

static const char *name_of(int fd)
{
    return fd >= 0 && fd < MAX_FDS && names[fd][0] ? names[fd] : NULL;
}

static void note(char op, const char *name, off_t offset, const void *data, size_t size)
{
    if (log_fd < 0)
        return;
    struct record head = {op, 0, strlen(name), size, offset};
    size_t whole = sizeof head + head.name_size + size;
    char *buffer = malloc(whole);
    memcpy(buffer, &head, sizeof head);
    memcpy(buffer + sizeof head, name, head.name_size);
    if (size)
        memcpy(buffer + sizeof head + head.name_size, data, size);
    if (real_write(log_fd, buffer, whole) != (ssize_t)whole)
        abort();
    free(buffer);
}

/* One call more that changes the disk → 0, or -1 with errno if it must fail. Holds the lock. */
static int count(int32_t error)
{
    if (++control->calls == control->kill_at)
        kill(getpid(), SIGKILL);
    if (!error)
        return 0;
    errno = error;
    return -1;
}

static int opened(int fd, const char *path, int flags, int existed)
{
    const char *name = below(path);
    if (fd >= 0 && fd < MAX_FDS) {
        pthread_mutex_lock(&lock);
        strncpy(names[fd], name ? name : "", NAME - 1);
        if (name && !existed && (flags & O_CREAT) && strncmp(name, "mark", 4) != 0)
            note('c', name, 0, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return fd;
}

static int open_any(int dir, const char *path, int flags, mode_t mode)
{
    const char *name = below(path);
    int existed = name && access(path, F_OK) == 0;
    if (name && (flags & (O_WRONLY | O_RDWR)) && control->write_errno == EROFS) {
        errno = EROFS;
        return -1;
    }
    if (name && !existed && (flags & O_CREAT)) {
        pthread_mutex_lock(&lock);
        int failed = count(control->write_errno);
        pthread_mutex_unlock(&lock);
        if (failed)
            return -1;
    }
    return opened(real_openat(dir, path, flags, mode), path, flags, existed);
}

#define MODE(flags, mode) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list list; \
        va_start(list, flags); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }

int open(const char *path, int flags, ...)
{
    MODE(flags, mode)
    return open_any(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE(flags, mode)
    return open_any(AT_FDCWD, path, flags, mode);
}

int close(int fd)
{
    if (name_of(fd)) {
        pthread_mutex_lock(&lock);
        names[fd][0] = 0;
        pthread_mutex_unlock(&lock);
    }
    return real_close(fd);
}

static ssize_t write_at(int fd, const char *name, const void *data, size_t size, off_t offset)
{
    pthread_mutex_lock(&lock);
    if (strncmp(name, "mark", 4) == 0) {
        note('m', name, 0, data, size);
        pthread_mutex_unlock(&lock);
        return size;
    }
    ssize_t done = count(control->write_errno) ? -1 : real_pwrite(fd, data, size, offset);
    if (done > 0) {
        control->bytes += done;
        note('w', name, offset, data, done);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    const char *name = name_of(fd);
    return name ? write_at(fd, name, data, size, offset) : real_pwrite(fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return pwrite64(fd, data, size, offset);
}

ssize_t write(int fd, const void *data, size_t size)
{
    const char *name = name_of(fd);
    if (!name)
        return real_write(fd, data, size);
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t done = write_at(fd, name, data, size, at);
    if (done > 0 && strncmp(name, "mark", 4) != 0)
        lseek(fd, at + done, SEEK_SET);
    return done;
}

ssize_t pread64(int fd, void *data, size_t size, off_t offset)
{
    if (name_of(fd) && control->read_errno) {
        errno = control->read_errno;
        return -1;
    }
    return real_pread(fd, data, size, offset);
}

ssize_t read(int fd, void *data, size_t size)
{
    if (name_of(fd) && control->read_errno) {
        errno = control->read_errno;
        return -1;
    }
    return real_read(fd, data, size);
}

int ftruncate64(int fd, off_t size)
{
    const char *name = name_of(fd);
    if (!name)
        return real_ftruncate(fd, size);
    pthread_mutex_lock(&lock);
    int done = count(control->write_errno) ? -1 : real_ftruncate(fd, size);
    if (done == 0)
        note('t', name, size, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int fd, off_t size)
{
    return ftruncate64(fd, size);
}

static int sync_file(int fd, int (*real)(int))
{
    const char *name = name_of(fd);
    if (!name)
        return real(fd);
    if (control->sync_stall_ms) {
        struct timespec wait = {control->sync_stall_ms / 1000, control->sync_stall_ms % 1000 * 1000000L};
        nanosleep(&wait, NULL);
    }
    pthread_mutex_lock(&lock);
    int done = count(control->sync_errno) ? -1 : real(fd);
    if (done == 0)
        note(strcmp(name, ".") == 0 ? 'd' : 's', name, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int fsync(int fd)
{
    return sync_file(fd, real_fsync);
}

int fdatasync(int fd)
{
    return sync_file(fd, real_fdatasync);
}

int rename(const char *from, const char *to)
{
    const char *old = below(from), *new = below(to);
    if (!old || !new)
        return real_rename(from, to);
    pthread_mutex_lock(&lock);
    int done = count(control->write_errno) ? -1 : real_rename(from, to);
    if (done == 0)
        note('r', old, 0, new, strlen(new));
    pthread_mutex_unlock(&lock);
    return done;
}

int unlink(const char *path)
{
    const char *name = below(path);
    if (!name)
        return real_unlink(path);
    pthread_mutex_lock(&lock);
    int done = count(control->write_errno == EROFS ? EROFS : 0) ? -1 : real_unlink(path);
    if (done == 0)
        note('u', name, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

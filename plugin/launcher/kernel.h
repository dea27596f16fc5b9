/*
 * The Linux kernel's interface, for a program without a C library: amd64 and arm64.
 */
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/stat.h>
#include <linux/time.h>
#include <linux/un.h>

/* Constants that the kernel's exported headers leave to C libraries. */
enum { STDIN = 0, STDOUT = 1, STDERR = 2 };
enum { SOL_SOCKET = 1, SO_PEERCRED = 17, ROOT = 0 };
enum { AF_UNIX = 1, SOCK_STREAM = 1, SOCK_NONBLOCK = 04000, SOCK_CLOEXEC = 02000000 };
enum { MSG_DONTWAIT = 0x40, MSG_NOSIGNAL = 0x4000 };
enum { SIGTERM = 15, SIGCHLD = 17, WNOHANG = 1, PR_SET_PDEATHSIG = 1 };
enum { MEMFD_CLOEXEC = 1, MEMFD_EXEC = 0x10 };

static long call(long number, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__)
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "+a"(number)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return number;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
                  x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#else
#error "amd64 and arm64 only"
#endif
}

static _Noreturn void leave(int code) {
    for (;;) call(__NR_exit_group, code, 0, 0, 0, 0, 0);
}

static long milliseconds(void) {
    struct __kernel_timespec now = {0};
    call(__NR_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0, 0, 0, 0);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static long poll_for(struct pollfd *polled, int count, long patience) {
    struct __kernel_timespec limit = {patience / 1000, patience % 1000 * 1000000};
    return call(__NR_ppoll, (long)polled, count, patience < 0 ? 0 : (long)&limit, 0, 0, 0);
}

static long read_fd(int fd, void *into, long room) { return call(__NR_read, fd, (long)into, room, 0, 0, 0); }

static void close_fd(int fd) {
    if (fd >= 0) call(__NR_close, fd, 0, 0, 0, 0, 0);
}

static int open_file(const char *path, int flags, int mode) {
    return call(__NR_openat, AT_FDCWD, (long)path, flags | O_CLOEXEC, mode, 0, 0);
}

static int fork(void) { return call(__NR_clone, SIGCHLD, 0, 0, 0, 0, 0); }

/* --- text -------------------------------------------------------------------------------------------------- */

static long length(const char *text) {
    long count = 0;
    while (text[count]) count++;
    return count;
}

static int is_equal(const char *one, const char *other, long count) {
    for (long i = 0; i < count; i++)
        if (one[i] != other[i]) return 0;
    return 1;
}

static int begins_with(const char *text, const char *start) {
    for (; *start; start++, text++)
        if (*text != *start) return 0;
    return 1;
}

static char *append(char *to, const char *text) {
    while (*text) *to++ = *text++;
    return to;
}

static char *append_number(char *to, long number) {
    char digits[20];
    int count = 0;
    do digits[count++] = '0' + number % 10;
    while (number /= 10);
    while (count) *to++ = digits[--count];
    return to;
}

/* A path may hold any byte but 0 and JSON may not; what is not plain ASCII is shown by its number. */
static char *append_escaped(char *to, const char *text) {
    static const char digits[] = "0123456789abcdef";
    for (; *text; text++) {
        const unsigned char byte = *text;
        if (byte == '"' || byte == '\\') *to++ = '\\';
        if (byte >= ' ' && byte < 0x7f) {
            *to++ = byte;
        } else {
            to = append(to, "\\u00");
            *to++ = digits[byte >> 4];
            *to++ = digits[byte & 15];
        }
    }
    return to;
}

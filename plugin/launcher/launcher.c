/*
 * What Velero executes: a relay between Velero's pipes and the sidecar's control socket.
 *
 * Velero starts plugin processes all day, and one that fails to start stops Velero itself. So this file holds no
 * logic that could change: it names its own directory to the sidecar, hands the first line of the answer to
 * Velero (standard output, the handshake) and every later line to Velero's log (standard error), until either
 * side goes away. It uses no C library, no environment, no arguments and no memory but what is declared here.
 *
 * Built with -DWAIT_SECONDS=n: how long to wait for the sidecar. Velero itself gives up after 60 seconds.
 */
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/stat.h>
#include <linux/time.h>
#include <linux/un.h>

#ifndef WAIT_SECONDS
#define WAIT_SECONDS 50
#endif

/* Constants of the kernel's interface that its exported headers leave to C libraries. */
enum { STDOUT = 1, STDERR = 2 };
enum { SOL_SOCKET = 1, SO_PEERCRED = 17, ROOT = 0 };
enum { AF_UNIX = 1, SOCK_STREAM = 1, SOCK_NONBLOCK = 04000, SOCK_CLOEXEC = 02000000, MSG_NOSIGNAL = 0x4000 };

/* Exit codes. Velero logs any but 0 as an error of the backup or restore in progress. */
enum outcome {
    SESSION_OVER = 0,     /* the sidecar ended a session that had begun */
    LOCATION_UNKNOWN = 2, /* our own directory cannot be read, or its name is too long for a socket */
    SOCKET_ABSENT = 3,    /* the other codes: why no session began within WAIT_SECONDS */
    SIDECAR_DEAD = 4,
    ACCESS_DENIED = 5,
    NO_HANDSHAKE = 6,
    CONNECT_FAILED = 7,
    FOREIGN_SIDECAR = 8, /* who listens runs under a user that we do not take a handshake from */
    VELERO_GONE = 9, /* nobody reads our pipes any more */
};

/* One buffer serves the path, the handshake and the log; a handshake that does not fit is none. */
static char buffer[64 * 1024];
static struct sockaddr_un control = {.sun_family = AF_UNIX};
static long directory_length;

/* --- the kernel -------------------------------------------------------------------------------------------- */

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

static _Noreturn void leave(enum outcome outcome) {
    for (;;) call(__NR_exit_group, outcome, 0, 0, 0, 0, 0);
}

static long milliseconds(void) {
    struct __kernel_timespec now = {0};
    call(__NR_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0, 0, 0, 0);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Wait until `fd` can be read (or written, for POLLOUT) or `patience` milliseconds passed; -1 is no descriptor and
 * no end. Leaves at once when Velero has gone: the ends of our pipes that it held are closed with it. (Being told
 * by PR_SET_PDEATHSIG is no alternative: that signal comes when the thread ends that started us, not Velero.) */
static int wait_for(int fd, short events, long patience) {
    struct pollfd polled[3] = {{fd, events, 0}, {STDOUT, 0, 0}, {STDERR, 0, 0}};
    struct __kernel_timespec limit = {patience / 1000, patience % 1000 * 1000000};
    long ready = call(__NR_ppoll, (long)polled, 3, patience < 0 ? 0 : (long)&limit, 0, 0, 0);
    if (ready > 0 && ((polled[1].revents | polled[2].revents) & (POLLERR | POLLHUP | POLLNVAL))) leave(VELERO_GONE);
    return ready > 0 && polled[0].revents;
}

static void write_all(int fd, const char *bytes, long count) {
    while (count > 0) {
        long written = call(__NR_write, fd, (long)bytes, count, 0, 0, 0);
        if (written >= 0) {
            bytes += written;
            count -= written;
        } else if (written == -EAGAIN) {
            wait_for(fd, POLLOUT, -1);
        } else if (written != -EINTR) {
            leave(VELERO_GONE);
        }
    }
}

/* Like read(2), but waits up to `patience`; 0 also for a time-out, for both mean: no more from this connection. */
static long read_some(int fd, char *into, long room, long patience) {
    const long end = milliseconds() + patience;
    for (;;) {
        const long left = patience < 0 ? -1 : end - milliseconds();
        if (patience >= 0 && left <= 0) return 0;
        if (!wait_for(fd, POLLIN, left)) continue;
        const long count = call(__NR_read, fd, (long)into, room, 0, 0, 0);
        if (count != -EAGAIN && count != -EINTR) return count > 0 ? count : 0;
    }
}

/* --- telling the person on call ---------------------------------------------------------------------------- */

static const char *const reasons[] = {
    [LOCATION_UNKNOWN] = "its own directory cannot be read, or has a name of more than 94 bytes; "
                         "use a shorter plugin directory",
    [SOCKET_ABSENT] = "there is no such socket; check that the sidecar container runs (kubectl get pod, "
                      "kubectl logs) and mounts the same plugins volume as Velero",
    [SIDECAR_DEAD] = "nobody listens there; the sidecar container has stopped, and its log says why "
                     "(kubectl logs --previous)",
    [ACCESS_DENIED] = "permission denied; give the containers of Velero and of the sidecar the same runAsUser",
    [NO_HANDSHAKE] = "the sidecar accepted but began no session; its log says why (kubectl logs)",
    [FOREIGN_SIDECAR] = "another user's process listens there: neither ours, nor root's, nor that of the user who owns "
                        "this launcher's file; give the containers of Velero and of the sidecar the same runAsUser",
    [CONNECT_FAILED] = "connecting failed; check that the plugins volume is an emptyDir which both containers mount",
};

static char *append(char *to, const char *text) {
    while (*text) *to++ = *text++;
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

/* One line in the form that Velero takes over into its log. */
static _Noreturn void fail(enum outcome outcome) {
    char *end = append(buffer, "{\"@level\":\"error\",\"@message\":");
    end = append(end, "\"velero-plugin-for-vmservice cannot reach its sidecar");
    if (control.sun_path[0]) end = append_escaped(append(end, " at "), control.sun_path);
    end = append(append(append(end, ": "), reasons[outcome]), "\",\"@module\":\"launcher\"}\n");
    write_all(STDERR, buffer, end - buffer);
    leave(outcome);
}

/* --- the session ------------------------------------------------------------------------------------------- */

/* Find our own directory, and in it the control socket. */
static void locate(void) {
    long length = call(__NR_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)buffer, sizeof buffer, 0, 0);
    while (length > 0 && buffer[length - 1] != '/') length--;
    const long room = sizeof control.sun_path - sizeof "control.sock";
    if (length <= 0 || length > room) fail(LOCATION_UNKNOWN);
    for (long i = 0; i < length; i++) control.sun_path[i] = buffer[i];
    append(control.sun_path + length, "control.sock");
    directory_length = length > 1 ? length - 1 : 1; /* without the last slash */
}

static enum outcome reason(long error) {
    if (error == -ENOENT || error == -ENOTDIR) return SOCKET_ABSENT;
    if (error == -ECONNREFUSED) return SIDECAR_DEAD;
    if (error == -EACCES || error == -EPERM) return ACCESS_DENIED;
    return error == -EAGAIN ? NO_HANDSHAKE : CONNECT_FAILED; /* EAGAIN: its queue is full */
}

/* Say whether the process that listens may tell Velero where to connect: whoever can write into our directory could
 * put a socket there. The owner of our own file is the sidecar that installed us. */
static int is_trusted(int fd) {
    struct { int pid; unsigned uid, gid; } peer;
    unsigned size = sizeof peer;
    if (call(__NR_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, (long)&peer, (long)&size, 0) < 0) return 0;
    if (peer.uid == ROOT || peer.uid == (unsigned)call(__NR_geteuid, 0, 0, 0, 0, 0, 0)) return 1;
    struct statx file;
    return call(__NR_statx, AT_FDCWD, (long)"/proc/self/exe", 0, STATX_UID, (long)&file, 0) == 0 &&
           peer.uid == file.stx_uid;
}

/* Pass the handshake on, when it has come whole, and then the log until the sidecar closes. */
static enum outcome relay(int fd, long patience) {
    long count = 0, line = 0;
    while (line == 0) {
        const long more = read_some(fd, buffer + count, sizeof buffer - count, patience);
        if (more == 0) return NO_HANDSHAKE;
        for (long i = count; i < count + more && line == 0; i++)
            if (buffer[i] == '\n') line = i + 1;
        count += more;
    }
    write_all(STDOUT, buffer, line);
    write_all(STDERR, buffer + line, count - line);
    while ((count = read_some(fd, buffer, sizeof buffer, -1)) > 0) write_all(STDERR, buffer, count);
    return SESSION_OVER;
}

/* One attempt; the name of our directory tells the sidecar where Velero will see its sockets. */
static enum outcome attempt(long patience) {
    const int fd = call(__NR_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, 0, 0, 0);
    if (fd < 0) return CONNECT_FAILED;
    enum outcome outcome = NO_HANDSHAKE;
    const long error = call(__NR_connect, fd, (long)&control, sizeof control, 0, 0, 0);
    if (error < 0) {
        outcome = reason(error);
    } else if (!is_trusted(fd)) {
        outcome = FOREIGN_SIDECAR;
    } else {
        char hello[sizeof control.sun_path + 1];
        for (long i = 0; i < directory_length; i++) hello[i] = control.sun_path[i];
        hello[directory_length] = '\n';
        const long sent = call(__NR_sendto, fd, (long)hello, directory_length + 1, MSG_NOSIGNAL, 0, 0);
        if (sent == directory_length + 1) outcome = relay(fd, patience);
    }
    call(__NR_close, fd, 0, 0, 0, 0, 0);
    return outcome;
}

#if defined(__x86_64__)
__attribute__((force_align_arg_pointer)) /* the kernel enters without the return address that C expects */
#endif
_Noreturn void _start(void) {
    locate();
    const long end = milliseconds() + WAIT_SECONDS * 1000L;
    for (long pause = 10;; pause = pause < 100 ? pause * 2 : 200) {
        const long left = end - milliseconds();
        const enum outcome outcome = attempt(left);
        if (outcome == SESSION_OVER) leave(SESSION_OVER);
        if (end - milliseconds() <= pause) fail(outcome);
        wait_for(-1, 0, pause);
    }
}

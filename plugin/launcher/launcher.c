/*
 * What Velero executes: a relay between Velero's pipes and the control socket of the sidecar or the daemon.
 *
 * Velero starts plugin processes all day, and one that fails to start stops Velero itself. So this program holds no
 * logic that could change. It names its own directory to the serving process. The first line of the answer goes to
 * Velero (standard output, the handshake) and every later line to Velero's log (standard error), until either side
 * goes away. If no process serves and a runtime lies beside the launcher, it starts the daemon first (keeper.h). If the
 * daemon cannot start, the launcher answers Velero in Velero's own protocol (stand_in.h). It uses no C library, and no
 * memory but what is declared here.
 *
 * As `velero-vmservice`, or with the first argument `run`, it is the command line: it becomes the bundled Python. It
 * answers `probe` itself, which Kubernetes runs every second.
 *
 * Built with -DWAIT_SECONDS=n: how long to wait for an answer. Velero itself gives up after 60 seconds.
 */
#include "kernel.h"

#ifndef WAIT_SECONDS
#define WAIT_SECONDS 50
#endif

/* Exit codes. Velero logs any but 0 as an error of the backup or restore in progress. */
enum outcome {
    SESSION_OVER = 0,     /* a session had begun, and is over */
    LOCATION_UNKNOWN = 2, /* our own directory cannot be read, or its name is too long for a socket */
    SOCKET_ABSENT = 3,    /* the other codes: why no session began within WAIT_SECONDS */
    SIDECAR_DEAD = 4,
    ACCESS_DENIED = 5,
    NO_HANDSHAKE = 6,
    CONNECT_FAILED = 7,
    FOREIGN_SIDECAR = 8, /* the listening process runs under a user whose handshake we refuse */
    VELERO_GONE = 9, /* Velero has closed our pipes */
};

/* One buffer serves the path, the handshake and the log; a longer handshake is refused. */
static char buffer[64 * 1024];
static struct sockaddr_un control = {.sun_family = AF_UNIX};
static long directory_length;

/* The log of the daemon that we start, until our session begins; and the process that keeps it, our child till then. */
static int daemon_log = -1;
static int keeper;

static void pass_daemon_log_on(void);

/* Wait until `fd` can be read (or written, for POLLOUT) or `patience` milliseconds have passed; -1 means no descriptor,
 * or no limit. Leaves at once when Velero has gone: its ends of our pipes are closed with it. (PR_SET_PDEATHSIG is no
 * alternative: that signal comes when the thread that started us ends, not when Velero does.) */
static int wait_for(int fd, short events, long patience) {
    struct pollfd polled[4] = {{fd, events, 0}, {STDOUT, 0, 0}, {STDERR, 0, 0}, {daemon_log, POLLIN, 0}};
    const long ready = poll_for(polled, events & POLLOUT ? 3 : 4, patience);
    if (ready > 0 && ((polled[1].revents | polled[2].revents) & (POLLERR | POLLHUP | POLLNVAL))) leave(VELERO_GONE);
    if (ready > 0 && polled[3].revents) pass_daemon_log_on();
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

/* Like read(2), but waits up to `patience`; returns 0 for a time-out too: either way the connection gives no more. */
static long read_some(int fd, char *into, long room, long patience) {
    const long end = milliseconds() + patience;
    for (;;) {
        const long left = patience < 0 ? -1 : end - milliseconds();
        if (patience >= 0 && left <= 0) return 0;
        if (!wait_for(fd, POLLIN, left)) continue;
        const long count = read_fd(fd, into, room);
        if (count != -EAGAIN && count != -EINTR) return count > 0 ? count : 0;
    }
}

#include "runtime.h"
#include "keeper.h"
#include "stand_in.h"

/* --- the daemon -------------------------------------------------------------------------------------------- */

/* Pass the daemon's whole lines on to Velero's log; closes the descriptor once the keeper has ended. */
static void pass_daemon_log_on(void) {
    static char lines[64 * 1024];
    static long held;
    const long count = read_fd(daemon_log, lines + held, sizeof lines - held);
    if (count == -EAGAIN || count == -EINTR) return;
    long whole = held += count > 0 ? count : 0;
    while (whole > 0 && lines[whole - 1] != '\n') whole--;
    if (whole == 0 && held == sizeof lines) whole = held; /* a longer line than Velero takes in one piece */
    write_all(STDERR, lines, whole);
    for (long i = whole; i < held; i++) lines[i - whole] = lines[i];
    held -= whole;
    if (count > 0) return;
    close_fd(daemon_log);
    daemon_log = -1;
}

/* Start the daemon, unless something holds the claim: a daemon, its keeper, a sidecar, or a launch that starts one. */
static void start_daemon(char **environment) {
    const int claim = open_file(directory, O_RDONLY | O_DIRECTORY, 0);
    int ends[2];
    if (claim >= 0 && call(__NR_flock, claim, LOCK_EX | LOCK_NB, 0, 0, 0, 0) == 0 &&
        call(__NR_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, (long)ends, 0, 0) == 0) {
        keeper = fork();
        if (keeper == 0) keep_daemon(claim, ends[1], environment);
        close_fd(ends[1]);
        daemon_log = ends[0];
    }
    close_fd(claim);
}

/* Tell the keeper that the daemon serves: from now on it outlives us. It closes its end once it has passed on what the
 * daemon has written so far. */
static void release_keeper(void) {
    if (daemon_log < 0) return;
    call(__NR_sendto, daemon_log, (long)"+", 1, MSG_NOSIGNAL, 0, 0);
    const long end = milliseconds() + 1000;
    for (long left; daemon_log >= 0 && (left = end - milliseconds()) > 0;) wait_for(-1, 0, left);
    close_fd(daemon_log);
    daemon_log = -1;
}

/* --- telling the person on call ---------------------------------------------------------------------------- */

static const char *const reasons[] = {
    [LOCATION_UNKNOWN] = "its own directory cannot be read, or has a name of more than 94 bytes; "
                         "use a shorter plugin directory",
    [SOCKET_ABSENT] = "there is no such socket; check that the sidecar container runs (kubectl get pod, "
                      "kubectl logs) and mounts the same plugins volume as Velero",
    [SIDECAR_DEAD] = "no process listens there; the sidecar container has stopped, and its log says why "
                     "(kubectl logs --previous)",
    [ACCESS_DENIED] = "permission denied; give the containers of Velero and of the sidecar the same runAsUser",
    [NO_HANDSHAKE] = "the sidecar accepted but began no session; its log says why (kubectl logs)",
    [FOREIGN_SIDECAR] = "another user's process listens there: neither ours, nor root's, nor that of the user who owns "
                        "this launcher's file; give the containers of Velero and of the sidecar the same runAsUser",
    [CONNECT_FAILED] = "connecting failed; check that the plugins volume is an emptyDir which both containers mount",
};

/* Why the daemon does not run, by the exit code of its keeper. */
static const char *why_no_daemon(int code) {
    switch (code) {
    case MEMORY_FILE_DENIED:
        return "the daemon cannot start: this container may make no executable file in memory; allow memfd_create in "
               "its seccomp profile, and set the node's sysctl vm.memfd_noexec to 0 or 1, or run the sidecar instead";
    case EXECUTION_DENIED:
        return "the daemon cannot start: this container may execute no file in memory; allow execveat in its seccomp "
               "profile, or run the sidecar instead";
    case RUNTIME_UNREADABLE:
        return "the daemon cannot start: the plugin's files cannot be read; delete Velero's pod, so that the plugin's "
               "init container copies them anew";
    default:
        return "the daemon ended before it served; its log is in " LAUNCHER ".log beside the plugin, and in this log "
               "where this launch started it";
    }
}

/* Write one line in the form that Velero copies into its log. */
static void report(const char *level, const char *what, const char *where, const char *why) {
    char *end = append(append(append(buffer, "{\"@level\":\""), level), "\",\"@message\":\"" LAUNCHER " ");
    end = append(end, what);
    if (*where) end = append_escaped(append(end, " at "), where);
    end = append(append(append(end, ": "), why), "\",\"@module\":\"launcher\"}\n");
    write_all(STDERR, buffer, end - buffer);
}

static _Noreturn void fail(enum outcome outcome, const char *why) {
    if (!why && !*home) {
        report("error", "cannot reach its sidecar", control.sun_path, reasons[outcome]);
        leave(outcome);
    }
    if (!why) why = "the daemon does not answer; its log is in " LAUNCHER ".log beside the plugin";
    report("error", "cannot work", "", why);
    stand_in(why, outcome);
}

/* --- the session ------------------------------------------------------------------------------------------- */

/* Find our own directory, and in it the control socket. */
static void locate(void) {
    long count = call(__NR_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)buffer, sizeof buffer, 0, 0);
    while (count > 0 && buffer[count - 1] != '/') count--;
    const long room = sizeof control.sun_path - sizeof "control.sock";
    if (count <= 0 || count > room) fail(LOCATION_UNKNOWN, 0);
    for (long i = 0; i < count; i++) control.sun_path[i] = directory[i] = buffer[i];
    append(control.sun_path + count, "control.sock");
    directory_length = count > 1 ? count - 1 : 1; /* without the last slash */
    find_runtime();
}

static enum outcome reason(long error) {
    if (error == -ENOENT || error == -ENOTDIR) return SOCKET_ABSENT;
    if (error == -ECONNREFUSED) return SIDECAR_DEAD;
    if (error == -EACCES || error == -EPERM) return ACCESS_DENIED;
    return error == -EAGAIN ? NO_HANDSHAKE : CONNECT_FAILED; /* EAGAIN: its queue is full */
}

/* Say whether the listening process may tell Velero where to connect: any user with write access to our directory
 * could put a socket there. The owner of our own file is the sidecar that installed us. */
static int is_trusted(int fd) {
    struct { int pid; unsigned uid, gid; } peer;
    unsigned size = sizeof peer;
    if (call(__NR_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, (long)&peer, (long)&size, 0) < 0) return 0;
    if (peer.uid == ROOT || peer.uid == (unsigned)call(__NR_geteuid, 0, 0, 0, 0, 0, 0)) return 1;
    struct statx file;
    return call(__NR_statx, AT_FDCWD, (long)"/proc/self/exe", 0, STATX_UID, (long)&file, 0) == 0 &&
           peer.uid == file.stx_uid;
}

/* Pass on the handshake once it is complete, then the log until the other side closes. The other side ends with a
 * farewell byte. Without that byte it was killed, and Velero's message for a running call is no more than "EOF". */
static enum outcome relay(int fd, long patience) {
    enum { FAREWELL = 4 };
    long count = 0, line = 0;
    while (line == 0) {
        const long more = read_some(fd, buffer + count, sizeof buffer - count, patience);
        if (more == 0) return NO_HANDSHAKE;
        for (long i = count; i < count + more && line == 0; i++)
            if (buffer[i] == '\n') line = i + 1;
        count += more;
    }
    release_keeper();
    write_all(STDOUT, buffer, line);
    int farewell = 0;
    const char *log = buffer + line;
    count -= line;
    do {
        if (count > 0) farewell = log[count - 1] == FAREWELL;
        write_all(STDERR, log, farewell ? count - 1 : count);
        log = buffer;
    } while ((count = read_some(fd, buffer, sizeof buffer, -1)) > 0);
    if (!farewell)
        report("warn", "lost the process that serves it", "",
               "it ended while Velero was connected to it; a call that ran then has failed, the next one starts it again "
               "or waits for it");
    return SESSION_OVER;
}

/* Make one attempt; the name of our directory tells the other side where Velero will see its sockets. */
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
    close_fd(fd);
    return outcome;
}

static _Noreturn void launch(char **environment) {
    const long end = milliseconds() + WAIT_SECONDS * 1000L;
    int started = 0;
    for (long pause = 10;; pause = pause < 100 ? pause * 2 : 200) {
        const enum outcome outcome = attempt(end - milliseconds());
        if (outcome == SESSION_OVER) leave(SESSION_OVER);
        if (*home && !started && (outcome == SOCKET_ABSENT || outcome == SIDECAR_DEAD)) {
            start_daemon(environment);
            started = daemon_log >= 0;
        } else if (started && daemon_log < 0) { /* the keeper ends if the daemon never serves */
            int status = 0;
            call(__NR_wait4, keeper, (long)&status, 0, 0, 0, 0);
            fail(outcome, why_no_daemon(status >> 8 & 0xff));
        }
        if (end - milliseconds() <= pause) fail(outcome, 0);
        wait_for(-1, 0, pause);
    }
}

/* Exit with 0 if the plugin is served in a directory, by default `/plugins`: a probe for Kubernetes. */
static _Noreturn void probe(const char *plugins) {
    if (!plugins) plugins = "/plugins";
    if (length(plugins) > (long)(sizeof control.sun_path - sizeof "/control.sock")) leave(LOCATION_UNKNOWN);
    *append(append(control.sun_path, plugins), "/control.sock") = 0;
    const int fd = call(__NR_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, 0, 0, 0);
    const long error = call(__NR_connect, fd, (long)&control, sizeof control, 0, 0, 0);
    leave(error < 0 ? reason(error) : SESSION_OVER);
}

/* Become the command line; its arguments are all after our own. */
static _Noreturn void run(char **arguments, char **environment) {
    if (*arguments && is_equal(*arguments, "probe", sizeof "probe")) probe(arguments[1]);
    const char *why = *home ? why_no_daemon(become_python((const char *const *)arguments, environment))
                            : "there is no runtime beside it; in the sidecar, use the command velero-vmservice";
    report("error", "cannot run a command", "", why);
    leave(CONNECT_FAILED);
}

__attribute__((used)) static _Noreturn void begin(long *stack) {
    char **argv = (char **)(stack + 1), **environment = argv + *stack + 1;
    static const char command[] = "velero-vmservice";
    locate();
    if (*stack > 0) {
        const long name = length(argv[0]), tail = name - (sizeof command - 1);
        if (tail >= 0 && is_equal(argv[0] + tail, command, sizeof command)) run(argv + 1, environment);
    }
    if (*stack > 1 && is_equal(argv[1], "run", sizeof "run")) run(argv + 2, environment);
    launch(environment);
}

/* The kernel enters with the arguments on the stack and no return address. */
#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call begin\n hlt\n");
#else
__asm__(".globl _start\n_start:\n mov x29, xzr\n mov x0, sp\n bl begin\n brk #1\n");
#endif

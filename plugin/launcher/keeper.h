/*
 * The keeper: the process between a launch and the daemon it starts.
 *
 * Velero is the first process of its container and reaps no child but its own, and go-plugin waits for each process
 * that holds the pipes of a plugin. So the daemon has a parent that stays, reaps it and starts it again; neither holds a
 * descriptor of Velero's. Keeper and daemon both hold the claim on the plugins directory: while either lives, no launch
 * starts another daemon.
 */

enum { CLAIM = 3, LAUNCH = 4 }; /* descriptors of the keeper: the claim, and the launch that started it */
enum { MOST_LOG_BYTES = 1024 * 1024, LONGEST_PAUSE = 60 * 1000, STEADY = 60 * 1000 };

static char log_path[sizeof home], old_log_path[sizeof home];
static int log_file = -1;
static long log_bytes;
static int is_awaited = 1; /* the launch that started us waits for its session */

static void open_log(void) {
    log_file = open_file(log_path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK, 0600);
    struct statx status;
    log_bytes = 0;
    if (log_file >= 0 && call(__NR_statx, log_file, (long)"", AT_EMPTY_PATH, STATX_SIZE, (long)&status, 0) == 0)
        log_bytes = status.stx_size;
}

/* Write the daemon's output to a file of bounded size, and to Velero's log until the launch has its session. */
static void keep(const char *bytes, long count) {
    if (is_awaited) call(__NR_sendto, LAUNCH, (long)bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0);
    if (log_bytes + count > MOST_LOG_BYTES) {
        call(__NR_renameat2, AT_FDCWD, (long)log_path, AT_FDCWD, (long)old_log_path, 0, 0);
        close_fd(log_file);
        open_log();
    }
    if (call(__NR_write, log_file, (long)bytes, count, 0, 0, 0) > 0) log_bytes += count;
}

static void keep_words(const char *level, const char *words, long number) {
    static char line[512];
    char *end = append(append(append(line, "{\"@level\":\""), level), "\",\"@message\":\"");
    end = append(append_number(append(end, words), number), "\",\"@module\":\"launcher\"}\n");
    keep(line, end - line);
}

static void use_only(int claim, int launch) {
    const int nothing = open_file("/dev/null", O_RDWR, 0);
    const int spare_claim = call(__NR_fcntl, claim, F_DUPFD, 10, 0, 0, 0);
    const int spare_launch = call(__NR_fcntl, launch, F_DUPFD, 10, 0, 0, 0);
    for (int fd = STDIN; fd <= STDERR; fd++)
        if (nothing < 0) close_fd(fd);
        else call(__NR_dup3, nothing, fd, 0, 0, 0, 0);
    call(__NR_dup3, spare_claim, CLAIM, 0, 0, 0, 0); /* the daemon inherits this one */
    call(__NR_dup3, spare_launch, LAUNCH, O_CLOEXEC, 0, 0, 0);
    if (call(__NR_close_range, LAUNCH + 1, ~0u, 0, 0, 0, 0) < 0) /* before Linux 5.9 */
        for (int fd = LAUNCH + 1; fd < 1024; fd++) close_fd(fd);
}

static _Noreturn void become_daemon(int errors, char **environment) {
    call(__NR_prctl, PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0, 0);
    call(__NR_dup3, errors, STDERR, 0, 0, 0, 0);
    const char *const arguments[] = {"serve", "--plugins-dir", directory, "--no-install", "--claim", "3", 0};
    leave(become_python(arguments, environment));
}

/* Run the daemon until it ends; returns its exit code, or 256 plus the signal that ended it. */
static int run_daemon(char **environment) {
    static char chunk[64 * 1024];
    int ends[2];
    if (call(__NR_pipe2, (long)ends, O_CLOEXEC, 0, 0, 0, 0) < 0) return EXECUTION_DENIED;
    const int daemon = fork();
    if (daemon == 0) become_daemon(ends[1], environment);
    close_fd(ends[1]);
    if (daemon < 0) {
        close_fd(ends[0]);
        return EXECUTION_DENIED;
    }
    const int alive = call(__NR_pidfd_open, daemon, 0, 0, 0, 0, 0); /* a helper that it started may hold the pipe on */
    for (;;) {
        struct pollfd polled[3] = {{ends[0], POLLIN, 0}, {alive, POLLIN, 0}, {is_awaited ? LAUNCH : -1, POLLIN, 0}};
        poll_for(polled, 3, -1);
        if (polled[0].revents & POLLIN) {
            const long count = read_fd(ends[0], chunk, sizeof chunk);
            if (count > 0) keep(chunk, count);
            if (count != 0) continue;
        }
        if (polled[2].revents) { /* the launch has its session or has gone; earlier output has been passed on */
            is_awaited = 0;
            close_fd(LAUNCH);
        } else if (polled[0].revents || polled[1].revents) {
            break;
        }
    }
    close_fd(ends[0]);
    close_fd(alive);
    int status = 0;
    while (call(__NR_wait4, daemon, (long)&status, 0, 0, 0, 0) == -EINTR) {}
    return status & 0x7f ? 256 + (status & 0x7f) : status >> 8 & 0xff;
}

static _Noreturn void keep_daemon(int claim, int launch, char **environment) {
    call(__NR_setsid, 0, 0, 0, 0, 0, 0);
    call(__NR_chdir, (long)"/", 0, 0, 0, 0, 0);
    use_only(claim, launch);
    *append(append(log_path, directory), LAUNCHER ".log") = 0;
    *append(append(old_log_path, directory), LAUNCHER ".log.1") = 0;
    open_log();
    for (long pause = 0;;) {
        const long begun = milliseconds();
        const int ending = run_daemon(environment);
        if (is_awaited) leave(ending < 256 ? ending : 128 + ending - 256); /* the launch tells Velero, and reaps us */
        if (ending >= 256) keep_words("error", "the daemon was ended by signal ", ending - 256);
        else keep_words("error", "the daemon ended with exit code ", ending);
        pause = milliseconds() - begun > STEADY ? 0 : pause ? pause * 2 : 100;
        if (pause > LONGEST_PAUSE) pause = LONGEST_PAUSE;
        poll_for(0, 0, pause);
    }
}

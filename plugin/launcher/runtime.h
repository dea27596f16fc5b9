/*
 * The bundled Python beside the launcher: finding it, and becoming it.
 *
 * Its files carry no execute bit, since Velero takes every file with one for a plugin. So the kernel is given the C
 * library's loader as a file in memory, and the loader maps the interpreter, which needs no such bit.
 */

#define LAUNCHER "velero-plugin-for-vmservice"

/* Exit codes: why a process could not become the bundled Python. They are above those of the commands. */
enum { MEMORY_FILE_DENIED = 240, EXECUTION_DENIED = 241, RUNTIME_UNREADABLE = 242 };

static char directory[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* our own, with its last slash */
static char home[sizeof directory + 128];                           /* the runtime's folder; "" if there is none */

/* Find the runtime that the file `current` names. */
static void find_runtime(void) {
    char path[sizeof home], name[32] = "";
    *append(append(path, directory), LAUNCHER ".runtime/current") = 0;
    const int fd = open_file(path, O_RDONLY, 0);
    if (fd < 0) return;
    const long count = read_fd(fd, name, sizeof name - 1);
    close_fd(fd);
    long used = 0;
    while (used < count && ((name[used] >= '0' && name[used] <= '9') || (name[used] >= 'a' && name[used] <= 'f'))) used++;
    if (used == 0) return;
    name[used] = 0;
    *append(append(append(home, directory), LAUNCHER ".runtime/"), name) = 0;
}

static const char *in_home(char *into, const char *name) {
    *append(append(append(into, home), "/"), name) = 0;
    return into;
}

/* Put a copy of a file into memory, where it may be executed; returns -1 if the kernel refuses. */
static int copy_to_memory(int file) {
    int copy = call(__NR_memfd_create, (long)LAUNCHER, MEMFD_CLOEXEC | MEMFD_EXEC, 0, 0, 0, 0);
    if (copy == -EINVAL) copy = call(__NR_memfd_create, (long)LAUNCHER, MEMFD_CLOEXEC, 0, 0, 0, 0); /* before Linux 6.3 */
    if (copy < 0) return -1;
    static char chunk[16 * 1024];
    for (long count; (count = read_fd(file, chunk, sizeof chunk)) > 0;)
        for (long done = 0; done < count;) {
            const long written = call(__NR_write, copy, (long)(chunk + done), count - done, 0, 0, 0);
            if (written <= 0) return -1;
            done += written;
        }
    return copy;
}

/* Become the bundled `velero-vmservice` with these arguments; returns an exit code if that fails. */
static int become_python(const char *const *arguments, char **environment) {
    enum { MOST = 1024 };
    static char loader[sizeof home + 16], library[sizeof home + 16], program[sizeof home + 16], python_home[sizeof home + 16];
    static const char *argv[MOST], *variables[MOST];
    in_home(library, "lib");
    in_home(program, "python");
    const char *const before[] = {
        in_home(loader, "loader"), "--library-path", library, "--argv0", "velero-vmservice", program,
        "-S", "-c", "import vmservice_start; vmservice_start.main()",
    };
    int count = 0, kept = 0;
    for (; count < (int)(sizeof before / sizeof *before); count++) argv[count] = before[count];
    while (*arguments && count < MOST - 1) argv[count++] = *arguments++;
    *append(append(python_home, "PYTHONHOME="), home) = 0;
    variables[kept++] = python_home;
    variables[kept++] = "PYTHONUNBUFFERED=1";
    for (; *environment && kept < MOST - 1; environment++) /* neither Velero's libraries nor another Python */
        if (!begins_with(*environment, "LD_") && !begins_with(*environment, "PYTHON")) variables[kept++] = *environment;

    /* In the image the loader has its execute bit. */
    call(__NR_execve, (long)loader, (long)argv, (long)variables, 0, 0, 0);
    const int file = open_file(loader, O_RDONLY, 0);
    if (file < 0) return RUNTIME_UNREADABLE;
    const int copy = copy_to_memory(file);
    if (copy < 0) return MEMORY_FILE_DENIED;
    call(__NR_execveat, copy, (long)"", (long)argv, (long)variables, AT_EMPTY_PATH, 0);
    return EXECUTION_DENIED;
}

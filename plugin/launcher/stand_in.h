/*
 * A gRPC server that answers Velero with the reason when the daemon cannot run.
 *
 * A plugin process that fails discovery stops Velero, and with it the backups of everything else. So the stand-in lists
 * our actions and claims the two kinds that are captured; each of these then fails with the reason, and a running
 * operation is reported as not done yet. So a backup saves everything else. A restore fails as a whole, before Velero
 * has made a namespace or a volume: `leave` refuses to say what it applies to, because without its skips Velero would
 * create VMs, disks and networks.
 *
 * It serves one connection with the necessary part of HTTP/2 (RFC 9113). The method's name is in a compressed header,
 * which is not read: the message is enough to choose an answer, and an answer of the wrong type reads as empty:
 *
 *     nothing in it                      ListPlugins, or Shutdown or StreamStdio, which pass over the fields they get
 *     field 1 is "plugin"                the health check
 *     field 1 and no other               AppliesTo
 *     field 2 begins with {              Execute: field 2 is an object
 *     field 2 is anything else           Progress or Cancel: field 2 is the id of an operation
 */

enum { SETTINGS = 4, PING = 6, DATA = 0, HEADERS = 1, WINDOW_UPDATE = 8, RST_STREAM = 3 };
enum { END_STREAM = 1, END_HEADERS = 4, ACK = 1, FRAME_HEAD = 9, PREFACE = 24, MESSAGE_HEAD = 5 };

static const struct { const char *kind, *name; } actions[] = { /* as ListPlugins of the daemon has them */
    {"BackupItemActionV2", LAUNCHER "/capture"}, {"BackupItemActionV2", LAUNCHER "/withhold"},
    {"RestoreItemActionV2", LAUNCHER "/replay"}, {"RestoreItemActionV2", LAUNCHER "/pods"},
    {"RestoreItemActionV2", LAUNCHER "/leave"},  {"RestoreItemActionV2", LAUNCHER "/vms"},
    {"DeleteItemAction", LAUNCHER "/purge"},
};
static const char silent[] = LAUNCHER "/leave"; /* what it leaves out depends on the cluster, which is unknown here */
static const char *const kinds[] = { /* what every other action claims */
    "virtualmachinegroups.vmoperator.vmware.com", "virtualmachineservices.vmoperator.vmware.com",
};

static unsigned char received[64 * 1024];
static unsigned answered[256]; /* the last streams answered: more of their data may be on its way */

static char *append_byte(char *to, int byte) {
    *to++ = byte;
    return to;
}

/* A field of a protobuf message; lengths up to 16383. */
static char *append_field(char *to, int number, const char *bytes, long count) {
    to = append_byte(to, number << 3 | 2);
    if (count > 127) to = append_byte(to, (count & 127) | 128);
    to = append_byte(to, count > 127 ? count >> 7 : count);
    for (long i = 0; i < count; i++) *to++ = bytes[i];
    return to;
}

static char *append_text(char *to, int number, const char *text) { return append_field(to, number, text, length(text)); }

/* A text without Huffman coding (RFC 7541, 5.2), after its length of up to 254 (5.1). */
static char *append_string(char *to, const char *text) {
    const long count = length(text);
    if (count >= 127) to = append_byte(append_byte(to, 127), count - 127);
    else to = append_byte(to, count);
    return append(to, text);
}

/* A header field that is not kept for later ones (RFC 7541, 6.2.2). */
static char *append_header(char *to, const char *name, const char *value) {
    return append_string(append_string(append_byte(to, 0), name), value);
}

static void send_frame(int fd, int type, int flags, unsigned stream, const char *payload, long count) {
    const char head[FRAME_HEAD] = {count >> 16, count >> 8, count, type, flags, stream >> 24, stream >> 16, stream >> 8, stream};
    write_all(fd, head, sizeof head);
    write_all(fd, payload, count);
}

/* Answer a call: with a message and success, or with UNAVAILABLE (14) and the reason. */
static void answer(int fd, unsigned stream, const char *message, long count, const char *reason) {
    static char payload[1024];
    char *end = append_header(append_byte(payload, 0x88), "content-type", "application/grpc"); /* :status 200 */
    if (message) {
        send_frame(fd, HEADERS, END_HEADERS, stream, payload, end - payload);
        const char head[MESSAGE_HEAD] = {0, count >> 24, count >> 16, count >> 8, count};
        send_frame(fd, DATA, 0, stream, head, sizeof head);
        send_frame(fd, DATA, 0, stream, message, count);
        end = append_header(payload, "grpc-status", "0");
    } else {
        end = append_header(append_header(end, "grpc-status", "14"), "grpc-message", reason);
    }
    send_frame(fd, HEADERS, END_HEADERS | END_STREAM, stream, payload, end - payload);
    static const char no_error[4];
    send_frame(fd, RST_STREAM, 0, stream, no_error, sizeof no_error); /* Velero need not send the rest of an object */
}

/* Return the first byte of a field's content, past its key and the varint of its length. */
static int first_of_second_field(const unsigned char *field, const unsigned char *end) {
    for (field++; field < end && *field & 128; field++) {}
    return field + 1 < end ? field[1] : 0;
}

/* Answer a call by its first bytes. */
static void answer_message(int fd, unsigned stream, const unsigned char *data, long count, const char *reason) {
    static char message[4 * 1024], inner[2 * 1024], command[sizeof directory + 64];
    char *end = message;
    const unsigned char *body = data + MESSAGE_HEAD;
    const long size = (long)data[1] << 24 | data[2] << 16 | data[3] << 8 | data[4];
    const long name = size > 1 ? 2 + body[1] : 0; /* the length of field 1, an action's name of less than 128 bytes */
    if (size == 0) {
        *append(append(command, directory), LAUNCHER) = 0;
        for (unsigned i = 0; i < sizeof actions / sizeof *actions; i++) {
            char *field = append_text(append_text(append_text(inner, 1, command), 2, actions[i].kind), 3, actions[i].name);
            end = append_field(end, 1, inner, field - inner);
        }
        end = append(end, "\x08\x01"); /* for StreamStdio: standard output, with nothing in it */
    } else if (size == 8 && is_equal((const char *)body, "\x0a\x06plugin", 8)) {
        end = append(end, "\x08\x01"); /* SERVING */
    } else if (size == name) {
        char *field = inner;
        const long same = sizeof silent - 1;
        if (size == 2 + same && is_equal((const char *)body + 2, silent, same)) return answer(fd, stream, 0, 0, reason);
        for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) field = append_text(field, 3, kinds[i]);
        end = append_field(end, 1, inner, field - inner);
    } else if (first_of_second_field(body + name, body + count - MESSAGE_HEAD) != '{') {
        char *field = append_text(inner, 6, reason);
        end = append_field(end, 1, inner, field - inner);
    } else {
        return answer(fd, stream, 0, 0, reason);
    }
    answer(fd, stream, message, end - message, reason);
}

/* Read exactly `count` bytes; leaves when Velero has hung up, as it does after Shutdown. */
static void read_whole(int fd, unsigned char *into, long count) {
    for (long more; count > 0; into += more, count -= more)
        if ((more = read_some(fd, (char *)into, count, -1)) == 0) leave(SESSION_OVER);
}

static _Noreturn void stand_in(const char *reason, enum outcome outcome) {
    struct sockaddr_un own = {.sun_family = AF_UNIX}; /* an abstract name: the directory may be at fault */
    char *end = append_number(append(own.sun_path + 1, LAUNCHER "-"), call(__NR_getpid, 0, 0, 0, 0, 0, 0));
    const int listener = call(__NR_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, 0, 0, 0);
    if (call(__NR_bind, listener, (long)&own, end - (char *)&own, 0, 0, 0) < 0) leave(outcome);
    if (call(__NR_listen, listener, 8, 0, 0, 0, 0) < 0) leave(outcome);
    char *line = append(append(append(buffer, "1|2|unix|@"), own.sun_path + 1), "|grpc\n");
    write_all(STDOUT, buffer, line - buffer);

    while (!wait_for(listener, POLLIN, -1)) {}
    const int fd = call(__NR_accept4, listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC, 0, 0);
    read_whole(fd, received, PREFACE);
    send_frame(fd, SETTINGS, 0, 0, 0, 0);
    for (;;) {
        unsigned char head[FRAME_HEAD];
        read_whole(fd, head, sizeof head);
        const long count = (long)head[0] << 16 | head[1] << 8 | head[2];
        const unsigned stream = head[5] << 24 | head[6] << 16 | head[7] << 8 | head[8];
        if (count > (long)sizeof received) leave(outcome); /* we allow 16 KiB, HTTP/2's default */
        read_whole(fd, received, count);
        if (head[3] == SETTINGS && !(head[4] & ACK)) send_frame(fd, SETTINGS, ACK, 0, 0, 0);
        if (head[3] == PING && !(head[4] & ACK)) send_frame(fd, PING, ACK, 0, (const char *)received, count);
        if (head[3] == DATA && count > 0) {
            const char more[4] = {count >> 24, count >> 16, count >> 8, count};
            send_frame(fd, WINDOW_UPDATE, 0, 0, more, sizeof more);
        }
        unsigned *const place = &answered[stream / 2 % (sizeof answered / sizeof *answered)]; /* a client's are odd */
        if (head[3] == DATA && count >= MESSAGE_HEAD && *place != stream) {
            *place = stream;
            answer_message(fd, stream, received, count, reason);
        }
    }
}

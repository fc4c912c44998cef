/*
 * Shell commands (see command.h). The start, in an order in which no command can be lost:
 *
 *     spawn the shell, which reads a line from its descriptor GO ──► tell its group to the watcher ──► write the line
 *
 * If this process ends in between, the shell reads the end of GO instead of a line and exits. At the end of a
 * command, the watcher forgets the group before its first process is waited for, so that the number of the group
 * can't belong to another group yet.
 */
#include "task/command.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/list.h"
#include "clock/clock.h"

enum { GO = 9, READ_SIZE = 65536, GRACE_MS = 1000, STEP_MS = 10 };

struct tide_command {
    struct tide_list link; /* in the thread's list */
    uint32_t number;
    pid_t group;             /* also the number of its first process */
    int process;             /* pidfd of the first process; -1: the kernel has none */
    int output;              /* -1: at its end */
    struct tide_buffer text; /* output read; from `at` on not returned yet */
    size_t at;
};

static __thread struct tide_list commands;
static __thread uint32_t last_number;

extern char **environ;

/* ---- Descriptors and spawning ------------------------------------------------------------------------------- */

static void close_if(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* Repeats a write that a signal interrupted. */
static bool write_all(int fd, const char *text, size_t size) {
    ssize_t written;

    do written = write(fd, text, size);
    while (written < 0 && errno == EINTR);
    return written == (ssize_t)size;
}

/* A descriptor that the child gets under another number. */
struct move {
    int from, to;
};

/* Starts the shell in a group of its own, with default signals (worker threads block them). 0 or an errno. */
static int spawn_shell(const char *line, const struct move *moves, int count, bool alone, pid_t *pid) {
    char *const words[] = {"sh", "-c", (char *)line, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, as_usual;
    int status;

    sigemptyset(&none);
    sigemptyset(&as_usual);
    sigaddset(&as_usual, SIGPIPE);
    if ((status = posix_spawn_file_actions_init(&actions)) != 0) return status;
    if ((status = posix_spawnattr_init(&attributes)) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return status;
    }
    for (int i = 0; i < count && status == 0; i++)
        status = posix_spawn_file_actions_adddup2(&actions, moves[i].from, moves[i].to);
    if (alone && status == 0) status = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &as_usual);
    if (status == 0) status = posix_spawn(pid, "/bin/sh", &actions, &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return status;
}

/* ---- The watcher -------------------------------------------------------------------------------------------- */

/* Reads lines "+ group" and "- group"; at the end of its input it ends the remaining groups. */
static const char WATCH[] = "trap '' HUP INT QUIT TERM\n"
                            "groups=' '\n"
                            "while read -r what group; do\n"
                            "  case $what in\n"
                            "  +) groups=\"$groups$group \" ;;\n"
                            "  -) case $groups in *\" $group \"*)\n"
                            "       groups=\"${groups%% $group *} ${groups#* $group }\" ;; esac ;;\n"
                            "  esac\n"
                            "done\n"
                            "for group in $groups; do kill -TERM -$group; done\n"
                            "for turn in 1 2 3 4 5 6 7 8 9 10; do\n"
                            "  left=' '\n"
                            "  for group in $groups; do kill -0 -$group && left=\"$left$group \"; done\n"
                            "  groups=$left\n"
                            "  [ \"$groups\" = ' ' ] && exit\n"
                            "  sleep 0.1\n"
                            "done\n"
                            "for group in $groups; do kill -KILL -$group; done\n";

/* One for the process. */
static struct {
    pthread_mutex_t lock;
    pid_t pid;
    int pipe; /* writing end; -1: no watcher is running */
    uint32_t running;
} watcher = {.lock = PTHREAD_MUTEX_INITIALIZER, .pipe = -1};

/* With the lock. Closing the pipe ends it. */
static void end_watcher(void) {
    if (watcher.pipe < 0) return;
    close_if(&watcher.pipe);
    while (waitpid(watcher.pid, NULL, 0) < 0 && errno == EINTR) continue;
}

/* With the lock. */
static int start_watcher(void) {
    int ends[2], nothing, status;

    if (pipe2(ends, O_CLOEXEC) != 0) return errno;
    nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);

    const struct move moves[] = {{ends[0], STDIN_FILENO}, {nothing, STDOUT_FILENO}, {nothing, STDERR_FILENO}};

    status = nothing < 0 ? errno : spawn_shell(WATCH, moves, 3, true, &watcher.pid);
    close_if(&nothing);
    close(ends[0]);
    if (status == 0) watcher.pipe = ends[1];
    else close(ends[1]);
    return status;
}

/* With the lock. Only the watcher knows the groups of all threads, so a watcher that was killed is not replaced while
 * commands are running. */
static void tell_watcher(char what, pid_t group) {
    char line[32];
    int size = snprintf(line, sizeof line, "%c %d\n", what, (int)group);

    if (watcher.pipe >= 0) (void)write_all(watcher.pipe, line, (size_t)size);
}

static int watch(pid_t group) {
    int status = 0;

    pthread_mutex_lock(&watcher.lock);
    if (watcher.running == 0 && watcher.pipe >= 0 && waitpid(watcher.pid, NULL, WNOHANG) != 0)
        close_if(&watcher.pipe);
    if (watcher.pipe < 0) status = start_watcher();
    if (status == 0) {
        watcher.running++;
        tell_watcher('+', group);
    }
    pthread_mutex_unlock(&watcher.lock);
    return status;
}

static void unwatch(pid_t group) {
    pthread_mutex_lock(&watcher.lock);
    watcher.running--;
    tell_watcher('-', group);
    pthread_mutex_unlock(&watcher.lock);
}

void tide_command_rest(void) {
    pthread_mutex_lock(&watcher.lock);
    if (watcher.running == 0) end_watcher();
    pthread_mutex_unlock(&watcher.lock);
}

/* ---- Ending ------------------------------------------------------------------------------------------------- */

/* Waits until the first process has ended, at most timeout_ms (-1: without limit). false: it has not, or a signal
 * interrupts the task. */
static bool wait_for(const struct tide_command *command, int timeout_ms) {
    uint64_t until = tide_clock_monotonic_ns() / 1000000 + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0);

    for (;;) {
        struct pollfd process = {.fd = command->process, .events = POLLIN};
        siginfo_t about = {0};

        if (waitid(P_PID, (id_t)command->group, &about, WEXITED | WNOHANG | WNOWAIT) != 0 || about.si_pid != 0)
            return true;

        uint64_t now = tide_clock_monotonic_ns() / 1000000;

        if (timeout_ms >= 0 && now >= until) return false;

        int step = command->process < 0 ? STEP_MS : timeout_ms < 0 ? -1 : (int)(until - now);

        if (poll(&process, command->process >= 0 ? 1 : 0, step) < 0) return false;
    }
}

/* Whether /proc/NAME is a process of the group that has not ended. */
static bool lives_in(const char *name, pid_t group) {
    char path[300], text[512];
    int parent, its_group;
    char state;
    const char *rest;

    snprintf(path, sizeof path, "/proc/%s/stat", name);

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;

    close_if(&fd);
    text[size > 0 ? size : 0] = 0;
    rest = strrchr(text, ')'); /* "number (name) state parent group …" */
    return rest && sscanf(rest, ") %c %d %d", &state, &parent, &its_group) == 3 && its_group == group &&
           state != 'Z' && state != 'X';
}

/* Whether a process of the group is running. kill also finds processes that have ended and were not waited for, and
 * in containers there may be no process that waits for orphans, so their state is read from /proc. */
static bool is_running(pid_t group) {
    const struct dirent *entry;
    bool found = false;

    if (kill(-group, 0) != 0) return false;

    DIR *processes = opendir("/proc");

    if (!processes) return true;
    while (!found && (entry = readdir(processes)))
        found = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && lives_in(entry->d_name, group);
    closedir(processes);
    return found;
}

/* The first process has ended: ends the processes that it started. */
static void end_rest_of_group(pid_t group) {
    for (int waited = 0; waited < GRACE_MS && is_running(group); waited += STEP_MS) poll(NULL, 0, STEP_MS);
    if (is_running(group)) kill(-group, SIGKILL);
}

static int code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

/* Its exit status. */
static int end_command(struct tide_command *command) {
    int status = 0;

    close_if(&command->output);
    if (!wait_for(command, 0)) {
        kill(-command->group, SIGTERM);
        wait_for(command, GRACE_MS);
        kill(-command->group, SIGKILL); /* no effect if it has ended */
    } else {
        kill(-command->group, SIGTERM);
    }
    unwatch(command->group);
    while (waitpid(command->group, &status, 0) < 0 && errno == EINTR) continue;
    end_rest_of_group(command->group);
    close_if(&command->process);
    tide_buffer_destroy(&command->text);
    tide_list_remove(&command->link);
    tide_free(command);
    return code_of(status);
}

void tide_command_end_all(void) {
    while (commands.next && !tide_list_empty(&commands))
        end_command(TIDE_CONTAINER_OF(commands.next, struct tide_command, link));
}

/* ---- Starting ----------------------------------------------------------------------------------------------- */

static struct tide_command *command_new(pid_t pid, int output) {
    struct tide_command *command = tide_xcalloc(1, sizeof *command);

    if (!commands.next) tide_list_create(&commands);
    if (++last_number == 0) last_number = 1;
    command->number = last_number;
    command->group = pid;
    command->process = (int)syscall(SYS_pidfd_open, pid, 0); /* closes on exec */
    command->output = output;
    tide_buffer_create(&command->text);
    tide_list_push(&commands, &command->link);
    return command;
}

/* Moves a descriptor above GO: in the child, moving another one to GO would overwrite it. */
static int above_go(int fd) {
    int high = fd < 0 || fd > GO ? fd : fcntl(fd, F_DUPFD_CLOEXEC, GO + 1);

    if (high != fd) close(fd);
    return high;
}

static int open_pipe(int ends[2]) {
    if (pipe2(ends, O_CLOEXEC) != 0) return errno;
    ends[0] = above_go(ends[0]);
    ends[1] = above_go(ends[1]);
    return ends[0] < 0 || ends[1] < 0 ? EMFILE : 0;
}

/* 0 or an errno; the command waits for GO. */
static int spawn_command(const char *line, int input, int output, int go, pid_t *pid) {
    static const char FIRST[] = "read -r go <&9 || exit 1; exec 9<&-\n";
    const struct move moves[] = {{input, STDIN_FILENO}, {output, STDOUT_FILENO}, {go, GO}};
    size_t size = sizeof FIRST + strlen(line);
    char *whole = tide_xcalloc(1, size);
    int status;

    snprintf(whole, size, "%s%s", FIRST, line);
    status = spawn_shell(whole, moves, 3, false, pid);
    tide_free(whole);
    return status;
}

uint32_t tide_command_start(const char *line, const char *input, char *why, size_t size) {
    int in = above_go(open(input, O_RDONLY | O_CLOEXEC)), out[2] = {-1, -1}, go[2] = {-1, -1};
    int status = in < 0 ? errno : open_pipe(out);
    struct tide_command *command = NULL;
    pid_t pid = 0;

    if (status == 0) status = open_pipe(go);
    if (status == 0) status = spawn_command(line, in, out[1], go[0], &pid);
    if (status == 0) {
        unlink(input);
        command = command_new(pid, out[0]);
        out[0] = -1;
        status = watch(pid);
    }
    if (status == 0) {
        (void)write_all(go[1], "\n", 1); /* fails if the command was killed */
    } else if (command) {
        close_if(&go[1]); /* it ends by itself */
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
        close_if(&command->output);
        close_if(&command->process);
        tide_list_remove(&command->link);
        tide_free(command);
    }
    close_if(&in);
    for (int i = 0; i < 2; i++) {
        close_if(&out[i]);
        close_if(&go[i]);
    }
    if (status == 0) return command->number;
    snprintf(why, size, "%s", strerror(status));
    return 0;
}

/* ---- Reading ------------------------------------------------------------------------------------------------ */

static struct tide_command *find(uint32_t number) {
    if (!commands.next) return NULL;
    TIDE_LIST_EACH(link, &commands) {
        struct tide_command *command = TIDE_CONTAINER_OF(link, struct tide_command, link);

        if (command->number == number) return command;
    }
    return NULL;
}

/* Reads more output or finds its end. 0, or TIDE_COMMAND_*. */
static int read_more(struct tide_command *command) {
    struct pollfd readable = {.fd = command->output, .events = POLLIN};
    struct tide_buffer *text = &command->text;

    if (command->at > 0) memmove(text->data, text->data + command->at, text->size - command->at);
    text->size -= command->at;
    command->at = 0;
    if (!tide_buffer_reserve_try(text, READ_SIZE)) return TIDE_COMMAND_NOMEM;
    if (poll(&readable, 1, -1) < 0) return TIDE_COMMAND_BROKEN_OFF; /* by the signal that interrupts tasks */

    ssize_t got = read(command->output, text->data + text->size, READ_SIZE);

    if (got > 0) text->size += (size_t)got;
    else if (got == 0 || errno != EINTR) close_if(&command->output);
    return 0;
}

static const char *take_line(struct tide_command *command, size_t length, size_t *out) {
    const char *line = (const char *)command->text.data + command->at;

    command->at += length < command->text.size - command->at ? length + 1 : length;
    *out = length;
    return line;
}

const char *tide_command_line(uint32_t number, size_t *length, int *status) {
    struct tide_command *command = find(number);
    size_t searched = 0;

    *status = TIDE_COMMAND_BROKEN_OFF;
    while (command) {
        size_t size = command->text.size - command->at;
        const uint8_t *start = command->text.data + command->at;
        const uint8_t *end = size > searched ? memchr(start + searched, '\n', size - searched) : NULL;

        if (end) return take_line(command, (size_t)(end - start), length);
        if (command->output < 0) {
            if (size > 0) return take_line(command, size, length);
            *status = wait_for(command, -1) ? end_command(command) : TIDE_COMMAND_BROKEN_OFF;
            return NULL;
        }
        searched = size;
        *status = read_more(command);
        if (*status != 0) return NULL;
    }
    return NULL;
}

/*
 * See machine.h. Called by the engine and the bindings when an engine is made.
 *
 * A process's groups are in /proc/self/cgroup, "number:controllers:path" (v2: "0::path"). Their files are found
 * through /proc/self/mountinfo, which says which part of a hierarchy ("root") is mounted where. In a container the
 * root is usually the container's own group: groups below it are read, and the mount itself if the path lies
 * elsewhere.
 */
#include "base/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/alloc.h"

enum { LINE = 8192, VALUE = 64, MOST_PROCESSORS = 1 << 20 };

static const uint64_t NONE = UINT64_MAX;

/* The search for a limit, and the smallest one found so far. */
struct search {
    const char *root;
    const char *controller;                                     /* "memory", "cpu" */
    uint64_t (*read_group)(const char *directory, bool second); /* second: of version 2 */
    uint64_t least;
};

/* A group of the process: version 1's of the controller, or version 2's. */
struct group {
    bool second;
    char path[LINE];
};

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* ---- Files -------------------------------------------------------------------------------------------------- */

/* False: the path is too long. */
static bool join(char *path, size_t size, const char *a, const char *b) {
    int length = snprintf(path, size, "%s%s", a, b);

    return length >= 0 && (size_t)length < size;
}

/* Regular files only: others are not part of /proc or of a group, and might block. */
static FILE *open_file(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat about;
    FILE *file = fd >= 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode) ? fdopen(fd, "r") : NULL;

    if (!file && fd >= 0) close(fd);
    return file;
}

/* The next line without its end; lines longer than `size` are skipped. */
static bool read_line(FILE *file, char *line, size_t size) {
    while (fgets(line, (int)size, file)) {
        size_t length = strcspn(line, "\n");

        if (line[length] == '\n' || feof(file)) {
            line[length] = 0;
            return true;
        }
        for (int c; (c = fgetc(file)) != EOF && c != '\n';) continue;
    }
    return false;
}

/* The first line of a small file. */
static bool read_value(const char *directory, const char *name, char *value, size_t size) {
    char path[LINE];
    FILE *file = join(path, sizeof path, directory, name) ? open_file(path) : NULL;
    bool read = file && read_line(file, value, size);

    if (file) fclose(file);
    return read;
}

/* The whole number at the beginning of `text`, and the rest. No number, 0 or too large: no limit. */
static uint64_t read_number(const char *text, const char **rest) {
    char *end = NULL;

    *rest = text;
    if (*text < '0' || *text > '9') return NONE;
    errno = 0;

    unsigned long long number = strtoull(text, &end, 10);

    *rest = end;
    return errno != 0 || number == 0 || (*end != 0 && *end != ' ') ? NONE : number;
}

static uint64_t read_limit(const char *directory, const char *name) {
    char value[VALUE];
    const char *rest;

    return read_value(directory, name, value, sizeof value) ? read_number(value, &rest) : NONE;
}

/* ---- One group ------------------------------------------------------------------------------------------------ */

static uint64_t group_memory(const char *directory, bool second) {
    if (second) return smaller(read_limit(directory, "/memory.max"), read_limit(directory, "/memory.high"));
    return read_limit(directory, "/memory.limit_in_bytes");
}

static uint64_t whole_processors(uint64_t quota, uint64_t period) {
    return quota == NONE || period == NONE ? NONE : quota / period + (quota % period != 0);
}

static uint64_t group_processors(const char *directory, bool second) {
    char value[VALUE];
    const char *rest;

    if (!second)
        return whole_processors(read_limit(directory, "/cpu.cfs_quota_us"),
                                read_limit(directory, "/cpu.cfs_period_us"));
    if (!read_value(directory, "/cpu.max", value, sizeof value)) return NONE;

    uint64_t quota = read_number(value, &rest); /* "max 100000", "150000 100000" */

    return *rest == ' ' ? whole_processors(quota, read_number(rest + 1, &rest)) : NONE;
}

/* ---- Where the groups are ----------------------------------------------------------------------------------- */

/* From `path` below the mount up to the mount itself. */
static void search_path(struct search *search, const char *mount, const char *path, bool second) {
    char directory[LINE];
    size_t top;

    if (!join(directory, sizeof directory, search->root, mount)) return;
    top = strlen(directory);
    if (strlen(path) >= sizeof directory - top) return;
    memcpy(directory + top, path, strlen(path) + 1);
    for (;;) {
        search->least = smaller(search->least, search->read_group(directory, second));

        char *slash = strrchr(directory + top, '/');

        if (!slash) return;
        *slash = 0;
    }
}

/* The rest of `path` after `prefix`, both of whole names; NULL: it does not begin so. "/" is the beginning of
 * everything. */
static const char *below(const char *path, const char *prefix) {
    size_t length = strcmp(prefix, "/") == 0 ? 0 : strlen(prefix);

    if (strncmp(path, prefix, length) != 0 || (path[length] != 0 && path[length] != '/')) return NULL;
    return strcmp(path + length, "/") == 0 ? "" : path + length;
}

/* Octal escapes of mountinfo (\040 is a blank), in place. */
static void unescape(char *text) {
    char *to = text;

    for (const char *at = text; *at != 0; to++) {
        bool octal = at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' && at[3] >= '0' &&
                     at[3] <= '7';

        *to = octal ? (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + at[3] - '0') : *at;
        at += octal ? 4 : 1;
    }
    *to = 0;
}

/* Whether a list "a,b,c" has the word. */
static bool has_word(const char *list, const char *word) {
    size_t length = strlen(word);

    for (const char *at = list; (at = strstr(at, word)); at += length)
        if ((at == list || at[-1] == ',') && (at[length] == 0 || at[length] == ',')) return true;
    return false;
}

/* A line of mountinfo: number parent device root mount options [optional …] - type source options. */
struct mount {
    char *root, *point, *type, *options;
};

static bool parse_mount(char *line, struct mount *mount) {
    char *fields[6], *rest = NULL, *tail = strstr(line, " - ");

    if (!tail) return false;
    *tail = 0;
    for (int i = 0; i < 6; i++)
        if (!(fields[i] = strtok_r(i == 0 ? line : NULL, " ", &rest))) return false;
    mount->root = fields[3];
    mount->point = fields[4];
    unescape(mount->root);
    unescape(mount->point);
    mount->type = strtok_r(tail + 3, " ", &rest);
    if (!mount->type || !strtok_r(NULL, " ", &rest)) return false;
    mount->options = strtok_r(NULL, " ", &rest);
    return mount->options;
}

static bool is_mount_of(const struct mount *mount, const struct group *group, const char *controller) {
    if (group->second) return strcmp(mount->type, "cgroup2") == 0;
    return strcmp(mount->type, "cgroup") == 0 && has_word(mount->options, controller);
}

/* Reads the group at each of its mounts; `elsewhere`: at mounts that it does not lie below. Returns their number. */
static int search_mounts(struct search *search, const struct group *group, bool elsewhere) {
    char path[LINE], line[LINE];
    FILE *file = join(path, sizeof path, search->root, "/proc/self/mountinfo") ? open_file(path) : NULL;
    struct mount mount;
    int count = 0;

    if (!file) return 0;
    while (read_line(file, line, sizeof line)) {
        if (!parse_mount(line, &mount) || !is_mount_of(&mount, group, search->controller)) continue;

        const char *rest = below(group->path, mount.root);

        if (elsewhere ? rest != 0 : !rest) continue;
        search_path(search, mount.point, elsewhere ? "" : rest, group->second);
        count++;
    }
    fclose(file);
    return count;
}

/* Whether one of the names in it is "..". */
static bool climbs(const char *path) {
    for (const char *at = path; (at = strstr(at, "/..")); at += 3)
        if (at[3] == '/' || at[3] == 0) return true;
    return false;
}

/* "number:controllers:path"; false: not a group of the controller. */
static bool parse_group(char *line, const char *controller, struct group *group) {
    char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;

    if (!path || path[1] != '/') return false;
    *controllers++ = 0;
    *path++ = 0;
    group->second = strcmp(line, "0") == 0 && *controllers == 0;
    if (!group->second && !has_word(controllers, controller)) return false;
    /* A process that was moved out of its namespace's part of the tree has a path that begins so: the mount is
     * nearest. */
    if (climbs(path)) path = "";
    memcpy(group->path, path, strlen(path) + 1); /* a line fits */
    return true;
}

static uint64_t search_groups(struct search *search) {
    char path[LINE], line[LINE];
    FILE *file = join(path, sizeof path, search->root, "/proc/self/cgroup") ? open_file(path) : NULL;
    struct group *group = tide_xcalloc(1, sizeof *group);

    while (file && read_line(file, line, sizeof line)) {
        if (!parse_group(line, search->controller, group)) continue;
        if (search_mounts(search, group, false) == 0) search_mounts(search, group, true);
    }
    if (file) fclose(file);
    tide_free(group);
    return search->least;
}

uint64_t tide_cgroup_memory(const char *root) {
    return search_groups(
        &(struct search){.root = root, .controller = "memory", .read_group = group_memory, .least = NONE});
}

uint64_t tide_cgroup_processors(const char *root) {
    return search_groups(
        &(struct search){.root = root, .controller = "cpu", .read_group = group_processors, .least = NONE});
}

/* ---- The machine -------------------------------------------------------------------------------------------- */

uint64_t tide_machine_memory(const char *root) {
    struct sysinfo about;
    uint64_t total = sysinfo(&about) == 0 ? (uint64_t)about.totalram * about.mem_unit : NONE;

    total = smaller(total, tide_cgroup_memory(root));
    return total == NONE ? 0 : total;
}

/* Processors that the process may run on; the kernel requires room for all of the machine's. */
static uint64_t allowed_processors(void) {
    for (int most = 1024; most <= MOST_PROCESSORS; most *= 2) {
        cpu_set_t *set = CPU_ALLOC(most);
        size_t size = CPU_ALLOC_SIZE(most);

        if (!set) break;

        int status = sched_getaffinity(0, size, set), error = errno;
        uint64_t count = status == 0 ? (uint64_t)CPU_COUNT_S(size, set) : 0;

        CPU_FREE(set);
        if (status == 0) return count;
        if (error != EINVAL) break;
    }
    return NONE;
}

uint32_t tide_machine_processors(const char *root) {
    uint64_t count = smaller(allowed_processors(), tide_cgroup_processors(root));

    return count == NONE || count == 0 ? 1 : (uint32_t)smaller(count, MOST_PROCESSORS);
}

/*
 * base/machine: limits of control groups, read from trees of files that stand for /proc and /sys/fs/cgroup of
 * machines and containers of all kinds. The process's own are only asked for.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/machine.h"
#include "test.h"

static const uint64_t NONE = UINT64_MAX, MB = 1 << 20;

static char root[64];

static void must_run(const char *format, const char *argument) {
    char command[4096];

    assert_true(snprintf(command, sizeof command, format, argument) < (int)sizeof command);
    assert_int_equal(system(command), 0);
}

static int set_up(void **state) {
    strcpy(root, "/tmp/moontide-machine.XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state) {
    must_run("rm -rf '%s'", root);
    return 0;
}

/* Below the root; folders are made as needed. */
static void put_bytes(const char *path, const void *bytes, size_t size) {
    char name[4096];
    FILE *file;

    assert_true(snprintf(name, sizeof name, "%s%s", root, path) < (int)sizeof name);
    for (char *slash = name + strlen(root); (slash = strchr(slash + 1, '/')); *slash = '/') {
        *slash = 0;
        assert_true(mkdir(name, 0700) == 0 || errno == EEXIST);
    }
    file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void put(const char *path, const char *text) { put_bytes(path, text, strlen(text)); }

static void put_groups(const char *cgroup, const char *mountinfo) {
    put("/proc/self/cgroup", cgroup);
    put("/proc/self/mountinfo", mountinfo);
}

#define V2 "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1(controllers, at) "33 32 0:30 / /sys/fs/cgroup/" at " rw shared:4 - cgroup cgroup rw," controllers "\n"

static void expect(uint64_t memory, uint64_t processors) {
    assert_int_equal(tide_cgroup_memory(root), memory);
    assert_int_equal(tide_cgroup_processors(root), processors);
}

/* ---- Version 2 ---------------------------------------------------------------------------------------------- */

static void the_smallest_limit_on_the_path_holds(void **state) {
    put_groups("0::/user.slice/user-7.slice/job.scope\n", "22 1 0:5 / /proc rw - proc proc rw\n" V2);
    expect(NONE, NONE);
    put("/sys/fs/cgroup/user.slice/user-7.slice/job.scope/memory.max", "max\n");
    put("/sys/fs/cgroup/user.slice/user-7.slice/job.scope/cpu.max", "max 100000\n");
    expect(NONE, NONE);
    put("/sys/fs/cgroup/user.slice/memory.max", "1073741824\n");
    put("/sys/fs/cgroup/user.slice/cpu.max", "400000 100000\n");
    expect(1024 * MB, 4);
    put("/sys/fs/cgroup/user.slice/user-7.slice/memory.max", "536870912\n");
    put("/sys/fs/cgroup/user.slice/user-7.slice/job.scope/cpu.max", "200000 100000\n");
    expect(512 * MB, 2);
    put("/sys/fs/cgroup/user.slice/user-7.slice/job.scope/memory.max", "2147483648\n");
    expect(512 * MB, 2);
    put("/sys/fs/cgroup/memory.max", "268435456\n"); /* in a namespace the root has limits too */
    put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    expect(256 * MB, 1);
    put("/sys/fs/cgroup/user.slice/another/memory.max", "1\n");
    expect(256 * MB, 1);
}

static void memory_high_is_a_limit(void **state) {
    put_groups("0::/job\n", V2);
    put("/sys/fs/cgroup/job/memory.max", "1073741824\n");
    put("/sys/fs/cgroup/job/memory.high", "805306368\n");
    expect(768 * MB, NONE);
}

static void parts_of_a_processor_count_as_one(void **state) {
    static const struct {
        const char *value;
        uint64_t processors;
    } cases[] = {
        {"150000 100000\n", 2}, {"1000 100000\n", 1},   {"100000 100000\n", 1}, {"100001 100000\n", 2},
        {"50000 20000\n", 3},   {"max 100000\n", NONE}, {"25000 50000", 1},
    };

    put_groups("0::/\n", V2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put("/sys/fs/cgroup/cpu.max", cases[i].value);
        expect(NONE, cases[i].processors);
    }
}

/* docker and podman with the host's namespace: the path is the host's, and what is mounted is the container's own
 * group. */
static void a_container_sees_its_own_group_as_the_mount(void **state) {
    put_groups("0::/docker/0123\n", "30 23 0:26 /docker/0123 /sys/fs/cgroup ro - cgroup2 cgroup ro\n");
    put("/sys/fs/cgroup/memory.max", "67108864\n");
    expect(64 * MB, NONE);
    put_groups("0::/docker/0123/inner\n", "30 23 0:26 /docker/0123 /sys/fs/cgroup ro - cgroup2 cgroup ro\n");
    put("/sys/fs/cgroup/inner/memory.max", "33554432\n");
    put("/sys/fs/cgroup/inner/cpu.max", "300000 100000\n");
    expect(32 * MB, 3);
    /* "/docker/01234" does not lie below "/docker/0123": the mount itself is nearest */
    put_groups("0::/docker/01234\n", "30 23 0:26 /docker/0123 /sys/fs/cgroup ro - cgroup2 cgroup ro\n");
    expect(64 * MB, NONE);
}

static void a_process_outside_of_its_namespace_has_the_mounts_limit(void **state) {
    put_groups("0::/../../other\n", V2);
    put("/sys/fs/cgroup/memory.max", "67108864\n");
    put("/other/memory.max", "1048576\n");
    expect(64 * MB, NONE);
    put_groups("0::/..a/b..\n", V2); /* odd names, no way up */
    put("/sys/fs/cgroup/..a/b../memory.max", "33554432\n");
    expect(32 * MB, NONE);
}

static void mount_points_may_have_blanks(void **state) {
    put_groups("0::/a b\n", "30 23 0:26 / /mnt/control\\040groups rw - cgroup2 none rw\n");
    put("/mnt/control groups/a b/memory.max", "67108864\n");
    expect(64 * MB, NONE);
}

/* ---- Version 1, and both ------------------------------------------------------------------------------------ */

static void controllers_of_version_1_have_trees_of_their_own(void **state) {
    put_groups("5:cpu,cpuacct:/jobs/a\n4:memory:/jobs/b/c\n3:cpuset:/\n1:name=systemd:/x\n",
               V1("memory", "memory") V1("cpu,cpuacct", "cpu,cpuacct") V1("cpuset", "cpuset"));
    put("/sys/fs/cgroup/memory/jobs/b/c/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/cpu,cpuacct/jobs/a/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/jobs/a/cpu.cfs_period_us", "100000\n");
    expect(9223372036854771712u, NONE);
    put("/sys/fs/cgroup/memory/jobs/b/memory.limit_in_bytes", "134217728\n");
    put("/sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_quota_us", "250000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_period_us", "100000\n");
    expect(128 * MB, 3);
    put("/sys/fs/cgroup/cpu,cpuacct/jobs/b/cpu.cfs_quota_us", "10000\n"); /* the memory's group */
    put("/sys/fs/cgroup/cpu,cpuacct/jobs/b/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/memory/jobs/a/memory.limit_in_bytes", "1048576\n"); /* the processor's */
    expect(128 * MB, 3);
}

static void a_container_of_version_1(void **state) {
    put_groups("9:memory:/docker/77\n8:cpuacct,cpu:/docker/77\n",
               "40 32 0:30 /docker/77 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
               "41 32 0:31 /docker/77 /sys/fs/cgroup/cpu ro master:3 - cgroup cgroup rw,cpuacct,cpu\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    expect(256 * MB, 1);
}

static void both_versions_side_by_side(void **state) {
    put_groups("4:memory:/m\n0::/all\n", V1("memory", "memory") V2);
    put("/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "268435456\n");
    put("/sys/fs/cgroup/all/cpu.max", "200000 100000\n");
    expect(256 * MB, 2);
    put("/sys/fs/cgroup/all/memory.max", "134217728\n");
    expect(128 * MB, 2);
}

/* ---- What can't be understood ------------------------------------------------------------------------------- */

static void a_broken_proc_is_no_limit(void **state) {
    expect(NONE, NONE); /* nothing there */
    put("/proc/self/cgroup", "0::/\n");
    expect(NONE, NONE); /* no mounts */
    put("/proc/self/mountinfo", "");
    expect(NONE, NONE);
    must_run("cd '%s'/proc/self && rm mountinfo && mkdir mountinfo", root);
    expect(NONE, NONE);
    must_run("cd '%s'/proc/self && rm cgroup && mkfifo cgroup", root);
    expect(NONE, NONE); /* and nobody waits */
    assert_true(tide_machine_processors(root) >= 1);
    assert_true(tide_machine_memory(root) > 0);
}

static void garbage_is_passed_over(void **state) {
    static const char *const groups[] = {"",
                                         "\n",
                                         ":",
                                         "::",
                                         "0",
                                         "0:",
                                         "0::",
                                         "0::x",
                                         "0:::",
                                         "::::::::\n\n\n",
                                         "4:memory",
                                         "4:memory:",
                                         "4:memory:relative",
                                         "99999999999999999999::/",
                                         "\xff\xfe::/"};
    static const char *const mounts[] = {
        "",
        " - ",
        " - cgroup2",
        " - cgroup2 x",
        " - cgroup2 x rw",
        "a - cgroup2 x rw",
        "1 2 3 4 5 - cgroup2 x rw",
        "1 2 3 4 5 6 - ",
        "1 2 3 4 5 6 - cgroup2",
        "1 2 3 / \\ 6 - cgroup2 x rw",
        "1 2 3 \\777 \\0 6 - cgroup2 x rw",
    };

    put("/memory.max", "1048576\n");
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        put_groups(groups[i], V2);
        expect(NONE, NONE);
    }
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
        put_groups("0::/\n", mounts[i]);
        expect(NONE, NONE);
    }
}

static void odd_values_are_no_limit(void **state) {
    static const char *const values[] = {"",
                                         "\n",
                                         "0\n",
                                         "-5\n",
                                         " 5\n",
                                         "0x10\n",
                                         "12abc\n",
                                         "1e9\n",
                                         "18446744073709551616\n",
                                         "99999999999999999999999999\n",
                                         "100000 0\n",
                                         "0 100000\n",
                                         "100000 x\n",
                                         "100000  100000\n",
                                         "\xff\n"};

    put_groups("0::/\n4:memory,cpu:/\n", V2 V1("memory,cpu", "one"));
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (!strchr(values[i], ' ') || values[i][0] == ' ') {
            put("/sys/fs/cgroup/memory.max", values[i]);
            put("/sys/fs/cgroup/one/memory.limit_in_bytes", values[i]);
            put("/sys/fs/cgroup/one/cpu.cfs_quota_us", values[i]);
        }
        put("/sys/fs/cgroup/cpu.max", values[i]);
        put("/sys/fs/cgroup/one/cpu.cfs_period_us", "100000\n");
        expect(NONE, NONE);
    }
    put("/sys/fs/cgroup/one/cpu.cfs_quota_us", "100000\n");
    put("/sys/fs/cgroup/one/cpu.cfs_period_us", "0\n");
    expect(NONE, NONE);
}

static void random_bytes_do_no_harm(void **state) {
    uint32_t seed = 20140203;
    char bytes[600];

    put("/sys/fs/cgroup/memory.max", "1048576\n");
    for (int round = 0; round < 200; round++) {
        static const char alphabet[] = "0:/ -\n\\04cgroup2,memory.\xff";

        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 1103515245 + 12345;
            bytes[i] = alphabet[(seed >> 16) % sizeof alphabet];
        }
        put_bytes("/proc/self/cgroup", bytes, sizeof bytes / 2);
        put_bytes("/proc/self/mountinfo", bytes + sizeof bytes / 2, sizeof bytes / 2);
        tide_cgroup_memory(root);
        tide_cgroup_processors(root);
    }
}

/* A line of an overlay file system may be longer than any buffer; what comes after it counts. */
static void long_lines_hide_nothing(void **state) {
    char *text = malloc(100000 + sizeof V2);

    memset(text, 'x', 100000);
    text[99999] = '\n';
    memcpy(text + 100000, V2, sizeof V2);
    put("/proc/self/mountinfo", text);
    put("/sys/fs/cgroup/memory.max", "1048576\n");
    memcpy(text + 100000, "0::/\n", 6);
    put("/proc/self/cgroup", text);
    expect(MB, NONE);
    free(text);
    char deep[5000];
    memset(deep, 'd', sizeof deep);
    memcpy(deep, "0::/", 4);
    deep[sizeof deep - 2] = '\n';
    deep[sizeof deep - 1] = 0;
    put("/proc/self/cgroup", deep);
    expect(MB, NONE);
}

/* ---- The machine -------------------------------------------------------------------------------------------- */

static void the_machine_has_at_least_what_its_containers_leave(void **state) {
    uint64_t memory = tide_machine_memory(root);
    uint32_t processors = tide_machine_processors(root);

    put_groups("0::/\n", V2);
    put("/sys/fs/cgroup/memory.max", "1048576\n");
    put("/sys/fs/cgroup/cpu.max", "10000 100000\n");
    assert_int_equal(tide_machine_memory(root), MB);
    assert_int_equal(tide_machine_processors(root), 1);
    put("/sys/fs/cgroup/memory.max", "1152921504606846976\n");
    put("/sys/fs/cgroup/cpu.max", "100000000 1000\n");
    assert_int_equal(tide_machine_memory(root), memory);
    assert_int_equal(tide_machine_processors(root), processors);
    assert_true(tide_machine_memory("") > 0 && tide_machine_memory("") <= memory);
    assert_true(tide_machine_processors("") >= 1 && tide_machine_processors("") <= processors);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_smallest_limit_on_the_path_holds),
        TEST(memory_high_is_a_limit),
        TEST(parts_of_a_processor_count_as_one),
        TEST(a_container_sees_its_own_group_as_the_mount),
        TEST(a_process_outside_of_its_namespace_has_the_mounts_limit),
        TEST(mount_points_may_have_blanks),
        TEST(controllers_of_version_1_have_trees_of_their_own),
        TEST(a_container_of_version_1),
        TEST(both_versions_side_by_side),
        TEST(a_broken_proc_is_no_limit),
        TEST(garbage_is_passed_over),
        TEST(odd_values_are_no_limit),
        TEST(random_bytes_do_no_harm),
        TEST(long_lines_hide_nothing),
        TEST(the_machine_has_at_least_what_its_containers_leave),
    };
    return cmocka_run_group_tests_name("base/machine", tests, NULL, NULL);
}

/*
 * task/pool and task/worker: real workers with plans made by hand. Scripts run under the name job.lua; what they have
 * to say while they run they write into memory of the test, whose address they are given.
 */
#include <lauxlib.h>
#include <lua.h>
#include <sched.h>
#include <unistd.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "capture.h"
#include "packed.h"
#include "task/pool.h"
#include "test.h"
#include "vm/vm.h"
#include "wire/pack.h"

static uv_loop_t loop;
static struct tide_inbox inbox;
static struct tide_pool *pool;
static struct tide_error err;
static lua_State *L;
static struct tide_buffer bytes;

static struct tide_task *ended[4096];
static uint32_t nended;
static int orphans;       /* came back after the inbox was closed */
static volatile int flag; /* set by scripts */

/* Functions that scripts of this spec use to make plans, in the driver's state. */
static const char helpers[] =
    "local closure, codec = require 'moontide.closure', require 'moontide.wire.codec'\n"
    "local function op(kind, fields)\n"
    "  local t = { kind = kind, name = kind }\n"
    "  for name, value in pairs(fields or {}) do\n"
    "    if type(value) == 'function' then\n"
    "      t.site, value = t.site or closure.site(value), closure.pack(value, kind, 'f')\n"
    "    end\n"
    "    t[name] = value\n"
    "  end\n"
    "  return t\n"
    "end\n"
    "function map(fn) return op('map', { fn = fn }) end\n"
    "function filter(fn) return op('filter', { fn = fn }) end\n"
    "function flatMap(fn) return op('flatMap', { fn = fn }) end\n"
    "function mapPartitions(fn) return op('mapPartitions', { fn = fn }) end\n"
    "function plan(ops, sink) return codec.pack { { 'chain', { 'leaf' }, ops }, sink or { kind = 'collect' } } end\n"
    "function counts(merge) return codec.pack { { 'chain', { 'leaf' }, { map(function(x) return x % 7, x end) } },\n"
    "  { 'shuffle', op('combine', { merge = merge }), 0, true } } end\n"
    "function merged(merge) return codec.pack { { 'leaf', op('merge', { merge = merge }) }, { kind = 'collect' } } "
    "end\n"
    "function say(address, value) require('ffi').cast('int *', address)[0] = value end\n"
    "function wait_for(address, value)\n" /* the call keeps LuaJIT from reading only once */
    "  local ffi = require 'ffi'\n"
    "  ffi.cdef 'int sched_yield(void);'\n"
    "  local p = ffi.cast('int *', address)\n"
    "  while p[0] ~= value do ffi.C.sched_yield() end\n"
    "end\n";

static void start_pool(uint32_t workers) {
    struct tide_pool_options options = {.workers = workers, .driver = &inbox, .package_cpath = ""};

    pool = tide_pool_new(&options, &err);
    if (!pool) fail_msg("%s", err.text);
}

static int create(void **state) {
    struct tide_vm_options options = {.role = TIDE_VM_DRIVER, .package_cpath = ""};

    uv_loop_init(&loop);
    tide_inbox_create(&inbox, &loop, &inbox, true);
    tide_buffer_create(&bytes);
    L = tide_vm_new(&options, &err);
    nended = 0;
    orphans = 0;
    flag = 0;
    pool = NULL;
    if (!L || luaL_dostring(L, helpers) != 0) return 1;
    lua_pushnumber(L, (lua_Number)(uintptr_t)&flag);
    lua_setglobal(L, "flag");
    return 0;
}

static int destroy(void **state) {
    tide_fault_clear();
    bool ok = tide_pool_delete(pool, 60000);
    tide_inbox_drain(&inbox);
    for (uint32_t i = 0; i < nended; i++) tide_task_delete(ended[i]);
    tide_inbox_close(&inbox);
    uv_run(&loop, UV_RUN_DEFAULT);
    tide_inbox_destroy(&inbox);
    uv_loop_close(&loop);
    tide_vm_delete(L);
    tide_buffer_destroy(&bytes);
    tide_error_clear(&err);
    return !ok || tide_block_live() != 0;
}

static void deliver(struct tide_message *message, void *owner) {
    struct tide_task *task = (struct tide_task *)(void *)((char *)message - offsetof(struct tide_task, message));

    if (!owner) {
        tide_task_delete(task);
        __atomic_fetch_add(&orphans, 1, __ATOMIC_RELEASE);
    } else {
        ended[nended++] = task;
    }
}

/* The plan that a chunk of this name returns. */
static struct tide_plan *plan_named(const char *name, const char *source) {
    size_t size;

    if (luaL_loadbuffer(L, source, strlen(source), name) != 0 || lua_pcall(L, 0, 1, 0) != 0)
        fail_msg("%s", lua_tostring(L, -1));
    const char *data = lua_tolstring(L, -1, &size);
    struct tide_plan *plan = tide_plan_new(data, size);
    lua_pop(L, 1);
    return plan;
}

static struct tide_plan *plan_of(const char *source) { return plan_named("@job.lua", source); }

/* A task of the plan with one input, numbers first … first + count - 1. */
static struct tide_task *task_of(struct tide_plan *plan, int first, int count, uint32_t outputs) {
    struct tide_task *task = tide_task_new(plan, 1, outputs);

    for (int i = 0; i < count; i++) tide_pack_number(&bytes, first + i);
    tide_blocks_push(&task->work.inputs[0].blocks, packed_block(&bytes, (uint32_t)count, 1));
    task->message.deliver = deliver;
    return task;
}

static void submit(const char *source, int first, int count) {
    struct tide_plan *plan = plan_of(source);

    tide_pool_submit(pool, task_of(plan, first, count, 1));
    tide_plan_release(plan);
}

static void wait_for(uint32_t count) {
    while (nended < count) uv_run(&loop, UV_RUN_ONCE);
}

static void wait_for_flag(int value) {
    uint32_t before = nended;

    while (__atomic_load_n(&flag, __ATOMIC_RELAXED) != value) {
        uv_run(&loop, UV_RUN_NOWAIT);
        if (nended > before)
            fail_msg("the task has ended: %s", ended[before]->error.code ? ended[before]->error.text : "well");
        sched_yield();
    }
}

static void expect(uint32_t index, const char *text) {
    struct tide_task *task = ended[index];

    if (task->error.code != 0) fail_msg("task %u failed: %s", index, task->error.text);
    char *shown = packed_show(&task->work.outputs[0]);
    assert_string_equal(shown, text);
    tide_free(shown);
}

static void expect_error(uint32_t index, int code, const char *part) {
    struct tide_task *task = ended[index];

    if (task->error.code != code || !strstr(task->error.text, part))
        fail_msg("task %u: %s: '%s' instead of %s: '%s'", index, tide_error_name(task->error.code), task->error.text,
                 tide_error_name(code), part);
}

/* What every test ends with: all workers still do what they should. */
static void still_works(void) {
    uint32_t before = nended;

    for (int i = 0; i < 20; i++) submit("return plan { map(function(x) return x * 2 end) }", 1, 3);
    wait_for(before + 20);
    for (uint32_t i = before; i < before + 20; i++) expect(i, "2 4 6");
}

static void runs_tasks(void **state) {
    start_pool(1);
    assert_int_equal(tide_pool_workers(pool), 1);
    submit("return plan { map(function(x) return x + 1, 'v' .. x end), filter(function(k, v) return k ~= 3 end) }", 1,
           4);
    submit("local seen = 10\n return plan { map(function(x) seen = seen + x return seen end) }", 1, 3);
    wait_for(2);
    expect(0, "2=v1 4=v3 5=v4");
    assert_int_equal(ended[0]->work.records_in, 4);
    assert_int_equal(ended[0]->work.records_out, 3);
    assert_true(ended[0]->ended_ns >= ended[0]->started_ns && ended[0]->started_ns > 0);
    expect(1, "11 13 16");
    still_works();
}

static void runs_many_tasks_on_many_workers(void **state) {
    enum { TASKS = 1500 };
    start_pool(4);
    struct tide_plan *plans[3] = {
        plan_of("return plan { map(function(x) return x * 10 end) }"),
        plan_of("return plan { flatMap(function(x) return { x, -x } end) }"),
        plan_of("return counts(function(a, b) return a + b end)"),
    };
    for (int i = 0; i < TASKS; i++) {
        struct tide_task *task = task_of(plans[i % 3], i, i % 9, i % 3 == 2 ? 3 : 1);
        task->index = (uint32_t)i;
        tide_pool_submit(pool, task);
    }
    wait_for(TASKS);
    for (uint32_t i = 0; i < TASKS; i++) {
        struct tide_task *task = ended[i];
        uint64_t records = 0;
        if (task->error.code != 0) fail_msg("task %u: %s", task->index, task->error.text);
        assert_true(task->worker < 4);
        assert_int_equal(task->work.records_in, task->index % 9);
        for (uint32_t p = 0; p < task->work.noutputs; p++) records += tide_blocks_records(&task->work.outputs[p]);
        assert_int_equal(task->work.records_out, records);
        if (task->index % 3 == 2) assert_int_equal(records, task->index % 9 > 7 ? 7 : task->index % 9);
        else assert_int_equal(records, (task->index % 9) * (1 + task->index % 3));
    }
    for (int i = 0; i < 3; i++) tide_plan_release(plans[i]);
}

static void combines_and_merges(void **state) {
    start_pool(2);
    struct tide_plan *write = plan_of("return counts(function(a, b) return math.max(a, b) end)");
    struct tide_plan *read = plan_of("return merged(function(a, b) return math.max(a, b) end)");
    tide_pool_submit(pool, task_of(write, 0, 20, 2));
    tide_pool_submit(pool, task_of(write, 14, 8, 2));
    wait_for(2);
    uint64_t records = 0;
    double sum = 0;
    for (uint32_t p = 0; p < 2; p++) {
        struct tide_task *task = tide_task_new(read, 1, 1);
        task->message.deliver = deliver;
        for (int i = 0; i < 2; i++) {
            assert_int_equal(ended[i]->error.code, 0);
            tide_blocks_append(&task->work.inputs[0].blocks, &ended[i]->work.outputs[p]);
        }
        tide_pool_submit(pool, task);
        wait_for(3 + p);
        assert_int_equal(ended[2 + p]->error.code, 0);
        char *shown = packed_show(&ended[2 + p]->work.outputs[0]);
        for (char *at = strchr(shown, '='); at; at = strchr(at + 1, '=')) {
            records++;
            sum += atof(at + 1);
        }
        tide_free(shown);
    }
    assert_int_equal(records, 7);
    assert_true(sum == 15 + 16 + 17 + 18 + 19 + 20 + 21);
    tide_plan_release(write);
    tide_plan_release(read);
}

static void reads_files(void **state) {
    char path[] = "/tmp/moontide-pool-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");

    fputs("one two\nthree\n", file);
    fclose(file);
    start_pool(1);
    struct tide_plan *plan = plan_of("return plan { flatMap(function(line) return line:gmatch('%a+') end) }");
    for (int i = 0; i < 2; i++) {
        struct tide_task *task = tide_task_new(plan, 1, 1);
        task->message.deliver = deliver;
        task->work.inputs[0].kind = TIDE_TASK_INPUT_FILE;
        task->work.inputs[0].path = tide_xstrdup(path);
        task->work.inputs[0].length = 100;
        tide_pool_submit(pool, task);
        wait_for((uint32_t)i + 1);
        unlink(path);
    }
    expect(0, "one two three");
    expect_error(1, TIDE_ENOTFOUND, "No such file or directory");
    assert_memory_equal(ended[1]->error.text, path, strlen(path));
    tide_plan_release(plan);
    still_works();
}

static void errors_name_line_operator_and_record(void **state) {
    start_pool(1);
    struct tide_plan *plan = plan_of("local function deep(x)\n"
                                     "  if x == 3 then error('bad number') end\n"
                                     "  return x\n"
                                     "end\n"
                                     "return plan { map(function(x)\n"
                                     "  return (deep(x))\n"
                                     "end) }");
    struct tide_task *task = task_of(plan, 0, 10, 1);
    task->work.batch_time = 5000;
    task->work.partition = 4;
    tide_pool_submit(pool, task);
    tide_plan_release(plan);
    wait_for(1);
    assert_int_equal(ended[0]->error.code, TIDE_ECLOSURE);
    assert_string_equal(ended[0]->error.text, "job.lua:2: bad number\n"
                                              "  in map (job.lua:5), batch 5000 ms, partition 4\n"
                                              "  record: 3\n"
                                              "  traceback:\n"
                                              "    job.lua:2: in function 'deep'\n"
                                              "    job.lua:6: in the function given to map");
    still_works();
}

static void broken_plans_are_reported(void **state) {
    start_pool(1);
    struct tide_plan *plan = tide_plan_new("\xc1 no plan", 9);
    struct tide_task *task = task_of(plan, 0, 1, 1);
    tide_pool_submit(pool, task);
    tide_plan_release(plan);
    submit("return plan({}, { kind = 'unheard' })", 0, 1);
    submit("return plan({ { kind = 'strange', name = 'strange' } })", 0, 1);
    submit("return plan { { kind = 'map', name = 'map', fn = 'no package' } }", 0, 1);
    wait_for(4);
    expect_error(0, TIDE_ECLOSURE, "corrupt data");
    expect_error(1, TIDE_ECLOSURE, "unknown operator kind 'unheard' (as \"sink\")");
    expect_error(2, TIDE_ECLOSURE, "unknown operator kind 'strange'");
    expect_error(3, TIDE_ECLOSURE, "closure package");
    still_works();
}

/* ---- Cancelling --------------------------------------------------------------------------------------------- */

static void the_flag_cancels(void **state) {
    uint32_t cancelled = 1;

    start_pool(1);
    struct tide_plan *plan = plan_of("return plan { map(function(x) say(flag, 1) return x end) }");
    struct tide_task *task = task_of(plan, 0, 3, 1);
    task->work.cancelled = &cancelled;
    tide_pool_submit(pool, task);
    wait_for(1);
    expect_error(0, TIDE_ECANCELLED, "cancelled before it ran");
    assert_int_equal(flag, 0);

    /* While it runs: between two blocks. The script waits for us in the first one. */
    struct tide_plan *wait = plan_of("return plan { map(function(x)\n"
                                     "  if x == 0 then say(flag, 1) wait_for(flag, 2) end\n"
                                     "  if x >= 100 then say(flag, 3) end\n"
                                     "  return x end) }");
    cancelled = 0;
    task = task_of(wait, 0, 3, 1);
    for (int i = 0; i < 5; i++) {
        tide_pack_number(&bytes, 100 + i);
        tide_blocks_push(&task->work.inputs[0].blocks, packed_block(&bytes, 1, 1));
    }
    task->work.cancelled = &cancelled;
    tide_pool_submit(pool, task);
    wait_for_flag(1);
    __atomic_store_n(&cancelled, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&flag, 2, __ATOMIC_RELAXED);
    wait_for(2);
    expect_error(1, TIDE_ECANCELLED, "cancelled");
    assert_int_equal(flag, 2); /* nothing of the second block was read */
    tide_plan_release(plan);
    tide_plan_release(wait);
    still_works();
}

static void describes_what_runs(void **state) {
    char text[400];

    start_pool(2);
    assert_false(tide_pool_describe(pool, 0, text, sizeof text));
    struct tide_plan *plan = plan_of("return plan { map(function(x)\n"
                                     "  say(flag, 1) wait_for(flag, 2)\n"
                                     "  return x end), filter(function() return true end) }");
    struct tide_task *task = task_of(plan, 0, 1, 1);
    task->work.batch_time = 3000;
    tide_pool_submit(pool, task);
    tide_plan_release(plan);
    wait_for_flag(1);
    int busy = 0;
    for (uint32_t i = 0; i < 2; i++) {
        if (!tide_pool_describe(pool, i, text, sizeof text)) continue;
        busy++;
        assert_memory_equal(text, "map (job.lua:1), filter (job.lua:3), collect, batch 3000 ms, for ", 65);
        char small[10];
        assert_true(tide_pool_describe(pool, i, small, sizeof small));
        assert_string_equal(small, "map (job.");
    }
    assert_int_equal(busy, 1);
    __atomic_store_n(&flag, 2, __ATOMIC_RELAXED);
    wait_for(1);
    expect(0, "0");
}

static void queued_tasks_come_back_cancelled(void **state) {
    start_pool(1);
    submit("return plan { map(function(x) say(flag, 1) while true do end end) }", 0, 1);
    for (int i = 0; i < 5; i++) submit("return plan { map(function(x) return x end) }", 0, 1);
    wait_for_flag(1);
    tide_pool_interrupt(pool);
    wait_for(6);
    for (uint32_t i = 0; i < 6; i++) {
        if (strstr(ended[i]->error.text, "interrupted")) continue;
        expect_error(i, TIDE_ECANCELLED, "cancelled before it ran");
    }
    still_works();
}

/* Interrupts a script that has set the flag; its error names the line. */
static void interrupt(const char *source, const char *where) {
    uint32_t before = nended;

    flag = 0;
    submit(source, 0, 3);
    wait_for_flag(1);
    tide_pool_interrupt(pool);
    wait_for(before + 1);
    expect_error(before, TIDE_ECANCELLED, where);
    expect_error(before, TIDE_ECANCELLED, "interrupted");
    still_works();
}

static void interrupts_an_interpreted_loop(void **state) {
    start_pool(1);
    interrupt("return plan { map(function(x)\n"
              "  jit.off(true, true) say(flag, 1)\n"
              "  while true do end\n"
              "end) }",
              "interrupted at job.lua:3\n  in map (job.lua:1)");
}

static void interrupts_a_compiled_loop(void **state) {
    start_pool(1);
    interrupt("return plan { map(function(x)\n"
              "  say(flag, 1)\n"
              "  while true do end\n"
              "end) }",
              "job.lua:3");
    interrupt("return plan { map(function(x)\n"
              "  say(flag, 1)\n"
              "  local n = 0\n"
              "  while true do\n"
              "    n = n + 1 if n % 100 == 3 then n = n + 2 end end\n"
              "end) }",
              "job.lua:");
    interrupt("local function again(n) return again(n + 1) end\n"
              "return plan { map(function(x)\n"
              "  say(flag, 1) return again(0)\n"
              "end) }",
              "job.lua:");
}

/* The loop is ours, but it is the script's fault. */
static void interrupts_an_endless_iterator(void **state) {
    start_pool(1);
    interrupt("return plan { flatMap(function(x)\n"
              "  say(flag, 1)\n"
              "  return function() return 1 end\n"
              "end), filter(function() return false end) }",
              "job.lua:");
    interrupt("return plan { mapPartitions(function(it)\n"
              "  say(flag, 1)\n"
              "  return function() return 1 end\n"
              "end), filter(function() return false end) }",
              "job.lua:");
}

static void interrupts_a_script_that_swallows_errors(void **state) {
    start_pool(1);
    interrupt("local function work() local t = {} for i = 1, 100 do t[i] = tostring(i) end error('x') end\n"
              "return plan { map(function(x)\n"
              "  say(flag, 1)\n"
              "  while true do pcall(work) end\n"
              "end) }",
              "job.lua:");
    interrupt("return plan { map(function(x)\n"
              "  say(flag, 1)\n"
              "  while true do pcall(function() while true do end end) end\n"
              "end) }",
              "job.lua:");
    interrupt("return plan { mapPartitions(function(it)\n"
              "  say(flag, 1)\n"
              "  while true do pcall(it) end\n"
              "end) }",
              "job.lua:");
    interrupt("return plan { map(function(x)\n"
              "  say(flag, 1)\n"
              "  local other = coroutine.wrap(function() while true do pcall(coroutine.yield) end end)\n"
              "  while true do pcall(other) end\n"
              "end) }",
              "job.lua:");
}

/* It is told from our own modules, whose names begin like that. */
static void a_script_may_lie_in_a_folder_called_moontide(void **state) {
    static const char *const sources[] = {
        "local function bad() error('x') end return plan { map(function(x) bad() return x end) }",
        "return plan { map(function(x) jit.off(true, true) say(flag, 1)\n while true do end end) }",
        "return plan { map(function(x) say(flag, 1)\n while true do end end) }",
    };

    start_pool(1);
    for (uint32_t i = 0; i < 3; i++) {
        struct tide_plan *plan = plan_named("@moontide/job.lua", sources[i]);
        flag = 0;
        tide_pool_submit(pool, task_of(plan, 0, 1, 1));
        tide_plan_release(plan);
        if (i > 0) {
            wait_for_flag(1);
            tide_pool_interrupt(pool);
        }
        wait_for(i + 1);
    }
    expect_error(0, TIDE_ECLOSURE,
                 "\n    moontide/job.lua:1: in function 'bad'\n    moontide/job.lua:1: in the function given to map");
    expect_error(1, TIDE_ECANCELLED, "interrupted at moontide/job.lua:2");
    expect_error(2, TIDE_ECANCELLED, "moontide/job.lua:2");
    still_works();
}

static void interrupts_all_workers(void **state) {
    start_pool(3);
    for (int i = 0; i < 3; i++) submit("return plan { map(function(x) while true do end end) }", 0, 1);
    char text[100];
    for (uint32_t i = 0; i < 3; i++)
        while (!tide_pool_describe(pool, i, text, sizeof text) || !strstr(text, "map")) sched_yield();
    tide_pool_interrupt(pool);
    wait_for(3);
    for (uint32_t i = 0; i < 3; i++) expect_error(i, TIDE_ECANCELLED, "job.lua:1");
    still_works();
    tide_pool_interrupt(pool); /* with nothing to do it is nothing */
    still_works();
}

/* An interrupt that comes while a task ends by itself must not reach the next one. */
static void late_interrupts_hit_nobody(void **state) {
    start_pool(2);
    for (int round = 0; round < 60; round++) {
        uint32_t before = nended;
        submit("return plan { map(function(x) return x end) }", 0, 200);
        tide_pool_interrupt(pool);
        submit("return plan { map(function(x) return x end) }", 7, 2);
        wait_for(before + 2);
        for (uint32_t i = before; i < before + 2; i++) {
            if (ended[i]->work.inputs[0].blocks.items[0]->count == 2) expect(i, "7 8");
            else if (ended[i]->error.code != 0) assert_int_equal(ended[i]->error.code, TIDE_ECANCELLED);
        }
    }
    still_works();
}

/* ---- The end ------------------------------------------------------------------------------------------------ */

static void the_end_waits_for_running_tasks(void **state) {
    start_pool(2);
    submit("return plan { map(function(x)\n"
           "  for i = 1, 1e6 do say(flag, 1) end\n"
           "  return x end) }",
           5, 1);
    wait_for_flag(1);
    assert_true(tide_pool_delete(pool, 60000));
    pool = NULL;
    tide_inbox_drain(&inbox);
    expect(0, "5");
}

static void the_end_interrupts_what_does_not_end(void **state) {
    start_pool(2);
    submit("return plan { map(function(x) say(flag, 1)\n while true do end end) }", 0, 1);
    wait_for_flag(1);
    assert_true(tide_pool_delete(pool, 0));
    pool = NULL;
    tide_inbox_drain(&inbox);
    expect_error(0, TIDE_ECANCELLED, "job.lua:2");
}

static void a_worker_that_is_stuck_is_left_behind(void **state) {
    start_pool(3);
    /* It reads from a pipe that nobody writes to. */
    char plan[400];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    snprintf(plan, sizeof(plan),
             "return plan { map(function(x) say(flag, 1) local ffi = require('ffi')\n"
             "  ffi.cdef('long read(int fd, void *data, size_t size);') ffi.C.read(%d, ffi.new('char[1]'), 1)\n"
             "  return x end) }",
             ends[0]);
    submit(plan, 0, 1);
    wait_for_flag(1);
    capture_start();
    bool all = tide_pool_delete(pool, 0);
    char *log = capture_stop(NULL);
    pool = NULL;
    assert_false(all);
    assert_non_null(strstr(log, "left behind, stuck in a C function: map (job.lua:1)"));
    free(log);
    tide_inbox_drain(&inbox);
    assert_int_equal(nended, 0);
    /* It ends after all, alone with its pool: the task is disposed of when the inbox is closed. */
    tide_inbox_close(&inbox);
    close(ends[1]);
    while (__atomic_load_n(&orphans, __ATOMIC_ACQUIRE) == 0) sched_yield();
    close(ends[0]);
}

static void the_number_of_workers_is_checked(void **state) {
    struct tide_pool_options options = {.workers = 0, .driver = &inbox};

    assert_null(tide_pool_new(&options, &err));
    assert_int_equal(err.code, TIDE_EINVAL);
    assert_string_equal(err.text, "the number of workers must be 1 to 1024, got 0");
    options.workers = 1025;
    assert_null(tide_pool_new(&options, &err));
    assert_true(tide_pool_delete(NULL, 0));
}

static void a_thread_that_cannot_start_is_an_error(void **state) {
    struct tide_pool_options options = {.workers = 3, .driver = &inbox, .package_cpath = ""};

    for (long skip = 0; skip < 3; skip++) {
        tide_fault_arm("thread.start", skip, 1);
        assert_null(tide_pool_new(&options, &err));
        assert_int_equal(err.code, TIDE_ELIMIT);
        assert_non_null(strstr(err.text, "cannot be started"));
        tide_fault_clear();
    }
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, create, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(runs_tasks),
        TEST(runs_many_tasks_on_many_workers),
        TEST(combines_and_merges),
        TEST(reads_files),
        TEST(errors_name_line_operator_and_record),
        TEST(broken_plans_are_reported),
        TEST(the_flag_cancels),
        TEST(describes_what_runs),
        TEST(queued_tasks_come_back_cancelled),
        TEST(interrupts_an_interpreted_loop),
        TEST(interrupts_a_compiled_loop),
        TEST(interrupts_an_endless_iterator),
        TEST(interrupts_a_script_that_swallows_errors),
        TEST(a_script_may_lie_in_a_folder_called_moontide),
        TEST(interrupts_all_workers),
        TEST(late_interrupts_hit_nobody),
        TEST(the_end_waits_for_running_tasks),
        TEST(the_end_interrupts_what_does_not_end),
        TEST(a_worker_that_is_stuck_is_left_behind),
        TEST(the_number_of_workers_is_checked),
        TEST(a_thread_that_cannot_start_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

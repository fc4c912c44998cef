/*
 * vm: states with everything in them, and the door from C into Lua.
 */
#include <lauxlib.h>
#include <lua.h>

#include "bind/bind.h"
#include "test.h"
#include "vm/call.h"
#include "vm/modules.h"
#include "vm/vm.h"

static lua_State *L;
static struct tide_error err;

static int create(void **state) {
    struct tide_vm_options options = {.role = TIDE_VM_DRIVER, .open_core = luaopen_moontide_core};

    L = tide_vm_new(&options, &err);
    return !L;
}

static int destroy(void **state) {
    int left = lua_gettop(L); /* calls leave nothing on the stack, whatever happens */

    tide_vm_delete(L);
    tide_error_clear(&err);
    return left;
}

static void run(const char *name, const char *source) {
    if (luaL_loadbuffer(L, source, strlen(source), name) != 0 || lua_pcall(L, 0, 0, 0) != 0)
        fail_msg("%s", lua_tostring(L, -1));
}

static void starts_with(const char *text, const char *prefix) {
    if (strncmp(text, prefix, strlen(prefix)) != 0) fail_msg("'%s' does not start with '%s'", text, prefix);
}

static void every_embedded_module_loads(void **state) {
    int count = 0;

    for (const struct tide_embedded_module *m = tide_embedded_modules; m->name; m++, count++) {
        assert_ptr_equal(tide_embedded_find(m->name), m);
        assert_int_equal(m->data[m->size], 0);
        lua_getglobal(L, "require");
        lua_pushstring(L, m->name);
        if (lua_pcall(L, 1, 1, 0) != 0) fail_msg("%s: %s", m->name, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    assert_true(count > 30);
    assert_null(tide_embedded_find("moontide.nothing"));
    assert_null(tide_embedded_find(""));
}

/* Nothing of the driver is needed in a worker, and there is no core to ask. */
static void the_worker_loads_without_the_core(void **state) {
    struct tide_vm_options options = {.role = TIDE_VM_WORKER, .package_cpath = ""};
    lua_State *worker = tide_vm_new(&options, &err);

    assert_non_null(worker);
    int reference = tide_vm_reference(worker, "moontide.worker", "run", &err);
    assert_true(reference > 0);
    assert_int_equal(luaL_dostring(worker, "return package.loaded['moontide.core'], pcall(require, 'moontide.core')"),
                     0);
    assert_true(lua_isnil(worker, 1));
    assert_false(lua_toboolean(worker, 2));
    tide_vm_delete(worker);
    tide_vm_delete(NULL);
}

static void embedded_modules_keep_their_names(void **state) {
    run("=test", "local info = debug.getinfo(require('moontide.wire.codec').pack, 'S')\n"
                 "assert(info.source == '@moontide/wire/codec.lua', info.source)\n"
                 "assert(package.preload['moontide.wire.codec'])");
}

static void search_paths_are_those_given(void **state) {
    struct tide_vm_options options = {
        .role = TIDE_VM_WORKER, .package_path = "/nowhere/?.lua", .package_cpath = "/nowhere/?.so"};
    lua_State *other = tide_vm_new(&options, &err);

    assert_non_null(other);
    assert_int_equal(luaL_dostring(other,
                                   "assert(package.path == '/nowhere/?.lua' and package.cpath == '/nowhere/?.so')\n"
                                   "shared = 1 assert(jit.status())"),
                     0);
    tide_vm_delete(other);
    run("=test", "assert(package.path ~= '/nowhere/?.lua' and shared == nil)"); /* states share nothing */
}

static void main_gets_its_arguments(void **state) {
    char *argv[] = {"moontide", "run", "job.lua", ""};
    int result = -1;

    run("=test", "package.preload.mine = function() return { main = function(a)\n"
                 "  assert(a[0] == 'moontide' and a[1] == 'run' and a[2] == 'job.lua' and a[3] == '' and #a == 3)\n"
                 "  return 3 end, nothing = function() end } end");
    assert_int_equal(tide_vm_call_main(L, "mine", "main", 4, argv, &result, &err), 0);
    assert_int_equal(result, 3);
    assert_int_equal(tide_vm_call_main(L, "mine", "nothing", 0, NULL, &result, &err), 0);
    assert_int_equal(result, 0);
}

static void errors_come_with_their_traceback(void **state) {
    int result = 7;

    run("@job.lua",
        "package.preload.mine = function() return {\n"
        "  main = function() local function inner() error('broken') end inner() return 1 end,\n"
        "  plain = function() error({}) end,\n"
        "  object = function() error(setmetatable({}, { __tostring = function() return 'an object' end })) end,\n"
        "} end");
    assert_int_equal(tide_vm_call_main(L, "mine", "main", 0, NULL, &result, &err), TIDE_ECLOSURE);
    assert_int_equal(result, 7);
    starts_with(err.text, "job.lua:2: broken\nstack traceback:");
    assert_non_null(strstr(err.text, "in function 'inner'"));
    assert_int_equal(tide_vm_call_main(L, "mine", "object", 0, NULL, &result, &err), TIDE_ECLOSURE);
    starts_with(err.text, "an object\nstack traceback:");
    assert_int_equal(tide_vm_call_main(L, "mine", "plain", 0, NULL, &result, &err), TIDE_ECLOSURE);
    assert_non_null(strstr(err.text, "not a string"));
    assert_int_equal(tide_vm_call_main(L, "mine", "missing", 0, NULL, &result, &err), TIDE_ECLOSURE);
    starts_with(err.text, "module 'mine' has no function 'missing'");
    assert_int_equal(tide_vm_call_main(L, "not.there", "main", 0, NULL, &result, &err), TIDE_ECLOSURE);
    starts_with(err.text, "module 'not.there' not found");
    assert_int_equal(tide_vm_call_main(L, "mine", "main", 0, NULL, &result, NULL), TIDE_ECLOSURE); /* nobody asks */
}

static void references_call_with_a_pointer(void **state) {
    run("@job.lua",
        "package.preload.mine = function() return {\n"
        "  keep = function(p) kept = p end, fail = function() error('complete text', 0) end, value = 5 } end");
    int keep = tide_vm_reference(L, "mine", "keep", &err), fail = tide_vm_reference(L, "mine", "fail", &err);
    assert_true(keep > 0 && fail > 0 && keep != fail);
    assert_int_equal(tide_vm_call_pointer(L, keep, &err, &err), 0);
    lua_getglobal(L, "kept");
    assert_ptr_equal(lua_touserdata(L, -1), &err);
    lua_pop(L, 1);
    assert_int_equal(tide_vm_call_pointer(L, fail, NULL, &err), TIDE_ECLOSURE);
    assert_string_equal(err.text, "complete text");
    assert_true(tide_vm_reference(L, "mine", "value", &err) < 0);
    starts_with(err.text, "module 'mine' has no function 'value'");
    assert_true(tide_vm_reference(L, "not.there", "run", &err) < 0);
    assert_int_equal(err.code, TIDE_ECLOSURE);
}

static void collections_survive_finalizers_that_fail(void **state) {
    run("@job.lua", "ran = 0\n"
                    "for i = 1, 10 do\n"
                    "  getmetatable(newproxy(true)).__gc = function() ran = ran + 1 error(i == 5 and {} or "
                    "'finalizer ' .. i) end\n"
                    "end");
    for (int failed = 0; failed < 10; failed++) {
        tide_error_clear(&err);
        while (err.code == 0) tide_vm_collect(L, failed % 2, &err);
        assert_int_equal(err.code, TIDE_ECLOSURE);
        assert_true(strstr(err.text, "job.lua:3: finalizer ") || strstr(err.text, "not a string"));
    }
    tide_error_clear(&err);
    assert_true(tide_vm_collect(L, 0, &err));
    assert_int_equal(err.code, 0);
    run("@job.lua", "assert(ran == 10)");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, create, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_embedded_module_loads),       TEST(the_worker_loads_without_the_core),
        TEST(embedded_modules_keep_their_names), TEST(search_paths_are_those_given),
        TEST(main_gets_its_arguments),           TEST(errors_come_with_their_traceback),
        TEST(references_call_with_a_pointer),    TEST(collections_survive_finalizers_that_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

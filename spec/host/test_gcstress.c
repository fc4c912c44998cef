/*
 * Memory stress (base/stress, vm/gcstress): garbage is gone at once, and what was freed is not what it was.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "base/alloc.h"
#include "base/stress.h"
#include "test.h"
#include "vm/gcstress.h"
#include "vm/vm.h"

static lua_State *L;

static int create(void **state) {
    struct tide_vm_options options = {.role = TIDE_VM_WORKER};

    L = tide_vm_new(&options, NULL);
    return !L;
}

static int destroy(void **state) {
    tide_vm_delete(L);
    return 0;
}

static void run(const char *source) {
    if (luaL_loadbuffer(L, source, strlen(source), "@spec.lua") != 0 || lua_pcall(L, 0, 0, 0) != 0)
        fail_msg("%s", lua_tostring(L, -1));
}

/* The bytes are looked at after they were given back, which is what stress is about, and which the sanitizers
 * report. */
static void freed_memory_is_overwritten(void **state) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    volatile uint8_t *bytes = tide_xcalloc(1, 4096);
    uint8_t *volatile given_back = (uint8_t *)(uintptr_t)bytes;

    tide_free(given_back);
    for (int i = 256; i < 4096; i++) assert_int_equal(bytes[i], TIDE_STRESS_FILL);
#endif
}

static void memory_that_grows_moves_with_what_is_in_it(void **state) {
    char *text = tide_xstrdup("abc");
    uintptr_t before = (uintptr_t)text;

    text = tide_xrealloc(text, 5);
    assert_true((uintptr_t)text != before);
    assert_string_equal(text, "abc");
    text = tide_realloc_try(text, 2);
    assert_memory_equal(text, "ab", 2);
    tide_free(text);
    tide_free(NULL);
}

static int nothing(lua_State *state) { return 0; }

static const luaL_Reg functions[] = {{"cross", nothing}, {NULL, NULL}};

static void garbage_is_gone_behind_a_call_of_c(void **state) {
    lua_newtable(L);
    tide_gcstress_register(L, functions);
    lua_setglobal(L, "c");
    run("local weak = setmetatable({}, { __mode = 'v' })\n"
        "local kept = {}\n"
        "weak.kept, weak.garbage = kept, {}\n"
        "c.cross()\n"
        "assert(weak.kept == kept and weak.garbage == nil)");
}

/* Rounds of 200 KB of garbage, which no collection of its own accord is behind. */
static const char allocations[] = "local weak, gone, last = setmetatable({}, { __mode = 'v' }), 0, {}\n"
                                  "local function round(n)\n"
                                  "  weak[1] = { n }\n"
                                  "  for i = 1, 3000 do last[i % 4] = { i } end\n"
                                  "end\n"
                                  "for n = 1, 20 do\n"
                                  "  round(n)\n"
                                  "  if weak[1] == nil then gone = gone + 1 end\n"
                                  "end\n"
                                  "assert(gone >= 18, gone)";

static void garbage_is_gone_after_some_allocations(void **state) {
    run("jit.off()");
    run(allocations);
}

static void compiled_code_collects_too(void **state) { run(allocations); }

static void a_finalizer_is_left_in_peace(void **state) {
    run("local ran = 0\n"
        "for i = 1, 2000 do\n"
        "  getmetatable(newproxy(true)).__gc = function() ran = ran + 1 for n = 1, 10 do local garbage = { n } end "
        "end\n"
        "end\n"
        "collectgarbage()\n"
        "assert(ran == 2000)");
}

static void a_state_of_others_can_be_put_under_stress(void **state) {
    lua_State *own = L;

    L = luaL_newstate();
    tide_gcstress_adopt(L);
    tide_gcstress_adopt(L);
    lua_pushcfunction(L, luaopen_base);
    lua_call(L, 0, 0);
    run(allocations);
    tide_gcstress_close(L);
    L = own;
}

/* A state is its own first block. Several of them, because sizes begin at the same lower bits. */
static void no_block_has_the_lower_address_bits_of_its_state(void **state) {
    enum { STATES = 16, BLOCKS = 2000, SIZE = 192 };
    lua_State *states[STATES];

    for (int i = 0; i < STATES; i++) states[i] = tide_gcstress_newstate();
    for (int i = 0; i < STATES; i++) {
        void *ud, *blocks[BLOCKS];
        lua_Alloc allocate = lua_getallocf(states[i], &ud);

        for (int j = 0; j < BLOCKS; j++) {
            blocks[j] = allocate(ud, NULL, 0, SIZE);
            assert_true((uint32_t)((uintptr_t)states[i] - (uintptr_t)blocks[j]) >= SIZE);
            blocks[j] = allocate(ud, blocks[j], SIZE, 2 * SIZE);
            assert_true((uint32_t)((uintptr_t)states[i] - (uintptr_t)blocks[j]) >= 2 * SIZE);
        }
        for (int j = 0; j < BLOCKS; j++) allocate(ud, blocks[j], 2 * SIZE, 0);
    }
    for (int i = 0; i < STATES; i++) tide_gcstress_close(states[i]);
}

static void seeds_give_each_state_its_own_numbers(void **state) {
    uint64_t first = tide_stress_draw();

    assert_true(first != tide_stress_draw());
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, create, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(freed_memory_is_overwritten),
        TEST(memory_that_grows_moves_with_what_is_in_it),
        TEST(garbage_is_gone_behind_a_call_of_c),
        TEST(garbage_is_gone_after_some_allocations),
        TEST(compiled_code_collects_too),
        TEST(a_finalizer_is_left_in_peace),
        TEST(a_state_of_others_can_be_put_under_stress),
        TEST(no_block_has_the_lower_address_bits_of_its_state),
        TEST(seeds_give_each_state_its_own_numbers),
    };

    setenv("MOONTIDE_GCSTRESS", "7", 1); /* before it is read, once */
    return cmocka_run_group_tests(tests, NULL, NULL);
}

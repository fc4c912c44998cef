/*
 * Garbage collection at every step (see gcstress.h).
 *
 * An allocator must not collect, but it can make LuaJIT collect at its next check, in compiled code too (which leaves
 * its trace then): it sets the threshold to the memory in use and the step to no limit. lua_gc only writes these two
 * fields.
 */
#include "vm/gcstress.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/array.h"
#include "base/stress.h"

/* Allocations are counted from one whole collection to the next: 1 to 2 * (heap / BYTES_PER_STEP), so that collecting
 * costs a few times as much as allocating. */
enum { BYTES_PER_STEP = 512, FEWEST_STEPS = 64, WHOLE_FOR = 3, USUAL_STEPMUL = 200 };

struct stressed {
    lua_State *L; /* NULL until the state is complete */
    lua_Alloc inner;
    void *inner_ud;
    uint64_t random;
    uint64_t steps; /* allocations until the next whole collection */
    int whole;      /* allocations for which steps of the collector have no limit */
};

static uint64_t draw(struct stressed *stressed, uint64_t limit) {
    stressed->random = stressed->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (stressed->random >> 33) % limit;
}

/* lua_gc tells the size in KB. */
static void count_anew(struct stressed *stressed) {
    uint64_t most = (uint64_t)lua_gc(stressed->L, LUA_GCCOUNT, 0) * 1024 / BYTES_PER_STEP;

    stressed->steps = 1 + draw(stressed, 2 * (most > FEWEST_STEPS ? most : FEWEST_STEPS));
}

static void on_allocation(struct stressed *stressed) {
    if (!stressed->L) return;
    if (stressed->whole > 0 && --stressed->whole == 0) lua_gc(stressed->L, LUA_GCSETSTEPMUL, USUAL_STEPMUL);
    if (--stressed->steps > 0) return;
    count_anew(stressed);
    if (!lua_gc(stressed->L, LUA_GCISRUNNING, 0)) return; /* stopped, or in a finalizer */
    stressed->whole = WHOLE_FOR;
    lua_gc(stressed->L, LUA_GCSETSTEPMUL, 0);
    lua_gc(stressed->L, LUA_GCRESTART, 0);
}

static void *allocate(void *ud, void *ptr, size_t before, size_t size) {
    struct stressed *stressed = ud;

    if (size == 0 && ptr) memset(ptr, TIDE_STRESS_FILL, before);
    if (size > before) on_allocation(stressed);
    return stressed->inner(stressed->inner_ud, ptr, before, size);
}

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>

/* LuaJIT keeps some pointers shifted or with marks in them: in states that are left behind (task/worker.c)
 * LeakSanitizer would report the memory they point to. It is declared as reachable, as all memory of LuaJIT is
 * without stress. */
static void *resize(void *ptr, size_t size) {
    __lsan_disable();
    ptr = realloc(ptr, size);
    __lsan_enable();
    return ptr;
}
#else
static void *resize(void *ptr, size_t size) { return realloc(ptr, size); }
#endif

/* Memory of a state that is not in LuaJIT's own heap. LuaJIT before May 2022 compares two addresses by their lower 32
 * bits: a table whose fields lie, by these, around the nil that stands for a missing field (in the state's first
 * block) has a guard left out of compiled code. That needs 4 GB between the two; but the sanitizers give each size of
 * blocks a region of its own, and regions begin at equal lower bits. */
struct heap {
    uintptr_t first; /* address of the first block */
    size_t size;     /* and its size; 0: there is none yet */
    void **passed;   /* blocks that coincide: given back, they would come again at once */
    uint32_t npassed, capacity;
};

static bool coincides(const struct heap *heap, const void *ptr, size_t size) {
    return (uint32_t)(heap->first - (uintptr_t)ptr) < size || (uint32_t)((uintptr_t)ptr - heap->first) < heap->size;
}

static void pass_over(struct heap *heap, void *ptr) {
    TIDE_ARRAY_RESERVE(heap->passed, heap->capacity, heap->npassed + 1);
    heap->passed[heap->npassed++] = ptr;
}

static void *apart(struct heap *heap, size_t size) {
    void *ptr = resize(NULL, size);

    while (ptr && coincides(heap, ptr, size)) {
        pass_over(heap, ptr);
        ptr = resize(NULL, size);
    }
    return ptr;
}

static void *grow(struct heap *heap, void *ptr, size_t before, size_t size) {
    void *grown = resize(ptr, size);

    if (!grown || !coincides(heap, grown, size)) return grown;

    void *other = apart(heap, size);

    if (!other) return grown;
    memcpy(other, grown, before < size ? before : size);
    pass_over(heap, grown);
    return other;
}

static void delete_heap(struct heap *heap) {
    if (!heap) return;
    for (uint32_t i = 0; i < heap->npassed; i++) free(heap->passed[i]);
    tide_free(heap->passed);
    tide_free(heap);
}

static void *allocate_heap(void *ud, void *ptr, size_t before, size_t size) {
    struct heap *heap = ud;

    if (size == 0) {
        free(ptr);
        return NULL;
    }
    if (ptr) return grow(heap, ptr, before, size);
    if (heap->size > 0) return apart(heap, size);
    ptr = resize(NULL, size);
    *heap = (struct heap){.first = (uintptr_t)ptr, .size = ptr ? size : 0};
    return ptr;
}

static struct stressed *stressed_new(lua_Alloc inner, void *inner_ud) {
    struct stressed *stressed = tide_xcalloc(1, sizeof *stressed);

    stressed->inner = inner;
    stressed->inner_ud = inner_ud;
    stressed->random = tide_stress_draw();
    stressed->steps = FEWEST_STEPS;
    return stressed;
}

static void begin(struct stressed *stressed, lua_State *L) {
    lua_gc(L, LUA_GCSETPAUSE, 0);
    lua_gc(L, LUA_GCSETSTEPMUL, USUAL_STEPMUL);
    stressed->L = L;
}

/* ThreadSanitizer does not see how LuaJIT's own allocator returns memory to the system, and would take what one
 * worker's state wrote there before for a race with the next one. */
static lua_State *usual_newstate(void) {
#ifdef __SANITIZE_THREAD__
    struct heap *heap = tide_xcalloc(1, sizeof *heap);
    lua_State *L = lua_newstate(allocate_heap, heap);

    if (!L) delete_heap(heap);
    return L;
#else
    return luaL_newstate();
#endif
}

lua_State *tide_gcstress_newstate(void) {
    if (!tide_stress()) return usual_newstate();

    struct heap *heap = tide_xcalloc(1, sizeof *heap);
    struct stressed *stressed = stressed_new(allocate_heap, heap);
    lua_State *L = lua_newstate(allocate, stressed);

    if (L) {
        begin(stressed, L);
        return L;
    }
    tide_free(stressed);
    delete_heap(heap);
    return NULL;
}

void tide_gcstress_close(lua_State *L) {
    void *ud;
    lua_Alloc inner = lua_getallocf(L, &ud);
    struct stressed *stressed = inner == allocate ? ud : NULL;

    if (stressed) {
        stressed->L = NULL;
        inner = stressed->inner;
        ud = stressed->inner_ud;
    }
    lua_close(L);
    tide_free(stressed);
    if (inner == allocate_heap) delete_heap(ud);
}

/* The record stays until the end of the process, because the state is closed elsewhere. L may be a coroutine that
 * ends before its state, so a coroutine of our own represents the state. */
void tide_gcstress_adopt(lua_State *L) {
    void *ud;
    lua_Alloc inner = lua_getallocf(L, &ud);

    if (!tide_stress() || inner == allocate) return;

    struct stressed *stressed = stressed_new(inner, ud);

    lua_setallocf(L, allocate, stressed);
    begin(stressed, lua_newthread(L));
    luaL_ref(L, LUA_REGISTRYINDEX);
}

void tide_gcstress_collect(lua_State *L) {
    if (tide_stress() && lua_gc(L, LUA_GCISRUNNING, 0)) lua_gc(L, LUA_GCCOLLECT, 0);
}

static int crossing(lua_State *L) {
    lua_CFunction function = lua_tocfunction(L, lua_upvalueindex(1));

    tide_gcstress_collect(L);

    int results = function(L);

    tide_gcstress_collect(L);
    return results;
}

void tide_gcstress_register(lua_State *L, const luaL_Reg *functions) {
    luaL_register(L, NULL, functions);
    for (; tide_stress() && functions->name; functions++) {
        lua_pushcfunction(L, functions->func);
        lua_pushcclosure(L, crossing, 1);
        lua_setfield(L, -2, functions->name);
    }
}

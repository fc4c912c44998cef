/*
 * state/ against a simple model: thousands of batches of puts, stamps, removals and timeouts that are committed,
 * rolled back or run out of memory, with pins that are read later, and states that move to other stores.
 *
 * MOONTIDE_STATE_SEED=N repeats a run, MOONTIDE_STATE_BATCHES=N runs a longer one.
 */
#include <time.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "random_value.h"
#include "state/body.h"
#include "state_rig.h"
#include "test.h"
#include "wire/pack.h"

enum { MOST_CHANGES = 400, MOST_PINS = 6, MOST_STORES = 3 };

struct world {
    uint64_t seed;
    struct tide_state_store *stores[MOST_STORES];
    uint32_t nstores;
    struct rig_model model, before, scratch;
    struct pinned {
        struct tide_state_pin *pins[MOST_STORES];
        struct rig_model model;
    } pins[MOST_PINS];
    uint32_t npins;
    uint32_t taste; /* how often keys are removed, of 16 */
    double now;
    uint32_t failures, rollbacks, moves;
};

static uint32_t draw(struct world *world, uint32_t below) { return random_below(&world->seed, below); }

/* ---- Random changes ------------------------------------------------------------------------------------------- */

static void random_text(struct world *world, struct tide_buffer *out) {
    static const uint32_t LENGTHS[] = {3, 20, 90, 98, 99, 100, 101, 300, 5000};
    uint32_t size = LENGTHS[draw(world, 9)];
    char *text;

    if (draw(world, 400) == 0) size = 80000;
    text = tide_xmalloc(size);
    memset(text, (int)('a' + draw(world, 26)), size);
    tide_pack_string(out, text, size);
    tide_free(text);
}

static void random_state(struct world *world, struct tide_buffer *out) {
    switch (draw(world, 6)) {
    case 0: random_text(world, out); return;
    case 1: tide_pack_bool(out, draw(world, 2)); return;
    case 2: tide_pack_int64(out, (INT64_C(1) << 53) + 1 + draw(world, 1000)); return;
    case 3:
        tide_pack_array(out, 2);
        tide_pack_number(out, draw(world, 1000));
        tide_pack_text(out, "x");
        return;
    default: tide_pack_number(out, draw(world, 2) ? draw(world, 100000) : (double)draw(world, 1000) / 7);
    }
}

struct batch {
    struct tide_buffer bytes;
    struct tide_state_change changes[MOST_CHANGES];
    uint32_t at[MOST_CHANGES], value_at[MOST_CHANGES], keys[MOST_CHANGES];
    uint32_t count;
};

static void add_change(struct world *world, struct batch *batch) {
    struct tide_state_change *change = &batch->changes[batch->count];
    uint32_t key = batch->keys[batch->count] = draw(world, RIG_KEYS), what = draw(world, 16);

    batch->at[batch->count] = (uint32_t)batch->bytes.size;
    rig_key(&batch->bytes, key, draw(world, 16));
    *change = (struct tide_state_change){.stamp = world->now - draw(world, 3)};
    change->key_size = (uint32_t)batch->bytes.size - batch->at[batch->count];
    change->kind = what < world->taste ? TIDE_STATE_REMOVE : what == 15 ? TIDE_STATE_STAMP : TIDE_STATE_PUT;
    batch->value_at[batch->count] = (uint32_t)batch->bytes.size;
    random_state(world, &batch->bytes);
    change->value_size = (uint32_t)batch->bytes.size - batch->value_at[batch->count];
    batch->count++;
}

static void make_batch(struct world *world, struct batch *batch) {
    uint32_t count = draw(world, 4) == 0 ? draw(world, MOST_CHANGES) : draw(world, 40);

    tide_buffer_create(&batch->bytes);
    batch->count = 0;
    while (batch->count < count) add_change(world, batch);
    for (uint32_t i = 0; i < count; i++) {
        batch->changes[i].key = batch->bytes.data + batch->at[i];
        batch->changes[i].value = batch->bytes.data + batch->value_at[i];
    }
}

static void change_model(struct rig_model *model, const struct batch *batch) {
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct tide_state_change *change = &batch->changes[i];
        uint32_t key = batch->keys[i];

        switch ((enum tide_state_change_kind)change->kind) {
        case TIDE_STATE_PUT: rig_put(model, key, change->value, change->value_size, change->stamp); break;
        case TIDE_STATE_STAMP:
            if (model->values[key]) model->stamps[key] = change->stamp;
            break;
        default: rig_remove(model, key);
        }
    }
}

/* ---- Looking -------------------------------------------------------------------------------------------------- */

static void read_stores(struct world *world, struct rig_model *model) {
    struct tide_blocks records;

    rig_clear(model);
    tide_blocks_create(&records);
    for (uint32_t g = 0; g < RIG_GROUPS; g++)
        for (uint32_t s = 0; s < world->nstores; s++)
            assert_true(tide_state_store_read(world->stores[s], g, &records));
    rig_read(model, &records);
    tide_blocks_destroy(&records);
}

static void check(struct world *world, const char *where) {
    for (uint32_t s = 0; s < world->nstores; s++) rig_check_structure(world->stores[s]);
    read_stores(world, &world->scratch);
    rig_compare(&world->model, &world->scratch, where);
}

/* Finds what is there and what is not. */
static void check_found(struct world *world, struct batch *batch) {
    for (uint32_t s = 0; s < world->nstores; s++) {
        static struct tide_state_found found[MOST_CHANGES];

        tide_state_store_find(world->stores[s], batch->changes, batch->count, found);
        for (uint32_t i = 0; i < batch->count; i++) {
            uint32_t group = tide_key_group(batch->changes[i].hash), key = batch->keys[i];
            bool owned = group - world->stores[s]->first < world->stores[s]->groups;

            assert_int_equal(found[i].kind != TIDE_STATE_ABSENT, owned && world->model.values[key]);
            if (found[i].kind != TIDE_STATE_ABSENT) assert_true(found[i].stamp == world->model.stamps[key]);
        }
    }
}

static void check_delta(struct world *world) {
    struct tide_blocks records;

    tide_blocks_create(&records);
    for (uint32_t s = 0; s < world->nstores; s++) assert_true(tide_state_store_delta(world->stores[s], &records));
    rig_copy(&world->scratch, &world->before);
    rig_read(&world->scratch, &records);
    rig_compare(&world->model, &world->scratch, "delta");
    tide_blocks_destroy(&records);
}

/* ---- Pins ----------------------------------------------------------------------------------------------------- */

static void pin(struct world *world) {
    struct pinned *pinned = &world->pins[world->npins];

    if (world->npins == MOST_PINS) return;
    for (uint32_t s = 0; s < world->nstores; s++) {
        assert_non_null(pinned->pins[s] = tide_state_store_pin(world->stores[s]));
        assert_true(tide_state_pin_rows(pinned->pins[s]) == tide_state_store_rows(world->stores[s]));
    }
    rig_copy(&pinned->model, &world->model);
    world->npins++;
}

static void check_pin(struct world *world, uint32_t at) {
    struct tide_blocks records;

    tide_blocks_create(&records);
    for (uint32_t g = 0; g < RIG_GROUPS; g++)
        for (uint32_t s = 0; s < world->nstores; s++)
            assert_true(tide_state_pin_read(world->pins[at].pins[s], g, &records));
    rig_clear(&world->scratch);
    rig_read(&world->scratch, &records);
    rig_compare(&world->pins[at].model, &world->scratch, "pin");
    tide_blocks_destroy(&records);
}

static void unpin(struct world *world, uint32_t at) {
    for (uint32_t s = 0; s < world->nstores; s++) tide_state_pin_release(world->pins[at].pins[s]);
    rig_clear(&world->pins[at].model);
    world->pins[at] = world->pins[--world->npins];
    memset(&world->pins[world->npins], 0, sizeof world->pins[0]);
}

/* ---- Batches -------------------------------------------------------------------------------------------------- */

static void expire_model(struct rig_model *model, double limit) {
    for (uint32_t i = 0; i < RIG_KEYS; i++)
        if (model->values[i] && model->stamps[i] < limit) rig_remove(model, i);
}

static bool change_stores(struct world *world, struct batch *batch, double limit) {
    struct tide_blocks due;
    bool done = true;

    tide_blocks_create(&due);
    for (uint32_t s = 0; s < world->nstores && done; s++) {
        done = tide_state_store_apply(world->stores[s], batch->changes, batch->count);
        if (done && limit > 0) done = tide_state_store_expire(world->stores[s], limit, &due);
    }
    if (done && limit > 0) {
        uint64_t rows = world->model.rows;

        expire_model(&world->model, limit);
        assert_int_equal(tide_blocks_records(&due), rows - world->model.rows);
    }
    tide_blocks_destroy(&due);
    return done;
}

static void end_batch(struct world *world, bool commit) {
    for (uint32_t s = 0; s < world->nstores; s++) {
        if (commit) tide_state_store_commit(world->stores[s]);
        else tide_state_store_rollback(world->stores[s]);
        assert_true(!commit || tide_state_store_version(world->stores[s]) == world->now);
    }
    tide_fault_clear();
    if (commit) return;
    rig_copy(&world->model, &world->before);
    world->rollbacks++;
}

static void run_batch(struct world *world) {
    struct batch *batch = tide_xmalloc(sizeof *batch);
    double limit = draw(world, 6) == 0 ? world->now - draw(world, 60) : 0;
    bool commit = draw(world, 4) > 0, done;

    make_batch(world, batch);
    rig_copy(&world->before, &world->model);
    for (uint32_t s = 0; s < world->nstores; s++) tide_state_store_begin(world->stores[s], world->now);
    if (draw(world, 3) == 0) check_found(world, batch);
    change_model(&world->model, batch);
    if (draw(world, 3) == 0) tide_fault_arm("alloc", draw(world, 30), draw(world, 2) ? -1 : 1);
    done = change_stores(world, batch, limit);
    if (!done) world->failures++;
    end_batch(world, done && commit);
    if (done && commit && draw(world, 4) == 0) check_delta(world);
    tide_buffer_destroy(&batch->bytes);
    tide_free(batch);
}

/* ---- Other key groups ----------------------------------------------------------------------------------------- */

static void delete_stores(struct world *world) {
    while (world->npins > 0) {
        check_pin(world, 0);
        unpin(world, 0);
    }
    while (world->nstores > 0) tide_state_store_release(world->stores[--world->nstores]);
}

static void load(struct tide_state_store *store, const struct tide_blocks *records, struct world *world) {
    struct tide_error err = {0};
    int code;

    if (draw(world, 2)) tide_fault_arm("alloc", draw(world, 200), 1);
    code = tide_state_store_load(store, records, -1, &err);
    tide_fault_clear();
    if (code == TIDE_OK) return;
    assert_int_equal(code, TIDE_ENOMEM);
    assert_true(tide_state_store_rows(store) == 0);
    rig_check_structure(store);
    tide_error_clear(&err);
    assert_int_equal(tide_state_store_load(store, records, -1, &err), TIDE_OK);
}

/* All records go to other stores, of other ranges of key groups. */
static void move(struct world *world) {
    uint32_t count = 1 + draw(world, MOST_STORES);
    struct tide_blocks records;

    tide_blocks_create(&records);
    for (uint32_t g = 0; g < RIG_GROUPS; g++)
        for (uint32_t s = 0; s < world->nstores; s++)
            assert_true(tide_state_store_read(world->stores[s], g, &records));
    delete_stores(world);
    for (uint32_t s = 0; s < count; s++) {
        uint32_t first = s * RIG_GROUPS / count, end = (s + 1) * RIG_GROUPS / count;

        assert_non_null(world->stores[s] = tide_state_store_new(first, end - first));
        load(world->stores[s], &records, world);
    }
    world->nstores = count;
    world->moves++;
    tide_blocks_destroy(&records);
    check(world, "move");
}

/* ---- The test ------------------------------------------------------------------------------------------------- */

static void step(struct world *world, uint32_t at) {
    if (at % 100 == 0) world->taste = (uint32_t[]){1, 4, 12, 7}[draw(world, 4)];
    world->now++;
    run_batch(world);
    if (draw(world, 5) == 0) check(world, "batch");
    if (draw(world, 10) == 0) pin(world);
    if (world->npins > 0 && draw(world, 10) == 0) check_pin(world, draw(world, world->npins));
    if (world->npins > 0 && draw(world, 12) == 0) unpin(world, draw(world, world->npins));
    if (draw(world, 150) == 0) move(world);
}

static void remove_all(struct world *world) {
    for (uint32_t s = 0; s < world->nstores; s++) {
        struct tide_blocks due;

        tide_blocks_create(&due);
        tide_state_store_begin(world->stores[s], world->now + 1);
        assert_true(tide_state_store_expire(world->stores[s], 1e15, &due));
        tide_state_store_commit(world->stores[s]);
        tide_blocks_destroy(&due);
        rig_check_structure(world->stores[s]);
        assert_true(tide_state_store_rows(world->stores[s]) == 0);
        assert_int_equal(world->stores[s]->olds.live, 0);
        assert_int_equal(world->stores[s]->arena.alone_bytes, 0);
    }
}

static uint64_t number_of(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void equals_the_model(void **state) {
    struct world *world = tide_xcalloc(1, sizeof *world);
    uint64_t seed = number_of("MOONTIDE_STATE_SEED", (uint64_t)time(NULL)), live = tide_block_live();
    uint32_t batches = (uint32_t)number_of("MOONTIDE_STATE_BATCHES", 3000);

    print_message("MOONTIDE_STATE_SEED=%llu\n", (unsigned long long)seed);
    world->seed = seed * 2 + 1;
    world->now = 1000;
    world->nstores = 1;
    world->stores[0] = tide_state_store_new(0, RIG_GROUPS);
    for (uint32_t i = 0; i < batches; i++) step(world, i);
    check(world, "end");
    while (world->npins > 0) {
        check_pin(world, 0);
        unpin(world, 0);
    }
    remove_all(world);
    assert_true(world->failures > 0 && world->rollbacks > 0 && world->moves > 0);
    delete_stores(world);
    rig_clear(&world->model);
    rig_clear(&world->before);
    rig_clear(&world->scratch);
    tide_free(world);
    assert_int_equal(tide_block_live(), live);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(equals_the_model)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

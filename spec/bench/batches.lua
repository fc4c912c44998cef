-- A join of two large batches, the sort of one, and one that is stored in SQLite; in the engine or by hand.
--
--     moontide run spec/bench/batches.lua <join|sort|sink> <records> <workers>
--     luajit spec/bench/batches.lua <join|sort|sortKeys|sink> <records>
--
-- In the engine: batches of `records` pairs each (key and value are numbers) whose blocks are there before the clock starts, on a
-- streaming context whose clock is moved by hand; the batch's result is computed and counted. Keys come in no order, each once in
-- a batch; nine of ten keys of one side are keys of the other. By hand: one thread of stock LuaJIT with the same pairs in two
-- arrays. join: a table of one side, looked up for the other, and an array of {key, {v, w}}. sort: table.sort of an array of {key,
-- value}. sortKeys: table.sort of the keys alone, which is all that function can do without calling back. sink: one transaction of
-- inserts with one prepared statement, through FFI, into a new database in WAL mode. Prints "seconds result
-- cpu-seconds" for a small and then for the whole batch; the small one is the warm-up.

local what, records, workers = arg[1], tonumber(arg[2]), tonumber(arg[3])

-- Numbers below `count`, each once, in no order: the multiplier is prime.
local STEP = 982451653

local function key_of(index, count, shift)
    return (index * (STEP % count) + shift) % count
end

-- The other side of a join has a tenth of its keys for itself.
local function shift_of(count)
    return math.floor(count / 10)
end

local function report(clock, run, count)
    collectgarbage()
    local started, cpu = clock(), os.clock()
    local result = run(count)
    print(string.format("%.6f %.0f %.6f", clock() - started, result, os.clock() - cpu))
end

-- By hand ------------------------------------------------------------------------------------------------------------

local by_hand = {}

local function arrays(count, shift)
    local keys, values = {}, {}
    for index = 1, count do
        keys[index] = key_of(index, count, shift) + shift
        values[index] = index
    end
    return keys, values
end

function by_hand.join(count)
    local left_keys, left_values = arrays(count, 0)
    local right_keys, right_values = arrays(count, shift_of(count))
    return function()
        local known, joined = {}, {}
        for index = 1, count do
            known[left_keys[index]] = left_values[index]
        end
        for index = 1, count do
            local key = right_keys[index]
            local value = known[key]
            if value ~= nil then
                joined[#joined + 1] = { key, { value, right_values[index] } }
            end
        end
        return #joined
    end
end

function by_hand.sort(count)
    local list = {}
    for index = 1, count do
        list[index] = { key_of(index, count, 0), index }
    end
    return function()
        table.sort(list, function(a, b) return a[1] < b[1] end)
        return #list
    end
end

function by_hand.sortKeys(count)
    local list = arrays(count, 0)
    return function()
        table.sort(list)
        return #list
    end
end

-- A new database, removed at the end.
local databases = {}

local function new_database()
    databases[#databases + 1] = os.tmpname()
    return databases[#databases]
end

local function remove_databases()
    for _, path in ipairs(databases) do
        for _, suffix in ipairs({ "", "-wal", "-shm" }) do
            os.remove(path .. suffix)
        end
    end
end

function by_hand.sink(count)
    local ffi = require "ffi"
    ffi.cdef [[
    int sqlite3_open(const char *path, void **db); int sqlite3_close_v2(void *db);
    int sqlite3_exec(void *db, const char *sql, void *callback, void *arg, char **message);
    int sqlite3_prepare_v2(void *db, const char *sql, int size, void **statement, const char **rest); int sqlite3_finalize(void *statement);
    int sqlite3_bind_int64(void *statement, int index, int64_t value); int sqlite3_step(void *statement); int sqlite3_reset(void *statement);
    ]]
    local lib, out = ffi.load("libsqlite3.so.0"), ffi.new "void *[1]"
    local list = {}
    for index = 1, count do
        list[index] = { key_of(index, count, 0), index }
    end
    assert(lib.sqlite3_open(new_database(), out) == 0)
    local db = out[0]
    local function execute(sql)
        assert(lib.sqlite3_exec(db, sql, nil, nil, nil) == 0, sql)
    end
    execute("PRAGMA journal_mode = wal; PRAGMA synchronous = full; CREATE TABLE t (k, v)")
    assert(lib.sqlite3_prepare_v2(db, "INSERT INTO t (k, v) VALUES (?, ?)", -1, out, nil) == 0)
    local insert = out[0]
    return function()
        execute("BEGIN IMMEDIATE")
        for index = 1, count do
            local row = list[index]
            lib.sqlite3_bind_int64(insert, 1, row[1])
            lib.sqlite3_bind_int64(insert, 2, row[2])
            lib.sqlite3_step(insert)
            assert(lib.sqlite3_reset(insert) == 0)
        end
        execute("COMMIT")
        lib.sqlite3_finalize(insert)
        lib.sqlite3_close_v2(db)
        return count
    end
end

-- In the engine ------------------------------------------------------------------------------------------------------

local pipelines = {}

function pipelines.join(left, right) return left:join(right) end

function pipelines.sort(left)
    return left:transform(function(rdd) return rdd:sortByKey() end)
end

function pipelines.sink(left)
    left:saveTo(require("moontide.sqlite").sink { path = new_database(), table = "t", columns = { "k", "v" } })
    return left
end

local function measure_engine(clock)
    local moontide = require "moontide"
    local loop = require "moontide.driver.loop"
    local sc = moontide.Context(string.format("local[%d]", workers), "bench")

    local function dataset(count, shift)
        local pairs_of_side = sc:range(1, count + 1, 1, 2 * workers):map(function(index)
            return key_of(index, count, shift) + shift, index
        end):cache()
        assert(pairs_of_side:count() == count)
        return pairs_of_side
    end

    local function batch(count)
        local ssc = require("moontide.streaming").create(sc, 1000, { clock = "manual", start = 0 })
        local sides, result = {}, nil
        for side = 1, what == "join" and 2 or 1 do
            sides[side] = ssc:queueStream { dataset(count, side == 2 and shift_of(count) or 0) }
        end
        pipelines[what](unpack(sides)):foreachRDD(function(rdd) result = rdd:count() end)
        ssc:start()
        local life = ssc.life
        return function()
            life.graph:advance(1000)
            loop.run_until(function() return life.tasks == 0 and life.graph:idle() end)
            return assert(result)
        end, ssc
    end

    for _, count in ipairs({ math.floor(records / 20), records }) do
        local run, ssc = batch(count)
        report(clock, run, count)
        ssc:stop(false)
    end
    sc:stop()
end

if workers then
    measure_engine(require("moontide.lineserver").clock)
else
    package.path = "./stdlib/?.lua;" .. package.path
    local clock = require("moontide.lineserver.sockets").clock
    for _, count in ipairs({ math.floor(records / 20), records }) do
        report(clock, by_hand[what](count), count)
    end
end
remove_databases()

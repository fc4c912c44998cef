-- The state store alone (host/state/), one partition, one thread: batches, memory, growth, full passes.
--
--     moontide run spec/bench/state.lua <keys> [batches]
--
-- Keys are texts of 8 to 12 bytes, values numbers. A batch looks up random known keys, adds 1 to each and puts it; its
-- commit counts. Prints "keys", their number, and "name value unit" lines; times are medians.

local fast = require "moontide.wire.ffi"
local clock = os.clock -- the time of this process: nothing here waits
local statistics = require "spec.bench.statistics"

local ffi, C = fast.ffi, fast.C

local KEYS, BATCHES = tonumber(arg[1]), tonumber(arg[2] or 30)
local SIZE = 16 -- room for a packed key
local BLOCK = 256

ffi.cdef "int malloc_trim(size_t pad);"

local function resident()
    ffi.C.malloc_trim(0)
    for line in io.lines("/proc/self/status") do
        local kilobytes = line:match("^VmRSS:%s*(%d+) kB")
        if kilobytes then
            return tonumber(kilobytes) * 1024
        end
    end
end

-- Key `number`: 0xa8 … 0xac and its digits in base 26, from a multiplier that mixes them.
local function write_key(at, number)
    local size = 8 + number % 5
    at[0] = 0xa0 + size
    local rest = (number * 48271) % 2147483647
    for i = 1, size do
        if i == 7 then
            rest = number
        end
        at[i] = 97 + rest % 26
        rest = math.floor(rest / 26)
    end
    at[7], at[8] = 97 + math.floor(number / 26 ^ 4) % 26, 97 + math.floor(number / 26 ^ 3) % 26
    at[6], at[5], at[4] = 97 + math.floor(number / 26 ^ 2) % 26, 97 + math.floor(number / 26) % 26, 97 + number % 26
    at[3] = 97 + math.floor(number / 26 ^ 5) % 26
    return size + 1
end

local seed = 1
local function draw(below)
    seed = (seed * 16807) % 2147483647
    return seed % below
end

-- The arrays of a batch.
local function arrays(count)
    return {
        count = count,
        bytes = ffi.new("uint8_t[?]", count * SIZE),
        changes = ffi.new("struct tide_state_change[?]", count),
        found = ffi.new("struct tide_state_found[?]", count),
    }
end

local function set(batch, index, number, kind)
    local change = batch.changes[index]
    change.key = batch.bytes + index * SIZE
    change.key_size = write_key(batch.bytes + index * SIZE, number)
    change.kind = kind
    change.value = nil
end

local store = C.tide_state_store_new(0, 128)
local version = 0

local function begin()
    version = version + 1
    C.tide_state_store_begin(store, version)
end

-- Looks up, adds 1, puts, a block of keys after the other, so that the second look-up finds them in the cache.
local function update(batch)
    begin()
    for from = 0, batch.count - 1, BLOCK do
        local count = math.min(BLOCK, batch.count - from)
        local changes, found = batch.changes + from, batch.found
        C.tide_state_store_find(store, changes, count, found)
        for i = 0, count - 1 do
            changes[i].number = found[i].number + 1
            changes[i].stamp = version
        end
        assert(C.tide_state_store_apply(store, changes, count))
    end
    C.tide_state_store_commit(store)
end

local function apply(batch)
    for i = 0, batch.count - 1 do
        batch.changes[i].number, batch.changes[i].stamp = 1, version + 1
    end
    begin()
    assert(C.tide_state_store_apply(store, batch.changes, batch.count))
    C.tide_state_store_commit(store)
end

local function timed(batches, prepare, run)
    local times = {}
    for i = 1, batches do
        prepare(i)
        local started = clock()
        run()
        times[i] = clock() - started
    end
    return times
end

local function show(name, value, unit)
    print(("%-28s %12.3f %s"):format(name, value, unit))
end

local function most(times)
    local longest = 0
    for _, time in ipairs(times) do
        longest = math.max(longest, time)
    end
    return longest
end

print(("keys %d"):format(KEYS))

local before = resident()

-- Growth by 10,000 new keys a batch.
local STEP = 10000
local step = arrays(STEP)
local grown = timed(KEYS / STEP, function(i)
    for index = 0, STEP - 1 do
        set(step, index, (i - 1) * STEP + index, C.TIDE_STATE_PUT)
    end
end, function() apply(step) end)
show("growth: median", statistics.median(grown) * 1000, "ms a batch of 10,000 new keys")
show("growth: longest", most(grown) * 1000, "ms")
show("growth: memory", (resident() - before) / KEYS, "bytes a key, resident")
show("growth: memory", tonumber(C.tide_state_store_bytes(store)) / KEYS, "bytes a key, counted")

-- Churn: 1 % of the keys, the oldest, deleted, as many added, 10,000 at a time.
local first, last = 0, KEYS
local function replace()
    for index = 0, STEP - 1 do
        set(step, index, index % 2 == 0 and first or last, index % 2 == 0 and C.TIDE_STATE_REMOVE or C.TIDE_STATE_PUT)
        if index % 2 == 0 then first = first + 1 else last = last + 1 end
    end
end
local churned = timed(math.min(300, KEYS / STEP * 2), replace, function() apply(step) end)
show("churn: median", statistics.median(churned) * 1000, "ms a batch of 5,000 new, 5,000 gone")
show("churn: longest", most(churned) * 1000, "ms")
show("churn: memory", (resident() - before) / KEYS, "bytes a key, resident")

for _, count in ipairs { 10, 10000, 100000 } do
    local batch = arrays(count)
    local times = timed(count > 10000 and BATCHES / 2 or BATCHES, function()
        for index = 0, count - 1 do
            set(batch, index, first + draw(last - first), C.TIDE_STATE_PUT)
        end
    end, function() update(batch) end)
    show(("update %d"):format(count), statistics.median(times) * 1000, "ms")
    local pins, at = {}, 0
    times = timed(BATCHES / 2, function()
        at = at % 3 + 1
        C.tide_state_pin_release(pins[at])
        pins[at] = C.tide_state_store_pin(store)
        for index = 0, count - 1 do
            set(batch, index, first + draw(last - first), C.TIDE_STATE_PUT)
        end
    end, function() update(batch) end)
    show(("update %d, three pins"):format(count), statistics.median(times) * 1000, "ms")
    for i = 1, 3 do
        C.tide_state_pin_release(pins[i])
    end
    times = timed(BATCHES / 2, function()
        begin()
        for index = 0, count - 1 do
            set(batch, index, first + draw(last - first), C.TIDE_STATE_PUT)
        end
        assert(C.tide_state_store_apply(store, batch.changes, count))
    end, function() C.tide_state_store_rollback(store) end)
    show(("rollback %d"):format(count), statistics.median(times) * 1000, "ms")
    local out = ffi.new "struct tide_blocks"
    times = timed(BATCHES / 2, function()
        C.tide_blocks_destroy(out)
        update(batch)
    end, function() assert(C.tide_state_store_delta(store, out)) end)
    show(("delta %d"):format(count), statistics.median(times) * 1000, "ms")
    C.tide_blocks_destroy(out)
end
show("memory after updates", (resident() - before) / KEYS, "bytes a key, resident")

-- Timeouts: nothing due, then a thousandth of the keys.
local due = ffi.new "struct tide_blocks"
local function expire(limit)
    begin()
    local started = clock()
    assert(C.tide_state_store_expire(store, limit, due))
    local took = clock() - started
    C.tide_state_store_rollback(store)
    return took
end
show("timeouts: none due", expire(1) * 1000, "ms")

-- All records to blocks and back, as a base of a snapshot and its recovery.
local records = ffi.new "struct tide_blocks"
local started = clock()
for group = 0, 127 do
    assert(C.tide_state_store_read(store, group, records))
end
show("full pass to records", KEYS / (clock() - started) / 1e6, "million keys/s")
local rows = tonumber(C.tide_state_store_rows(store))
C.tide_state_store_release(store)
store = C.tide_state_store_new(0, 128)
local loading = clock()
assert(C.tide_state_store_load(store, records, -1, nil) == 0)
show("load from records", KEYS / (clock() - loading) / 1e6, "million keys/s")
assert(tonumber(C.tide_state_store_rows(store)) == rows)
show("memory after loading", tonumber(C.tide_state_store_bytes(store)) / KEYS, "bytes a key, counted")
C.tide_blocks_destroy(records)
show("memory after loading", (resident() - before) / KEYS, "bytes a key, resident")
C.tide_state_store_release(store)

-- The measurements of whole operators: windows against the same job without one, a join, a sort, a sink, memory over many batches, and
-- more lines than can be taken. Each runs in processes of its own (windows.lua, batches.lua, memory.lua, overload.lua); bench.lua
-- calls what is here.

local statistics = require "spec.bench.statistics"

local cases = {}

--- The order in which they are run and shown.
cases.names = { "window", "join", "sort", "sink", "state", "memory", "overload" }

--- What they are, for people.
cases.titles = {
    window = "windows of 30 s that slide by 1 s", join = "join of two batches", sort = "sort of a batch", sink = "batch into SQLite",
    state = "mapWithState on many known keys",
    memory = "memory over many batches", overload = "one and a half times the sustained rate",
}

local measure = {}

-- Windows -------------------------------------------------------------------------------------------------------------

local PIPELINES = { "count", "window", "inverse" }
local PIPELINE_TITLES = { count = "reduceByKey", window = "window", inverse = "window, inverse" }

---@param bench { program: string, quick: boolean, run: fun(words: any[]): string }
function measure.window(bench)
    local records, batches = bench.quick and 20000 or 200000, bench.quick and 8 or 48
    local rows = {}
    for _, keys in ipairs({ 1000, 100000 }) do
        local taken = {}
        for _, name in ipairs(PIPELINES) do
            taken[name] = { wall = {}, cpu = {} }
        end
        local output = bench.run { bench.program, "run", "spec/bench/windows.lua", keys, records, batches }
        for name, wall, cpu in output:gmatch("(%a+) (%S+) (%S+)") do
            table.insert(taken[name].wall, tonumber(wall) * 1000)
            table.insert(taken[name].cpu, tonumber(cpu) * 1000)
        end
        local plain_wall, plain_cpu = statistics.median(taken.count.wall), statistics.median(taken.count.cpu)
        for _, name in ipairs(PIPELINES) do
            local wall, cpu = statistics.median(taken[name].wall), statistics.median(taken[name].cpu)
            rows[#rows + 1] = {
                keys = keys, pipeline = name, records = records, wall_ms = wall, cpu_ms = cpu,
                wall_max_ms = statistics.percentile(taken[name].wall, 1), ratio_of_wall = wall / plain_wall,
                ratio_of_cpu = cpu / plain_cpu, wall = taken[name].wall, cpu = taken[name].cpu,
            }
        end
    end
    return rows
end

local function print_window(rows)
    print(string.format("\n%-28s %10s %10s %10s %10s %9s %9s", "30 s by 1 s, for each batch", "keys", "wall ms", "max ms",
        "CPU ms", "of wall", "of CPU"))
    for _, row in ipairs(rows) do
        print(string.format("%-28s %10d %10.1f %10.1f %10.1f %8.2fx %8.2fx", PIPELINE_TITLES[row.pipeline], row.keys,
            row.wall_ms, row.wall_max_ms, row.cpu_ms, row.ratio_of_wall, row.ratio_of_cpu))
    end
end

-- Join, sort and sink -------------------------------------------------------------------------------------------------------

-- The last line of the output is the measurement, the ones before are its warm-up.
local function last_line(output)
    local seconds, result, cpu = output:match("(%S+) (%S+) (%S+)%s*$")
    return tonumber(seconds), result, tonumber(cpu)
end

-- Runs of the same work in turn: the engine with one and with two workers, and by hand in these ways.
local function compare(bench, what, records, turns, input_records, ways)
    local variants = {}
    for workers = 1, 2 do
        variants[#variants + 1] = {
            title = workers == 1 and "1 worker" or "2 workers", workers = workers,
            words = { bench.program, "run", "spec/bench/batches.lua", what, records, workers },
        }
    end
    for _, way in ipairs(ways) do
        variants[#variants + 1] = {
            title = "by hand: " .. way.title, by_hand = way.name,
            words = { "luajit", "spec/bench/batches.lua", way.name, records },
        }
    end
    local expected
    for _ = 1, turns do
        for _, variant in ipairs(variants) do
            local seconds, result, cpu = last_line(bench.run(variant.words))
            expected = expected or result
            if result ~= expected then
                error(string.format("%s, %s: the result is %s instead of %s", what, variant.title, result, expected), 0)
            end
            variant.seconds, variant.cpu_seconds = variant.seconds or {}, variant.cpu_seconds or {}
            table.insert(variant.seconds, seconds)
            table.insert(variant.cpu_seconds, cpu)
        end
    end
    local by_hand = statistics.median(variants[3].cpu_seconds)
    for _, variant in ipairs(variants) do
        variant.words = nil
        variant.records = input_records
        variant.records_per_second = input_records / statistics.median(variant.seconds)
        variant.records_per_cpu_second = input_records / statistics.median(variant.cpu_seconds)
        variant.ratio_of_cpu = by_hand / statistics.median(variant.cpu_seconds)
    end
    return variants
end

function measure.join(bench)
    local records = bench.quick and 100000 or 1000000
    return compare(bench, "join", records, bench.quick and 1 or 3, 2 * records, { { name = "join", title = "a table" } })
end

function measure.sort(bench)
    local records = bench.quick and 200000 or 5000000
    return compare(bench, "sort", records, bench.quick and 1 or 2, records,
        { { name = "sort", title = "table.sort" }, { name = "sortKeys", title = "keys alone" } })
end

function measure.sink(bench)
    local records = bench.quick and 50000 or 1000000
    return compare(bench, "sink", records, bench.quick and 1 or 3, records, { { name = "sink", title = "inserts" } })
end

local function print_variants(title, variants)
    print(string.format("\n%-28s %14s %14s %9s", string.format("%s, %d records", title, variants[1].records), "records/s",
        "/CPU second", "/by hand"))
    for _, variant in ipairs(variants) do
        print(string.format("%-28s %14.0f %14.0f %8.2fx", variant.title, variant.records_per_second,
            variant.records_per_cpu_second, variant.ratio_of_cpu))
    end
end

-- The process has found its size after so many batches; what --quick runs is all warm-up.
local WARM_UP = 10000

-- Memory --------------------------------------------------------------------------------------------------------------

function measure.memory(bench)
    local output = bench.run { bench.program, "run", "spec/bench/memory.lua", bench.quick and 5000 or 100000 }
    local samples = {}
    for batch, rss, blocks, bytes, rdds, lua, workers in output:gmatch("(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)\n") do
        samples[#samples + 1] = {
            batch = tonumber(batch), rss_kb = tonumber(rss), blocks = tonumber(blocks), block_bytes = tonumber(bytes),
            datasets = tonumber(rdds), lua_kb = tonumber(lua), worker_lua_kb = tonumber(workers),
        }
    end
    local first, last = samples[1], samples[#samples]
    return {
        samples = samples, batches = last.batch, warm_up = first.batch, seconds = tonumber(output:match("(%S+)%s*$")),
        growth_of_rss = last.rss_kb / first.rss_kb - 1, growth_of_blocks = last.blocks / first.blocks - 1,
        growth_of_datasets = last.datasets / first.datasets - 1,
    }
end

local function print_memory(result)
    print(string.format("\n%-28s %10s %10s %12s %10s %10s %12s", "small batches", "RSS MB", "blocks", "block bytes", "datasets",
        "Lua kB", "worker's kB"))
    for _, now in ipairs(result.samples) do
        print(string.format("%-28d %10.1f %10d %12d %10d %10d %12d", now.batch, now.rss_kb / 1024, now.blocks, now.block_bytes,
            now.datasets, now.lua_kb, now.worker_lua_kb))
    end
    if result.warm_up < WARM_UP then
        print(string.format("too few batches to tell of resident memory: it is compared from batch %d on", WARM_UP))
    end
end

-- Overload ------------------------------------------------------------------------------------------------------------

-- A line server offers `rate` for so long; what was done in which time after the first batch, and the memory in the last three
-- quarters of it.
local function offer(bench, rate, seconds)
    local output = bench.run { bench.program, "run", "spec/bench/overload.lua", bench.logs, rate, seconds }
    local batches = {}
    for at, records, rss in output:gmatch("(%S+) (%d+) (%d+)\n") do
        batches[#batches + 1] = { at = tonumber(at), records = tonumber(records), rss_kb = tonumber(rss) }
    end
    local done, least, most = 0, math.huge, 0
    for index = 2, #batches do
        done = done + batches[index].records
        if index > #batches / 4 then
            least, most = math.min(least, batches[index].rss_kb), math.max(most, batches[index].rss_kb)
        end
    end
    return {
        offered = rate, processed = done / batches[#batches].at, batches = batches, rss_least_kb = least, rss_most_kb = most,
    }
end

-- The sustained rate is the highest of a ladder, a tenth from step to step, that is processed as it comes; what fails has
-- another try, because something else may have used the machine.
function measure.overload(bench)
    local rate, steps, failed, sustained = 300000, {}, 0, nil
    while failed < 2 do
        local step = offer(bench, rate, bench.quick and 3 or 6)
        steps[#steps + 1] = { offered = step.offered, processed = step.processed }
        if step.processed >= 0.95 * rate then
            failed, sustained, rate = 0, rate, math.floor(rate * (rate < 500000 and 1.5 or 1.1))
        else
            failed = failed + 1
        end
    end
    sustained = sustained or steps[1].processed
    local result = offer(bench, math.floor(1.5 * sustained), bench.quick and 4 or 60)
    result.steps, result.sustained, result.ratio = steps, sustained, result.processed / sustained
    result.growth_of_rss = result.rss_most_kb / result.rss_least_kb - 1
    return result
end

local function print_overload(result)
    print(string.format("\n%-28s %14s %14s %10s %10s", "overload, lines/s", "offered", "processed", "least MB", "most MB"))
    for _, step in ipairs(result.steps) do
        print(string.format("%-28s %14.0f %14.0f", "", step.offered, step.processed))
    end
    print(string.format("%-28s %14.0f %14.0f %10.0f %10.0f", "1.5 of what was sustained", result.offered, result.processed,
        result.rss_least_kb / 1024, result.rss_most_kb / 1024))
end

-- States --------------------------------------------------------------------------------------------------------------

-- The store alone tells figures by name: host/state/ without an engine around it.
local function store_figures(bench, known)
    local figures = {}
    for name, value, unit in bench.run({ bench.program, "run", "spec/bench/state.lua", known }):gmatch("([^\n]-) +(%d+%.%d+) ([^\n]+)") do
        figures[#figures + 1] = { name = name, value = tonumber(value), unit = unit }
    end
    return figures
end

function measure.state(bench)
    local result = { batches = {}, stores = {} }
    for _, known in ipairs(bench.quick and { 100000 } or { 1000000, 10000000 }) do
        for _, changed in ipairs({ 10, 10000 }) do
            local output = bench.run { bench.program, "run", "spec/bench/map_with_state.lua", known, changed, 1, bench.quick and 5 or 40 }
            local median, longest, bytes = output:match("(%S+) (%S+) (%S+)")
            table.insert(result.batches, {
                known = known, changed = changed, median_ms = tonumber(median), longest_ms = tonumber(longest),
                bytes_per_key = tonumber(bytes),
            })
        end
        table.insert(result.stores, { known = known, figures = store_figures(bench, known) })
    end
    return result
end

local function print_state(result)
    print(string.format("\n%-28s %10s %10s %10s %10s", "mapWithState, one worker", "changed", "ms", "longest", "bytes/key"))
    for _, row in ipairs(result.batches) do
        print(string.format("%-28s %10d %10.2f %10.2f %10.1f", string.format("%d known keys", row.known), row.changed, row.median_ms,
            row.longest_ms, row.bytes_per_key))
    end
    for _, store in ipairs(result.stores) do
        print(string.format("\nthe store alone, %d keys", store.known))
        for _, figure in ipairs(store.figures) do
            print(string.format("%-28s %12.3f %s", figure.name, figure.value, figure.unit))
        end
    end
end

-- All of them ---------------------------------------------------------------------------------------------------------

--- Measures one of `cases.names`.
---@param name string
---@param bench { program: string, quick: boolean, logs: string, run: fun(words: any[]): string } logs: a file of lines
---@return table result
function cases.measure(name, bench)
    return measure[name](bench)
end

---@param results table<string, table>
function cases.print(results)
    if results.window then
        print_window(results.window)
    end
    if results.join then
        print_variants("join", results.join)
    end
    if results.sort then
        print_variants("sortByKey", results.sort)
    end
    if results.sink then
        print_variants("sink of moontide.sqlite", results.sink)
    end
    if results.state then
        print_state(results.state)
    end
    if results.memory then
        print_memory(results.memory)
    end
    if results.overload then
        print_overload(results.overload)
    end
end

local KEYS = { [1000] = "1,000 keys", [100000] = "100,000 keys" }

--- What of it is held against a bar.
---@param results table<string, table>
---@param at_most fun(what: string, value: number?, unit: string, bar: number)
---@param at_least fun(what: string, value: number?, unit: string, bar: number)
function cases.bars(results, at_most, at_least)
    for _, row in ipairs(results.window or {}) do
        if row.pipeline ~= "count" then
            local what = string.format("%s against reduceByKey, %s, ", PIPELINE_TITLES[row.pipeline], KEYS[row.keys])
            at_most(what .. "CPU", row.ratio_of_cpu, "x", 2)
            at_most(what .. "wall", row.ratio_of_wall, "x", 2)
        end
    end
    local memory = results.memory
    if memory then
        local over = string.format(", batch %d to %d", memory.warm_up, memory.batches)
        if memory.warm_up >= WARM_UP then
            at_most("resident memory" .. over, math.abs(memory.growth_of_rss) * 100, "%", 5)
        end
        at_most("live blocks" .. over, math.abs(memory.growth_of_blocks) * 100, "%", 5)
        at_most("live datasets" .. over, math.abs(memory.growth_of_datasets) * 100, "%", 5)
    end
    local overload = results.overload
    if overload then
        at_least("1.5 of the sustained rate offered, processed of it", overload.ratio, "x", 0.95)
    end
end

return cases

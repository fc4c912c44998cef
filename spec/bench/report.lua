-- Shows the results of a run of the benchmark, and compares them with the bars the project holds itself to.

local cases = require "spec.bench.cases"
local workloads = require "spec.bench.workloads"

local report = {}

--- The order of the probes, and what they are.
report.probe_names = { "empty", "latency", "start", "idle", "ticks" }

local probe_titles = {
    empty = "empty batch, tick to completed", latency = "latency at half of the maximum rate",
    start = "start of the process to the first batch", idle = "idle memory", ticks = "10 ms batches, lateness",
}
report.probe_titles = probe_titles

--- Throughput, a line for each row made by bench.lua.
---@param rows table[]
function report.print_throughput(rows)
    if #rows == 0 then
        return
    end
    print(string.format("%-16s %-7s %7s %12s %8s %9s %9s %9s %8s", "", "source", "workers", "records/s", "MB/s",
        "/worker", "/CPU", "speed-up", "of file"))
    for _, row in ipairs(rows) do
        print(string.format("%-16s %-7s %7d %12.0f %8.1f %8.2fx %8.2fx %8.2fx %7.2fx", workloads.titles[row.workload],
            row.source, row.workers, row.records_per_second, row.megabytes_per_second, row.ratio_per_worker,
            row.ratio_of_cpu, row.speedup, row.ratio_to_file))
    end
    print("/worker and /CPU: against one thread of hand-written LuaJIT with the same closures on the same input, per")
    print("worker by the clock on the wall, and per second of CPU (all threads), which a busy machine disturbs less")
end

--- The probes.
---@param results table<string, table>
function report.print_probes(results)
    if next(results) == nil then
        return
    end
    print()
    print(string.format("%-44s %10s %10s %10s %10s %8s", "", "median", "p90", "p99", "max", "samples"))
    for _, name in ipairs(report.probe_names) do
        local result = results[name]
        if result then
            print(string.format("%-44s %10.1f %10.1f %10.1f %10.1f %8d  %s", probe_titles[name], result.median,
                result.p90, result.p99, result.max, result.samples, result.unit))
        end
    end
end

local function wordcount(rows, source, workers)
    for _, row in ipairs(rows) do
        if row.workload == "wordcount" and row.source == source and row.workers == workers then
            return row
        end
    end
    return {}
end

--- What was measured against the bars; only what was measured is in the list.
---@param rows table[]
---@param results table<string, table>
---@param case_results? table<string, table> of cases.lua
---@return { what: string, value: number, unit: string, bar: string, met: boolean }[]
function report.bars(rows, results, case_results)
    local list = {}
    local function at_least(what, value, unit, bar)
        if value then
            list[#list + 1] = { what = what, value = value, unit = unit, bar = "≥ " .. bar, met = value >= bar }
        end
    end
    local function at_most(what, value, unit, bar)
        if value then
            list[#list + 1] = { what = what, value = value, unit = unit, bar = "≤ " .. bar, met = value <= bar }
        end
    end
    local empty, latency, start = results.empty or {}, results.latency or {}, results.start or {}
    local idle, ticks = results.idle or {}, results.ticks or {}
    at_least("word count per worker, against the hand-written loop", wordcount(rows, "file", 1).ratio_per_worker, "x",
        0.8)
    at_least("word count through the socket, against the file", wordcount(rows, "socket", 1).ratio_to_file, "x", 0.7)
    at_least("word count with two workers, against one", wordcount(rows, "file", 2).speedup, "x", 1.7)
    at_most("empty batch, tick to completed, median", empty.median, "µs", 200)
    at_most("latency p99, 100 ms batches, half of the maximum rate", latency.p99 and latency.p99 / 1000, "ms", 200)
    at_most("start of the process to the first batch, median", start.median, "ms", 50)
    at_most("idle memory", idle.median, "MB", 20)
    at_most("10 ms batches: drift over the run", ticks.drift and math.abs(ticks.drift), "µs", 1000)
    cases.bars(case_results or {}, at_most, at_least)
    return list
end

---@param list table[] as made by `report.bars`
function report.print_bars(list)
    print()
    for _, bar in ipairs(list) do
        print(string.format("%-66s %9.2f %-3s %-7s %s", bar.what, bar.value, bar.unit, bar.bar,
            bar.met and "met" or "MISSED"))
    end
end

return report

-- Measures the engine. Started by `make bench`.
--
--     moontide run spec/bench/bench.lua [--json FILE] [--data FOLDER] [--quick] [--long] [name...]
--
-- Names: wordcount grep topk count empty latency start idle ticks; without any, all. --quick uses little data and
-- repeats nothing; --long holds the 10 ms batches for a minute. What is compared is measured in turns, several
-- times, and the medians are shown: on a shared machine only the ratios mean much. See the README.md beside this
-- file for what each figure is.

local json = require "spec.bench.json"
local statistics = require "spec.bench.statistics"
local workloads = require "spec.bench.workloads"
local clock = require("moontide.lineserver").clock

local options = { data = "build/bench" }
local chosen, any_chosen = {}, false

local probe_names = { "empty", "latency", "start", "idle", "ticks" }

local function known(name)
    for _, list in ipairs({ workloads.names, probe_names }) do
        for _, each in ipairs(list) do
            if each == name then
                return true
            end
        end
    end
    return false
end

local function parse_arguments()
    local index = 1
    while arg[index] do
        local word = arg[index]
        if word == "--json" or word == "--data" then
            index = index + 1
            options[word:sub(3)] = arg[index] or error(word .. " needs a path", 0)
        elseif word == "--quick" or word == "--long" then
            options[word:sub(3)] = true
        elseif known(word) then
            chosen[word], any_chosen = true, true
        else
            error("unknown argument '" .. word .. "'; names: " .. table.concat(workloads.names, " ") .. " "
                .. table.concat(probe_names, " "), 0)
        end
        index = index + 1
    end
end

local function wanted(name)
    return not any_chosen or chosen[name]
end

local function quote(text)
    return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

local function capture(command)
    local pipe = assert(io.popen(command, "r"))
    local output = pipe:read("*a")
    pipe:close()
    return output
end

-- The shell's parent is this process.
local program = capture("readlink /proc/$PPID/exe"):gsub("%s+$", "")

local function command(words)
    local quoted = {}
    for index, word in ipairs(words) do
        quoted[index] = quote(word)
    end
    return "exec " .. table.concat(quoted, " ")
end

-- Runs a child process; its output has to be one number at least.
local function run(words)
    local output = capture(command(words))
    if not output:match("^%d") then
        error("this run failed: " .. table.concat(words, " ") .. "\n" .. output, 0)
    end
    return output
end

local function run_values(words)
    local values = {}
    for line in run(words):gmatch("[^\n]+") do
        values[#values + 1] = tonumber(line)
    end
    return values
end

local function progress(text)
    io.stderr:write("bench: ", text, "\n")
end

-- ---- Throughput -----------------------------------------------------------------------------------------------------

local inputs = {}

local function make_input(kind, megabytes, seed)
    local generator = require "spec.support.text_generator"
    local path = string.format("%s/%s-%g-%d.txt", options.data, kind, megabytes, seed)
    local result = generator.file(path, kind, { bytes = megabytes * 1e6, seed = seed })
    return { path = path, lines = result.lines, bytes = result.bytes }
end

local function prepare_inputs()
    os.execute("mkdir -p " .. quote(options.data))
    local megabytes = options.quick and 6 or 24
    for _, kind in ipairs({ "words", "logs" }) do
        inputs[kind] = make_input(kind, megabytes, 20140203)
        inputs[kind].warm_up = make_input(kind, 2, 7)
    end
end

local sources = { "file", "memory", "socket" }

-- One turn of everything about one workload: seconds are added to `taken`, results have to agree.
local function one_turn(name, taken)
    local input = inputs[workloads[name].input]
    local expected

    local function note(key, output, per_batch)
        local seconds, result, cpu = output:match("^(%S+) (%S+) (%S+)")
        taken[key] = taken[key] or { seconds = {}, cpu = {} }
        table.insert(taken[key].seconds, tonumber(seconds))
        table.insert(taken[key].cpu, tonumber(cpu))
        expected = expected or result
        if result ~= expected and not per_batch then
            error(string.format("%s, %s: the result is %s instead of %s", name, key, result, expected), 0)
        end
    end

    for _, way in ipairs({ "lines", "text", "memory" }) do
        note("loop " .. way, run({ "luajit", "spec/bench/baseline.lua", name, way, input.path, input.warm_up.path }))
    end
    for _, source in ipairs(sources) do
        for workers = 1, 2 do
            -- Top-k over a socket is the top of each batch, not of everything.
            note(source .. " " .. workers,
                run({ program, "run", "spec/bench/job.lua", name, source, workers, input.path, input.warm_up.path }),
                source == "socket" and name == "topk")
        end
    end
end

-- Of the two ways to read a file by hand, the faster one is the one to beat.
local function best_loop(taken, ways)
    local best
    for _, way in ipairs(ways) do
        local seconds = statistics.median(taken["loop " .. way].seconds)
        if not best or seconds < best.seconds then
            best = { seconds = seconds, cpu = statistics.median(taken["loop " .. way].cpu) }
        end
    end
    return best
end

local function rows_of(name, taken)
    local input = inputs[workloads[name].input]
    local by_hand = best_loop(taken, { "lines", "text" })
    local loops = { file = by_hand, socket = by_hand, memory = best_loop(taken, { "memory" }) }

    local function seconds_of(source, workers)
        return statistics.median(taken[source .. " " .. workers].seconds)
    end

    local rows = {}
    for _, source in ipairs(sources) do
        for workers = 1, 2 do
            local runs = taken[source .. " " .. workers]
            local seconds = seconds_of(source, workers)
            rows[#rows + 1] = {
                workload = name, source = source, workers = workers,
                records_per_second = input.lines / seconds,
                megabytes_per_second = input.bytes / seconds / 1e6,
                loop_records_per_second = input.lines / loops[source].seconds,
                ratio_per_worker = loops[source].seconds / seconds / workers,
                ratio_of_cpu = loops[source].cpu / statistics.median(runs.cpu),
                speedup = seconds_of(source, 1) / seconds,
                ratio_to_file = seconds_of("file", workers) / seconds,
                seconds = runs.seconds, cpu_seconds = runs.cpu,
            }
        end
    end
    return rows
end

local function measure_throughput()
    local names, taken = {}, {}
    for _, name in ipairs(workloads.names) do
        if wanted(name) then
            names[#names + 1] = name
            taken[name] = {}
        end
    end
    if #names == 0 and not wanted("latency") then
        return {}
    end
    progress("making the inputs")
    prepare_inputs()
    local turns = options.quick and 1 or 3
    for turn = 1, turns do
        for _, name in ipairs(names) do
            progress(string.format("%s, turn %d of %d", workloads.titles[name], turn, turns))
            one_turn(name, taken[name])
        end
    end
    local rows = {}
    for _, name in ipairs(names) do
        for _, row in ipairs(rows_of(name, taken[name])) do
            rows[#rows + 1] = row
        end
    end
    return rows
end

-- ---- Everything else ------------------------------------------------------------------------------------------------

local function summary_of(values, unit)
    return {
        unit = unit, samples = #values, median = statistics.median(values), p90 = statistics.percentile(values, 0.9),
        p99 = statistics.percentile(values, 0.99), max = statistics.percentile(values, 1),
    }
end

local measure = {}

function measure.empty()
    local values = run_values({ program, "run", "spec/bench/probes.lua", "empty", options.quick and 500 or 1000 })
    return summary_of(values, "µs")
end

function measure.start()
    local values = {}
    for turn = 1, options.quick and 5 or 15 do
        local started = clock()
        local first = tonumber(run({ program, "run", "spec/bench/probes.lua", "start" }):match("^%S+"))
        values[turn] = (first - started) * 1000
    end
    return summary_of(values, "ms")
end

function measure.idle()
    local values = {}
    for turn = 1, options.quick and 1 or 3 do
        values[turn] = run_values({ program, "run", "spec/bench/probes.lua", "idle" })[1] / 1024
    end
    return summary_of(values, "MB")
end

function measure.ticks()
    local interval = 10
    local seconds = options.long and 60 or options.quick and 3 or 10
    local late = run_values({ program, "run", "spec/bench/probes.lua", "ticks", interval, seconds * 1000 / interval })
    local result = summary_of(late, "µs")
    local tenth = math.floor(#late / 10)
    result.seconds = seconds
    result.first_tenth_median = statistics.median({ unpack(late, 1, tenth) })
    result.last_tenth_median = statistics.median({ unpack(late, #late - tenth + 1) })
    result.drift = result.last_tenth_median - result.first_tenth_median
    return result
end

-- At half of the rate that the word count over the socket reached with two workers.
function measure.latency(rows)
    local input = inputs.words
    local rate
    for _, row in ipairs(rows) do
        if row.workload == "wordcount" and row.source == "socket" and row.workers == 2 then
            rate = row.records_per_second
        end
    end
    if not rate then
        local output = run({ program, "run", "spec/bench/job.lua", "wordcount", "socket", 2, input.path, input.warm_up.path })
        rate = input.lines / tonumber(output:match("^%S+"))
    end
    rate = math.floor(rate / 2)
    local values = run_values({ program, "run", "spec/bench/probes.lua", "latency", input.path, rate, options.quick and 2 or 6 })
    local result = summary_of(values, "µs")
    result.lines_per_second = rate
    return result
end

-- ---- The report -----------------------------------------------------------------------------------------------------

local function first_match(path, pattern)
    local file = io.open(path, "r")
    local content = file and file:read("*a") or ""
    if file then
        file:close()
    end
    return content:match(pattern) or "unknown"
end

local function machine()
    return {
        processor = first_match("/proc/cpuinfo", "model name%s*:%s*([^\n]+)"),
        cores = tonumber(capture("nproc")),
        memory_megabytes = math.floor((tonumber(first_match("/proc/meminfo", "MemTotal:%s*(%d+)")) or 0) / 1024),
        system = capture("uname -sr"):gsub("%s+$", ""),
        luajit = jit.version,
        moontide = require("moontide").version or "unknown",
    }
end

local function print_rows(rows)
    if #rows == 0 then
        return
    end
    print(string.format("%-16s %-7s %7s %12s %8s %10s %10s %9s %8s", "", "source", "workers", "records/s", "MB/s",
        "by hand", "by hand", "speed-up", "of file"))
    print(string.format("%-16s %-7s %7s %12s %8s %10s %10s", "", "", "", "", "", "/worker", "/CPU"))
    for _, row in ipairs(rows) do
        print(string.format("%-16s %-7s %7d %12.0f %8.1f %9.2fx %9.2fx %8.2fx %7.2fx", workloads.titles[row.workload],
            row.source, row.workers, row.records_per_second, row.megabytes_per_second, row.ratio_per_worker,
            row.ratio_of_cpu, row.speedup, row.ratio_to_file))
    end
    print("by hand: against one thread of hand-written LuaJIT with the same closures on the same input, per worker by the")
    print("clock on the wall, and per second of CPU (all threads), which a busy machine disturbs less")
end

local function find_row(rows, source, workers)
    for _, row in ipairs(rows) do
        if row.workload == "wordcount" and row.source == source and row.workers == workers then
            return row
        end
    end
end

-- The bars of design.md's table of numbers.
local function bars(rows, results)
    local list = {}
    local function add(what, value, unit, bar, at_least)
        if value then
            local met
            if at_least then
                met = value >= bar
            else
                met = value <= bar
            end
            list[#list + 1] = { what = what, value = value, unit = unit, bar = (at_least and "≥ " or "≤ ") .. bar, met = met }
        end
    end
    local file1, file2, socket1 = find_row(rows, "file", 1), find_row(rows, "file", 2), find_row(rows, "socket", 1)
    add("word count per worker, against the hand-written loop", file1 and file1.ratio_per_worker, "x", 0.8, true)
    add("word count through the socket, against the file", socket1 and socket1.ratio_to_file, "x", 0.7, true)
    add("word count with two workers, against one", file2 and file2.speedup, "x", 1.7, true)
    add("empty batch, tick to completed, median", results.empty and results.empty.median, "µs", 200)
    add("latency p99, 100 ms batches, half of the maximum rate", results.latency and results.latency.p99 / 1000, "ms", 200)
    add("start of the process to the first batch, median", results.start and results.start.median, "ms", 50)
    add("idle memory", results.idle and results.idle.median, "MB", 20)
    add("10 ms batches: drift over the run", results.ticks and math.abs(results.ticks.drift), "µs", 1000)
    return list
end

local probe_titles = {
    empty = "empty batch, tick to completed", latency = "latency at half of the maximum rate",
    start = "start of the process to the first batch", idle = "idle memory", ticks = "10 ms batches, lateness",
}

local function print_results(results)
    print()
    print(string.format("%-44s %10s %10s %10s %10s %8s", "", "median", "p90", "p99", "max", "samples"))
    for _, name in ipairs(probe_names) do
        local result = results[name]
        if result then
            print(string.format("%-44s %10.1f %10.1f %10.1f %10.1f %8d  %s", probe_titles[name], result.median, result.p90,
                result.p99, result.max, result.samples, result.unit))
        end
    end
end

local function print_bars(list)
    print()
    for _, bar in ipairs(list) do
        print(string.format("%-58s %9.2f %-3s %-7s %s", bar.what, bar.value, bar.unit, bar.bar, bar.met and "met" or "NOT MET"))
    end
end

local function main()
    parse_arguments()
    local began = clock()
    local rows = measure_throughput()
    local results = {}
    for _, name in ipairs(probe_names) do
        if wanted(name) then
            progress(probe_titles[name])
            results[name] = measure[name](rows)
        end
    end
    local list = bars(rows, results)
    local about = machine()

    print(string.format("Moontide %s, %s, %d cores (%s), %s", about.moontide, about.luajit, about.cores, about.processor,
        about.system))
    print_rows(rows)
    print_results(results)
    print_bars(list)
    print(string.format("\n%.0f s", clock() - began))

    if options.json then
        local file = assert(io.open(options.json, "w"))
        assert(file:write(json.encode({
            machine = about,
            configuration = {
                quick = options.quick or false, long = options.long or false, seed = 20140203, batch_ms_socket = 100,
                word_lines = inputs.words and inputs.words.lines or 0, log_lines = inputs.logs and inputs.logs.lines or 0,
                workers = { 1, 2 },
            },
            throughput = rows, probes = results, bars = list,
        })))
        file:close()
        print("written to " .. options.json)
    end
end

main()

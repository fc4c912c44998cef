-- Measures the engine. Started by `make bench`.
--
--     moontide run spec/bench/bench.lua [--json FILE] [--data FOLDER] [--quick] [--long] [[--only] name...]
--
-- Names: wordcount grep topk count empty latency start idle ticks window join sort sink state memory overload; without any, all. --quick
-- uses little data and repeats nothing; --long holds the 10 ms batches for a minute. What is compared is measured in
-- turns, several times, and the medians are shown: on a shared machine only the ratios mean much. See the README.md
-- beside this file for what each figure is.

local cases = require "spec.bench.cases"
local json = require "spec.bench.json"
local report = require "spec.bench.report"
local statistics = require "spec.bench.statistics"
local workloads = require "spec.bench.workloads"
local clock = require("moontide.lineserver").clock

local SEED = 20140203

local options = {}
local chosen, any_chosen = {}, false

local all_names = { workloads.names, report.probe_names, cases.names }

local function known(name)
    for _, list in ipairs(all_names) do
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
        elseif word ~= "--only" then -- names follow, which are enough
            local names = {}
            for at, list in ipairs(all_names) do
                names[at] = table.concat(list, " ")
            end
            error("unknown argument '" .. word .. "'; names: " .. table.concat(names, " "), 0)
        end
        index = index + 1
    end
    options.data = options.data or ((options.json or "build/bench.json"):match("^(.*)/[^/]*$") or ".") .. "/bench"
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
    if not output:match("^%l* ?%d") then
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

-- ---- Throughput ----------------------------------------------------------------------------------------------

local inputs = {}

local function make_input(kind, megabytes, seed)
    local generator = require "spec.support.text_generator"
    os.execute("mkdir -p " .. quote(options.data))
    local path = string.format("%s/%s-%g-%d.txt", options.data, kind, megabytes, seed)
    local result = generator.file(path, kind, { bytes = megabytes * 1e6, seed = seed })
    return { path = path, lines = result.lines, bytes = result.bytes }
end

local function prepare_inputs()
    local megabytes = options.quick and 6 or 24
    for _, kind in ipairs({ "words", "logs" }) do
        inputs[kind] = make_input(kind, megabytes, SEED)
        inputs[kind].warm_up = make_input(kind, 2, 7)
    end
end

local sources = { "file", "memory", "socket" }

local function job_words(name, source, workers)
    local input = inputs[workloads[name].input]
    return { program, "run", "spec/bench/job.lua", name, source, workers, input.path, input.warm_up.path }
end

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
            note(source .. " " .. workers, run(job_words(name, source, workers)), source == "socket" and name == "topk")
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

-- ---- Everything else -----------------------------------------------------------------------------------------

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
        local output = run(job_words("wordcount", "socket", 2))
        rate = input.lines / tonumber(output:match("^%S+"))
    end
    rate = math.floor(rate / 2)
    local seconds = options.quick and 2 or 6
    local values = run_values({ program, "run", "spec/bench/probes.lua", "latency", input.path, rate, seconds })
    local result = summary_of(values, "µs")
    result.lines_per_second = rate
    return result
end

-- ---- The report ----------------------------------------------------------------------------------------------

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
        load_before = tonumber(first_match("/proc/loadavg", "^(%S+)")),
        system = capture("uname -sr"):gsub("%s+$", ""),
        luajit = jit.version,
        moontide = require("moontide").version,
    }
end

local function measure_cases()
    local results = {}
    for _, name in ipairs(cases.names) do
        if wanted(name) then
            progress(cases.titles[name])
            local logs = name == "overload" and make_input("logs", options.quick and 6 or 24, SEED).path or nil
            results[name] = cases.measure(name,
                { program = program, quick = options.quick or false, run = run, logs = logs })
        end
    end
    return results
end

local function write_json(about, rows, results, case_results, list)
    local file = assert(io.open(options.json, "w"))
    assert(file:write(json.encode({
        machine = about,
        configuration = {
            quick = options.quick or false, long = options.long or false, seed = SEED, batch_ms_socket = 100,
            word_lines = inputs.words and inputs.words.lines or 0, workers = { 1, 2 },
            log_lines = inputs.logs and inputs.logs.lines or 0,
        },
        throughput = rows, probes = results, cases = case_results, bars = list,
    })))
    file:close()
    print("written to " .. options.json)
end

local function main()
    parse_arguments()
    local began, about = clock(), machine()
    local rows = measure_throughput()
    local results = {}
    for _, name in ipairs(report.probe_names) do
        if wanted(name) then
            progress(report.probe_titles[name])
            results[name] = measure[name](rows)
        end
    end
    local case_results = measure_cases()
    local list = report.bars(rows, results, case_results)

    print(string.format("Moontide %s, %s, %d cores (%s), %s, load %.1f before", about.moontide, about.luajit,
        about.cores, about.processor, about.system, about.load_before))
    report.print_throughput(rows)
    report.print_probes(results)
    cases.print(case_results)
    report.print_bars(list)
    print(string.format("\n%.0f s", clock() - began))
    if options.json then
        write_json(about, rows, results, case_results, list)
    end
end

main()

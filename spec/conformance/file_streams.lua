-- The cases about file streams: of kind `source`, by the method, and of kind `file_select`. Files have prepared times, the clock is
-- manual.

local compare = require "spec.conformance.compare"
local file_times = require "spec.support.file_times"
local situations = require "spec.conformance.situations"
local tempdir = require "spec.support.tempdir"

local file_streams = {}

local function bytes_of(list)
    local characters = {}
    for index, byte in ipairs(list) do
        characters[index] = string.char(byte)
    end
    return table.concat(characters)
end

local function put(dir, name, text, ms)
    return file_times.set(dir:write(name, text), ms)
end

-- A stream of a new directory: `make(ssc, path)`; its batches that have records are collected in `batches`.
local function run(case, start, make, program)
    local dir, batches = tempdir.new(), {}
    dir:write("in/.keep", "")
    if case.preexisting then
        put(dir, "in/" .. case.preexisting.name, case.preexisting.content or "0", case.preexisting.mtime_ms)
    end
    local clock = situations.manual_clock(case.batch_ms, start, function(time, rdd)
        local records = rdd:collect()
        if #records > 0 then
            batches[#batches + 1] = { time = time, records = records }
        end
    end, function(ssc) return make(ssc, dir:file("in")) end)
    local ok, reason = pcall(program, clock, dir)
    clock.stop()
    dir:remove()
    if not ok then
        error(reason, 0)
    end
    return batches
end

local function records_of(batches)
    local lists = {}
    for index, batch in ipairs(batches) do
        lists[index] = batch.records
    end
    return lists
end

local function flat(batches)
    local all = {}
    for _, batch in ipairs(batches) do
        for _, record in ipairs(batch.records) do
            all[#all + 1] = record
        end
    end
    table.sort(all)
    return all
end

-- Half a batch on, and then a file for each batch, written in its middle.
local function file_a_batch(case, write)
    return function(clock, dir)
        clock.advance(case.batch_ms / 2)
        for index, file in ipairs(case.files) do
            write(dir, file, case.clock_start_ms + (index - 0.5) * case.batch_ms)
            clock.advance(case.batch_ms)
        end
    end
end

local programs = {}

programs["inputstreamssuite-binary-records-stream"] = function(case)
    local batches = run(case, case.clock_start_ms, function(ssc, path)
        return ssc:binaryRecordsStream(path, 1):map(function(record) return record:byte() end)
    end, file_a_batch(case, function(dir, file, ms) put(dir, "in/" .. (file.i + 1), bytes_of(file.bytes), ms) end))
    return case.expected.batches, records_of(batches)
end

programs["inputstreamssuite-file-input-stream-newfilesonly-false"] = function(case)
    local batches = run(case, case.clock_start_ms, function(ssc, path)
        return ssc:fileStream(path, { newFilesOnly = false, filter = function(name) return not name:find(".keep", 1, true) end })
    end, file_a_batch(case, function(dir, file, ms)
        assert(ms == file.mtime_ms, "the clock and the file's time differ")
        put(dir, "in/" .. file.name, file.content, ms)
    end))
    return case.expected.set, flat(batches)
end

programs["inputstreamssuite-modified-files-are-correctly-detected"] = function(case)
    local existing = 100000
    local batches = run(case, existing + 2000, function(ssc, path)
        return ssc:textFileStream(path .. "/../streaming/sub*")
    end, function(clock, dir)
        dir:write("streaming/.keep", "")
        put(dir, "generated/subdir/existing", "existing\n", existing)
        clock.advance(case.batch_ms)
        put(dir, "generated/subdir/renamed.txt", "renamed\n", existing + 2000 + case.batch_ms)
        assert(os.rename(dir:file("generated/subdir"), dir:file("streaming/subdir")))
        clock.advance(case.batch_ms)
    end)
    return case.expected.set, flat(batches)
end

programs["javaapisuite-testtextfilestream"] = function(case)
    local batches = run(case, case.clock_start_ms, function(ssc, path) return ssc:textFileStream(path) end, function(clock)
        for _ = 1, case.num_batches do
            clock.advance(case.batch_ms)
        end
    end)
    return case.expected.batches, records_of(batches)
end

programs["pyspark-context-test-binary-records-stream"] = function(case)
    local batches = run(case, 0, function(ssc, path)
        return ssc:binaryRecordsStream(path, 10):map(function(record) return { record:byte(1, -1) } end)
    end, function(clock, dir)
        for _, file in ipairs(case.files) do
            put(dir, "in/" .. file.name, bytes_of(file.bytes), case.batch_ms / 2)
        end
        clock.advance(case.batch_ms)
    end)
    return case.expected.records, batches[1].records
end

--- Runs a case of kind `source` that is about a file stream.
---@param case table
---@return "passed"|"failed"|"missing" status
---@return string? reason
function file_streams.run(case)
    local program = programs[case.id]
    if not program then
        return "missing", "not part of this release: checkpoint recovery"
    end
    local wanted, got = program(case)
    wanted, got = compare.canonical(wanted), compare.canonical(got)
    if wanted ~= got then
        return "failed", "expected " .. wanted .. ", got " .. got
    end
    return "passed"
end

--- Runs a case of kind `file_select`: the files appear before the batch that the case is about.
---@param case table
---@return "passed"|"failed" status
---@return string? reason
function file_streams.select(case)
    local batches = run(case, case.created_ms, function(ssc, path) return ssc:textFileStream(path) end, function(clock, dir)
        clock.advance(case.batch_time_ms - case.batch_ms - case.created_ms)
        for _, file in ipairs(case.files) do
            put(dir, "in/" .. file.name, file.name .. "\n", file.mtime_ms)
        end
        clock.advance(case.batch_ms)
    end)
    local wanted = {}
    for _, file in ipairs(case.files) do
        wanted[#wanted + 1] = file.take and file.name or nil
    end
    table.sort(wanted)
    local expected, got = compare.canonical(wanted), compare.canonical(flat(batches))
    if expected ~= got then
        return "failed", "expected " .. expected .. ", got " .. got
    end
    return "passed"
end

return file_streams

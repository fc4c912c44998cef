--- Runs streams on tables of inputs with a clock that moves when told, for the tests of job scripts (and of Moontide
--- itself). No sleeping, no sockets, the same result each time.
---
---     local testing = require "moontide.testing"
---
---     local result = testing.run {
---         inputs = { { { "a b", "b" }, { "c" } } },
---         build = function(ssc, lines)
---             return lines:flatMap(function(line) return line:gmatch("%S+") end):countByValue()
---         end,
---     }
---     assert(#result.batches == 2 and result.batches[1].time == 1000)

require "moontide.base.interpreter"
local actions = require "moontide.operators.actions"
local check = require "moontide.base.check"
local checkpoint = require "moontide.driver.checkpoint"
local context = require "moontide.context"
local duration = require "moontide.base.duration"
local errors = require "moontide.base.errors"
local handles = require "moontide.operators.handles"
local lifecycle = require "moontide.driver.lifecycle"
local listener = require "moontide.driver.listener"
local loop = require "moontide.driver.loop"
local pack = require "moontide.driver.pack"
local streaming = require "moontide.streaming"

---@class moontide.testing
local testing = {}

--- As a batch of an input: the stream generates no dataset in that batch (an empty one is `{}`).
---
---     local testing = require "moontide.testing"
---     local result = testing.run {
---         inputs = { { { 1 }, testing.NONE, {} } },
---         build = function(ssc, numbers) return numbers end,
---     }
---     #result.batches  --> 2
---
--- It cannot be changed; trying to is an error. Not in Spark.
testing.NONE = setmetatable({}, {
    __tostring = function()
        return "testing.NONE"
    end,
    __newindex = function()
        check.fail("testing.NONE cannot be changed")
    end,
})

local OPTIONS = { "batch", "inputs", "pairs", "partitions", "batches", "build", "checkpoint", "restartAfter", "master", "conf" }

---@class moontide.testing.Options
---@field inputs any[][][]? one entry for each stream: a list of batches, each a list of records or testing.NONE; past the
---  end: empty batches
---@field build fun(ssc: moontide.StreamingContext, ...: moontide.DStream): moontide.DStream?, moontide.DStream? returns the
---  stream to observe, and maybe a second one
---@field batch number|string|nil batch interval, default 1000 ms
---@field pairs boolean[]? for each stream: records are {key, value} tables and enter as pairs
---@field partitions integer? of each input batch, default 2
---@field checkpoint string|false|nil directory for checkpoints, default a temporary one that is removed afterwards; false: none
---@field batches integer? how many batches the clock advances, default the longest input
---@field master string? default "local[2]"
---@field conf table? settings of the context

---@class moontide.testing.Batch
---@field time number ms; the first batch is at one batch interval
---@field records any[]
---@field partitions any[][]

---@class moontide.testing.Result
---@field batches moontide.testing.Batch[] one entry for each dataset the stream generated
---@field second moontide.testing.Batch[]? the same for the second stream
---@field error moontide.Error? why the run failed

local function check_input(index, batches)
    local reason = check.not_array(batches)
    if reason then
        check.fail("testing.run: inputs[%d]: %s", index, reason)
    end
    for number, records in ipairs(batches) do
        reason = records ~= testing.NONE and check.not_array(records)
        if reason then
            check.fail("testing.run: inputs[%d], batch %d: %s (testing.NONE means no dataset)", index, number, reason)
        end
    end
end

local function check_pairs(pairs_flags, count)
    local reason = check.not_array(pairs_flags)
    if reason then
        check.fail("testing.run: option 'pairs': %s", reason)
    end
    if #pairs_flags > count then
        check.fail("testing.run: option 'pairs' has %d entries for %d inputs", #pairs_flags, count)
    end
    for index, flag in ipairs(pairs_flags) do
        if type(flag) ~= "boolean" then
            check.fail("testing.run: option 'pairs', entry %d: boolean expected, got %s", index, check.type_name(flag))
        end
    end
end

local function whole(options, name, least, default)
    local value = options[name]
    if value == nil then
        return default
    end
    local reason = check.not_integer(value, least, 1000000)
    if reason then
        check.fail("testing.run: option '%s': %s", name, reason)
    end
    return value
end

-- The options with their defaults.
local function read_options(options)
    if check.type_name(options) ~= "table" then
        check.bad_argument(1, "testing.run", "table of options", options)
    end
    check.options("testing.run", options, OPTIONS)
    if type(options.build) ~= "function" then
        check.fail("testing.run: option 'build': function expected, got %s", check.type_name(options.build))
    end
    if options.restartAfter ~= nil then
        check.no_recovery("testing.run: option 'restartAfter'")
    end
    if options.checkpoint then
        if type(options.checkpoint) ~= "string" or options.checkpoint == "" then
            check.fail("testing.run: option 'checkpoint': the path of a directory expected (false: none), got %s",
                check.type_name(options.checkpoint))
        end
    end
    local batch, reason = duration.parse(options.batch == nil and 1000 or options.batch)
    if not batch or batch == 0 then
        check.fail("testing.run: option 'batch': %s", reason or "the duration must be longer than 0 ms")
    end
    local inputs = options.inputs == nil and {} or options.inputs
    reason = check.not_array(inputs)
    if reason then
        check.fail("testing.run: option 'inputs': %s", reason)
    end
    local longest = 0
    for index, batches in ipairs(inputs) do
        check_input(index, batches)
        longest = math.max(longest, #batches)
    end
    check_pairs(options.pairs or {}, #inputs)
    return {
        batch = batch, inputs = inputs, pairs = options.pairs or {}, build = options.build,
        partitions = whole(options, "partitions", 1, 2), batches = whole(options, "batches", 0, longest),
        checkpoint = options.checkpoint,
    }
end

-- One input stream that replays its list.
local function replay(ssc, run, index)
    local engine = ssc.sc.state.engine
    local arity = run.pairs[index] and 2 or 1
    local function dataset(records, number)
        local what = ("testing.run: inputs[%d], batch %d"):format(index, number)
        local node = engine:blocks(pack.partitions(what, records, run.partitions, arity))
        pack.describe(node, what, records, arity)
        return node
    end
    local datasets = {}
    for number, records in ipairs(run.inputs[index]) do
        datasets[number] = records ~= testing.NONE and dataset(records, number)
    end
    local node = ssc.life.graph:replay(datasets, dataset({}, 0))
    listener.source(ssc.life, node:id(), ("inputs[%d]"):format(index))
    return ssc.scope.wrap(node)
end

local function observe(ssc, stream, position)
    if stream == nil then
        return nil
    end
    if getmetatable(stream) ~= handles.DStream then
        check.fail("testing.run: build must return the stream to observe, got %s%s", check.type_name(stream),
            position == 2 and " as the second result" or "")
    end
    ssc.scope.nodes("testing.run", { stream })
    local batches = {}
    local site = check.site()
    ssc.scope.output(stream, "testing.run", site, function(dataset, time)
        local partitions, records = actions.partitions(dataset, "testing.run", site), {}
        for _, partition in ipairs(partitions) do
            for _, record in ipairs(partition) do
                records[#records + 1] = record
            end
        end
        batches[#batches + 1] = { time = time, records = records, partitions = partitions }
    end)
    return batches
end

-- One batch after the other: the next tick comes when everything of the last one is done.
local function advance(ssc, run)
    local life = ssc.life
    local function settled()
        return life.state == "STOPPED" or life.state == "ACTIVE" and life.tasks == 0 and life.graph:idle()
    end
    for _ = 1, run.batches do
        if life.state ~= "ACTIVE" then
            break
        end
        life.before_turn()
        life.graph:advance(run.batch)
        loop.run_until(settled)
    end
end

local function run_on(sc, run, directory)
    local ssc = streaming.create(sc, run.batch, { clock = "manual", start = 0 })
    local streams = {}
    for index = 1, #run.inputs do
        streams[index] = replay(ssc, run, index)
    end
    if directory then
        ssc:checkpoint(directory)
        ssc.life.checkpoint_lent = not run.checkpoint -- nothing will ever be read from there
    end
    local first, second = run.build(ssc, unpack(streams, 1, #run.inputs))
    local result = { batches = observe(ssc, first, 1) or {}, second = observe(ssc, second, 2) }
    local ok, err = pcall(function()
        ssc:start()
        advance(ssc, run)
        ssc:stop(false, false)
    end)
    if not ok then
        result.error = errors.is(err) and err or errors.new("EINVAL", errors.text(err))
    else
        result.error = ssc.life.error
    end
    if result.error then
        lifecycle.unraised[result.error] = nil
    end
    return result
end

--- Runs streams batch by batch on a clock that moves when told, and gives what they made.
---
---     local result = require("moontide.testing").run {
---         inputs = { { { "a b", "a" }, { "b" } } },    -- one stream, two batches
---         build = function(ssc, lines)
---             return lines:flatMap(function(line) return line:gmatch("%S+") end):countByValue()
---         end,
---     }
---     result.batches[1].records  --> { { "a", 2 }, { "b", 1 } } in any order
---     result.batches[2].time     --> 2000
---
--- What is wrong with the options or in `build` is raised; what fails from start() on is `result.error`.
--- Not in Spark.
---@param options moontide.testing.Options
---@return moontide.testing.Result
function testing.run(options)
    local run = read_options(options)
    local sc = context.create("testing.run", options.master or "local[2]", "testing", options.conf)
    local temporary, reason
    if run.checkpoint == nil then
        temporary, reason = checkpoint.temporary()
        if not temporary then
            sc:stop()
            check.fail("testing.run: %s", reason)
        end
    end
    local ok, result = pcall(run_on, sc, run, run.checkpoint or temporary)
    sc:stop()
    if temporary then
        checkpoint.remove(temporary)
    end
    if not ok then
        error(result, 0)
    end
    return result
end

return testing

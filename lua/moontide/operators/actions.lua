--- Actions: the methods of an RDD that compute it. Called from the main script they run the loop until the result is
--- there; called from a function of foreachRDD or transform they suspend that function.
---
--- A job that fails is raised as an error value (moontide.base.errors): `pcall` it to go on without the result.

local check = require "moontide.base.check"
local closure = require "moontide.closure"
local codec = require "moontide.wire.codec"
local seeding = require "moontide.driver.seeding"
local errors = require "moontide.base.errors"
local handles = require "moontide.operators.handles"
local loop = require "moontide.driver.loop"
local nan = require "moontide.base.nan"
local operators = require "moontide.operators"
local preview = require "moontide.base.preview"
local totals = require "moontide.operators.totals"

local actions = {}

---@class moontide.RDD
local RDD = {}

local class, begin = handles.RDD, handles.begin

local SCALE_UP = 4 -- partitions scanned by take: 1, then 4, 16 …

-- What becomes of the records at the end of a job; name and site are for the messages of what fails there.
local function sink(kind, name, site)
    return (operators.descriptor(kind, name, site))
end

-- The datasets to be written to files when a job on the node has succeeded; nil when there are none.
local function checkpoints_due(scope, node)
    return scope.state.write_checkpoints and node:checkpointsDue()
end

local function write_checkpoints(scope, due)
    if due then
        scope.state.write_checkpoints(scope, due)
    end
end

--- How many records there are where that is known without a job. Checkpoints are written as after one.
---@param rdd moontide.RDD
---@return integer count below 0: not known
function actions.known_records(rdd)
    local known = rdd.node:knownRecords()
    if known >= 0 then
        write_checkpoints(rdd.scope, checkpoints_due(rdd.scope, rdd.node))
    end
    return known
end

-- Memory may be gone outside of any operator's function: the message then tells which action asked for the job.
local function with_place(message, code, sink_bytes)
    if code ~= "ENOMEM" or message:find("\n  in ", 1, true) then
        return message
    end
    local op = codec.unpack(sink_bytes)
    return ("%s\n  in %s (%s)"):format(message, op.name or op.kind, op.site or check.site())
end

-- Raises in a function of a stream that is being stopped. (Sinks may call actions while they are closed.)
local function refuse_when_stopping(task)
    local stream = task and task.stream
    if stream and stream.is_stopping_now() and task.kind ~= "close" then
        error(errors.new("ECANCELLED", "the streaming context is being stopped"), 0)
    end
end

-- Computes partitions of a node (all, or a 0-based list) and returns the ended job. `writing`: it is the one that writes a
-- checkpoint.
local function run(scope, node, sink_bytes, partitions, limit, writing)
    local state = scope.state
    local due = not writing and checkpoints_due(scope, node)
    local task = loop.enclosing()
    refuse_when_stopping(task)
    seeding.refresh(state)
    local job = node:job(sink_bytes, partitions, limit or 0, task and task.time or -1)
    state.jobs = state.jobs + 1
    state.running[job] = true
    loop.wait(state, job)
    state.running[job] = nil
    local message, code = job:error()
    if message then
        if state.interrupted and code == "ECANCELLED" then
            message = "interrupted by a signal"
        end
        error(errors.new(code, with_place(message, code, sink_bytes)), 0)
    end
    write_checkpoints(scope, due)
    return job
end

-- One list of records for each partition computed.
local function partitions_of(job)
    local lists = {}
    for index = 1, job:partitions() do
        lists[index] = {}
    end
    job:each(function(block, partition)
        codec.append_records(block, lists[partition])
    end)
    return lists
end

local function records_of(job)
    local list = {}
    job:each(function(block)
        codec.append_records(block, list)
    end)
    return list
end

local function collect(rdd, name, site)
    return records_of(run(rdd.scope, rdd.node, sink("collect", name, site)))
end

--- The records of a node, of all its partitions or of those with the numbers (from 0) in a list.
---@param scope table
---@param node userdata
---@param partitions? integer[]
---@param name? string operator, for messages
---@param site? string
---@param writing? boolean the job writes a checkpoint: no others are written because of it
---@return any[]
function actions.collect(scope, node, partitions, name, site, writing)
    return records_of(run(scope, node, sink("collect", name, site), partitions, nil, writing))
end

-- The results of a job, one record after the other: its blocks are read where they are, so that only one record at a time is in
-- the script's memory.
local function records_in(job)
    local blocks, at = {}, 0
    job:each(function(block)
        blocks[#blocks + 1] = block
    end)
    local read
    return function()
        while job do
            local record = read and read()
            if record ~= nil then
                return record
            end
            at = at + 1
            read = blocks[at] and codec.reader(blocks[at])
            job = read and job -- it owns the blocks
        end
    end
end

local BREATH, LOOKS = 0.005, 256 -- seconds between breaths; records between looks at the clock

-- What is to be called for each record by an iterator over many.
local function breathing()
    local monotonic = require("moontide.core").monotonic
    local records, since = 0, monotonic()
    return function()
        records = records + 1
        if records < LOOKS then
            return
        end
        records = 0
        if monotonic() - since >= BREATH then
            loop.breathe()
            refuse_when_stopping(loop.enclosing())
            since = monotonic()
        end
    end
end

--- The records of each partition. Used by the test harness.
---@param rdd moontide.RDD
---@param name string
---@param site string
---@return any[][]
function actions.partitions(rdd, name, site)
    return partitions_of(run(rdd.scope, rdd.node, sink("collect", name, site)))
end

-- Runs a function of the script for its effects alone.
local function run_effect(rdd, name, fn)
    local fields = { fn = operators.package(1, name, fn) }
    run(rdd.scope, operators.narrow(rdd, name, name, closure.site(fn), fields), sink("discard", name, check.site()))
end

--- The first `n` records, scanning no more partitions than needed.
---@param rdd moontide.RDD
---@param n integer
---@param name string
---@param site string
---@return any[] records
---@return boolean is_pair whether they are {key, value} tables of a dataset of pairs
function actions.take(rdd, n, name, site)
    local take = sink("take", name, site)
    local total = n > 0 and rdd.node:partitions() or 0
    local list, scanned, is_pair = {}, 0, false
    local width = 1
    while #list < n and scanned < total do
        local chosen = {}
        for index = scanned, math.min(scanned + width, total) - 1 do
            chosen[#chosen + 1] = index
        end
        scanned = scanned + #chosen
        width = scanned * SCALE_UP
        run(rdd.scope, rdd.node, take, chosen, n - #list):each(function(block)
            codec.append_records(block, list)
            is_pair = is_pair or codec.block_arity(block) == 2
        end)
    end
    for index = #list, n + 1, -1 do
        list[index] = nil
    end
    return list, is_pair
end

--- All records, partition after partition. Pairs come as {key, value}.
---
---     sc:parallelize({ 1, 2, 3 }):map(function(x) return x + 1 end):collect()  --> { 2, 3, 4 }
---
--- Raises an error value when the job fails, as all actions do. As in Spark 0.9.
---@return any[]
function RDD:collect()
    begin(self, class, "collect")
    return (collect(self, "collect", check.site()))
end

--- The first `n` records.
---
---     sc:parallelize({ 1, 2, 3 }):take(2)  --> { 1, 2 }
---
--- As in Spark 0.9.
---@param n integer 0 or more
---@return any[]
function RDD:take(n)
    begin(self, class, "take")
    check.integer(1, "take", n, 0)
    return (actions.take(self, n, "take", check.site()))
end

--- The first record. An empty dataset is an error.
---
---     sc:parallelize({ 7, 8 }):first()  --> 7
---
--- As in Spark 0.9.
---@return any
function RDD:first()
    begin(self, class, "first")
    local list = actions.take(self, 1, "first", check.site())
    if #list == 0 then
        check.fail("'first': the dataset is empty")
    end
    return list[1]
end

--- How many records there are.
---
---     sc:parallelize({ 7, 8 }):count()  --> 2
---
--- As in Spark 0.9.
---@return integer
function RDD:count()
    local scope = begin(self, class, "count")
    local known = actions.known_records(self)
    if known >= 0 then
        return known
    end
    local sum, site = 0, check.site()
    local counts = scope.wrap(totals.of_partitions(self, site))
    for _, n in ipairs(collect(counts, "count", site)) do
        sum = sum + n
    end
    return sum
end

--- An iterator over all records that computes one partition after the other, and has one record at a time in the script's
--- memory: for datasets that are too large for it. Pairs come as {key, value}. In foreachRDD and in sinks it lets ticks and other
--- outputs go on meanwhile.
---
---     for line in rdd:toLocalIterator() do print(line) end
---
--- As in Spark 1.0.
---@return fun(): any
function RDD:toLocalIterator()
    local scope = begin(self, class, "toLocalIterator")
    local partition, count = 0, self.node:partitions()
    local sink_bytes, read = sink("collect", "toLocalIterator", check.site()), nil
    local breath = breathing()
    return function()
        while true do
            local record = read and read()
            if record ~= nil then
                breath()
                return record
            elseif partition >= count then
                return nil
            end
            read = records_in(run(scope, self.node, sink_bytes, { partition }))
            partition = partition + 1
        end
    end
end

--- Whether there is no record.
---
---     sc:emptyRDD():isEmpty()  --> true
---
--- As in Spark 1.3.
---@return boolean
function RDD:isEmpty()
    begin(self, class, "isEmpty")
    local known = actions.known_records(self)
    if known >= 0 then
        return known == 0
    end
    return #actions.take(self, 1, "isEmpty", check.site()) == 0
end

--- Pairs as a Lua table; of several values of one key the last one wins. Keys that are tables are no use there: each
--- record has a table of its own.
---
---     sc:parallelizePairs({ { "a", 1 }, { "b", 2 } }):collectAsMap()  --> { a = 1, b = 2 }
---
--- Single records are an error, and NaN as a key. As in Spark 0.9.
---@return table<any, any>
function RDD:collectAsMap()
    begin(self, class, "collectAsMap")
    local map = {}
    for _, pair in ipairs(collect(self, "collectAsMap", check.site())) do
        if type(pair) ~= "table" or pair[1] == nil then
            check.fail("'collectAsMap': the dataset has single values, pairs are needed")
        end
        local path = nan.find(pair[1])
        if path then
            check.fail("'collectAsMap': %s\n  record: %s", nan.no_group(path), preview(pair[1], pair[2]))
        end
        map[pair[1]] = pair[2]
    end
    return map
end

--- How often each record occurs. For pairs the keys of the result are {key, value} tables.
---
---     sc:parallelize({ "a", "b", "a" }):countByValue()  --> { a = 2, b = 1 }
---
--- As in Spark 0.9.
---@return table<any, integer>
function RDD:countByValue()
    begin(self, class, "countByValue")
    return totals.by_value(self):collectAsMap()
end

--- All records merged by `f`, which must be associative and commutative. An empty dataset is an error.
---
---     sc:parallelize({ 1, 2, 3 }):reduce(function(a, b) return a + b end)  --> 6
---
--- As in Spark 0.9.
---@param f fun(a: any, b: any): any
---@return any
function RDD:reduce(f)
    begin(self, class, "reduce")
    local list = collect(totals.reduce(self, f), "reduce", check.site())
    if #list == 0 then
        check.fail("'reduce': the dataset is empty")
    end
    return list[1]
end

--- All records merged by `f`, starting from `zero`: once in each partition and once more for the partitions.
---
---     numbers:fold(0, function(a, b) return a + b end)
---
--- As in Spark 0.9.
---@param zero any plain data
---@param f fun(a: any, b: any): any
---@return any
function RDD:fold(zero, f)
    begin(self, class, "fold")
    return collect(totals.fold(self, zero, f), "fold", check.site())[1]
end

--- Merges the records of each partition with `seq`, then the results with `comb`, both starting from `zero`.
---
---     words:aggregate(0, function(n, word) return n + #word end, function(a, b) return a + b end)
---
--- As in Spark 0.9.
---@param zero any plain data
---@param seq fun(acc: any, value: any): any
---@param comb fun(a: any, b: any): any
---@return any
function RDD:aggregate(zero, seq, comb)
    begin(self, class, "aggregate")
    return collect(totals.aggregate(self, zero, seq, comb), "aggregate", check.site())[1]
end

--- Calls `f` for each record, in the workers. What it changes there is not seen by the script.
---
---     lines:foreach(function(line) assert(#line < 1000, "a long line") end)
---
--- As in Spark 0.9.
---@param f fun(value: any, second: any)
function RDD:foreach(f)
    begin(self, class, "foreach")
    run_effect(self, "foreach", f)
end

--- Calls `f` once for each partition with an iterator of its records, in the workers: the place to open a connection
--- once for many records.
---
---     lines:foreachPartition(function(it)
---         local file = assert(io.open("lines.txt", "a"))
---         for line in it do file:write(line, "\n") end
---         file:close()
---     end)
---
--- As in Spark 0.9.
---@param f fun(it: function)
function RDD:foreachPartition(f)
    begin(self, class, "foreachPartition")
    run_effect(self, "foreachPartition", f)
end

handles.add { RDD = RDD }

return actions

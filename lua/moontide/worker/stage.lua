--- Runs a stage's plan in a worker. A plan tree becomes *pipes*: each has feeds (inputs with the per-record operators on their
--- way) and one terminal. A terminal that is not the task's sink (count, glom, mapPartitions …) makes its pipe the input of
--- a feed of the next one.
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local coroutines = require "moontide.worker.coroutines"
local generate = require "moontide.worker.generate"
local accumulate = require "moontide.worker.partition_ends"
local sinks = require "moontide.worker.sinks"
local surplus = require "moontide.worker.surplus"
local failure = require "moontide.worker.failure"
local randomness = require "moontide.worker.randomness"
local gather = require "moontide.worker.gather"
local feeds = require "moontide.worker.feed"
local inputs = require "moontide.worker.inputs"

local ffi, C = fast.ffi, fast.C

local pipe = {}

-- Inputs of exchanges -------------------------------------------------------------------------------------------

-- Blocks that live as long as they are read, at most as long as the task.
local function temporary_blocks(cleanup)
    local list = ffi.new "struct tide_blocks"
    C.tide_blocks_create(list)
    cleanup[#cleanup + 1] = function() C.tide_blocks_destroy(list) end
    return list
end

local NOMEM, END, NUMBER, FRESH = C.TIDE_MERGE_NOMEM, C.TIDE_MERGE_END, C.TIDE_MERGE_NUMBER, C.TIDE_MERGE_FRESH

-- Merges into table S.T what m says; Lua sees only values that meet another.
local function merge_all(op, input, S, m)
    local T, merge_f, others = S.T, op.merge_f, S.others
    for at = 0, input.blocks.count - 1 do
        C.tide_merge_begin(m, input.blocks.items[at])
        while true do
            local step = C.tide_merge_next(m)
            if step == END then
                break
            end
            if step == NOMEM then
                failure.no_memory()
            end
            local entry = m.entry
            local value = m.number
            if step ~= NUMBER then
                value = codec.decode(m.value, 0)
            end
            if step == FRESH then
                sinks.keep_other(S, entry, value)
                m.general = 1
            else
                local old = others[entry]
                if old == nil then
                    old = T.numbers[entry]
                end
                local new, more = merge_f(old, value)
                if more ~= nil then
                    surplus.second(op, new, more)
                end
                if type(new) == "number" then
                    T.numbers[entry] = new
                    others[entry] = nil
                elseif new == nil then
                    failure.broken(op, "the function returned nil; it must return the combined value")
                else
                    sinks.keep_other(S, entry, new)
                    m.general = 1
                end
            end
        end
    end
end

failure.frame(merge_all, function(locals)
    if locals.old == nil then
        return locals.op
    end
    return locals.op, ("key %s, values %s and %s"):format(failure.preview((codec.decode(locals.m.key, 0))),
        failure.preview(locals.old), failure.preview(locals.value))
end)

-- Folds shuffle blocks into one value per key.
local function merge_blocks(op, input, run)
    local out = temporary_blocks(run.cleanup)
    local S = { run = run, task = { outputs = out, noutputs = 1 }, partition = 0, cleanup = run.cleanup }
    sinks.new_table(S)
    local m = ffi.new "struct tide_merge"
    m.combine = S.T
    m.add = op.adds and 1 or 0
    merge_all(op, input, S, m)
    sinks.write_table(S, op)
    return out
end

-- Combines plain shuffle blocks (no map side combine): a pipe of its own whose sink writes temporary blocks.
local function combine_blocks(op, input, run)
    local out = temporary_blocks(run.cleanup)
    local feed = op.combine_feed
    if feed == nil then
        feed = feeds.new(nil, {}, setmetatable({ op = op }, sinks.Combine))
        op.combine_feed = feed
    end
    local S = {
        run = run, task = { outputs = out, noutputs = 1 }, partition = 0, cleanup = run.cleanup, cancelled = run.cancelled,
    }
    feed.terminal:begin(S)
    for at = 0, input.blocks.count - 1 do feed:run_block(S, input.blocks.items[at]) end
    feed.terminal:finish(S)
    return out
end

local readers = {
    merge = merge_blocks,
    combine = combine_blocks,
    group = function(_, input, run)
        local out = temporary_blocks(run.cleanup)
        if not C.tide_group_blocks(input.blocks, out) then
            failure.no_memory()
        end
        return out
    end,
    sort = function(op, input, run)
        local out = temporary_blocks(run.cleanup)
        if not C.tide_sort_by_key(input.blocks, op.ascending ~= false, out) then
            failure.no_memory()
        end
        return out
    end,
}

local function run_file(feed, S, input)
    local err = ffi.new "struct tide_error"
    local plan = ffi.new("struct tide_byte_source_plan", input.size, input.once, S.cancelled)
    local reader = C.tide_text_reader_open(input.path, input.offset, input.length, plan, err)
    local slot = ffi.new "struct tide_block *[1]"
    local function close()
        C.tide_block_release(slot[0])
        slot[0] = nil
        if reader ~= nil then
            C.tide_text_reader_delete(reader)
        end
        reader = nil
    end
    local function fail()
        local code = err.code
        failure.complete(failure.take(err, "reading failed"), code)
    end
    if reader == nil then
        fail()
    end
    S.run.cleanup[#S.run.cleanup + 1] = close
    local stop = false
    while not stop do
        local more = C.tide_text_reader_next(reader, slot, err)
        if more < 0 then
            fail()
        end
        if more == 0 then
            break
        end
        S.task.records_in = S.task.records_in + slot[0].count
        stop = feed:run_block(S, slot[0])
        C.tide_block_release(slot[0])
        slot[0] = nil
    end
    close()
    return stop
end

-- The next input of the task, through its exchange's reading side if it has one.
local function run_leaf(feed, S)
    local input = S.run.inputs[S.run.cursor]
    S.run.cursor = S.run.cursor + 1
    if input.kind == C.TIDE_TASK_INPUT_FILE then
        return run_file(feed, S, input)
    end
    local read = feed.source.read
    local reader = read and readers[read.kind]
    local list = reader and reader(read, input, S.run) or input.blocks
    local run, stop = feed.source.range and feed.run_ranges or feed.run_block, false
    S.task.records_in = S.task.records_in + C.tide_blocks_records(list)
    for at = 0, list.count - 1 do
        stop = run(feed, S, list.items[at])
        if stop then
            break
        end
    end
    if reader then
        C.tide_blocks_destroy(list)
    end
    return stop
end

-- Several inputs -----------------------------------------------------------------------------------------------

-- What works on one exchange's input works on any single list.
for kind, reader in pairs(readers) do
    gather.readers[kind] = function(op, lists, _, run) return reader(op, { blocks = lists[1] }, run) end
end

-- mapPartitions ------------------------------------------------------------------------------------------------

--- Terminal that hands records to a function as an iterator. The records before it are produced in a coroutine, in runs, so
--- that both sides stay loops. The first run is of one record, and then they grow, within bounds of records and bytes: nothing
--- is computed long before it is asked for.
local Pull = { prologue = "" }
Pull.__index = Pull

local MOST_RECORDS, MOST_TABLES = 512, 256
local MOST_BYTES = 512 * 1024
local LOOKED_AT = 64

function Pull.constants(_, K, feed)
    K.yield = coroutines.yield
    sinks.use_arity(K, feed)
end

function Pull.begin() end

function Pull:record(g, kind, a, b)
    g:uses("yield", "type")
    sinks.check_arity(g, self.op, kind, a, b)
    g:line(self.op, "local n = S.n + 1 S.n = n")
    g:line(self.op, kind == 2 and ("S.firsts[n], S.seconds[n] = %s, %s"):format(a, b) or ("S.firsts[n] = %s"):format(a))
    for _, value in ipairs(kind == 2 and { a, b } or { a }) do
        g:line(nil, ('if type(%s) == "string" then S.bytes = S.bytes + #%s if S.bytes >= %d then S.most = n end'):format(value, value,
            MOST_BYTES))
        g:line(nil, ('elseif type(%s) == "table" and not S.tables then S.tables, S.most = true, n end'):format(value))
    end
    g:line(nil, "if n >= S.most then yield() S.n, S.bytes = 0, 0 end")
end

-- A function that makes records may return the same table again, refilled. So as long as it is not known that the tables are
-- new ones each time, a run is one record.
local Runs = {}
Runs.__index = Runs
local WEAK = { __mode = "k" }

local function new_runs() return setmetatable({ seen = setmetatable({}, WEAK), count = 0, reused = false }, Runs) end

function Runs:look(value)
    if type(value) ~= "table" then
        return
    end
    if self.seen[value] then
        self.reused = true
    end
    self.seen[value] = true
end

-- How long the run after one of n records may be. Whether it was of large tables, the collector's count tells.
function Runs:after(S, n)
    if not S.tables then
        return math.min(S.most * 2, MOST_RECORDS)
    end
    if self.count < LOOKED_AT and not self.reused then
        self.count, self.bytes = self.count + 1, collectgarbage "count" * 1024
        self:look(S.firsts[n])
        if S.arity == 2 then
            self:look(S.seconds[n])
        end
        if self.count == LOOKED_AT then
            self.seen = nil
        end
        return 1
    end
    if self.reused then
        return 1
    end
    local bytes = collectgarbage "count" * 1024
    local each = (bytes - (self.bytes or bytes)) / n
    self.bytes = bytes
    if each < 0 then -- garbage was collected meanwhile
        return S.most
    end
    return math.max(1, math.min(S.most * 2, MOST_TABLES, math.floor(MOST_BYTES / (each + 1))))
end

-- Pipes ----------------------------------------------------------------------------------------------------------

local Pipe = {}
Pipe.__index = Pipe

local function new_state(run)
    return {
        run = run, task = run.task, partition = run.partition, cleanup = run.cleanup, cancelled = run.cancelled,
        outputs = run.outputs, empties = 0,
    }
end

-- The generators of operators that draw, for the partition that is about to be read. Operators above a union that was joined in one
-- task have one partition, and one generator, for all that the union brings; `ops.own` are not above it.
local function give_generators(feed, S)
    local run, ops = S.run, feed.ops
    local first = run.cursor < run.task.ninputs and run.inputs[run.cursor].partition or 0
    run.generators = run.generators or {}
    for _, k in ipairs(feed.draws) do
        local op, token = ops[k], ops.tokens[k]
        local slot = k > ops.own and run.generators[token]
        if not slot then
            slot = randomness.slot(op.place, (op.of_task and run.partition or first) + (op.shift or 0))
            run.generators[token] = slot
        end
        S["d" .. k] = slot
    end
end

--- Feeds everything the pipe has as input into its terminal.
function Pipe:consume(S, parts)
    for _, part in ipairs(parts or self.parts) do
        for _ = 1, part.times do
            local feed = part.feed
            local stop
            if feed and #feed.draws > 0 then
                give_generators(feed, S)
            end
            if part.parts then
                stop = self:consume(S, part.parts)
            elseif feed.source.leaf then
                stop = run_leaf(feed, S)
            elseif feed.source.children then
                stop = inputs.run(feed, S, new_state)
            else
                stop = feed.source.pipe:yield_to(feed, S)
            end
            randomness.rest()
            if stop then
                return true
            end
        end
    end
    return false
end

--- Runs this pipe and gives what its terminal makes to a feed of the next pipe. true: the sink wants no more.
function Pipe:yield_to(feed, outer)
    local S = new_state(outer.run)
    if self.terminal.pull then
        return self:pull_to(feed, outer, S)
    end
    self.terminal:begin(S)
    self:consume(S)
    local stop = false
    self.terminal:finish(S, function(a, b) stop = feed:push(outer, a, b) or stop end)
    return stop
end

function Pipe:pull_to(feed, outer, S)
    local op = self.terminal.op
    -- The partition's number where the operator stands; under a union it is not the task's (host/rdd/stage.c).
    local cursor = S.run.cursor
    local index = op.shift and (op.of_task and S.run.partition or S.run.inputs[cursor].partition) + op.shift or 0
    local after = cursor + self.inputs
    local firsts, seconds, runs = {}, {}, new_runs()
    S.firsts, S.seconds, S.n, S.bytes, S.most, S.tables = firsts, seconds, 0, 0, 1, false
    local slot = op.place and randomness.slot(op.place, index) or 0
    local failed
    local producer = coroutines.create(function()
        local ok, err = xpcall(function() self:consume(S) end, pipe.handler)
        if not ok then
            failed = pipe.settle(err)
        end
    end)
    local at, n, is_pair, ended = 0, 0, false, false
    -- What fails is told when its record is asked for: those before it come first.
    local function refill()
        if n > 0 then
            S.most = runs:after(S, n)
        end
        at, n = 0, 0
        if failed ~= nil then
            error(failed, 0)
        end
        if ended or coroutine.status(producer) == "dead" then
            return false
        end
        local ok, why = coroutine.resume(producer)
        randomness.use.slot = slot
        if not ok then
            error(why, 0)
        end
        n, is_pair = S.n, S.arity == 2
        if coroutine.status(producer) == "dead" then
            S.n = 0
        end
        if n == 0 and failed ~= nil then
            error(failed, 0)
        end
        return n > 0
    end
    local function iterate()
        if at >= n and not refill() then
            return nil
        end
        at = at + 1
        if is_pair then
            return firsts[at], seconds[at]
        end
        return firsts[at]
    end
    local stop = false
    randomness.use.slot, outer.iterator_slot = slot, slot
    if op.kind == "foreachPartition" then
        op.f(iterate)
    elseif op.kind == "mapPartitionsWithIndex" then
        stop = feed:drain(outer, op, op.f(index, iterate))
    else
        stop = feed:drain(outer, op, op.f(iterate))
    end
    -- The function may have left records unread: their inputs are passed over, and the iterator is at its end from now on.
    S.run.cursor = after
    at, n, ended = 0, 0, true
    return stop
end

failure.frame(Pipe.pull_to, function(locals) return locals.op end)

-- From plan to pipes -----------------------------------------------------------------------------------------------

local pulls = { mapPartitions = true, mapPartitionsWithIndex = true, foreachPartition = true }

local build

-- A list of operators: `tokens` has something unique for each, in each place of the plan where it stands; the first `own` of them
-- belong to the input at hand, the others are above a union.
local function above_union(ops)
    local list = { own = 0, tokens = ops.tokens }
    for at, op in ipairs(ops) do list[at] = op end
    return list
end

-- The pipes of a zip node's children in the order in which they are complete, while a plan is built: host/task/task.h, "same".
local complete = {}

local function build_child(node, op)
    if node[1] == "same" then
        local child = complete[#complete + 1 - node[2]]
        child.shared = true
        return { same = child, back = node[3], inputs = 0 }
    end
    local child = build(node, setmetatable({ op = op }, sinks.Collect))
    complete[#complete + 1] = child
    return child
end

--- Collects the parts (times, and feed or again parts) of a node whose records then pass `ops` to `terminal`.
local function add_parts(parts, times, node, ops, terminal)
    local kind = node[1]
    if kind == "leaf" then
        parts[#parts + 1] = { times = times, feed = feeds.new({ leaf = true, read = node[2] }, ops, terminal) }
        return
    end
    if kind == "concat" then
        ops = above_union(ops)
        local inner = parts
        if times > 1 then
            inner = {}
            parts[#parts + 1] = { times = times, parts = inner }
        end
        for _, child in ipairs(node[2]) do add_parts(inner, child[1], child[2], ops, terminal) end
        return
    end
    if kind == "zip" then
        local op, children = node[2], {}
        if not gather.readers[op.kind] and not gather.drains[op.kind] then
            error("moontide: unknown operator " .. tostring(op.kind), 0)
        end
        for at, child in ipairs(node[3]) do children[at] = build_child(child, op) end
        parts[#parts + 1] = { times = times, feed = feeds.new({ op = op, children = children }, ops, terminal) }
        return
    end
    -- A chain: per-record operators join those that follow; a partition-wise one ends a pipe of its own.
    local chain = node[3]
    local first = #chain
    while first > 0 and generate.operators[chain[first].kind] do first = first - 1 end
    local joined = { own = #chain - first + ops.own, tokens = {} }
    for at = first + 1, #chain do
        joined[#joined + 1] = chain[at]
        joined.tokens[#joined] = {}
    end
    for at, op in ipairs(ops) do
        joined[#joined + 1] = op
        joined.tokens[#joined] = ops.tokens[at]
    end
    if first == 0 then
        return add_parts(parts, times, node[2], joined, terminal)
    end
    local op = chain[first]
    if op.kind == "range" then -- stands on what describes it
        parts[#parts + 1] = { times = times, feed = feeds.new({ leaf = true, range = true, op = op }, joined, terminal) }
        return
    end
    local before = {}
    for at = 1, first - 1 do before[at] = chain[at] end
    local inner
    if pulls[op.kind] then
        inner = setmetatable({ op = op, pull = true }, Pull)
    elseif accumulate.kinds[op.kind] then
        inner = accumulate.kinds[op.kind](op)
    else
        error("moontide: unknown operator " .. tostring(op.kind), 0)
    end
    local source = #before > 0 and { "chain", node[2], before } or node[2]
    parts[#parts + 1] = { times = times, feed = feeds.new({ pipe = build(source, inner) }, joined, terminal) }
end

-- How many inputs of the task a source takes.
local function inputs_of(source)
    if source.leaf then
        return 1
    end
    if source.pipe then
        return source.pipe.inputs
    end
    local count = 0
    for _, child in ipairs(source.children) do count = count + child.inputs end
    return count
end

local function inputs_of_parts(parts)
    local count = 0
    for _, part in ipairs(parts) do
        count = count + part.times * (part.parts and inputs_of_parts(part.parts) or inputs_of(part.feed.source))
    end
    return count
end

function build(node, terminal)
    local parts = {}
    terminal.prologue = terminal.prologue or ""
    add_parts(parts, 1, node, { own = 0, tokens = {} }, terminal)
    return setmetatable({ parts = parts, terminal = terminal, inputs = inputs_of_parts(parts) }, Pipe)
end

--- Makes a runnable stage of a plan tree (with closures loaded) and a sink terminal.
function pipe.build(node, sink)
    complete = {}
    return build(node, sink)
end

--- Runs a stage over a task's inputs into its outputs.
function pipe.run(stage, run)
    local S = new_state(run)
    stage.terminal:begin(S)
    stage:consume(S)
    stage.terminal:finish(S)
    inputs.release_shared(run)
end

--- Drops what a stage registered elsewhere.
function pipe.forget(stage)
    for _, part in ipairs(stage.parts) do
        if part.parts then
            pipe.forget(part)
        else
            local source = part.feed.source
            for _, name in ipairs(part.feed.chunks) do failure.forget(name) end
            if source.read and source.read.combine_feed then
                for _, name in ipairs(source.read.combine_feed.chunks) do failure.forget(name) end
            end
            if source.pipe then
                pipe.forget(source.pipe)
            end
            for _, child in ipairs(source.children or {}) do
                if not child.same then
                    pipe.forget(child)
                end
            end
        end
    end
end

return pipe

--- Runs a stage's plan in a worker. A plan tree becomes *pipes*: each has feeds (inputs with the per-record operators on their
--- way) and one terminal. A terminal that is not the task's sink (count, glom, mapPartitions …) makes its pipe the input of
--- a feed of the next one.
local fast = require "moontide.worker.ffi"
local codec = require "moontide.worker.codec"
local arity = require "moontide.worker.arity"
local coroutines = require "moontide.worker.coroutines"
local generate = require "moontide.worker.generate"
local accumulate = require "moontide.worker.accumulate"
local sinks = require "moontide.worker.sinks"
local surplus = require "moontide.worker.surplus"
local failure = require "moontide.worker.failure"
local randomness = require "moontide.worker.randomness"
local gather = require "moontide.worker.gather"
local keys = require "moontide.worker.keys"

local ffi, C = fast.ffi, fast.C

local pipe = {}

-- Feeds ---------------------------------------------------------------------------------------------------------

local Feed = {}
Feed.__index = Feed

--- The operators between one input and a terminal.
local function new_feed(source, ops, terminal)
    local feed = setmetatable({
        source = source, ops = ops, terminal = terminal, chunks = {}, shapes = {}, variants = {}, learning = {}, stamp = 0,
        known = {}, now = {},
    }, Feed)
    feed.draws = {}
    feed.iterator_draws = source and source.pipe and source.pipe.terminal.pull and source.pipe.terminal.op.place ~= nil
    for k, op in ipairs(ops) do
        if op.place then feed.draws[#feed.draws + 1] = k end
        if generate.learns[op.kind] then feed.learning[#feed.learning + 1] = k end
    end
    feed.constants = generate.constants(feed)
    return feed
end

-- A stage is kept for as long as its plan is used, and the same function at the same line of a script may be used on several
-- datasets, of single values here and of pairs there. So a feed has *variants*: the loop for one form of input and for what
-- is known of the records that its operators make.
local function new_variant(feed, form)
    local variant = { form = form, arity = {}, shapeless = {} }
    for _, k in ipairs(feed.learning) do variant.arity[k] = arity.of(feed.current_run, feed.ops[k]) end
    feed.shapes[form] = feed.shapes[form] or {}
    variant.shape = feed.shapes[form]
    variant.D1, variant.D2 = generate.detours(feed, variant)
    return variant
end

-- What is known has changed: other variants are used from now on.
function Feed:look(run)
    local known = {}
    for at, k in ipairs(self.learning) do
        self.known[k] = arity.of(run, self.ops[k])
        known[at] = self.known[k] or 0
    end
    local signature = table.concat(known, ",")
    self.variants[signature] = self.variants[signature] or {}
    self.current_run, self.stamp, self.current = run, run.stamp, self.variants[signature]
end

-- The variant for a form of input. Detours go on in it, too.
local function choose(feed, form, run)
    if feed.stamp ~= run.stamp then feed:look(run) end
    local variant = feed.current[form]
    if variant == nil then
        variant = new_variant(feed, form)
        feed.current[form] = variant
    end
    feed.form, feed.now[1], feed.now[2] = form, variant.D1, variant.D2
    return variant
end

--- The same with its loop.
function Feed:variant(form, run)
    local variant = choose(self, form, run)
    if variant.loop == nil then variant.loop, variant.incomplete = generate.loop(self, variant) end
    return variant
end

--- Operator k made record (v, w) of this kind, which was not known in this run.
function Feed:learn(k, kind, v, w)
    arity.learn(self.current_run, self.ops[k], kind, v, w)
    choose(self, self.form, self.current_run)
end

local FIRST_RECORDS = 16

--- Runs records from … count-1 of something that loops of this form can read. While arities are not known, few records at a
--- time, so that the final loop takes over soon. true: the sink wants no more.
function Feed:run(form, S, what, from, count)
    local step = FIRST_RECORDS
    while from < count do
        local variant = self:variant(form, S.run)
        local to = count
        if variant.incomplete then
            to = math.min(count, from + step)
            step = step * 4
        end
        if variant.loop(S, what, from, to) then return true end
        from = to
    end
    return false
end

function Feed:run_block(S, block)
    if S.cancelled ~= nil and S.cancelled[0] ~= 0 then failure.complete("cancelled while it ran", failure.ECANCELLED) end
    if #self.ops == 0 and self.terminal.whole and self.terminal:whole(S, block, self) then return false end
    S.at = 0
    return self:run(generate.form_of(block), S, block, 0, block.count)
end

--- The numbers of sc:range: a block's records are {first, step, from, to}, and number i is first + i * step.
function Feed:run_ranges(S, block)
    local at = 0
    for _ = 1, block.count do
        local range
        range, at = codec.decode(block.data, at)
        if self:run("range", S, range, range[3], range[4]) then return true end
    end
    return false
end

--- One record from outside any block.
function Feed:push(S, a, b)
    return self:variant(b == nil and "push1" or "push2", S.run).loop(S, a, b)
end

--- The records of an iterator, each one before the next is asked for: it may return the same table again and again. S.look gets the
--- first, and those of another kind. true: the sink wants no more.
function Feed:run_iterator(S, it, state, control)
    local step = FIRST_RECORDS
    local a, b, c = it(state, control)
    if a == nil then return false end
    S.look(a, b, c)
    if self:push(S, a, b) then return true end
    randomness.use.slot = S.iterator_slot or 0
    local form = b == nil and "each1" or "each2"
    while a ~= nil do
        local loop = self:variant(form, S.run).loop
        S.turns = step
        step = step * 4
        local stop
        stop, a = loop(S, it, state, a)
        if stop then return true end
    end
    return false
end

--- What a function of mapPartitions returned: an array, or an iterator of values or pairs.
function Feed:drain(S, op, it, state, control)
    if generate.is_list(it) then
        local n = #it
        if state ~= nil then surplus.after_array(op, it, state) end
        if n == 0 and next(it) ~= nil then generate.not_array(op, it) end
        for at = 1, n do
            if it[at] == nil then generate.hole(op) end
        end
        if n > 0 then arity.learn(S.run, op, 1, it[1]) end
        return self:run("array", S, it, 1, n + 1)
    end
    if not generate.callable(it) then generate.not_iterable(op, it) end
    S.look = function(a, b, c)
        if c ~= nil then surplus.third(op, a, b, c) end
        arity.learn(S.run, op, b ~= nil and 2 or 1, a, b)
    end
    if op.preserves then it, state, control = keys.plain(op, it, state, control) end
    return self:run_iterator(S, it, state, control)
end

failure.frame(Feed.drain, function(locals) return locals.op end)

-- Inputs of exchanges -------------------------------------------------------------------------------------------

-- Blocks that live as long as they are read, at most as long as the task.
local function temporary_blocks(cleanup)
    local list = ffi.new "struct tide_blocks"
    C.tide_blocks_create(list)
    cleanup[#cleanup + 1] = function() C.tide_blocks_destroy(list) end
    return list
end

-- Merges into table S.T what m says; Lua sees only values that meet another.
local function merge_all(op, input, S, m)
    local T, merge_f, others = S.T, op.merge_f, S.others
    for at = 0, input.blocks.count - 1 do
        C.tide_merge_begin(m, input.blocks.items[at])
        while true do
            local step = C.tide_merge_next(m)
            if step == 0 then break end
            if step == -1 then failure.no_memory() end
            local entry = m.entry
            local value = m.number
            if step ~= 1 then value = codec.decode(m.value, 0) end
            if step == 2 then
                sinks.keep_other(S, entry, value)
                m.general = 1
            else
                local old = others[entry]
                if old == nil then old = T.numbers[entry] end
                local new, more = merge_f(old, value)
                if more ~= nil then surplus.second(op, new, more) end
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
    if locals.old == nil then return locals.op end
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
        feed = new_feed(nil, {}, setmetatable({ op = op }, sinks.Combine))
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
        if not C.tide_group_blocks(input.blocks, out) then failure.no_memory() end
        return out
    end,
    sort = function(op, input, run)
        local out = temporary_blocks(run.cleanup)
        if not C.tide_sort_blocks(input.blocks, op.ascending ~= false, out) then failure.no_memory() end
        return out
    end,
}

local function run_file(feed, S, input)
    local err = ffi.new "struct tide_error"
    local plan = ffi.new("struct tide_byte_plan", input.size, input.once, S.cancelled)
    local reader = C.tide_file_reader_open(input.path, input.offset, input.length, plan, err)
    local slot = ffi.new "struct tide_block *[1]"
    local function close()
        C.tide_block_release(slot[0])
        slot[0] = nil
        if reader ~= nil then C.tide_file_reader_delete(reader) end
        reader = nil
    end
    local function fail()
        local text = err.text ~= nil and ffi.string(err.text) or "reading failed"
        local code = err.code
        C.tide_error_clear(err)
        failure.complete(text, code)
    end
    if reader == nil then fail() end
    S.run.cleanup[#S.run.cleanup + 1] = close
    local stop = false
    while not stop do
        local more = C.tide_file_reader_next(reader, slot, err)
        if more < 0 then fail() end
        if more == 0 then break end
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
    if input.kind == fast.INPUT_FILE then return run_file(feed, S, input) end
    local read = feed.source.read
    local reader = read and readers[read.kind]
    local list = reader and reader(read, input, S.run) or input.blocks
    local run, stop = feed.source.range and feed.run_ranges or feed.run_block, false
    S.task.records_in = S.task.records_in + C.tide_blocks_records(list)
    for at = 0, list.count - 1 do
        stop = run(feed, S, list.items[at])
        if stop then break end
    end
    if reader then C.tide_blocks_destroy(list) end
    return stop
end

-- Several inputs -----------------------------------------------------------------------------------------------

-- What works on one exchange's input works on any single list.
for kind, reader in pairs(readers) do
    gather.readers[kind] = function(op, lists, _, run) return reader(op, { blocks = lists[1] }, run) end
end

-- The records of one input, as packed blocks. Blocks that nothing changes are not copied.
local function collect(child, S)
    S.outputs = gather.blocks()
    child.terminal:begin(S)
    child:consume(S)
    child.terminal:finish(S)
    return S.outputs
end

-- Lets go of lists that were read, now: the collector does not know how much is in them.
local function release(lists)
    for _, list in ipairs(lists) do C.tide_blocks_destroy(list) end
end

-- Computes the inputs one after the other, as they stand in the plan, and feeds on what the operator makes of them.
local function run_gather(feed, S, state_of)
    local op, lists = feed.source.op, {}
    for at, child in ipairs(feed.source.children) do lists[at] = collect(child, state_of(S.run)) end
    local drain = gather.drains[op.kind]
    if drain then return feed:drain(S, op, drain(op, lists, S.run.task)) end -- the script may keep an iterator over them
    local made = gather.readers[op.kind](op, lists, S.run.task, S.run)
    local stop = false
    if type(made) == "function" then
        for taken in made do
            local block = ffi.gc(taken, C.tide_block_release)
            stop = feed:run_block(S, block)
            C.tide_block_release(ffi.gc(block, nil))
            if stop then break end
        end
    else
        for at = 0, made.count - 1 do
            stop = feed:run_block(S, made.items[at])
            if stop then break end
        end
    end
    if type(made) ~= "function" then lists[#lists + 1] = made end
    release(lists) -- a use after the loop: until here nothing of them may be collected
    return stop
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
    if type(value) ~= "table" then return end
    if self.seen[value] then self.reused = true end
    self.seen[value] = true
end

-- How long the run after one of n records may be. Whether it was of large tables, the collector's count tells.
function Runs:after(S, n)
    if not S.tables then return math.min(S.most * 2, MOST_RECORDS) end
    if self.count < LOOKED_AT and not self.reused then
        self.count, self.bytes = self.count + 1, collectgarbage "count" * 1024
        self:look(S.firsts[n])
        if S.arity == 2 then self:look(S.seconds[n]) end
        if self.count == LOOKED_AT then self.seen = nil end
        return 1
    end
    if self.reused then return 1 end
    local bytes = collectgarbage "count" * 1024
    local each = (bytes - (self.bytes or bytes)) / n
    self.bytes = bytes
    if each < 0 then return S.most end -- garbage was collected meanwhile
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
    local first = run.cursor < run.task.ninputs and run.inputs[run.cursor].reserved or 0
    run.generators = run.generators or {}
    for _, k in ipairs(feed.draws) do
        local op, token = ops[k], ops.tokens[k]
        local slot = k > ops.own and run.generators[token]
        if not slot then
            slot = randomness.slot(op.place, first + (op.shift or 0))
            run.generators[token] = slot
        end
        S["d" .. k] = slot
    end
end

--- Feeds everything the pipe has as input into its terminal.
function Pipe:consume(S)
    for _, part in ipairs(self.parts) do
        for _ = 1, part.times do
            local feed = part.feed
            local stop
            if #feed.draws > 0 then give_generators(feed, S) end
            if feed.source.leaf then
                stop = run_leaf(feed, S)
            elseif feed.source.children then
                stop = run_gather(feed, S, new_state)
            else
                stop = feed.source.pipe:yield_to(feed, S)
            end
            randomness.use.slot = 0
            if stop then return true end
        end
    end
    return false
end

--- Runs this pipe and gives what its terminal makes to a feed of the next pipe. true: the sink wants no more.
function Pipe:yield_to(feed, outer)
    local S = new_state(outer.run)
    if self.terminal.pull then return self:pull_to(feed, outer, S) end
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
    local index = S.run.inputs[cursor].reserved + (op.shift or 0)
    local after = cursor + self.inputs
    local firsts, seconds, runs = {}, {}, new_runs()
    S.firsts, S.seconds, S.n, S.bytes, S.most, S.tables = firsts, seconds, 0, 0, 1, false
    local slot = op.place and randomness.slot(op.place, index) or 0
    local failed
    local producer = coroutines.create(function()
        local ok, err = xpcall(function() self:consume(S) end, pipe.handler)
        if not ok then failed = pipe.settle(err) end
    end)
    local at, n, is_pair, ended = 0, 0, false, false
    -- What fails is told when its record is asked for: those before it come first.
    local function refill()
        if n > 0 then S.most = runs:after(S, n) end
        at, n = 0, 0
        if failed ~= nil then error(failed, 0) end
        if ended or coroutine.status(producer) == "dead" then return false end
        local ok, why = coroutine.resume(producer)
        randomness.use.slot = slot
        if not ok then error(why, 0) end
        n, is_pair = S.n, S.arity == 2
        if coroutine.status(producer) == "dead" then S.n = 0 end
        if n == 0 and failed ~= nil then error(failed, 0) end
        return n > 0
    end
    local function iterate()
        if at >= n and not refill() then return nil end
        at = at + 1
        if is_pair then return firsts[at], seconds[at] end
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

--- Collects the parts (times, feed) of a node whose records then pass `ops` to `terminal`.
local function add_parts(parts, times, node, ops, terminal)
    local kind = node[1]
    if kind == "leaf" then
        parts[#parts + 1] = { times = times, feed = new_feed({ leaf = true, read = node[2] }, ops, terminal) }
        return
    end
    if kind == "concat" then
        ops = above_union(ops)
        for _ = 1, times do
            for _, child in ipairs(node[2]) do add_parts(parts, child[1], child[2], ops, terminal) end
        end
        return
    end
    if kind == "gather" then
        local op, children = node[2], {}
        if not gather.readers[op.kind] and not gather.drains[op.kind] then
            error("moontide: unknown operator " .. tostring(op.kind), 0)
        end
        for at, child in ipairs(node[3]) do children[at] = build(child, setmetatable({ op = op }, sinks.Collect)) end
        parts[#parts + 1] = { times = times, feed = new_feed({ op = op, children = children }, ops, terminal) }
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
    if first == 0 then return add_parts(parts, times, node[2], joined, terminal) end
    local op = chain[first]
    if op.kind == "range" then -- stands on what describes it
        parts[#parts + 1] = { times = times, feed = new_feed({ leaf = true, range = true, op = op }, joined, terminal) }
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
    parts[#parts + 1] = { times = times, feed = new_feed({ pipe = build(source, inner) }, joined, terminal) }
end

-- How many inputs of the task a source takes.
local function inputs_of(source)
    if source.leaf then return 1 end
    if source.pipe then return source.pipe.inputs end
    local inputs = 0
    for _, child in ipairs(source.children) do inputs = inputs + child.inputs end
    return inputs
end

function build(node, terminal)
    local parts = {}
    terminal.prologue = terminal.prologue or ""
    add_parts(parts, 1, node, { own = 0, tokens = {} }, terminal)
    local inputs = 0
    for _, part in ipairs(parts) do inputs = inputs + part.times * inputs_of(part.feed.source) end
    return setmetatable({ parts = parts, terminal = terminal, inputs = inputs }, Pipe)
end

--- Makes a runnable stage of a plan tree (with closures loaded) and a sink terminal.
function pipe.build(node, sink) return build(node, sink) end

--- Runs a stage over a task's inputs into its outputs.
function pipe.run(stage, run)
    local S = new_state(run)
    stage.terminal:begin(S)
    stage:consume(S)
    stage.terminal:finish(S)
end

--- Drops what a stage registered elsewhere.
function pipe.forget(stage)
    for _, part in ipairs(stage.parts) do
        local source = part.feed.source
        for _, name in ipairs(part.feed.chunks) do failure.forget(name) end
        if source.read and source.read.combine_feed then
            for _, name in ipairs(source.read.combine_feed.chunks) do failure.forget(name) end
        end
        if source.pipe then pipe.forget(source.pipe) end
        for _, child in ipairs(source.children or {}) do pipe.forget(child) end
    end
end

return pipe

--- Feeds: the per-record operators between one input of a pipe and its terminal, and the loops that run records of blocks, arrays
--- and iterators through them. Loops are generated (generate.lua) for what is known of the records.
local codec = require "moontide.wire.codec"
local arity = require "moontide.worker.arity"
local generate = require "moontide.worker.generate"
local surplus = require "moontide.worker.surplus"
local failure = require "moontide.worker.failure"
local randomness = require "moontide.worker.randomness"
local keys = require "moontide.worker.keys"

local feeds = {}

---@class moontide.worker.Feed
---@field source table? the input: of leaf.lua, of inputs.lua, or { pipe = }; nil: blocks are handed to run_block
---@field ops table[] descriptors of the per-record operators, by number
---@field terminal moontide.worker.Terminal
---@field constants table what generated text uses, by name
---@field learning integer[] numbers of the operators whose function decides whether records are pairs
---@field known table<integer, 1|2> by operator number, what is known of that
---@field draws integer[] numbers of the operators whose function draws random numbers
---@field iterator_draws boolean the function that makes the records draws some
---@field variants table<string, table> by what is known, as text: by form of input, variants
---@field current table those for what is known now
---@field form string form of the input that is being read
---@field now table[] { D1, D2 } of the variant in use
---@field shapes table<string, table> by form of input: by operator number, "array", "iterator" or "scan"
---@field execution moontide.worker.Execution the one that runs it
---@field stamp integer its stamp when `known` was read
---@field chunks string[] chunk names of its loops (failure.lua knows them)
local Feed = {}
Feed.__index = Feed

--- A feed.
---@param source table?
---@param ops table[]
---@param terminal moontide.worker.Terminal
---@return moontide.worker.Feed feed
function feeds.new(source, ops, terminal)
    local feed = setmetatable({
        source = source, ops = ops, terminal = terminal, chunks = {}, shapes = {}, variants = {}, learning = {}, stamp = 0,
        known = {}, now = {},
    }, Feed)
    feed.draws = {}
    feed.iterator_draws = source and source.pipe and source.pipe.terminal.pull and source.pipe.terminal.op.place ~= nil
    for k, op in ipairs(ops) do
        if op.place then
            feed.draws[#feed.draws + 1] = k
        end
        if generate.learns[op.kind] then
            feed.learning[#feed.learning + 1] = k
        end
    end
    feed.constants = generate.constants(feed)
    return feed
end

-- A stage is kept for as long as its plan is used, and the same function at the same line of a script may be used on datasets of single
-- values and on datasets of pairs. So a feed has *variants*: the loop for one form of input and for what is known of the records
-- that its operators make.
local function new_variant(feed, form)
    local variant = { form = form, arity = {}, shapeless = {} }
    for _, k in ipairs(feed.learning) do variant.arity[k] = arity.of(feed.execution, feed.ops[k]) end
    feed.shapes[form] = feed.shapes[form] or {}
    variant.shape = feed.shapes[form]
    variant.D1, variant.D2 = generate.detours(feed, variant)
    return variant
end

local function variants_of(feed)
    local known = {}
    for at, k in ipairs(feed.learning) do known[at] = feed.known[k] or 0 end
    local signature = table.concat(known, ",")
    feed.variants[signature] = feed.variants[signature] or {}
    return feed.variants[signature]
end

-- A task has begun, or what is known has changed: then other variants are used from now on.
function Feed:look(execution)
    local same = self.current ~= nil
    for _, k in ipairs(self.learning) do
        local known = arity.of(execution, self.ops[k])
        if known ~= self.known[k] then
            self.known[k], same = known, false
        end
    end
    if not same then
        self.current = variants_of(self)
    end
    self.execution, self.stamp = execution, execution.stamp
end

-- The variant for a form of input. Detours go on in it, too.
local function choose(feed, form, execution)
    if feed.stamp ~= execution.stamp then
        feed:look(execution)
    end
    local variant = feed.current[form]
    if variant == nil then
        variant = new_variant(feed, form)
        feed.current[form] = variant
    end
    feed.form, feed.now[1], feed.now[2] = form, variant.D1, variant.D2
    return variant
end

--- The variant for a form of input, with its loop.
function Feed:variant(form, execution)
    local variant = choose(self, form, execution)
    if variant.loop == nil then
        variant.loop, variant.incomplete = generate.loop(self, variant)
    end
    return variant
end

--- Operator k made record (v, w) of this arity, which was not known in this execution.
function Feed:learn(k, kind, v, w)
    arity.learn(self.execution, self.ops[k], kind, v, w)
    choose(self, self.form, self.execution)
end

local FIRST_RECORDS = 16

--- Runs records from … count-1 of something that loops of this form can read. While arities are not known, it runs few records at a
--- time, so that the final loop takes over soon.
---@param form string a form of generate.lua
---@param state moontide.worker.State
---@param what any block, range or array
---@param from integer
---@param count integer
---@return boolean stop the sink wants no more
function Feed:run(form, state, what, from, count)
    local step = FIRST_RECORDS
    while from < count do
        local variant = self:variant(form, state.execution)
        local to = count
        if variant.incomplete then
            to = math.min(count, from + step)
            step = step * 4
        end
        if variant.loop(state, what, from, to) then
            return true
        end
        from = to
    end
    return false
end

function Feed:run_block(state, block)
    local cancelled = state.execution.cancelled
    if cancelled ~= nil and cancelled[0] ~= 0 then
        failure.complete("cancelled while it ran", failure.ECANCELLED)
    end
    if #self.ops == 0 and self.terminal.whole and self.terminal:whole(state, block, self) then
        return false
    end
    state.position = 0
    return self:run(generate.form_of(block), state, block, 0, block.count)
end

--- The numbers of sc:range: a block's records are {first, step, from, to}, and number i is first + i * step.
function Feed:run_ranges(state, block)
    local at = 0
    for _ = 1, block.count do
        local range
        range, at = codec.decode(block.data, at)
        if self:run("range", state, range, range[3], range[4]) then
            return true
        end
    end
    return false
end

--- One record from outside any block.
function Feed:push(state, a, b)
    return self:variant(b == nil and "push1" or "push2", state.execution).loop(state, a, b)
end

--- The records of an iterator. Each one is done before the next is asked for, because it may return the same table again and again.
--- state.check_record gets the first, and those of another arity. true: the sink wants no more.
function Feed:run_iterator(state, it, invariant, control)
    local step = FIRST_RECORDS
    local a, b, c = it(invariant, control)
    if a == nil then
        return false
    end
    state.check_record(a, b, c)
    if self:push(state, a, b) then
        return true
    end
    randomness.use.slot = state.iterator_slot or 0
    local form = b == nil and "each1" or "each2"
    while a ~= nil do
        local loop = self:variant(form, state.execution).loop
        state.turns = step
        step = step * 4
        local stop
        stop, a = loop(state, it, invariant, a)
        if stop then
            return true
        end
    end
    return false
end

--- Feeds what a function of mapPartitions returned: an array, or an iterator of values or pairs.
function Feed:drain(state, op, it, invariant, control)
    if generate.is_list(it) then
        local n = #it
        if invariant ~= nil then
            surplus.after_array(op, it, invariant)
        end
        if n == 0 and next(it) ~= nil then
            generate.not_array(op, it)
        end
        for at = 1, n do
            if it[at] == nil then
                generate.hole(op)
            end
        end
        if n > 0 then
            arity.learn(state.execution, op, 1, it[1])
        end
        return self:run("array", state, it, 1, n + 1)
    end
    if not generate.callable(it) then
        generate.not_iterable(op, it)
    end
    state.check_record = function(a, b, c)
        if c ~= nil then
            surplus.third(op, a, b, c)
        end
        arity.learn(state.execution, op, b ~= nil and 2 or 1, a, b)
    end
    if op.preserves then
        it, invariant, control = keys.plain(op, it, invariant, control)
    end
    return self:run_iterator(state, it, invariant, control)
end

failure.frame(Feed.drain, function(locals) return locals.op end)

return feeds

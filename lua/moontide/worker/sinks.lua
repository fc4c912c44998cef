--- Sinks: the terminals that end a task. Records become blocks of the task's outputs: one list (collect, take, cache), or one for each
--- partition of a shuffle. A reducing shuffle combines them before.
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local arity = require "moontide.worker.arity"
local failure = require "moontide.worker.failure"
local memory = require "moontide.base.memory"
local kinds = require "moontide.worker.kinds"
local surplus = require "moontide.worker.surplus"
local terminals = require "moontide.worker.terminals"
local nan = require "moontide.base.nan"

local C = fast.C
local put, put_key, decode = codec.put, codec.put_key, codec.decode

local sinks = {}

local no_memory = failure.no_memory

local class, maker, use_arity, check_arity = terminals.class, terminals.maker, terminals.use_arity, terminals.check_arity

local function seal(state)
    local block = codec.seal(state.writer, state.arity or 1)
    if block ~= nil then
        C.tide_blocks_push(state.outputs, block)
    end
end

-- collect, take ----------------------------------------------------------------------------------------------

local Collect = class {
    prologue = "local W = S.writer",
    constants = function(_, K, feed)
        K.put, K.seal = put, seal
        use_arity(K, feed)
    end,
    begin = function(self, state)
        state.writer = codec.writer()
        state.left = self.can_stop and tonumber(state.execution.task.limit) or nil
    end,
    record = function(self, g, kind, a, b)
        g:uses "put"
        g:uses "seal"
        local op = g.feed.ops[#g.feed.ops] or self.op -- what made the record, if it can't be packed
        check_arity(g, op, kind, a, b)
        if self.can_stop then
            g:line(nil, "if S.left <= 0 then do return true end end")
        end
        g:line(op, "put(W, $a)", { a = a })
        if kind == 2 then
            g:line(op, "put(W, $b)", { b = b })
        end
        g:line(nil, "W.count = W.count + 1 if W.pos >= $target then seal(S) end", { target = C.TIDE_BLOCK_TARGET })
        if self.can_stop then
            g:line(nil, "S.left = S.left - 1 if S.left <= 0 then do return true end end")
        end
    end,
    -- Records that nothing changes: the block itself goes on.
    whole = function(self, state, block, feed)
        if self.can_stop or block.count == 0 or (block.kind ~= C.TIDE_BLOCK_PACKED and not self.keeps_text) then
            return false
        end
        local kind = block.kind == C.TIDE_BLOCK_PACKED and block.arity or 1
        if state.arity ~= kind then
            arity.reach_block(state, kind, feed, block)
        end
        seal(state)
        C.tide_blocks_push(state.outputs, C.tide_block_retain(block))
        return true
    end,
    finish = function(_, state) seal(state) end,
}

-- shuffle, records as they are ---------------------------------------------------------------------------------

local HASH, RANGE = C.TIDE_ROUTE_HASH, C.TIDE_ROUTE_RANGE

-- A function that gives the partition of a key as the script's partitioner says; nil where keys are spread by their hash.
local function partitioner_of(op)
    local f, n = op.partition, op.partitions
    return f and function(key)
        local at, more = f(key)
        if more ~= nil then
            surplus.second(op, at, more)
        end
        if type(at) ~= "number" or at % 1 ~= 0 then
            failure.broken(op, ("the partitioner's function returned %s for the key %s; it must return a whole number"):format(
                failure.preview(at), failure.preview(key)))
        end
        return at % n
    end
end

-- The key that has just been packed as the start of W, as a partitioner is to see it: equal keys look the same.
local function plain_key(W, key)
    local t = type(key)
    if t == "string" then
        return key
    end
    if t == "number" then
        return key + 0
    end
    return (decode(W.data, 0))
end

local function router_of(state, kind)
    local router = C.tide_router_new(state.outputs, state.output_count, kind)
    if router == nil then
        no_memory()
    end
    state.router = router
    local cleanup = state.execution.cleanup
    cleanup[#cleanup + 1] = function()
        if state.router then
            C.tide_router_delete(state.router)
        end
        state.router = nil
    end
    return router
end

-- The second input of a task that spreads records over ranges of keys.
local function bounds_of(state) return state.execution.inputs[1].blocks.items[0] end

local Route = class {
    prologue = "local W = S.writer",
    constants = function(self, K, feed)
        K.C, K.put, K.put_key, K.router_of, K.no_memory = C, put, put_key, router_of, no_memory
        use_arity(K, feed)
        K.ascending = self.ascending
        K.bounds_of, K.partition_of, K.plain_key = bounds_of, partitioner_of(self.op), plain_key
        K.not_pairs = function(a) failure.not_pairs(self.op, a) end
    end,
    begin = function(_, state) state.writer = codec.writer() end,
    record = function(self, g, kind, a, b)
        g:uses("put", "put_key", "router_of", "no_memory", "not_pairs", "ascending", "bounds_of")
        local op = self.op
        if self.route == HASH or self.route == RANGE then
            if kind == 1 then
                return g:line(op, "not_pairs($a)", { a = a })
            end
            g:line(op, "W.pos = 0 put_key(W, $a)", { a = a })
            g:line(op, "local key_size = W.pos put(W, $b)", { b = b })
            if op.partition then
                g:uses("partition_of", "plain_key")
                g:line(op, "local place = partition_of(plain_key(W, $a))", { a = a })
                g:line(op, "if not C.tide_router_to(S.router or router_of(S, 2), place, W.data, W.pos) then no_memory() end")
            elseif self.route == HASH then
                g:line(op, "if not C.tide_router_hash(S.router or router_of(S, 2), W.data, key_size, W.pos) then no_memory() end")
            else
                g:line(op, "if not C.tide_router_range(S.router or router_of(S, 2), bounds_of(S), ascending, W.data, key_size, W.pos)")
                g:line(op, "then no_memory() end")
            end
            return
        end
        check_arity(g, op, kind, a, b)
        g:line(op, "W.pos = 0 put(W, $a)", { a = a })
        if kind == 2 then
            g:line(op, "put(W, $b)", { b = b })
        end
        g:line(op, "if not C.tide_router_next(S.router or router_of(S, $kind), W.data, W.pos) then no_memory() end", { kind = kind })
    end,
    -- Records that nothing changes go where they belong without being looked into. What cannot be sent goes to the loop, which
    -- tells why.
    whole = function(self, state, block, feed)
        if self.op.partition then
            return false
        end
        local by_key = self.route == HASH or self.route == RANGE
        if block.count == 0 or block.kind ~= C.TIDE_BLOCK_PACKED or (by_key and block.arity ~= 2) then
            return false
        end
        if state.arity ~= block.arity and not by_key then
            arity.reach_block(state, block.arity, feed, block)
        end
        local router = state.router or router_of(state, block.arity)
        local done
        if by_key then
            done = C.tide_router_pairs(router, block, self.route == RANGE and bounds_of(state) or nil, self.ascending)
        else
            done = C.tide_router_spread(router, block)
        end
        if done < 0 then
            no_memory()
        end
        return done == 1
    end,
    finish = function(_, state)
        codec.free(state.writer)
        if state.router then
            C.tide_router_delete(state.router)
        end
        state.router = nil
    end,
}

-- shuffle with map-side combine ----------------------------------------------------------------------------------

-- Keys of this many entries are kept alive in Lua during the task: a word seen again is then found among the interned
-- strings and neither allocated nor collected again (a third of the time of a word count).
local ANCHORS = 65536

local NO_ENTRY = C.TIDE_COMBINE_NOMEM

local key_writer = codec.writer()

--- A table of keys with a value each: C holds keys and numbers, state.others what is not a number.
local function entry_of(combine, key)
    local t = type(key)
    local entry
    if t == "string" then
        entry = C.tide_combine_string(combine, key, #key)
    elseif t == "number" and key == key then
        entry = C.tide_combine_number(combine, key)
    else
        local w = key_writer
        w.pos = 0
        put_key(w, key)
        entry = C.tide_combine_packed(combine, w.data, w.pos)
    end
    if entry == NO_ENTRY then
        no_memory()
    end
    return entry
end

local function keep_other(state, entry, value)
    state.general = true
    state.others[entry] = value
end

local function add_slow(state, key, value, merge, reduced_nil, second)
    local combine = state.combine
    local entry = entry_of(combine, key)
    if combine.fresh == 1 then
        if type(value) == "number" then
            combine.numbers[entry] = value
        else
            keep_other(state, entry, value)
        end
        return
    end
    local old = state.others[entry]
    if old == nil then
        old = combine.numbers[entry]
    end
    local new, more = merge(old, value)
    if more ~= nil then
        second(new, more)
    end
    if type(new) == "number" then
        combine.numbers[entry] = new
        state.others[entry] = nil
    elseif new == nil then
        reduced_nil()
    else
        keep_other(state, entry, new)
    end
end

local function new_table(state)
    local combine = C.tide_combine_new()
    if combine == nil then
        no_memory()
    end
    state.combine, state.others, state.anchors, state.general = combine, {}, {}, false
    local cleanup = state.execution.cleanup
    cleanup[#cleanup + 1] = function()
        if state.combine then
            C.tide_combine_delete(state.combine)
        end
        state.combine = nil
    end
end

--- Writes all entries through a router, numbers in C, other values packed here.
local function write_entries(state, router, op)
    local combine, partition_of = state.combine, partitioner_of(op)
    if not state.general and not partition_of then
        if not C.tide_router_entries(router, combine) then
            no_memory()
        end
        return
    end
    local w = codec.writer()
    for entry = 0, combine.count - 1 do
        local value = state.others[entry]
        local data, size = nil, 0
        if value ~= nil then
            w.pos = 0
            local packed, why = pcall(put, w, value)
            if not packed then
                memory.rethrow(why)
                failure.broken(op, "the combined value can't leave the worker: " .. tostring(why))
            end
            data, size = w.data, w.pos
        end
        local ok
        if partition_of then
            ok = C.tide_router_entry_to(router, combine, entry, partition_of((decode(C.tide_router_entry_key(combine, entry), 0))),
                data, size)
        else
            ok = C.tide_router_entry(router, combine, entry, data, size)
        end
        if not ok then
            no_memory()
        end
    end
    codec.free(w)
end

--- Writes all entries to the task's outputs and frees the table.
local function write_table(state, op)
    if state.combine.count > 0 then
        local router = router_of(state, 2)
        write_entries(state, router, op)
        C.tide_router_delete(router)
        state.router = nil
    end
    C.tide_combine_delete(state.combine)
    state.combine = nil
    codec.free(key_writer)
end

sinks.new_table, sinks.write_table, sinks.keep_other = new_table, write_table, keep_other

local Combine = class {
    prologue = "local T, others, anchors = S.combine, S.others, S.anchors",
    constants = function(self, K)
        K.merge, K.create = self.op.merge, self.op.create
        K.second = function(a, b) surplus.second(self.op, a, b) end
        K.no_memory, K.add_slow, K.entry_of, K.keep_other = no_memory, add_slow, entry_of, keep_other
        K.reduced_nil = function() failure.broken(self.op, "the function returned nil; it must return the combined value") end
        K.not_pairs = function(a) failure.not_pairs(self.op, a) end
    end,
    begin = function(_, state) new_table(state) end,
    record = function(self, g, kind, a, b)
        local op = self.op
        g:uses("merge", "create", "second", "no_memory", "add_slow", "entry_of", "keep_other", "reduced_nil", "not_pairs")
        if kind == 1 then
            return g:line(op, "not_pairs($a)", { a = a })
        end
        local names = { a = a, b = b, anchors = ANCHORS, none = NO_ENTRY }
        local function line(template) g:line(op, template, names) end
        if op.adds and not op.create then
            -- merge is known to be a + b: the whole step is one call.
            line 'if type($b) == "number" and not S.general then'
            line 'if type($a) == "string" then if not C.tide_combine_add_string(T, $a, #$a, $b) then no_memory() end'
            line 'elseif type($a) == "number" and $a == $a then'
            line "if not C.tide_combine_add_number(T, $a, $b) then no_memory() end"
            line "else add_slow(S, $a, $b, merge, reduced_nil, second) end"
            line "if T.fresh == 1 and T.count < $anchors then anchors[T.count] = $a end"
            line "else add_slow(S, $a, $b, merge, reduced_nil, second) end"
            return
        end
        line 'local entry if type($a) == "string" then entry = C.tide_combine_string(T, $a, #$a)'
        line "if entry == $none then no_memory() end else entry = entry_of(T, $a) end"
        line "if T.fresh == 1 then if T.count < $anchors then anchors[T.count] = $a end"
        line(op.create and "local c, x = create($b) if x ~= nil then second(c, x) end" or "local c = $b")
        line 'if type(c) == "number" then T.numbers[entry] = c'
        line "elseif c == nil then reduced_nil() else keep_other(S, entry, c) end"
        line "else local old if S.general then old = others[entry] if old == nil then old = T.numbers[entry] end"
        line "else old = T.numbers[entry] end"
        line "local r, x = merge(old, $b) if x ~= nil then second(r, x) end"
        line 'if type(r) == "number" then T.numbers[entry] = r if S.general then others[entry] = nil end'
        line "elseif r == nil then reduced_nil() else keep_other(S, entry, r) end end"
    end,
    finish = function(self, state) write_table(state, self.op) end,
}

-- sortByKey's first pass: the data as it is, and a sample of its keys --------------------------------------------------

local SAMPLE_KEYS = 512

local Sample = class {
    prologue = Collect.prologue,
    constants = function(self, K, feed)
        Collect.constants(self, K, feed)
        K.check_key = function(key)
            local path = nan.find(key)
            if path then
                failure.broken(self.op, nan.no_order(path))
            end
        end
        K.not_pairs = function(a) failure.not_pairs(self.op, a) end
    end,
    begin = Collect.begin,
    record = function(self, g, kind, a, b)
        g:uses "check_key"
        g:uses "not_pairs"
        if kind == 1 then
            return g:line(self.op, "not_pairs($a)", { a = a })
        end
        g:line(self.op, 'if $a ~= $a or type($a) == "table" then check_key($a) end', { a = a })
        return Collect.record(self, g, kind, a, b)
    end,
    whole = function(self, state, block, feed)
        if block.kind ~= C.TIDE_BLOCK_PACKED or block.arity ~= 2 or not C.tide_sort_by_key_has_place(block) then
            return false
        end
        return Collect.whole(self, state, block, feed)
    end,
    finish = function(_, state)
        seal(state)
        if not C.tide_sort_by_key_sample(state.outputs, SAMPLE_KEYS, state.outputs + 1) then
            no_memory()
        end
    end,
}

local Discard = class {
    record = function() end,
    whole = function() return true end,
    finish = function() end,
}

kinds.register("sink", "collect", maker(Collect))
kinds.register("sink", "take", maker(Collect, { can_stop = true }))
kinds.register("sink", "cache", maker(Collect, { keeps_text = true }))
kinds.register("sink", "discard", maker(Discard))
kinds.register("sink", "route", maker(Route))
kinds.register("sink", "combine", maker(Combine))

--- The terminal for a plan's sink.
---@param sink table see plan.lua
---@return moontide.worker.Terminal
function sinks.new(sink)
    local make = sink.type == "sample" and maker(Sample) or kinds.need("sink", sink.op.kind)
    local terminal = make(sink.op)
    terminal.route, terminal.ascending = sink.route, sink.ascending
    return terminal
end

return sinks

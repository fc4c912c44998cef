--- Terminals that end a task: records become output blocks, in one list (collect, take) or spread over the partitions of a
--- shuffle, combined before if the shuffle reduces. Same shape as in accumulate.lua; `finish(S)` fills task.outputs.
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local arity = require "moontide.worker.arity"
local failure = require "moontide.worker.failure"
local memory = require "moontide.base.memory"
local surplus = require "moontide.worker.surplus"
local nan = require "moontide.base.nan"

local C = fast.C
local put, put_key, decode = codec.put, codec.put_key, codec.decode

local sinks = {}

local no_memory = failure.no_memory

local function class(methods)
    methods.__index = methods
    methods.constants = methods.constants or function() end
    methods.begin = methods.begin or function() end
    methods.prologue = methods.prologue or ""
    return methods
end

--- Constants of a terminal that asks for the kind of its records, and its text.
function sinks.use_arity(K, feed)
    K.reach = function(S, kind, a, b) arity.reach(S, kind, feed, a, b) end
end

function sinks.check_arity(g, op, kind, a, b)
    g:uses "reach"
    g:line(op, ("if S.arity ~= %d then reach(S, %d, %s) end"):format(kind, kind, kind == 2 and a .. ", " .. b or a))
end

local use_arity, check_arity = sinks.use_arity, sinks.check_arity

local function seal(S)
    local block = codec.seal(S.W, S.arity or 1)
    if block ~= nil then
        C.tide_blocks_push(S.outputs, block)
    end
end

-- collect, take ----------------------------------------------------------------------------------------------

local Collect = class {
    prologue = "local W = S.W",
    constants = function(_, K, feed)
        K.put, K.seal = put, seal
        use_arity(K, feed)
    end,
    begin = function(self, S)
        S.W = codec.writer()
        S.left = self.can_stop and tonumber(S.task.limit) or nil
    end,
    record = function(self, g, kind, a, b)
        g:uses "put"
        g:uses "seal"
        local op = g.feed.ops[#g.feed.ops] or self.op -- what made the record, if it can't be packed
        check_arity(g, op, kind, a, b)
        if self.can_stop then
            g:line(nil, "if S.left <= 0 then do return true end end")
        end
        g:line(op, ("put(W, %s)"):format(a))
        if kind == 2 then
            g:line(op, ("put(W, %s)"):format(b))
        end
        g:line(nil, ("W.count = W.count + 1 if W.pos >= %d then seal(S) end"):format(C.TIDE_BLOCK_TARGET))
        if self.can_stop then
            g:line(nil, "S.left = S.left - 1 if S.left <= 0 then do return true end end")
        end
    end,
    -- Records that nothing changes: the block itself goes on.
    whole = function(self, S, block, feed)
        if self.can_stop or block.count == 0 or (block.kind ~= C.TIDE_BLOCK_PACKED and not self.keeps_text) then
            return false
        end
        local kind = block.kind == C.TIDE_BLOCK_PACKED and block.arity or 1
        if S.arity ~= kind then
            arity.reach_block(S, kind, feed, block)
        end
        seal(S)
        C.tide_blocks_push(S.outputs, C.tide_block_retain(block))
        return true
    end,
    finish = function(_, S) seal(S) end,
}

-- shuffle, records as they are ---------------------------------------------------------------------------------

local HASH, RANGE = C.TIDE_ROUTE_HASH, C.TIDE_ROUTE_RANGE

-- A function that gives the partition of a key as the script's partitioner says; nil where keys are spread by their hash.
local function partitioner_of(op)
    local f, n = op.partition_f, op.partitions
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

local function router_of(S, kind)
    local router = C.tide_router_new(S.task.outputs, S.task.noutputs, kind)
    if router == nil then
        no_memory()
    end
    S.R = router
    S.cleanup[#S.cleanup + 1] = function()
        if S.R then
            C.tide_router_delete(S.R)
        end
        S.R = nil
    end
    return router
end

-- The second input of a task that spreads records over ranges of keys.
local function bounds_of(S) return S.task.inputs[1].blocks.items[0] end

local Route = class {
    prologue = "local W = S.W",
    constants = function(self, K, feed)
        K.C, K.put, K.put_key, K.router_of, K.no_memory = C, put, put_key, router_of, no_memory
        use_arity(K, feed)
        K.ascending = self.ascending
        K.bounds_of, K.partition_of, K.plain_key = bounds_of, partitioner_of(self.op), plain_key
        K.not_pairs = function(a)
            failure.broken(self.op, "needs (key, value) pairs, but the record is the single value " .. failure.preview(a)
                .. "; make pairs with map(function(x) return key, value end)")
        end
    end,
    begin = function(_, S) S.W = codec.writer() end,
    record = function(self, g, kind, a, b)
        g:uses("put", "put_key", "router_of", "no_memory", "not_pairs", "ascending", "bounds_of")
        local op = self.op
        if self.route == HASH or self.route == RANGE then
            if kind == 1 then
                return g:line(op, ("not_pairs(%s)"):format(a))
            end
            g:line(op, ("W.pos = 0 put_key(W, %s)"):format(a))
            g:line(op, ("local key_size = W.pos put(W, %s)"):format(b))
            if op.partition_f then
                g:uses("partition_of", "plain_key")
                g:line(op, ("local place = partition_of(plain_key(W, %s))"):format(a))
                g:line(op, "if not C.tide_router_to(S.R or router_of(S, 2), place, W.data, W.pos) then no_memory() end")
            elseif self.route == HASH then
                g:line(op, "if not C.tide_router_hash(S.R or router_of(S, 2), W.data, key_size, W.pos) then no_memory() end")
            else
                g:line(op, "if not C.tide_router_range(S.R or router_of(S, 2), bounds_of(S), ascending, W.data, key_size, W.pos)")
                g:line(op, "then no_memory() end")
            end
            return
        end
        check_arity(g, op, kind, a, b)
        g:line(op, ("W.pos = 0 put(W, %s)"):format(a))
        if kind == 2 then
            g:line(op, ("put(W, %s)"):format(b))
        end
        g:line(op, ("if not C.tide_router_next(S.R or router_of(S, %d), W.data, W.pos) then no_memory() end"):format(kind))
    end,
    -- Records that nothing changes go where they belong without being looked into. What cannot be sent goes to the loop, which
    -- tells why.
    whole = function(self, S, block, feed)
        if self.op.partition_f then
            return false
        end
        local by_key = self.route == HASH or self.route == RANGE
        if block.count == 0 or block.kind ~= C.TIDE_BLOCK_PACKED or (by_key and block.arity ~= 2) then
            return false
        end
        if S.arity ~= block.arity and not by_key then
            arity.reach_block(S, block.arity, feed, block)
        end
        local router = S.R or router_of(S, block.arity)
        local done
        if by_key then
            done = C.tide_router_pairs(router, block, self.route == RANGE and bounds_of(S) or nil, self.ascending)
        else
            done = C.tide_router_spread(router, block)
        end
        if done < 0 then
            no_memory()
        end
        return done == 1
    end,
    finish = function(_, S)
        codec.free(S.W)
        if S.R then
            C.tide_router_delete(S.R)
        end
        S.R = nil
    end,
}

-- shuffle with map-side combine ----------------------------------------------------------------------------------

-- Keys of this many entries are kept alive in Lua during the task: a word seen again is then found among the interned
-- strings and neither allocated nor collected again (a third of the time of a word count).
local ANCHORS = 65536

local NO_ENTRY = C.TIDE_COMBINE_NOMEM

local key_writer = codec.writer()

--- A table of keys with a value each: C holds keys and numbers, S.others what is not a number.
local function entry_of(T, key)
    local t = type(key)
    local entry
    if t == "string" then
        entry = C.tide_combine_string(T, key, #key)
    elseif t == "number" and key == key then
        entry = C.tide_combine_number(T, key)
    else
        local w = key_writer
        w.pos = 0
        put_key(w, key)
        entry = C.tide_combine_packed(T, w.data, w.pos)
    end
    if entry == NO_ENTRY then
        no_memory()
    end
    return entry
end

local function keep_other(S, entry, value)
    S.general = true
    S.others[entry] = value
end

local function add_slow(S, key, value, merge, reduced_nil, second)
    local T = S.T
    local entry = entry_of(T, key)
    if T.fresh == 1 then
        if type(value) == "number" then
            T.numbers[entry] = value
        else
            keep_other(S, entry, value)
        end
        return
    end
    local old = S.others[entry]
    if old == nil then
        old = T.numbers[entry]
    end
    local new, more = merge(old, value)
    if more ~= nil then
        second(new, more)
    end
    if type(new) == "number" then
        T.numbers[entry] = new
        S.others[entry] = nil
    elseif new == nil then
        reduced_nil()
    else
        keep_other(S, entry, new)
    end
end

local function new_table(S)
    local T = C.tide_combine_new()
    if T == nil then
        no_memory()
    end
    S.T, S.others, S.anchors, S.general = T, {}, {}, false
    S.cleanup[#S.cleanup + 1] = function()
        if S.T then
            C.tide_combine_delete(S.T)
        end
        S.T = nil
    end
end

--- Writes all entries through a router, numbers in C, other values packed here.
local function write_entries(S, router, op)
    local T, partition_of = S.T, partitioner_of(op)
    if not S.general and not partition_of then
        if not C.tide_router_entries(router, T) then
            no_memory()
        end
        return
    end
    local w = codec.writer()
    for entry = 0, T.count - 1 do
        local value = S.others[entry]
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
            ok = C.tide_router_entry_to(router, T, entry, partition_of((decode(C.tide_router_entry_key(T, entry), 0))),
                data, size)
        else
            ok = C.tide_router_entry(router, T, entry, data, size)
        end
        if not ok then
            no_memory()
        end
    end
    codec.free(w)
end

--- Writes all entries to the task's outputs and frees the table.
local function write_table(S, op)
    if S.T.count > 0 then
        local router = router_of(S, 2)
        write_entries(S, router, op)
        C.tide_router_delete(router)
        S.R = nil
    end
    C.tide_combine_delete(S.T)
    S.T = nil
    codec.free(key_writer)
end

sinks.new_table, sinks.write_table, sinks.keep_other = new_table, write_table, keep_other

local Combine = class {
    prologue = "local T, others, anchors = S.T, S.others, S.anchors",
    constants = function(self, K)
        K.merge, K.create = self.op.merge_f, self.op.create_f
        K.second = function(a, b) surplus.second(self.op, a, b) end
        K.no_memory, K.add_slow, K.entry_of, K.keep_other = no_memory, add_slow, entry_of, keep_other
        K.reduced_nil = function() failure.broken(self.op, "the function returned nil; it must return the combined value") end
        K.not_pairs = function(a)
            failure.broken(self.op, "needs (key, value) pairs, but the record is the single value " .. failure.preview(a)
                .. "; make pairs with map(function(x) return key, value end)")
        end
    end,
    begin = function(_, S) new_table(S) end,
    record = function(self, g, kind, a, b)
        local op = self.op
        g:uses("merge", "create", "second", "no_memory", "add_slow", "entry_of", "keep_other", "reduced_nil", "not_pairs")
        if kind == 1 then
            return g:line(op, ("not_pairs(%s)"):format(a))
        end
        if op.adds and not op.create_f then
            -- merge is known to be a + b: the whole step is one call.
            g:line(op, ('if type(%s) == "number" and not S.general then'):format(b))
            g:line(op, ('if type(%s) == "string" then if not C.tide_combine_add_string(T, %s, #%s, %s) then no_memory() end')
                :format(a, a, a, b))
            g:line(op, ('elseif type(%s) == "number" and %s == %s then'):format(a, a, a))
            g:line(op, ("if not C.tide_combine_add_number(T, %s, %s) then no_memory() end"):format(a, b))
            g:line(op, ("else add_slow(S, %s, %s, merge, reduced_nil, second) end"):format(a, b))
            g:line(op, ("if T.fresh == 1 and T.count < %d then anchors[T.count] = %s end"):format(ANCHORS, a))
            g:line(op, ("else add_slow(S, %s, %s, merge, reduced_nil, second) end"):format(a, b))
            return
        end
        g:line(op, ('local entry if type(%s) == "string" then entry = C.tide_combine_string(T, %s, #%s)'):format(a, a, a))
        g:line(op, ("if entry == %d then no_memory() end else entry = entry_of(T, %s) end"):format(NO_ENTRY, a))
        g:line(op, ("if T.fresh == 1 then if T.count < %d then anchors[T.count] = %s end"):format(ANCHORS, a))
        if op.create_f then
            g:line(op, ("local c, x = create(%s) if x ~= nil then second(c, x) end"):format(b))
        else
            g:line(op, ("local c = %s"):format(b))
        end
        g:line(op, 'if type(c) == "number" then T.numbers[entry] = c')
        g:line(op, "elseif c == nil then reduced_nil() else keep_other(S, entry, c) end")
        g:line(op, "else local old if S.general then old = others[entry] if old == nil then old = T.numbers[entry] end")
        g:line(op, "else old = T.numbers[entry] end")
        g:line(op, ("local r, x = merge(old, %s) if x ~= nil then second(r, x) end"):format(b))
        g:line(op, 'if type(r) == "number" then T.numbers[entry] = r if S.general then others[entry] = nil end')
        g:line(op, "elseif r == nil then reduced_nil() else keep_other(S, entry, r) end end")
    end,
    finish = function(self, S) write_table(S, self.op) end,
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
        K.not_pairs = function(a)
            failure.broken(self.op, "needs (key, value) pairs, but the record is the single value " .. failure.preview(a))
        end
    end,
    begin = Collect.begin,
    record = function(self, g, kind, a, b)
        g:uses "check_key"
        g:uses "not_pairs"
        if kind == 1 then
            return g:line(self.op, ("not_pairs(%s)"):format(a))
        end
        g:line(self.op, ('if %s ~= %s or type(%s) == "table" then check_key(%s) end'):format(a, a, a, a))
        return Collect.record(self, g, kind, a, b)
    end,
    whole = function(self, S, block, feed)
        if block.kind ~= C.TIDE_BLOCK_PACKED or block.arity ~= 2 or not C.tide_sort_by_key_has_place(block) then
            return false
        end
        return Collect.whole(self, S, block, feed)
    end,
    finish = function(_, S)
        seal(S)
        if not C.tide_sort_by_key_sample(S.outputs, SAMPLE_KEYS, S.task.outputs + 1) then
            no_memory()
        end
    end,
}

local Discard = class {
    record = function() end,
    whole = function() return true end,
    finish = function() end,
}

sinks.Combine, sinks.Collect = Combine, Collect

--- The terminal for a plan's sink: a descriptor map, or {"shuffle", write, route, ascending}, or {"sample", write}.
function sinks.new(sink)
    if sink[1] == "sample" then
        return setmetatable({ op = sink[2] }, Sample)
    end
    if sink[1] == "shuffle" then
        local op, route, ascending = sink[2], sink[3], sink[4]
        if op.kind == "combine" then
            return setmetatable({ op = op }, Combine)
        end
        return setmetatable({ op = op, route = route, ascending = ascending }, Route)
    end
    if sink.kind == "take" then
        return setmetatable({ op = sink, can_stop = true }, Collect)
    end
    if sink.kind == "discard" then
        return setmetatable({ op = sink }, Discard)
    end
    if sink.kind == "collect" then
        return setmetatable({ op = sink }, Collect)
    end
    if sink.kind == "cache" then
        return setmetatable({ op = sink, keeps_text = true }, Collect)
    end
    error("moontide: unknown sink " .. tostring(sink.kind or sink[1]), 0)
end

return sinks

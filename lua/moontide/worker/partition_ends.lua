--- Ends of partitions: terminals that take all records of a partition before they yield any. count, sum, stats, reduce, fold, aggregate,
--- glom, and the text file writer. (terminals.lua says what a terminal is.)
local failure = require "moontide.worker.failure"
local kinds = require "moontide.worker.kinds"
local nan = require "moontide.base.nan"
local save = require "moontide.worker.save"
local surplus = require "moontide.worker.surplus"
local terminals = require "moontide.worker.terminals"
local values = require "moontide.base.values"
local text_form = require "moontide.base.text_form"

local class, maker, use_arity, check_arity = terminals.class, terminals.maker, terminals.use_arity, terminals.check_arity
local element = terminals.element

local Count = class {
    constants = function(self, K) K.has_metatable = failure.has_metatable(self.op) end,
    begin = function(_, state) state.count = 0 end,
    record = function(self, g, arity, a, b)
        g:uses "has_metatable"
        g:no_metatable(self.op, a)
        if arity == 2 then
            g:no_metatable(self.op, b)
        end
        g:line(nil, "S.count = S.count + 1")
    end,
    whole = function(_, state, block)
        state.count = state.count + block.count
        return true
    end,
    finish = function(_, state, emit) emit(state.count) end,
}

-- Writes text that requires a single number; an int64 or uint64 counts as the nearest double. It opens a block in which the number
-- is `x`.
local function expect_number(op, g, arity, a, b)
    g:uses "to_number"
    if arity == 2 then
        g:line(op, "to_number($a, $b)", { a = a, b = b })
        return false
    end
    g:line(op, 'do local x = $a if type(x) ~= "number" then x = to_number(x) end', { a = a })
    return true
end

local function number_constants(self, K)
    K.to_number = function(a, b)
        local number = b == nil and type(a) == "cdata" and tonumber(a)
        if number then
            return number
        end
        failure.broken(self.op, "needs single numbers, but the record is " .. (b ~= nil and "the pair " or "")
            .. failure.preview(a, b))
    end
end

local Sum = class {
    constants = number_constants,
    begin = function(_, state) state.sum = 0 end,
    record = function(self, g, arity, a, b)
        if expect_number(self.op, g, arity, a, b) then
            g:line(self.op, "S.sum = S.sum + x end")
        end
    end,
    finish = function(_, state, emit) emit(state.sum) end,
}

-- count, mean, sum of squared distances from it (Welford's method), min, max, sum: moontide.base.statistics merges them.
local Stats = class {
    constants = function(self, K)
        number_constants(self, K)
        K.is_nan = function() failure.broken(self.op, nan.NO_STATISTICS) end
    end,
    begin = function(_, state) state.count, state.mean, state.m2, state.min, state.max, state.sum = 0, 0, 0, math.huge, -math.huge, 0 end,
    record = function(self, g, arity, a, b)
        if not expect_number(self.op, g, arity, a, b) then
            return
        end
        g:uses "is_nan"
        g:line(self.op, "if x ~= x then is_nan() end local n, d = S.count + 1, x - S.mean")
        g:line(nil, "local mean = S.mean + d / n")
        g:line(nil, "S.count, S.mean, S.m2, S.sum = n, mean, S.m2 + d * (x - mean), S.sum + x")
        g:line(nil, "if x < S.min then S.min = x end if x > S.max then S.max = x end end")
    end,
    finish = function(_, state, emit) emit({ state.count, state.mean, state.m2, state.min, state.max, state.sum }) end,
}

-- reduce: on pairs the function gets and returns {key, value} tables.
local Reduce = class {
    constants = function(self, K, feed)
        K.reduce = self.op.fn
        use_arity(K, feed)
        K.second = function(a, b) surplus.second(self.op, a, b) end
        K.reduced_nil = function() failure.broken(self.op, "the function returned nil; it must return the combined value") end
    end,
    begin = function(_, state) state.has_value = false end,
    record = function(self, g, arity, a, b)
        g:uses("reduce", "reduced_nil", "second")
        local op = self.op
        check_arity(g, op, arity, a, b)
        local names = { record = element(arity, a, b) }
        g:line(op, "if S.has_value then local r, y = reduce(S.value, $record) if y ~= nil then second(r, y) end", names)
        g:line(op, "if r == nil then reduced_nil() end S.value = r")
        g:line(op, "else S.has_value, S.value = true, $record end", names)
    end,
    finish = function(self, state, emit)
        if not state.has_value then
            return
        end
        if state.arity == 1 then
            return emit(state.value)
        end
        local pair = state.value
        if type(pair) ~= "table" or pair[1] == nil or pair[2] == nil then
            failure.broken(self.op, "on a stream of pairs the function gets and returns {key, value} tables, but it returned "
                .. failure.preview(pair))
        end
        if pair[3] ~= nil then
            surplus.pair(self.op, pair)
        end
        emit(pair[1], pair[2])
    end,
}

-- fold and aggregate: the zero value is made anew for each partition.
local Fold = class {
    constants = function(self, K)
        K.fold = self.op.fn
        K.second = function(a, b) surplus.second(self.op, a, b) end
        K.folded_nil = function() failure.broken(self.op, "the function returned nil; it must return the new value") end
    end,
    begin = function(self, state) state.value = self.op.make_zero() end,
    record = function(self, g, arity, a, b)
        g:uses("fold", "folded_nil", "second")
        g:line(self.op, "local r, y = fold(S.value, $record) if y ~= nil then second(r, y) end", { record = element(arity, a, b) })
        g:line(self.op, "if r == nil then folded_nil() end S.value = r")
    end,
    finish = function(_, state, emit) emit(state.value) end,
}

local Glom = class {
    constants = function(_, K, feed) use_arity(K, feed) end,
    begin = function(_, state) state.list, state.count = {}, 0 end,
    record = function(self, g, arity, a, b)
        check_arity(g, self.op, arity, a, b)
        g:line(nil, "S.count = S.count + 1 S.list[S.count] = $record", { record = element(arity, a, b) })
    end,
    finish = function(_, state, emit) emit(values.array(state.list)) end,
}

local SaveText = class {
    constants = function(self, K)
        K.show, K.err, K.not_written = text_form.record, save.err, function() save.fail(self.op) end
    end,
    begin = function(self, state)
        save.open(state, self.op)
        state.count = 0
    end,
    record = function(self, g, arity, a, b)
        for _, name in ipairs { "show", "err", "not_written" } do g:uses(name) end
        g:line(self.op, "local text = show($record)", { record = terminals.arguments(arity, a, b) })
        g:line(self.op, "if C.tide_text_writer_line(S.part, text, #text, err) ~= 0 then not_written() end S.count = S.count + 1")
    end,
    finish = function(self, state, emit)
        save.finish(state, self.op)
        emit(state.count)
    end,
}

kinds.register("partition", "count", maker(Count))
kinds.register("partition", "sum", maker(Sum))
kinds.register("partition", "stats", maker(Stats))
kinds.register("partition", "reducePartition", maker(Reduce))
kinds.register("partition", "foldPartition", maker(Fold))
kinds.register("partition", "aggregatePartition", maker(Fold))
kinds.register("partition", "glom", maker(Glom))
kinds.register("partition", "saveText", maker(SaveText))

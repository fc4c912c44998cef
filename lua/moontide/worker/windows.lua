--- Windows (lua/moontide/operators/windows.lua): what is made of the packed results of their batches.
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local exchanges = require "moontide.worker.exchanges"
local failure = require "moontide.worker.failure"
local kinds = require "moontide.worker.kinds"
local fold = require "moontide.worker.window_fold"
local block_lists = require "moontide.worker.block_lists"
local loops = require "moontide.worker.loops"
local surplus = require "moontide.worker.surplus"
local deltas = require "moontide.worker.state_delta"

local C = fast.C

local no_memory = failure.no_memory

--- (key, array) records: one array for each key.
kinds.register("inputs", "concatLists", function(_, lists)
    local out = block_lists.new()
    if not C.tide_group_concat(lists[1], out) then
        no_memory()
    end
    return out
end)

--- (key, value) records, the results of several batches: one for each key. Numbers come in the order of host/kernel/sort_by_hash.h.
kinds.register("inputs", "mergeParts", function(op, lists, execution)
    block_lists.need_pairs(op, lists)
    if not op.adds then
        return fold.merge(op, lists[1]) or exchanges.merge(op, lists[1], execution)
    end
    local out = block_lists.new()
    local done = C.tide_window_sum_merge(lists[1], out)
    if done < 0 then
        no_memory()
    end
    return done == C.TIDE_WINDOW_FOLD_DONE and out or exchanges.merge(op, lists[1], execution)
end)

-- Inverse windows -----------------------------------------------------------------------------------------------
--
-- State records are (key, [number of partial results in the window, value]).

-- Folds the values of each key: `values` and `counts` by entry. `at` is the first record's place in delta.order.
local FOLD = [[
return function(delta, list, at, values, counts)
    local order = delta.order
    for b = 0, list.count - 1 do
        local block = list.items[b]
        local data, pos = block.data, 0
        for i = 0, block.count - 1 do
            pos = skip(data, pos)
            local value
            value, pos = decode(data, pos)
            local entry = order[at]
            at = at + 1
            local count = counts[entry]
            if count == nil then
                values[entry], counts[entry] = value, 1
            else
                local r, more = merge(values[entry], value)
                if more ~= nil then second(r, more) end
                if r == nil then returned_nil("f") end
                values[entry], counts[entry] = r, count + 1
            end
        end
    end
    return at
end]]

-- Computes the keys that changed.
local APPLY = [[
return function(delta, left, nleft, came, ncame)
    for entry = 0, delta.keys.count - 1 do
        local old, leaving, entering = delta.old[entry], nleft[entry], ncame[entry]
        local value, count, more
        if old.value ~= nil then
            value, count = decode(old.value, 0), old.n
            if leaving then
                value, more = inverse(value, left[entry])
                if more ~= nil then second(value, more) end
                count = count - leaving
                if value == nil then returned_nil("the inverse") end
            end
            if entering then
                value, more = merge(value, came[entry])
                if more ~= nil then second(value, more) end
                count = count + entering
                if value == nil then returned_nil("f") end
            end
        elseif entering then
            value, count = came[entry], entering
        end
        if count and (count > 0 or keeps(delta, entry, value)) then put(delta, entry, count, value) end
    end
end]]

-- The loops' constants. A key without a value left in the window stays as long as the filter accepts it.
local function constants_of(op)
    local filter = op.filter
    return {
        decode = codec.decode, skip = deltas.skip, put = deltas.put, merge = op.merge, inverse = op.inverse,
        keeps = function(delta, entry, value)
            return not filter or filter(deltas.key(delta, entry), value)
        end,
        second = function(a, b) surplus.second(op, a, b) end,
        returned_nil = function(which)
            failure.broken(op, which .. " returned nil; it must return the combined value")
        end,
    }
end

-- The key that APPLY, ANEW or DECIDE is at, for messages.
local function key_worked_on(locals)
    if not locals.entry then
        return nil
    end
    local text = "key " .. failure.preview(deltas.key(locals.delta, locals.entry))
    return locals.value ~= nil and text .. ", value " .. failure.preview(locals.value) or text
end

-- Any functions, any values; and a state of which hardly anything changes.
local function general(op, delta, lists, out)
    local constants = constants_of(op)
    local fold_list, apply = loops.of(op, "fold", FOLD, constants), loops.of(op, "apply", APPLY, constants, key_worked_on)
    deltas.add(delta, lists[2])
    deltas.add(delta, lists[3])
    deltas.scan(delta, lists[1], -1, out)
    local left, nleft, came, ncame = {}, {}, {}, {}
    local at = fold_list(delta, lists[2], 0, left, nleft)
    fold_list(delta, lists[3], at, came, ncame)
    apply(delta, left, nleft, came, ncame)
end

-- Adding and subtracting numbers is done in C; this loop asks the filter about the keys without a value left in the window.
local DECIDE = [[
return function(delta)
    for at = 0, delta.opens - 1 do
        local entry = delta.open[at]
        local sum = delta.keys.numbers[entry]
        if keeps(delta, entry, sum) then put(delta, entry, 0, sum) end
    end
end]]

local function sums(op, lists)
    local out, delta = block_lists.new(), deltas.new()
    local done = C.tide_window_sum_slide(delta, lists[1], lists[2], lists[3], op.filter ~= nil, out)
    if done < 0 then
        no_memory()
    end
    if done ~= C.TIDE_WINDOW_FOLD_DONE then
        deltas.free(delta)
        return nil
    end
    loops.of(op, "decide", DECIDE, constants_of(op), key_worked_on)(delta)
    deltas.finish(delta)
    return out
end

kinds.register("inputs", "inverse", function(op, lists)
    block_lists.need_pairs(op, lists)
    local made
    if op.adds and op.subtracts then
        made = sums(op, lists)
    elseif not C.tide_window_sum_rare(lists[1], lists[2], lists[3]) then
        made = fold.slide(op, lists)
    end
    if made then
        return made
    end
    local out, delta = block_lists.new(), deltas.new()
    general(op, delta, lists, out)
    deltas.finish(delta)
    return out
end)

-- A window after one that could not be computed: all keys are computed from the partial results in it. Of the last computed window only
-- the keys count that are not in this one: they get the neutral value, the inverse of their value and itself.
local ANEW = [[
return function(delta, came, ncame)
    for entry = 0, delta.keys.count - 1 do
        local old, value, count = delta.old[entry], came[entry], ncame[entry]
        if not count then
            value, count = decode(old.value, 0), 0
            if old.n > 0 then
                value = inverse(value, value)
                if value == nil then returned_nil("the inverse") end
            end
        end
        if count > 0 or keeps(delta, entry, value) then put(delta, entry, count, value) end
    end
end]]

kinds.register("inputs", "windowAnew", function(op, lists)
    block_lists.need_pairs(op, lists)
    local out, delta, constants = block_lists.new(), deltas.new(), constants_of(op)
    deltas.add(delta, lists[3])
    deltas.add(delta, lists[1])
    deltas.scan(delta, lists[1], -1, out)
    local came, ncame = {}, {}
    loops.of(op, "fold", FOLD, constants)(delta, lists[3], 0, came, ncame)
    loops.of(op, "anew", ANEW, constants, key_worked_on)(delta, came, ncame)
    deltas.finish(delta)
    return out
end)

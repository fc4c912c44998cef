--- Windows over numbers with functions of the script. A kernel groups the values by key, one small range of key hashes at a time, and
--- loops over such a range call the functions (host/kernel/window_fold.h).
local declare = require "moontide.base.declare"
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local failure = require "moontide.worker.failure"
local block_lists = require "moontide.worker.block_lists"
local loops = require "moontide.worker.loops"
local surplus = require "moontide.worker.surplus"

local ffi, C = fast.ffi, fast.C

-- Messages show a fold as the key that it is at.
declare.metatype("struct tide_window_fold", {
    __tostring = function(self) return failure.preview((codec.decode(C.tide_window_fold_key(self, self.at), 0))) end,
})

local fold = {}

local RANGE, DONE = C.TIDE_WINDOW_FOLD_RANGE, C.TIDE_WINDOW_FOLD_DONE

-- In the loops below, a0 and b0 are the record that messages show: the key at `fold.at`, and a value. The loops return false when a
-- function returned something else than a number: the window is then computed by windows.lua.

-- Values that are not the first of their key and side.
local MEET = [[
return function(fold)
    local a0, b0 = fold
    local met, newcomers, values = fold.met, fold.newcomers, fold.values
    for i = 0, fold.meetings - 1 do
        local place = met[i]
        fold.at, b0 = rshift(place, 1), newcomers[i]
        local r, more = merge(values[place], b0)
        if more ~= nil then second(r, more) end
        if type(r) ~= "number" then
            if r == nil then returned_nil("f") end
            return false
        end
        values[place] = r
    end
    return true
end]]

-- Slides the window: the values that leave are subtracted with the inverse, those that enter are merged. Keys without a value left stay
-- as long as the filter accepts them.
local SLIDE = [[
return function(fold)
    local a0, b0 = fold
    local values, counts, x, numbers, there = fold.values, fold.counts, fold.x, fold.n, fold.there
    for i = 0, fold.count - 1 do
        local left, came, n, more = counts[2 * i], counts[2 * i + 1], 0
        fold.at, b0 = i, x[i]
        if there[i] ~= 0 then
            if left > 0 then
                b0, more = inverse(b0, values[2 * i])
                if more ~= nil then second(b0, more) end
                if b0 == nil then returned_nil("the inverse") end
                if type(b0) ~= "number" then return false end
            end
            if came > 0 then
                b0, more = merge(b0, values[2 * i + 1])
                if more ~= nil then second(b0, more) end
                if b0 == nil then returned_nil("f") end
                if type(b0) ~= "number" then return false end
            end
            n = numbers[i] + came - left
        elseif came > 0 then
            n, b0, there[i] = came, values[2 * i + 1], 1
        end
        numbers[i], x[i] = n, b0
        if n <= 0 and left + came > 0 and there[i] ~= 0 and not keeps(fold, i, b0) then there[i] = 0 end
    end
    return true
end]]

local function constants_of(op)
    local filter = op.filter
    return {
        type = type, merge = op.merge, inverse = op.inverse, rshift = require("bit").rshift,
        keeps = function(self, index, value)
            return not filter or filter((codec.decode(C.tide_window_fold_key(self, index), 0)), value)
        end,
        second = function(a, b) surplus.second(op, a, b) end,
        returned_nil = function(which)
            failure.broken(op, which .. " returned nil; it must return the combined value")
        end,
    }
end

-- Folds range by range; nil when there is something else than numbers.
local function run(op, state, leaving, entering, meet, slide)
    local slot = ffi.new "struct tide_window_fold *[1]"
    local status = C.tide_window_fold_open(slot, state, leaving, entering, false, false)
    if status < 0 then
        failure.no_memory()
    end
    if status ~= DONE then
        return nil
    end
    local self = ffi.gc(slot[0], C.tide_window_fold_delete)
    status = C.tide_window_fold_read(self)
    while status == RANGE do
        if not meet(self) or (slide and not slide(self)) then
            break
        end
        if not C.tide_window_fold_write(self, slide ~= nil) then
            failure.no_memory()
        end
        status = C.tide_window_fold_read(self)
    end
    if status < 0 then
        failure.no_memory()
    end
    if status ~= DONE then
        C.tide_window_fold_delete(ffi.gc(self, nil))
        return nil
    end
    local out = block_lists.new()
    C.tide_window_fold_finish(ffi.gc(self, nil), out)
    return out
end

--- One pair for each key of the list, its values merged. nil when values are not numbers.
---@param op table
---@param list ffi.cdata*
---@return ffi.cdata* blocks
function fold.merge(op, list)
    return run(op, nil, nil, list, loops.of(op, "meet", MEET, constants_of(op)), nil)
end

--- An inverse window from the one before: records (key, [n, value]), as in windows.lua. nil when values are not numbers.
---@param op table
---@param lists ffi.cdata*[] state, what leaves, what comes
---@return ffi.cdata* blocks
function fold.slide(op, lists)
    local constants = constants_of(op)
    return run(op, lists[1], lists[2], lists[3], loops.of(op, "meet", MEET, constants), loops.of(op, "slide", SLIDE, constants))
end

return fold

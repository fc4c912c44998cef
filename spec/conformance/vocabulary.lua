-- The functions that the cases name, as Lua closures of the kind a user would write. See README.md, "Function
-- vocabulary".
--
-- A function on single records gets one argument, a function on pairs two; the tables `…_of_pairs` hold
-- the latter. A pair stream calls all others with one table {key, value}: to them a pair is one value.

local vocabulary = {}

local unary = {
    tostring = function(x) return tostring(x) end,
    len = function(x) return #x end,
    upper = function(x) return x:upper() end,
    ident = function(x) return x end,
    pair1 = function(x) return x, 1 end,
    pairx = function(x) return x, "x" end,
    pairself = function(x) return x, x end,
    pairlen = function(x) return x, #x end,
    mod10pair1 = function(x) return x % 10, 1 end,
    one = function() return 1 end,
    toint = function(x) return tonumber(x) end,
}

local unary_of_pairs = {
    ident = function(k, v) return k, v end,
    swap = function(k, v) return v, k end,
    key = function(k) return k end,
    value = function(_, v) return v end,
}

-- Results of these are pairs.
local makes_pairs = { pair1 = true, pairx = true, pairself = true, pairlen = true, mod10pair1 = true, swap = true }

local function suffixes(text)
    return { text .. "1", text .. "2" }
end

local function characters(text)
    local list = {}
    for char in text:gmatch(".") do
        list[#list + 1] = char
    end
    return list
end

local flat = {
    dup2x = function(x) return { x, 2 * x } end,
    chars = characters,
    suffix12 = suffixes,
    len_chars = function(text)
        local size, next_char = #text, text:gmatch(".")
        return function()
            local char = next_char()
            if char then
                return size, char
            end
        end
    end,
}

local flat_of_pairs = {
    value_chars = function(text, number)
        local next_char = text:gmatch(".")
        return function()
            local char = next_char()
            if char then
                return number, char
            end
        end
    end,
}

local flat_makes_pairs = { len_chars = true, value_chars = true }

local predicates = {
    even = function(x) return x % 2 == 0 end,
    contains_a = function(x) return x:find("a", 1, true) ~= nil end,
}

local predicates_of_pairs = {
    key_contains_a = function(k) return k:find("a", 1, true) ~= nil end,
    v_ne_0 = function(_, v) return v ~= 0 end,
    v_gt_0 = function(_, v) return v > 0 end,
    v_gt_1 = function(_, v) return v > 1 end,
}

local binary = {
    add = function(a, b) return a + b end,
    sub = function(a, b) return a - b end,
    max = function(a, b) return math.max(a, b) end,
    min = function(a, b) return math.min(a, b) end,
}

local partition = {
    sum = function(elements)
        local total = 0
        for x in elements do
            total = total + x
        end
        return { total }
    end,
    concat_upper = function(elements)
        local text = ""
        for x in elements do
            text = text .. x:upper()
        end
        return { text }
    end,
}

local function sum_of(values)
    local total = 0
    for _, value in ipairs(values) do
        total = total + value
    end
    return total
end

local update = {
    running_sum = function(values, state)
        local total = state or 0
        for _, value in ipairs(values) do
            total = total + value
        end
        return total
    end,
    -- The batch time and the key follow the two usual arguments.
    running_sum_time = function(values, state, time)
        return (state or 0) + (#values > 0 and time or 0)
    end,
    append_list = function(values, state)
        local list = {}
        for _, value in ipairs(state or {}) do
            list[#list + 1] = value
        end
        for _, value in ipairs(values) do
            list[#list + 1] = value
        end
        return list
    end,
    expire2 = function(values, state)
        state = state or { count = 0, idle = 0 }
        if #values > 0 then
            return { count = state.count + sum_of(values), idle = 0 }
        elseif state.idle + 1 < 2 then
            return { count = state.count, idle = state.idle + 1 }
        end
        return nil
    end,
}

local mapping = {
    count_return_sum = function(_, value, state)
        local total = (value or 0) + (state:getOption() or 0)
        state:update(total)
        return total
    end,
    count_return_doubled_key = function(key, value, state)
        state:update((value or 0) + (state:getOption() or 0))
        return key .. key
    end,
    count_return_pair = function(key, value, state)
        local total = (value or 0) + (state:getOption() or 0)
        state:update(total)
        return key, total
    end,
    count_return_none = function(_, value, state)
        state:update((value or 0) + (state:getOption() or 0))
    end,
    toggle_remove_return_key = function(key, value, state)
        if state:exists() then
            state:remove()
            return key
        end
        state:update(value)
    end,
    set1_return_key_if_timing_out = function(key, value, state)
        if value ~= nil then
            state:update(1)
        end
        if state:isTimingOut() then
            return key
        end
    end,
}

local mapping_makes_pairs = { count_return_pair = true }

-- "+4", "-1", "*2"
local function arithmetic(word)
    local operator, digits = word:match("^([%+%-%*])(%d+)$")
    local n = tonumber(digits)
    if operator == "+" then
        return function(x) return x + n end
    elseif operator == "-" then
        return function(x) return x - n end
    elseif operator == "*" then
        return function(x) return x * n end
    end
end

local function unknown(role, word)
    error("the vocabulary has no " .. role .. " '" .. tostring(word) .. "'", 0)
end

-- A function on one value, for a stream of pairs.
local function on_composite(fn)
    return function(k, v) return fn({ k, v }) end
end

local function choose(role, word, singles, of_pairs, pairs_in)
    if pairs_in and of_pairs[word] then
        return of_pairs[word]
    end
    local fn = singles[word]
    if not fn then
        return unknown(role .. (of_pairs[word] and " on single values" or ""), word)
    end
    return pairs_in and on_composite(fn) or fn
end

--- A function of `map`, and whether its results are pairs.
---@param word string
---@param pairs_in boolean whether the stream holds pairs
---@return function fn
---@return boolean pairs_out
function vocabulary.unary(word, pairs_in)
    local computed = arithmetic(word)
    if computed then
        return pairs_in and on_composite(computed) or computed, false
    end
    local pairs_out = makes_pairs[word] or word == "ident" and pairs_in or false
    return choose("function", word, unary, unary_of_pairs, pairs_in), pairs_out
end

--- A function of `flatMap`, and whether its results are pairs. "dup+10" gives x and x + 10.
function vocabulary.flat(word, pairs_in)
    local operation = word:match("^dup([%+%-%*]%d+)$")
    if operation then
        local step = arithmetic(operation)
        local fn = function(x) return { x, step(x) } end
        return pairs_in and on_composite(fn) or fn, false
    end
    return choose("flatMap function", word, flat, flat_of_pairs, pairs_in), flat_makes_pairs[word] or false
end

--- A predicate of `filter`.
function vocabulary.predicate(word, pairs_in)
    return choose("predicate", word, predicates, predicates_of_pairs, pairs_in)
end

--- A function of two values, for `reduce` and its relatives.
function vocabulary.binary(word)
    return binary[word] or unknown("function of two values", word)
end

--- A function of `mapPartitions`, and whether its results are pairs. A unary function applies to each element.
function vocabulary.partition(word, pairs_in)
    if partition[word] then
        return partition[word], false
    end
    local fn, pairs_out = vocabulary.unary(word, pairs_in)
    return function(elements)
        return function()
            local a, b = elements()
            if a ~= nil then
                if pairs_in then
                    return fn(a, b)
                end
                return fn(a)
            end
        end
    end, pairs_out
end

--- A function of `updateStateByKey`.
function vocabulary.update(word)
    return update[word] or unknown("function of updateStateByKey", word)
end

--- A function of `mapWithState`, and whether its results are pairs.
function vocabulary.mapping(word)
    return mapping[word] or unknown("function of mapWithState", word), mapping_makes_pairs[word] or false
end

return vocabulary

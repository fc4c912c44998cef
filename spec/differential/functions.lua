-- The functions that random pipelines give to operators. Both sides use the same ones: what is tested is what the
-- operators do with them. They depend on no order of their arguments where operators promise none.
--
-- Types of values: int, str, tuple (an array of int and str, never empty), list (a sorted array), any (something that
-- only `show` and the like understand, such as the values of outer joins). Types of records: { t = … } a single value,
-- { k = …, v = … } a pair.

local functions = {}

local function show(value)
    if type(value) == "number" then
        return value == 0 and "0" or string.format("%.14g", value)
    elseif type(value) ~= "table" then
        return tostring(value)
    end
    local most, parts = 0, {}
    for index in pairs(value) do
        most = math.max(most, index)
    end
    for index = 1, most do
        parts[index] = show(value[index])
    end
    return "<" .. table.concat(parts, " ") .. ">"
end
functions.show = show

local function by_show(a, b)
    return show(a) < show(b)
end

local function sorted(list)
    local copy = {}
    for index = 1, #list do
        copy[index] = list[index]
    end
    table.sort(copy, by_show)
    return copy
end
functions.sorted = sorted

-- name → { from = type of the value, to = type of the result, make = function(c) → function }

functions.values = {
    add = { from = "int", to = "int", make = function(c) return function(x) return x + c end end },
    mul = { from = "int", to = "int", make = function(c) return function(x) return x * (c % 3) end end },
    mod = { from = "int", to = "int", make = function(c) return function(x) return x % (c + 2) end end },
    name = { from = "int", to = "str", make = function(c) return function(x) return "n" .. show(x % (c + 2)) end end },
    length = { from = "str", to = "int", make = function() return function(x) return #x end end },
    reverse = { from = "str", to = "str", make = function() return function(x) return x:reverse() end end },
    head = { from = "str", to = "str", make = function(c) return function(x) return x:sub(1, c % 3) end end },
    size = { from = "list", to = "int", make = function() return function(x) return #x end end },
    show = { from = "*", to = "str", make = function() return show end },
    weight = { from = "*", to = "int", make = function(c) return function(x) return #show(x) % (c + 2) end end },
    twice = { from = "key", to = "tuple", make = function(c) return function(x) return { x, c } end end },
}

-- Single → pair, pair → anything.
functions.to_pair = {
    one = { from = "key", k = "=", v = "int", make = function() return function(x) return x, 1 end end },
    by_mod = { from = "int", k = "int", v = "int", make = function(c) return function(x) return x % (c + 2), x end end },
    by_head = { from = "str", k = "str", v = "str", make = function() return function(x) return x:sub(1, 1), x end end },
    by_weight = { from = "*", k = "int", v = "=", make = function(c)
        return function(x) return #show(x) % (c + 2), x end
    end },
}

functions.from_pair = {
    key = { t = "k", make = function() return function(k) return k end end },
    value = { t = "v", make = function() return function(_, v) return v end end },
    text = { t = "str", make = function() return function(k, v) return show(k) .. "=" .. show(v) end end },
}

functions.swap = function(k, v) return v, k end

functions.predicates = {
    even = { from = "int", make = function() return function(x) return x % 2 == 0 end end },
    above = { from = "int", make = function(c) return function(x) return x > c end end },
    none = { from = "*", make = function() return function() return false end end },
    all = { from = "*", make = function() return function() return true end end },
    light = { from = "*", make = function(c) return function(x) return #show(x) % (c + 2) ~= 0 end end },
}

functions.pair_predicates = {
    key = { make = function(c) return function(k) return #show(k) % (c + 2) ~= 0 end end },
    value = { make = function(c) return function(_, v) return #show(v) % (c + 2) ~= 0 end end },
    none = { make = function() return function() return nil end end },
}

-- An array, or an iterator; of values, or of pairs.
functions.many = {
    array = { from = "*", to = "=", make = function(c)
        return function(x)
            local list = {}
            for index = 1, c % 4 do
                list[index] = x
            end
            return list
        end
    end },
    range = { from = "int", to = "int", make = function(c)
        return function(x)
            local at, stop = 0, x % (c + 1)
            return function()
                at = at + 1
                if at <= stop then
                    return x + at
                end
            end
        end
    end },
    letters = { from = "str", to = "str", make = function() return function(x) return x:gmatch("%a") end end },
    words = { from = "str", to = "str", make = function() return function(x) return x:gmatch("%S+") end end },
    bytes = { from = "str", to = "int", make = function()
        return function(x)
            return { x:byte(1, -1) }
        end
    end },
    members = { from = "tuple", to = "any", make = function() return function(x) return x end end },
}

functions.many_pairs = {
    marked = { from = "str", k = "str", v = "str", make = function() return function(x) return x:gmatch("(%a)(%w)") end end },
    spread = { from = "*", k = "int", v = "=", make = function(c)
        return function(x)
            local at = 0
            return function()
                at = at + 1
                if at <= c % 3 then
                    return at, x
                end
            end
        end
    end },
}

-- Associative and commutative.
functions.merges = {
    add = { from = "int", make = function() return function(a, b) return a + b end end },
    plus = { from = "int", make = function() return function(x, y) local sum = x + y return sum end end },
    max = { from = "int", make = function() return math.max end },
    min = { from = "int", make = function() return function(a, b) return a < b and a or b end end },
    last = { from = "str", make = function() return function(a, b) return a < b and b or a end end },
    greatest = { from = "*", make = function() return function(a, b) return show(a) < show(b) and b or a end end },
    together = { from = "list", make = function()
        return function(a, b)
            local all = {}
            for index = 1, #a do all[index] = a[index] end
            for index = 1, #b do all[#all + 1] = b[index] end
            return sorted(all)
        end
    end },
}

functions.combine = {
    create = function(v) return { v } end,
    add = function(list, v)
        list[#list + 1] = v
        return sorted(list)
    end,
    merge = function(a, b)
        for index = 1, #b do a[#a + 1] = b[index] end
        return sorted(a)
    end,
}

functions.subtract = function(a, b) return a - b end
functions.sum = function(a, b) return a + b end

-- updateStateByKey: f(new values, old) → new or nil.
functions.updates = {
    running = { from = "int", to = "int", make = function()
        return function(values, old)
            local sum = old or 0
            for index = 1, #values do sum = sum + values[index] end
            return sum
        end
    end },
    seen = { from = "*", to = "int", make = function()
        return function(values, old)
            return (old or 0) + #values
        end
    end },
    expiring = { from = "*", to = "tuple", make = function()
        return function(values, old)
            local count, idle = old and old[1] or 0, old and old[2] or 0
            if #values > 0 then
                return { count + #values, 0 }
            elseif idle < 1 then
                return { count, idle + 1 }
            end
            return nil
        end
    end },
    gathered = { from = "*", to = "list", make = function(c)
        return function(values, old)
            local all = {}
            for index = 1, old and #old or 0 do all[index] = old[index] end
            for index = 1, #values do all[#all + 1] = values[index] end
            if #all > c + 4 then
                return nil
            end
            return sorted(all)
        end
    end },
}

-- mapWithState: f(key, value, state). What is made does not depend on the order of a batch's records of a key.
functions.with_state = {
    counted = { from = "*", k = "=", v = "int", state = "int", make = function()
        return function(key, _, state)
            if state:isTimingOut() then
                return key, -1
            end
            local count = (state:getOption() or 0) + 1
            state:update(count)
            return key, count
        end
    end },
    toggled = { from = "*", t = "=", state = "int", make = function(c)
        return function(key, _, state)
            if state:isTimingOut() then
                return nil
            elseif state:exists() then
                state:remove()
                return key
            end
            state:update(c)
        end
    end },
    reading = { from = "*", k = "=", v = "str", state = "int", make = function(c)
        return function(key, _, state)
            if not state:exists() then
                state:update(c)
            end
            return key, state:isTimingOut() and "out" or "in" .. state:get()
        end
    end },
}

--- Whether a record, or the key of a pair, is one that a function fails on.
function functions.refuses(x, c)
    if type(x) == "number" then
        return x % 11 == c
    end
    return type(x) == "string" and #x == c or type(x) == "table" and #x == c
end

--- Whether a value of type `given` may go where `wanted` is asked for.
function functions.fits(wanted, given)
    return wanted == "*" or wanted == given
        or wanted == "key" and (given == "int" or given == "str" or given == "tuple")
end

function functions.make(kind, name, c)
    return functions[kind][name].make(c)
end

return functions

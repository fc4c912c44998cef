--- NaN is equal to nothing, itself included. As data it is a number like any other; what is grouped, looked up, ordered or summed up
--- in statistics can't be NaN, nor hold it at any depth, and is refused with the words made here.
---
---     nan.find(0 / 0)             --> ""
---     nan.find({ a = { 1, 0 / 0 } })  --> ".a[2]"
---     nan.find({ 1, 2 })          --> nil
local iterate = require "moontide.iterate"
local preview = require "moontide.preview"

local nan = {}

local MAX_DEPTH = 100 -- deeper tables are refused as records

-- How a field is written: .name or [key].
local function step(key)
    return type(key) == "string" and key:find("^[%a_][%w_]*$") and "." .. key or "[" .. preview(key) .. "]"
end

nan.step = step

--- Where NaN is in a value.
--- @param value any
--- @param depth? integer
--- @return string? path nil: nowhere; "": it is NaN itself
local function find(value, depth)
    if type(value) ~= "table" then
        return value ~= value and "" or nil
    end
    depth = depth or 0
    local keys, count = iterate.keys(value)
    for at = 1, depth < MAX_DEPTH and count or 0 do
        local path = find(rawget(value, keys[at]), depth + 1)
        if path then
            return step(keys[at]) .. path
        end
    end
end

nan.find = find

local ADVICE = "drop such records before: filter(function(x) return x == x end), of pairs filter(function(k, v) return k == k end)"
local ADVICE_INSIDE = "drop such records before, with a filter that compares that number with itself as "
    .. "filter(function(x) return x == x end) does"

local function refusal(what, path, reason)
    if path == "" then
        return ("the %s is NaN, which %s; %s"):format(what, reason, ADVICE)
    end
    return ("the number %s%s in the %s is NaN, which %s; %s"):format(what, path, what, reason, ADVICE_INSIDE)
end

--- Why a key that has NaN at `path` can't be one.
--- @param path string
--- @return string
function nan.no_group(path)
    return refusal("key", path, "is not equal to itself and so belongs to no group")
end

--- Why something that has NaN at `path` can't be put in order.
--- @param path string
--- @param what? string default "key"
--- @return string
function nan.no_order(path, what)
    return refusal(what or "key", path, "has no place in an order")
end

--- Why a number that is NaN has no place in statistics.
nan.NO_STATISTICS = "the record is NaN, which has no place in statistics; drop such records before: "
    .. "filter(function(x) return x == x end)"

return nan

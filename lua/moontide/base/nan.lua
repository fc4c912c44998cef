--- NaN is equal to nothing, itself included. As data it is a number like any other; what is grouped, looked up, ordered or summed up
--- in statistics can't be NaN, nor hold it at any depth, and is refused with the words made here.
---
---     nan.find(0 / 0)             --> ""
---     nan.find({ a = { 1, 0 / 0 } })  --> ".a[2]"
---     nan.find({ 1, 2 })          --> nil
local field_path = require "moontide.base.field_path"

local nan = {}

local function is_nan(value)
    return value ~= value
end

--- Where NaN is in a value.
---@param value any
---@return string? path nil: nowhere; "": it is NaN itself
function nan.find(value)
    if type(value) ~= "table" then
        return value ~= value and "" or nil
    end
    return field_path.find(value, is_nan)
end

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
---@param path string
---@return string
function nan.no_group(path)
    return refusal("key", path, "is not equal to itself and so belongs to no group")
end

--- Why something that has NaN at `path` can't be put in order.
---@param path string
---@param what? string default "key"
---@return string
function nan.no_order(path, what)
    return refusal(what or "key", path, "has no place in an order")
end

--- Why a number that is NaN has no place in statistics.
nan.NO_STATISTICS = "the record is NaN, which has no place in statistics; drop such records before: "
    .. "filter(function(x) return x == x end)"

return nan

--- How a record is written as text, by print and saveAsTextFiles.
---
---     text_form.value("word")            --> word
---     text_form.pair("word", 3)          --> (word,3)
---     text_form.value({ 1, { a = 2 } })  --> [1,{a=2}]
---
--- Used on the driver and by workers: it depends on nothing but moontide.base.values, plain and number_text.

local pairs = require("moontide.base.iterate").pairs
local number_text = require "moontide.base.number_text"
local plain = require "moontide.base.plain"
local values = require "moontide.base.values"

local text_form = {}

local concat, tostring, type = table.concat, tostring, type

local value_text
local root -- what is being written, for messages

local function is_array(value)
    if values.is_array(value) then
        return true
    end
    local count, largest = 0, 0
    for key in pairs(value) do
        if type(key) ~= "number" or key < 1 or key ~= math.floor(key) then
            return false
        end
        count, largest = count + 1, math.max(largest, key)
    end
    -- As records are packed: an array may have some nils in it, a table with few far apart numbers is a map.
    return count > 0 and largest <= 2 * count + 8, largest
end

local function array(value, count)
    local parts = {}
    for index = 1, count do
        parts[index] = value_text(value[index])
    end
    return "[" .. concat(parts, ",") .. "]"
end

local function map(value)
    local parts = {}
    for key, item in pairs(value) do
        parts[#parts + 1] = value_text(key) .. "=" .. value_text(item)
    end
    table.sort(parts)
    return "{" .. concat(parts, ",") .. "}"
end

function value_text(value)
    local kind = type(value)
    if kind == "string" then
        return value
    elseif kind == "number" then
        return (number_text(value)) -- no tail calls, see worker/codec.lua
    elseif kind == "table" then
        local mark = plain.mark(value)
        if mark == nil then
            error(plain.refusal(value, root), 0)
        elseif mark == "null" then
            return "null"
        end
        local yes, count = is_array(value)
        if yes then
            return array(value, count or #value)
        end
        return map(value)
    elseif kind == "cdata" then
        return (number_text(value))
    elseif value == values.null then
        return "null"
    elseif kind ~= "nil" and kind ~= "boolean" then
        error(plain.refusal(value, root), 0)
    end
    return (tostring(value))
end

--- The text of one value. What can't be part of a record is an error.
---@param value any
---@return string
function text_form.value(value)
    root = value
    return (value_text(value))
end

--- The text of a pair record: "(k,v)".
---@param key any
---@param value any
---@return string
function text_form.pair(key, value)
    root = key
    local text = value_text(key)
    root = value
    return "(" .. text .. "," .. value_text(value) .. ")"
end

--- The text of a record: a single value, or a pair when there is a second one (values of pairs are never nil).
---@param first any
---@param second any
---@return string
function text_form.record(first, second)
    if second == nil then
        return (text_form.value(first))
    end
    return (text_form.pair(first, second))
end

return text_form

--- The natural order of values, the same that sortByKey uses (host/wire/unpack.h): null < false < true < numbers < text
--- (by bytes) < arrays (element by element, so that a pair goes by key, then value) < other tables. NaN comes after all
--- numbers where values are compared; what picks records by their order refuses it.
---
---     order.less(2, 10)              --> true
---     order.less({ "a", 2 }, { "b" }) --> true
---
--- Used on the driver and by workers.

local nan = require "moontide.base.nan"
local preview = require "moontide.base.preview"
local values = require "moontide.base.values"

local order = {}

local type, null, find_nan = type, values.null, nan.find

local RANKS = { ["nil"] = 1, boolean = 3, number = 4, cdata = 4, string = 5, table = 6 }

local function rank(value)
    if value == null then
        return 2
    end
    return RANKS[type(value)] or 8
end

local function is_array(value)
    return values.is_array(value) or value[1] ~= nil or value[2] ~= nil
end

-- Numbers: NaN last, and equal to itself.
local function compare_numbers(a, b)
    if a < b then
        return -1
    elseif a > b then
        return 1
    elseif a == b then
        return 0
    end
    local a_nan, b_nan = a ~= a, b ~= b
    return a_nan == b_nan and 0 or a_nan and 1 or -1
end

local compare

local function compare_arrays(a, b)
    local length = math.max(#a, #b, a[2] ~= nil and 2 or 0, b[2] ~= nil and 2 or 0)
    for index = 1, length do
        local result = compare(a[index], b[index])
        if result ~= 0 then
            return result
        end
    end
    return 0
end

local function sorted_keys(map)
    local keys = {}
    for key in pairs(map) do
        keys[#keys + 1] = key
    end
    table.sort(keys, function(a, b) return compare(a, b) < 0 end)
    return keys
end

local function compare_maps(a, b)
    local left, right = sorted_keys(a), sorted_keys(b)
    for index = 1, math.max(#left, #right) do
        local result = compare(left[index], right[index])
        if result == 0 then
            result = compare(a[left[index]], b[right[index]])
        end
        if result ~= 0 then
            return result
        end
    end
    return 0
end

--- -1 when `a` comes before `b`, 1 when it comes after it, else 0.
---@param a any
---@param b any
---@return -1|0|1
function compare(a, b)
    local kind = type(a)
    if kind == type(b) then
        if kind == "number" then
            return compare_numbers(a, b)
        elseif kind == "string" then
            return a == b and 0 or a < b and -1 or 1
        elseif kind == "boolean" then
            return a == b and 0 or b and -1 or 1
        end
    end
    local left, right = rank(a), rank(b)
    if left ~= right then
        return left < right and -1 or 1
    elseif left == 4 then
        return compare_numbers(a, b)
    elseif left ~= 6 or a == b then
        return 0
    end
    local a_list, b_list = is_array(a), is_array(b)
    if a_list and b_list then
        return compare_arrays(a, b)
    elseif a_list ~= b_list then
        return a_list and -1 or 1
    end
    return compare_maps(a, b)
end

order.compare = compare

--- Whether `a` comes before `b`.
---@param a any
---@param b any
---@return boolean
function order.less(a, b)
    return compare(a, b) < 0
end

local function identity(record)
    return record
end

--- Sorts {key, record} entries in place; entries of equal keys keep their order.
---@param entries { [1]: any, [2]: any }[]
---@param descending boolean
function order.sort(entries, descending)
    local place = {}
    for index, entry in ipairs(entries) do
        place[entry] = index
    end
    table.sort(entries, function(a, b)
        local result = compare(a[1], b[1])
        if descending then
            result = -result
        end
        if result ~= 0 then
            return result < 0
        end
        return place[a] < place[b]
    end)
end

-- A heap of the best entries with the worst on top; entries are {key, record, sequence}.
local function sift_up(heap, at, worse)
    local entry = heap[at]
    while at > 1 do
        local parent = math.floor(at / 2)
        if not worse(entry, heap[parent]) then
            break
        end
        heap[at] = heap[parent]
        at = parent
    end
    heap[at] = entry
end

local function sift_down(heap, worse)
    local entry, at, count = heap[1], 1, #heap
    while true do
        local child = 2 * at
        if child > count then
            break
        end
        if child < count and worse(heap[child + 1], heap[child]) then
            child = child + 1
        end
        if not worse(heap[child], entry) then
            break
        end
        heap[at] = heap[child]
        at = child
    end
    heap[at] = entry
end

--- The first `n` of the records an iterator gives, in order, as {key, record} entries; pairs are {k, v} records. Of records that
--- are equal the earlier one counts.
---@param it fun(): any, any
---@param n integer
---@param key? fun(value: any, second: any): any default: the record itself
---@param descending boolean true: the last ones, from the last to the first
---@return { [1]: any, [2]: any }[]
function order.first(it, n, key, descending)
    local heap, count, sequence = {}, 0, 0
    local sign = descending and -1 or 1
    local function worse(a, b)
        local result = sign * compare(a[1], b[1])
        return result > 0 or result == 0 and a[3] > b[3]
    end
    key = key or identity
    for a, b in it do
        local record, by = a
        if b ~= nil then
            record = { a, b }
        end
        if key == identity then
            by = record
        else
            local more
            by, more = key(a, b)
            if more ~= nil then
                error(require("moontide.worker.surplus").two(by, more), 0)
            end
            if by == nil then
                error("the key function returned nil", 0)
            end
        end
        local path = find_nan(by)
        if path then
            error(nan.no_order(path, key == identity and "record" or "key") .. "\n  record: " .. preview(a, b), 0)
        end
        sequence = sequence + 1
        if count < n then
            count = count + 1
            heap[count] = { by, record, sequence }
            sift_up(heap, count, worse)
        elseif n > 0 and sign * compare(by, heap[1][1]) < 0 then
            heap[1] = { by, record, sequence }
            sift_down(heap, worse)
        end
    end
    table.sort(heap, function(a, b) return worse(b, a) end)
    for index, entry in ipairs(heap) do
        heap[index] = { entry[1], entry[2] }
    end
    return heap
end

return order

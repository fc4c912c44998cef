--- Values that plain Lua cannot tell apart by itself: an explicit null, and the empty array.
local iterate = require "moontide.base.iterate"

local values = {}

--- An explicit null: unlike nil it can be a record, a key, a value of a pair, or an element of a table.
---
---     sc:parallelize({ "1", "x" }):map(function(text) return tonumber(text) or moontide.null end):collect()
---         --> { 1, moontide.null }
---
--- It is the light userdata NULL, and so the same as `cjson.null`; both cjson and dkjson write it as null. `dkjson.null`, a table,
--- becomes `moontide.null` where a record is packed (for a shuffle, a cache, a state, a file, the driver): `v == dkjson.null` is
--- false from there on, `v == moontide.null` true. Not in Spark, whose null it stands for.
---@class moontide.null
values.null = iterate.null

local null = values.null

-- All light userdata share one metatable. If the host has set one, it keeps what is in it.
local function install_metatable()
    local shared = debug.getmetatable(null)
    if shared == nil then
        shared = {}
        debug.setmetatable(null, shared)
    elseif type(shared) ~= "table" then
        return
    end
    if rawget(shared, "__tostring") == nil then
        rawset(shared, "__tostring", function(value)
            return value == null and "null" or ("userdata: %p"):format(value)
        end)
    end
    if rawget(shared, "__tojson") == nil then -- what dkjson calls
        rawset(shared, "__tojson", function(value)
            if value == null then
                return "null"
            end
            return nil, "type 'userdata' is not supported by JSON."
        end)
    end
end

install_metatable()

-- The fields are dkjson's marks.
local array_mt = { __name = "moontide.array", __jsontype = "array" }

--- Marks a table as an array, so that an empty one stays an empty array when it is packed (`{}` alone is an empty map).
---
---     sc:parallelize({ "ebb" }):map(function(word) return word, moontide.array {} end):collect()  --> { { "ebb", {} } }
---
--- What is not a table is an error. Not in Spark, whose lists are never taken for maps.
---@generic T: table
---@param list T array part only
---@return T list the same table
function values.array(list)
    if type(list) ~= "table" then
        error("bad argument #1 to 'array' (table expected, got " .. type(list) .. ")", 2)
    end
    return setmetatable(list, array_mt)
end

--- Was the table marked by `array`, or by dkjson as an array?
---@param value any
---@return boolean
function values.is_array(value)
    local metatable = type(value) == "table" and debug.getmetatable(value)
    return metatable == array_mt or type(metatable) == "table" and rawget(metatable, "__jsontype") == "array"
end

values.array_mt = array_mt

-- Of an empty table that dkjson read as an object: it comes out of a record with this one.
values.object_mt = { __name = "moontide.object", __jsontype = "object" }

return values

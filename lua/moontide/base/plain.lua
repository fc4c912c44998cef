--- What can be part of a record, and the words for what cannot. Records are plain data: functions, coroutines and userdata are none,
--- and a table's metatable is not kept, so a table with one is refused wherever a record is packed, written or shown. Only marks
--- go along, metatables that say nothing but what kind of JSON value a table is:
---
---     moontide.array {}                            an array, also when it is empty
---     { __jsontype = "array" } or "object"         the same and its opposite, as dkjson's decode sets them
---     cjson.empty_array_mt, cjson.array_mt         arrays (not in every build of cjson)
---     a table without fields whose __tojson says "null", such as dkjson.null: becomes moontide.null
local iterate = require "moontide.base.iterate"
local values = require "moontide.base.values"

local plain = {}

local getmetatable, rawget, tostring, type = debug.getmetatable, rawget, tostring, type

-- Tables that stand for null, as far as they have been met. The packer (host/vm/pack_table.h) knows them too.
local nulls = setmetatable({}, { __mode = "k" })
plain.nulls = nulls

local function says_null(t, metatable)
    local tojson = rawget(metatable, "__tojson")
    if type(tojson) ~= "function" or iterate.next(t) ~= nil then
        return false
    end
    local ok, text = pcall(tojson, t, {})
    return ok and text == "null"
end

local function json_type(metatable)
    local mark = rawget(metatable, "__jsontype")
    if mark ~= "array" and mark ~= "object" then
        return nil
    end
    local _, fields = iterate.keys(metatable)
    return fields == 1 and mark or nil
end

local function is_of_cjson(metatable)
    for _, name in ipairs { "cjson", "cjson.safe" } do
        local module = package.loaded[name]
        if type(module) == "table" and (metatable == module.empty_array_mt or metatable == module.array_mt) then
            return true
        end
    end
    return false
end

--- What the metatable of a table in a record means.
---@param t table
---@return "array"|"object"|"null"|"none"|nil mark "none": it has no metatable; nil: it has one that means nothing to records
function plain.mark(t)
    local metatable = getmetatable(t)
    if metatable == nil then
        return "none"
    elseif metatable == values.array_mt then
        return "array"
    elseif metatable == values.object_mt then
        return "object"
    elseif nulls[t] then
        return "null"
    elseif says_null(t, metatable) then
        nulls[t] = true
        return "null"
    end
    return json_type(metatable) or is_of_cjson(metatable) and "array" or nil
end

local advice = {
    ["function"] = "call it and keep its result, or keep a name and look the function up where it is needed",
    userdata = "keep the plain data it stands for",
    thread = "keep the values it yields",
    cdata = "only int64 and uint64 numbers can; copy its fields into a table",
}

local function path_to(value, root)
    return require("moontide.base.field_path").find(root, function(x) return rawequal(x, value) end)
end

local function metatable_refusal(t, path)
    local name = rawget(getmetatable(t), "__name")
    return ("record%s has a metatable%s, which records do not keep; make it a table of plain fields, setmetatable(t, nil), and give "
        .. "it the metatable again where its methods are needed"):format(path, type(name) == "string" and " (" .. name .. ")" or "")
end

--- Why `value` can't be part of the record `root`, which is `value` itself or has it inside.
---@param value any
---@param root any
---@return string
function plain.refusal(value, root)
    local kind, path = type(value), path_to(value, root)
    if kind == "table" then
        return metatable_refusal(value, path or "")
    end
    local where = path and path ~= "" and ", record" .. path or ""
    return ("a %s can't be part of a record (%s%s); %s"):format(kind == "thread" and "coroutine" or kind, tostring(value), where,
        advice[kind] or "keep plain data")
end

--- Raises that a table is nested too deep.
---@param limit integer
function plain.too_deep(limit)
    error(("a table contains itself (a cycle), or is nested more than %d levels deep; records must be trees of plain values")
        :format(limit), 0)
end

--- Raises that a table is a key.
function plain.table_key()
    error("a table is used as a key of a table inside a record; use a string or a number", 0)
end

--- Whether a key of a table is packed before another: equal tables give equal bytes. Any fixed order will do, as long as it depends
--- on the keys alone.
---@param a any
---@param b any
---@return boolean
function plain.key_before(a, b)
    local ta, tb = type(a), type(b)
    if ta == "cdata" or tb == "cdata" then
        ta, tb = ta == "cdata" and "number" or ta, tb == "cdata" and "number" or tb
    end
    if ta ~= tb then
        return ta < tb
    elseif ta == "boolean" then
        return not a and b
    elseif ta == "string" or ta == "number" then
        return a < b
    end
    return tostring(a) < tostring(b)
end

return plain

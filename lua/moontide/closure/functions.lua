--- What packing needs to know about a Lua function: its scanned bytecode, and which of its variables never change.
--
-- Dumping and scanning is done once per function and once per distinct dump, because the functions passed to operators
-- inside `transform` are new objects in every batch, made from the same code.
local ffi = require "ffi"
local bytecode = require "moontide.closure.bytecode"

---@class moontide.closure.functions
local M = {}

---@class moontide.closure.Static what never changes about a function
---@field scan moontide.closure.bytecode.Scan
---@field source string as in debug.getinfo
---@field site string "job.lua:12"

--- By function, for functions packed again and again; by dump, for closures made anew for every batch.
---@type table<function, moontide.closure.Static|false>
local static_of = setmetatable({}, { __mode = "k" })
local young_scans, old_scans, scans = {}, {}, 0
local SCAN_GENERATION = 1024

--- Reads a dump, or finds what it said the last time.
---@param bytes string
---@return moontide.closure.bytecode.Scan
function M.scan(bytes)
    local scan = young_scans[bytes]
    if not scan then
        scan = old_scans[bytes] or bytecode.scan(bytes)
        if scans == SCAN_GENERATION then
            young_scans, old_scans, scans = {}, young_scans, 0
        end
        young_scans[bytes] = scan
        scans = scans + 1
    end
    return scan
end

--- A short name of a chunk: the path of a file, or what LuaJIT shows for strings.
---@param source string as in debug.getinfo
---@param short string
---@return string
function M.chunk(source, short)
    if source:find("^@") then
        return source:sub(2)
    end
    return short
end

--- Dumps and scans a function, once.
---@param fn function
---@return moontide.closure.Static|false known false: it is a C function
function M.static(fn)
    local known = static_of[fn]
    if known == nil then
        local info = debug.getinfo(fn, "S")
        known = info.what ~= "C" and {
            scan = M.scan(string.dump(fn)), source = info.source, site = M.chunk(info.source, info.short_src) .. ":" .. info.linedefined,
        }
        static_of[fn] = known
    end
    return known
end

--- Whether LuaJIT marked the variable behind an upvalue as never assigned to after its declaration. The mark is in a
--- byte of the upvalue object; bytecode has it too, but only for variables of the direct parent. Where the check below
--- does not find the mark at its place, bytecode alone decides, and more variables count as assigned to: still correct.
---@type fun(fn: function, upvalue: integer, id: userdata): boolean
local is_constant
do
    local bytes = ffi.typeof("const uint8_t *")
    local pointer = ffi.typeof("const void *")
    local offset = ffi.abi("gc64") and 11 or 7

    local function mark(id)
        return ffi.cast(bytes, ffi.cast(pointer, id))[offset]
    end

    local function mark_found()
        local constant, assigned = 1, 2
        assigned = assigned + 1
        local function direct()
            return constant, assigned
        end
        local function outer()
            return function()
                return constant, assigned, direct
            end
        end
        local function agrees(fn, upvalue, expected)
            return mark(debug.upvalueid(fn, upvalue)) == expected
        end
        local nested = outer()
        return agrees(direct, 1, 1) and agrees(direct, 2, 0) and agrees(nested, 1, 1) and agrees(nested, 2, 0)
            and agrees(nested, 3, 1)
    end

    local ok, found = pcall(mark_found)
    if ok and found then
        is_constant = function(_, _, id)
            return mark(id) == 1
        end
    else
        is_constant = function(fn, upvalue)
            return M.static(fn).scan.immutable[upvalue]
        end
    end
end

M.is_constant = is_constant

return M

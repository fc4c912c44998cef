--- What a function's bytecode says about it, read from `string.dump`.
--
-- `moontide.closure` ships functions as bytecode. A dump is only half of the story: the names of the globals a
-- function uses decide what has to travel with it, and two things in a dump differ between runs of the same program
-- although the code is the same, which would defeat caching and recovery by content:
--
--   * the order of the entries of a constant table (`{a = 1, b = 2}`) follows LuaJIT's per-process hash seed;
--   * the entries of a function's upvalue list tell where the *parent* kept the variables.
--
-- `scan` reads one dump and returns it with constant tables in a fixed order, together with the globals named by the
-- function and by every function nested in it. `seal` returns the dump with the upvalue list rewritten: upvalues whose
-- value travels as a constant carry LuaJIT's "immutable" mark, so that the JIT compiler of the worker folds them.
--
-- Format of a dump (LuaJIT 2.1; B = byte, H = 16 bits, W = 32 bits, U = ULEB128):
--   ESC 'L' 'J' versionB flagsU [name]  { lengthU prototype }  0U         children come before their parent
--   prototype: flagsB paramsB framesizeB upvaluesB gcconstsU numconstsU instructionsU [debuglengthU firstlineU linesU]
--              instructionW*  upvalueH*  gcconst*  numconst*  debug
local ffi = require "ffi"
local bit = require "bit"

assert(ffi.abi("le"), "moontide.closure.bytecode: only little-endian machines are supported")

local band, cast = bit.band, ffi.cast
local byte, char, sub, concat, sort = string.byte, string.char, string.sub, table.concat, table.sort

local STRIPPED = 0x02
local UV_LOCAL, UV_IMMUTABLE = 0x8000, 0x4000
local KGC_CHILD, KGC_TABLE, KGC_COMPLEX, KGC_STRING = 0, 1, 4, 5
local KTAB_INT, KTAB_NUM, KTAB_STRING = 3, 4, 5

local const_bytes = ffi.typeof("const uint8_t *")

---@class moontide.closure.bytecode.Scan
---@field dump string the dump, constant tables in canonical order
---@field globals string[] names of the globals read or written, in order of appearance
---@field strings table<string, boolean> the string constants of the function and of those nested in it
---@field upvalues integer number of upvalues of the function itself
---@field immutable boolean[] per upvalue: the compiler saw no assignment to the variable after its declaration
---@field uv_offset integer where the upvalue list of the function starts in `dump` (from 0)
---@field sealed table<number|string, string> results of `seal`, by pattern

---@class moontide.closure.bytecode
local M = {}

local function uleb(p, pos)
    local v, shift = 0, 1
    while true do
        local b = p[pos]
        pos = pos + 1
        if b < 0x80 then
            return v + b * shift, pos
        end
        v = v + (b - 0x80) * shift
        shift = shift * 128
    end
end

--- The numbers of the two instructions that name globals differ between LuaJIT versions; the compiler tells us.
local function probe_opcode(source, index)
    local dump = string.dump(assert(loadstring(source)), true)
    local p = cast(const_bytes, dump)
    local _, pos = uleb(p, 4)
    _, pos = uleb(p, pos)
    pos = pos + 4
    for _ = 1, 3 do
        _, pos = uleb(p, pos)
    end
    return p[pos + 4 * (index - 1)]
end

local GGET = probe_opcode("return x", 1)
local GSET = probe_opcode("x = 1", 2)

--- Skips one key or value of a constant table.
local function skip_table_item(p, pos)
    local kind, _
    kind, pos = uleb(p, pos)
    if kind >= KTAB_STRING then
        return pos + kind - KTAB_STRING
    elseif kind == KTAB_INT then
        _, pos = uleb(p, pos)
    elseif kind == KTAB_NUM then
        _, pos = uleb(p, pos)
        _, pos = uleb(p, pos)
    end
    return pos
end

--- Skips a constant table; adds a patch {offset, bytes} when its hash entries are not in byte order.
local function skip_table(p, pos, dump, patches)
    local narray, nhash
    narray, pos = uleb(p, pos)
    nhash, pos = uleb(p, pos)
    for _ = 1, narray do
        pos = skip_table_item(p, pos)
    end
    if nhash < 2 then
        for _ = 1, nhash * 2 do
            pos = skip_table_item(p, pos)
        end
        return pos
    end
    local start, entries = pos, {}
    for i = 1, nhash do
        local from = pos
        pos = skip_table_item(p, skip_table_item(p, pos))
        entries[i] = sub(dump, from + 1, pos)
    end
    sort(entries)
    patches[#patches + 1] = { start, concat(entries) }
    return pos
end

--- Reads the prototype at `pos`. Returns the number of its upvalues and where their list starts.
local function scan_prototype(p, pos, stripped, dump, patches, globals, strings)
    local upvalues = p[pos + 3]
    local gcconsts, instructions, debug_length, _
    gcconsts, pos = uleb(p, pos + 4)
    _, pos = uleb(p, pos)
    instructions, pos = uleb(p, pos)
    if not stripped then
        debug_length, pos = uleb(p, pos)
        if debug_length > 0 then
            _, pos = uleb(p, pos)
            _, pos = uleb(p, pos)
        end
    end

    local code, uv_offset = pos, pos + 4 * instructions
    local from, length = {}, {}
    pos = uv_offset + 2 * upvalues
    for i = 1, gcconsts do
        local kind
        kind, pos = uleb(p, pos)
        if kind >= KGC_STRING then
            from[i], length[i] = pos, kind - KGC_STRING
            pos = pos + length[i]
            strings[sub(dump, from[i] + 1, pos)] = true
        elseif kind == KGC_TABLE then
            pos = skip_table(p, pos, dump, patches)
        elseif kind ~= KGC_CHILD then
            for _ = 1, kind == KGC_COMPLEX and 4 or 2 do
                _, pos = uleb(p, pos)
            end
        end
    end

    for at = code, uv_offset - 4, 4 do
        local op = p[at]
        if op == GGET or op == GSET then
            -- Constants are numbered from the end of the list.
            local k = gcconsts - (p[at + 2] + p[at + 3] * 256)
            local name = sub(dump, from[k] + 1, from[k] + length[k])
            if not globals[name] then
                globals[name] = true
                globals[#globals + 1] = name
            end
        end
    end
    return upvalues, uv_offset
end

--- `dump` with other bytes in some places; the patches follow each other and keep the length.
local function patched(dump, patches)
    local parts, at = {}, 0
    for i = 1, #patches do
        local from, bytes = patches[i][1], patches[i][2]
        parts[#parts + 1] = sub(dump, at + 1, from)
        parts[#parts + 1] = bytes
        at = from + #bytes
    end
    parts[#parts + 1] = sub(dump, at + 1)
    return concat(parts)
end

--- Reads a dump made by `string.dump`.
---
--- ```lua
--- local scan = bytecode.scan(string.dump(function(x) return limit + x end))
--- print(scan.globals[1])                    --> limit
--- ```
---@param dump string a dump of this LuaJIT build, stripped or not
---@return moontide.closure.bytecode.Scan
function M.scan(dump)
    local p = cast(const_bytes, dump)
    local flags, pos = uleb(p, 4)
    local stripped = band(flags, STRIPPED) ~= 0
    if not stripped then
        local length
        length, pos = uleb(p, pos)
        pos = pos + length
    end

    local patches, names, strings = {}, {}, {}
    local upvalues, uv_offset = 0, 0
    while true do
        local length
        length, pos = uleb(p, pos)
        if length == 0 then
            break
        end
        upvalues, uv_offset = scan_prototype(p, pos, stripped, dump, patches, names, strings)
        pos = pos + length
    end

    local globals, immutable = {}, {}
    for i = 1, #names do
        globals[i] = names[i]
    end
    for i = 1, upvalues do
        -- Known for variables of the direct parent only; one that comes from further out says nothing here.
        local entry = p[uv_offset + 2 * i - 2] + p[uv_offset + 2 * i - 1] * 256
        immutable[i] = band(entry, UV_LOCAL + UV_IMMUTABLE) == UV_LOCAL + UV_IMMUTABLE
    end
    return {
        dump = #patches > 0 and patched(dump, patches) or dump,
        globals = globals,
        strings = strings,
        upvalues = upvalues,
        immutable = immutable,
        uv_offset = uv_offset,
        sealed = {},
    }
end

--- The dump with its upvalue list made independent of where the function came from.
---@param scan moontide.closure.bytecode.Scan
---@param constant boolean[] per upvalue: its value is fixed before the function first runs
---@return string dump
function M.seal(scan, constant)
    local n = scan.upvalues
    if n == 0 then
        return scan.dump
    end
    -- Up to 50 upvalues the pattern is an exact number; LuaJIT allows 60.
    local key
    if n <= 50 then
        key = 0
        for i = 1, n do
            key = key * 2 + (constant[i] and 1 or 0)
        end
    else
        local digits = {}
        for i = 1, n do
            digits[i] = constant[i] and "1" or "0"
        end
        key = concat(digits)
    end
    local sealed = scan.sealed[key]
    if not sealed then
        local list = {}
        for i = 1, n do
            list[i] = char(i - 1, constant[i] and UV_IMMUTABLE / 0x100 or 0)
        end
        sealed = patched(scan.dump, { { scan.uv_offset, concat(list) } })
        scan.sealed[key] = sealed
    end
    return sealed
end

--- The version byte of the dump format of this LuaJIT.
---@return integer
function M.version()
    return (byte(string.dump(assert(loadstring(""))), 4))
end

return M

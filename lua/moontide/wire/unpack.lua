--- MessagePack bytes → Lua values, through FFI. The rules of the form are in host/wire/pack.h. Blocks are read in workers with it, by
--- generated loops, and in the driver.
local fast = require "moontide.wire.ffi"
local values = require "moontide.base.values"
local bit = require "bit"

local ffi = fast.ffi
local null, array_mt, object_mt = values.null, values.array_mt, values.object_mt
local lshift, arshift, bswap, tobit = bit.lshift, bit.arshift, bit.bswap, bit.tobit
local ffi_string, ffi_cast = ffi.string, ffi.cast
local setmetatable, error = setmetatable, error
local table_new = require "table.new"

local u32p = ffi.typeof "uint32_t *"
local number_box = ffi.new "union { double d; uint32_t u[2]; int64_t i; uint64_t q; }"
local float_box = ffi.new "union { float f; uint32_t u; }"
local NAN = 0 / 0

local function be16(p, i) return p[i] * 256 + p[i + 1] end
local function be32(p, i)
    local n = tobit(bswap(ffi_cast(u32p, p + i)[0]))
    return n >= 0 and n or n + 4294967296
end

local decode

-- What generated loops call for each record must not be given up by LuaJIT, for then each loop that calls it is interpreted, for
-- as long as the process lives. Two things are given up after some records, or not, as chance has it:
--   * a loop that has a turn or two and is left: so few entries are read one after the other, without a loop;
--   * a function that ends in `return f(...)` where f is the library's: so results go into a local, or into parentheses.

local function decode_long_array(p, i, n)
    local list = table_new(n, 0)
    for at = 1, n do list[at], i = decode(p, i) end
    return list, i
end

local function decode_array(p, i, n)
    if n > 4 then
        return decode_long_array(p, i, n)
    end
    local list = table_new(n, 0)
    if n == 0 then
        setmetatable(list, array_mt)
        return list, i
    end
    list[1], i = decode(p, i)
    if n == 1 then
        return list, i
    end
    list[2], i = decode(p, i)
    if n == 2 then
        return list, i
    end
    list[3], i = decode(p, i)
    if n == 3 then
        return list, i
    end
    list[4], i = decode(p, i)
    return list, i
end

local function decode_entry(map, p, i)
    local key
    key, i = decode(p, i)
    map[key], i = decode(p, i)
    return i
end

local function decode_long_map(p, i, n)
    local map = table_new(0, n)
    for _ = 1, n do i = decode_entry(map, p, i) end
    return map, i
end

local function decode_map(p, i, n)
    if n > 4 then
        return decode_long_map(p, i, n)
    end
    local map = table_new(0, n)
    if n == 0 then
        return map, i
    end
    i = decode_entry(map, p, i)
    if n == 1 then
        return map, i
    end
    i = decode_entry(map, p, i)
    if n == 2 then
        return map, i
    end
    i = decode_entry(map, p, i)
    if n == 3 then
        return map, i
    end
    i = decode_entry(map, p, i)
    return map, i
end

local function marked_object()
    local map = {}
    setmetatable(map, object_mt)
    return map
end

-- Other programs have NaNs with other bits, which LuaJIT would take for values of other types.
local function decode_double(p, i)
    local words = ffi_cast(u32p, p + i)
    number_box.u[1] = bswap(words[0])
    number_box.u[0] = bswap(words[1])
    local n = number_box.d
    if n ~= n then
        n = NAN
    end
    return n
end

local function decode_int64(p, i)
    local words = ffi_cast(u32p, p + i)
    number_box.u[1] = bswap(words[0])
    number_box.u[0] = bswap(words[1])
    local n = number_box.i + 0LL
    if n >= -9007199254740992LL and n <= 9007199254740992LL then
        n = tonumber(n)
    end
    return n
end

local function decode_uint64(p, i)
    local words = ffi_cast(u32p, p + i)
    number_box.u[1] = bswap(words[0])
    number_box.u[0] = bswap(words[1])
    local n = number_box.q + 0ULL
    if n <= 9007199254740992ULL then
        n = tonumber(n)
    end
    return n
end

local function decode_float(p, i)
    float_box.u = bswap(ffi_cast(u32p, p + i)[0])
    local n = tonumber(float_box.f)
    if n ~= n then
        n = NAN
    end
    return n
end

-- All but small non-negative integers and short strings; the usual ones first.
local function decode_rest(p, i, b)
    if b == 0xcb then
        return decode_double(p, i + 1), i + 9
    end
    if b == 0xcd then
        return be16(p, i + 1), i + 3
    end
    if b == 0xce then
        return be32(p, i + 1), i + 5
    end
    if b == 0xcc then
        return p[i + 1], i + 2
    end
    if b >= 0xe0 then
        return b - 256, i + 1
    end
    if b == 0xd9 or b == 0xc4 then
        local n = p[i + 1]
        return ffi_string(p + i + 2, n), i + 2 + n
    end
    if b == 0xc3 then
        return true, i + 1
    end
    if b == 0xc2 then
        return false, i + 1
    end
    if b == 0xc0 then
        return nil, i + 1
    end
    if b < 0x90 then
        return decode_map(p, i + 1, b - 0x80)
    end
    if b < 0xa0 then
        return decode_array(p, i + 1, b - 0x90)
    end
    if b == 0xda or b == 0xc5 then
        local n = be16(p, i + 1)
        return ffi_string(p + i + 3, n), i + 3 + n
    end
    if b == 0xdb or b == 0xc6 then
        local n = be32(p, i + 1)
        return ffi_string(p + i + 5, n), i + 5 + n
    end
    if b == 0xd0 then
        return arshift(lshift(p[i + 1], 24), 24), i + 2
    end
    if b == 0xd1 then
        return arshift(lshift(be16(p, i + 1), 16), 16), i + 3
    end
    if b == 0xd2 then
        return tobit(bswap(ffi_cast(u32p, p + i + 1)[0])), i + 5
    end
    if b == 0xdc then
        return decode_array(p, i + 3, be16(p, i + 1))
    end
    if b == 0xdd then
        return decode_array(p, i + 5, be32(p, i + 1))
    end
    if b == 0xde then
        local n = be16(p, i + 1)
        if n == 0 then
            return marked_object(), i + 3
        end
        return decode_map(p, i + 3, n)
    end
    if b == 0xdf then
        return decode_map(p, i + 5, be32(p, i + 1))
    end
    if b == 0xcf then
        return decode_uint64(p, i + 1), i + 9
    end
    if b == 0xd3 then
        return decode_int64(p, i + 1), i + 9
    end
    if b == 0xca then
        return decode_float(p, i + 1), i + 5
    end
    if b == 0xc7 and p[i + 1] == 0 and p[i + 2] == 1 then
        return null, i + 3
    end
    error(("corrupt data: unknown MessagePack tag 0x%02x"):format(b), 0)
end

--- Reads the value at p[i]: returns it and the index after it. The bytes must be complete and valid: blocks are made by
--- the writer or checked by C before they get here.
---@param p ffi.cdata* uint8_t *
---@param i integer
---@return any value
---@return integer after
function decode(p, i)
    local b = p[i]
    if b < 0x80 then
        return b, i + 1
    end
    if b >= 0xa0 and b < 0xc0 then
        local n = b - 0xa0
        return ffi_string(p + i + 1, n), i + 1 + n
    end
    return decode_rest(p, i, b)
end
return { decode = decode }

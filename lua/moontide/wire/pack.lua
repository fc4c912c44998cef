--- Lua values → MessagePack bytes, through FFI. The rules of the form are in host/wire/pack.h. Used in workers (hot path) and in
--- the driver.
local declare = require "moontide.base.declare"
local fast = require "moontide.wire.ffi"
local iterate = require "moontide.base.iterate"
local memory = require "moontide.base.memory"
local nan = require "moontide.base.nan"
local plain = require "moontide.base.plain"
local values = require "moontide.base.values"
local bit = require "bit"

local ffi, C = fast.ffi, fast.C
local null, array_mt, object_mt = values.null, values.array_mt, values.object_mt
local band, rshift, bswap, tobit = bit.band, bit.rshift, bit.bswap, bit.tobit
local ffi_copy, ffi_cast, istype = ffi.copy, ffi.cast, ffi.istype
local type, error = type, error
local mark_of = plain.mark
local table_length, table_keys = iterate.array_length, iterate.keys
local sort = table.sort

local pack = {}

local u16p, u32p, i64, u64 = ffi.typeof "uint16_t *", ffi.typeof "uint32_t *", ffi.typeof "int64_t", ffi.typeof "uint64_t"
local number_box = ffi.new "union { double d; uint32_t u[2]; int64_t i; uint64_t q; }"
local MAX_DEPTH = C.TIDE_RECORD_DEPTH

-- Writers -----------------------------------------------------------------------------------------------------------

--- A buffer that grows. Its bytes lie in a block, so a full writer becomes one without a copy (codec.seal).
---@class moontide.wire.Writer
---@field data ffi.cdata* uint8_t *
---@field pos integer where the next byte goes
---@field cap integer bytes that there is room for
---@field count integer records, counted by those who append them
---@field block ffi.cdata* struct tide_block *

local MOST = 0x7fffffff -- the last position that a writer can hold

--- Makes room for more bytes than the writer has room for. Raises when memory is gone, and for a record of 2 GB.
---@param w moontide.wire.Writer
---@param extra integer bytes
local function grow(w, extra)
    local cap = w.cap > 0 and w.cap or 512
    while cap - w.pos < extra do
        if cap == MOST then
            error("a record is larger than 2 GB when packed", 0)
        end
        cap = cap * 2 < MOST and cap * 2 or MOST
    end
    local block = ffi_cast("struct tide_block *", w.block)
    if block == nil then
        block = C.tide_block_new(C.TIDE_BLOCK_PACKED, 0, cap, nil)
        if block == nil then
            memory.exhausted()
        end
        w.block = block
    else
        block.size = w.pos
        if not C.tide_block_reserve(block, cap - w.pos) then
            memory.exhausted()
        end
    end
    w.data = block.data
    w.cap = cap
end

declare.cdef "struct moontide_block_writer { uint8_t *data; int32_t pos; int32_t cap; int32_t count; struct tide_block *block; };"
local writer_type = declare.metatype("struct moontide_block_writer", {
    __gc = function(w) C.tide_block_release(w.block) end,
})

--- A writer with nothing in it. Its bytes live in a block, so a full writer becomes a block without a copy (codec.lua: seal).
function pack.writer() return writer_type() end

--- Frees a writer's bytes now rather than when it is collected.
function pack.free(w)
    C.tide_block_release(w.block)
    w.block, w.data = nil, nil
    w.pos, w.cap, w.count = 0, 0, 0
end

-- Values ------------------------------------------------------------------------------------------------------------

local put

local function put_double(w, v)
    if w.cap - w.pos < 9 then
        grow(w, 9)
    end
    local p = w.data + w.pos
    number_box.d = v
    p[0] = 0xcb
    local words = ffi_cast(u32p, p + 1)
    words[0] = bswap(number_box.u[1])
    words[1] = bswap(number_box.u[0])
    w.pos = w.pos + 9
end

local function put_int64(w, tag, v)
    if w.cap - w.pos < 9 then
        grow(w, 9)
    end
    local p = w.data + w.pos
    if tag == 0xd3 then
        number_box.i = v
    else
        number_box.q = v
    end
    p[0] = tag
    local words = ffi_cast(u32p, p + 1)
    words[0] = bswap(number_box.u[1])
    words[1] = bswap(number_box.u[0])
    w.pos = w.pos + 9
end

local function put_number(w, v)
    local n = tobit(v)
    if n == v then
        if w.cap - w.pos < 9 then
            grow(w, 9)
        end
        local p = w.data + w.pos
        if n >= -32 and n < 128 then
            if n == 0 and 1 / v < 0 then
                return put_double(w, v)
            end
            p[0] = band(n, 0xff)
            w.pos = w.pos + 1
        elseif n >= 65536 or n < -32768 then
            p[0] = n > 0 and 0xce or 0xd2
            ffi_cast(u32p, p + 1)[0] = bswap(n)
            w.pos = w.pos + 5
        elseif n >= 256 or n < -128 then
            p[0] = n > 0 and 0xcd or 0xd1
            ffi_cast(u16p, p + 1)[0] = rshift(bswap(n), 16)
            w.pos = w.pos + 3
        else
            p[0] = n > 0 and 0xcc or 0xd0
            p[1] = band(n, 0xff)
            w.pos = w.pos + 2
        end
        return
    end
    return put_double(w, v)
end

local function put_string(w, s)
    local n = #s
    if w.cap - w.pos < n + 5 then
        grow(w, n + 5)
    end
    local p = w.data + w.pos
    if n < 32 then
        p[0] = 0xa0 + n
        ffi_copy(p + 1, s, n)
        w.pos = w.pos + n + 1
    elseif n < 256 then
        p[0] = 0xd9
        p[1] = n
        ffi_copy(p + 2, s, n)
        w.pos = w.pos + n + 2
    elseif n < 65536 then
        p[0] = 0xda
        p[1] = rshift(n, 8)
        p[2] = band(n, 0xff)
        ffi_copy(p + 3, s, n)
        w.pos = w.pos + n + 3
    else
        p[0] = 0xdb
        ffi_cast(u32p, p + 1)[0] = bswap(tobit(n))
        ffi_copy(p + 5, s, n)
        w.pos = w.pos + n + 5
    end
end

local function put_byte(w, b)
    if w.cap - w.pos < 1 then
        grow(w, 1)
    end
    w.data[w.pos] = b
    w.pos = w.pos + 1
end

local function put_head(w, small, small_limit, tag16, n)
    if w.cap - w.pos < 5 then
        grow(w, 5)
    end
    local p = w.data + w.pos
    if n < small_limit then
        p[0] = small + n
        w.pos = w.pos + 1
    elseif n < 65536 then
        p[0] = tag16
        p[1] = rshift(n, 8)
        p[2] = band(n, 0xff)
        w.pos = w.pos + 3
    else
        p[0] = tag16 + 1
        ffi_cast(u32p, p + 1)[0] = bswap(tobit(n))
        w.pos = w.pos + 5
    end
end

local function put_map(w, t, depth)
    local keys, n = table_keys(t)
    if n > 1 then
        sort(keys, plain.key_before)
    end
    put_head(w, 0x80, 16, 0xde, n)
    for at = 1, n do
        local k = keys[at]
        if type(k) == "table" then
            plain.table_key()
        end
        put(w, k, depth)
        put(w, t[k], depth)
    end
end

local function put_null(w)
    if w.cap - w.pos < 3 then
        grow(w, 3)
    end
    local p = w.data + w.pos
    p[0], p[1], p[2] = 0xc7, 0, 1
    w.pos = w.pos + 3
end

local root -- the table that is being packed, for messages

local function refuse(v, depth) error(plain.refusal(v, depth and root or v), 0) end

local pack_table, scratch = iterate.packer(array_mt, object_mt, plain.nulls)
scratch = ffi_cast("struct { uint8_t *data; size_t size, capacity; } *", scratch)

local function put_table(w, t, depth)
    -- The usual table in one call; what that cannot do, or refuses, is done, or told, here.
    local n = depth == 0 and pack_table(t)
    if n then
        if w.cap - w.pos < n then
            grow(w, n)
        end
        ffi_copy(w.data + w.pos, scratch.data, n)
        w.pos = w.pos + n
        return
    end
    if depth == 0 then
        root = t
    end
    if depth > MAX_DEPTH then
        plain.too_deep(MAX_DEPTH)
    end
    local mark = mark_of(t)
    if mark == nil then
        refuse(t, depth)
    end
    if mark == "null" then
        return put_null(w)
    end
    n = table_length(t) -- nil: no array; 0: empty
    if n == 0 and mark == "object" then
        put_byte(w, 0xde)
        put_byte(w, 0)
        put_byte(w, 0)
    elseif n and (n > 0 or mark == "array") then
        put_head(w, 0x90, 16, 0xdc, n)
        for at = 1, n do put(w, t[at], depth + 1) end
    else
        put_map(w, t, depth + 1)
    end
end

--- Appends one value to a writer. Raises (plain text, no position) when it can't be part of a record; the writer's `pos` may
--- then be past a half-written value: set it back.
---@param w moontide.wire.Writer
---@param v any
---@param depth? integer of the tables around it
function put(w, v, depth)
    local t = type(v)
    if t == "string" then
        return put_string(w, v)
    end
    if t == "number" then
        return put_number(w, v)
    end
    if t == "table" then
        return put_table(w, v, depth or 0)
    end
    if t == "nil" then
        return put_byte(w, 0xc0)
    end
    if t == "boolean" then
        return put_byte(w, v and 0xc3 or 0xc2)
    end
    if t == "cdata" then
        if istype(i64, v) then
            if v >= -9007199254740992LL and v <= 9007199254740992LL then
                return put_number(w, tonumber(v))
            end
            return put_int64(w, 0xd3, v)
        end
        if istype(u64, v) then
            if v <= 9007199254740992ULL then
                return put_number(w, tonumber(v))
            end
            return put_int64(w, 0xcf, v)
        end
    end
    if v == null then
        return put_null(w)
    end
    refuse(v, depth)
end

-- Keys --------------------------------------------------------------------------------------------------------------

local function no_group(key) error(nan.no_group(nan.find(key) or ""), 0) end

-- A table is packed as it is and then given the form of keys (host/wire/key.h).
local function put_table_key(w, key)
    local from = w.pos
    put(w, key)
    local size = tonumber(C.tide_key_make_plain(w.data + from, w.pos - from))
    if size == 0 then
        no_group(key)
    end
    w.pos = from + size
end

--- Appends a key: equal keys have equal forms, so -0 becomes 0, at every depth of a table too. NaN belongs to no group.
local function put_key(w, key)
    local t = type(key)
    if t == "string" then put_string(w, key)
    elseif t == "number" then
        if key ~= key then
            no_group(key)
        end
        put_number(w, key + 0) -- -0 + 0 is 0
    elseif t == "table" then put_table_key(w, key)
    elseif t == "nil" then error("the key is nil", 0)
    else put(w, key) end
end

pack.grow, pack.put, pack.put_key = grow, put, put_key

return pack

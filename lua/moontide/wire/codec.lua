--- Lua values ↔ MessagePack bytes, through FFI. Used in workers (hot path) and in the driver (parallelize,
--- collect). The rules of the form are in host/wire/pack.h.
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
local band, lshift, rshift, bswap, tobit = bit.band, bit.lshift, bit.rshift, bit.bswap, bit.tobit
local rshift_signed = bit.arshift
local ffi_string, ffi_copy, ffi_cast, istype = ffi.string, ffi.copy, ffi.cast, ffi.istype
local type, setmetatable, error = type, setmetatable, error
local mark_of = plain.mark
local table_length, table_keys = iterate.array_length, iterate.keys
local table_new = require "table.new"
local sort = table.sort

local codec = {}

local u16p, u32p, i64, u64 = ffi.typeof "uint16_t *", ffi.typeof "uint32_t *", ffi.typeof "int64_t", ffi.typeof "uint64_t"
local number_box = ffi.new "union { double d; uint32_t u[2]; int64_t i; uint64_t q; }"
local float_box = ffi.new "union { float f; uint32_t u; }"
local MAX_DEPTH, NAN = C.TIDE_RECORD_DEPTH, 0 / 0

-- Reading ---------------------------------------------------------------------------------------------------

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
        return rshift_signed(lshift(p[i + 1], 24), 24), i + 2
    end
    if b == 0xd1 then
        return rshift_signed(lshift(be16(p, i + 1), 16), 16), i + 3
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
codec.decode = decode

-- Writing ---------------------------------------------------------------------------------------------------

--- A growing writer over a heap buffer; `pos` is where the next byte goes.
local MOST = 0x7fffffff -- what the positions of a writer can say

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

--- A writer with nothing in it. Its bytes live in a block, so a full writer becomes a block without a copy (codec.seal).
function codec.writer() return writer_type() end

--- Frees a writer's bytes now rather than when it is collected.
function codec.free(w)
    C.tide_block_release(w.block)
    w.block, w.data = nil, nil
    w.pos, w.cap, w.count = 0, 0, 0
end

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
codec.put_number = put_number

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
codec.put_string = put_string

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

--- Appends one value to a writer. Raises (plain text, no position) when it can't be part of a record; the writer's `pos` may
--- then be past a half-written value: set it back.
codec.put = put

-- Blocks -----------------------------------------------------------------------------------------------------

--- Turns what the writer holds into a packed block (one reference, the caller's) and leaves the writer empty. nil when it
--- holds no records.
function codec.seal(w, arity)
    if w.count == 0 then
        w.pos = 0
        return nil
    end
    local block = w.block
    block.size = w.pos
    block.count = w.count
    block.arity = arity
    w.block = nil
    w.data = nil
    w.pos, w.cap, w.count = 0, 0, 0
    return block
end

local function address_of(block) return tonumber(ffi_cast("uintptr_t", block)) end
local function block_at(address) return ffi_cast("struct tide_block *", address) end
codec.address_of, codec.block_at = address_of, block_at

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
codec.put_key = put_key

-- A key that stays data for now, and comes out as it went in, is refused all the same when it can never be one.
local function put_data_key(w, key)
    if key == nil then
        error("the key is nil", 0)
    end
    local path = nan.find(key)
    if path then
        error(nan.no_group(path), 0)
    end
    put(w, key)
end

--- Whether two packed keys are the same one.
function codec.same_key(a, b)
    local p, q = ffi_cast("const uint8_t *", a), ffi_cast("const uint8_t *", b)
    return a == b or C.tide_unpack_compare(p, p + #a, q, q + #b) == 0
end

--- Packs records[first … last] into one new block; pairs are {key, value} tables. Returns its address (a reference the caller
--- owns), or raises naming the record.
---@param records any[]
---@param first integer
---@param last integer
---@param arity integer 1 or 2
---@return integer address
function codec.block_of(records, first, last, arity)
    local w = codec.writer()
    for at = first, last do
        local record = records[at]
        local ok, why
        if arity == 2 then
            if type(record) ~= "table" then
                error(("record %d is not a {key, value} table but a %s"):format(at, type(record)), 0)
            end
            ok, why = pcall(put_data_key, w, record[1])
            if ok then
                if record[2] == nil then
                    ok, why = false, "the value of the pair is nil; use moontide.null for an explicit null"
                elseif record[3] ~= nil then
                    ok, why = false, "a pair is {key, value}, and it has a third element, which would be lost: put more into the "
                        .. "value, such as {key, {a, b}}"
                else
                    ok, why = pcall(put, w, record[2])
                end
            end
        elseif record == nil then
            ok, why = false, "it is nil; use moontide.null for an explicit null"
        else
            ok, why = pcall(put, w, record)
        end
        if not ok then
            memory.rethrow(why)
            error(("record %d: %s"):format(at, why), 0)
        end
        w.count = w.count + 1
    end
    if w.count == 0 then
        grow(w, 1)
    end
    local block = w.block
    if w.count == 0 then
        w.block = nil
        return address_of(block)
    end
    return address_of(codec.seal(w, arity))
end

--- Calls fn(value) or fn(key, value) for each record of the block.
---@param address integer
---@param fn function
function codec.each_record(address, fn)
    local block = block_at(address)
    local p, i = block.data, 0
    if block.kind == C.TIDE_BLOCK_TEXT then
        for at = 0, block.count - 1 do
            local line = block.lines[at]
            fn(ffi_string(p + line.offset, line.length))
        end
    elseif block.arity == 2 then
        for _ = 1, block.count do
            local k, v
            k, i = decode(p, i)
            v, i = decode(p, i)
            fn(k, v)
        end
    else
        for _ = 1, block.count do
            local v
            v, i = decode(p, i)
            fn(v)
        end
    end
end

--- Appends the block's records to a list, pairs as {key, value}.
---@param address integer
---@param list any[]
function codec.append_records(address, list)
    local n = #list
    if block_at(address).arity == 2 then
        codec.each_record(address, function(k, v)
            n = n + 1
            list[n] = { k, v }
        end)
    else
        codec.each_record(address, function(v)
            n = n + 1
            list[n] = v
        end)
    end
end

--- Arity of the block's records: 1, 2, or 0 when it has none.
function codec.block_arity(address)
    local block = block_at(address)
    if block.count == 0 then
        return 0
    end
    return block.kind == C.TIDE_BLOCK_TEXT and 1 or block.arity
end

--- Gives a reference back.
function codec.release(address) C.tide_block_release(block_at(address)) end

--- One value as a string of bytes.
function codec.pack(value)
    local w = codec.writer()
    put(w, value)
    return ffi_string(w.data, w.pos)
end

--- A key as a string of bytes; raises for what cannot be one.
function codec.pack_key(key)
    local w = codec.writer()
    codec.put_key(w, key)
    return ffi_string(w.data, w.pos)
end

--- The value packed in a string.
function codec.unpack(bytes)
    local value, stop = decode(ffi_cast("const uint8_t *", bytes), 0)
    if stop > #bytes then
        error("corrupt data: the packed value is cut short", 0)
    end
    return value
end

return codec

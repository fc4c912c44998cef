--- Records ↔ packed blocks, and single values ↔ bytes: what the driver and workers use of the MessagePack form (host/wire/pack.h).
local fast = require "moontide.wire.ffi"
local memory = require "moontide.base.memory"
local nan = require "moontide.base.nan"
local pack = require "moontide.wire.pack"
local unpack = require "moontide.wire.unpack"

local ffi, C = fast.ffi, fast.C
local ffi_string, ffi_cast = ffi.string, ffi.cast
local decode, put, put_key = unpack.decode, pack.put, pack.put_key

local codec = {
    decode = decode, put = put, put_key = put_key, writer = pack.writer, free = pack.free,
}

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
        pack.grow(w, 1)
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

--- An iterator over the block's records, pairs as {key, value}; nil at the end. The block has to stay.
---@param address integer
---@return fun(): any
function codec.reader(address)
    local block = block_at(address)
    local p, i, left = block.data, 0, block.count
    if block.kind == C.TIDE_BLOCK_TEXT then
        local lines, count = block.lines, left
        return function()
            if left == 0 then
                return nil
            end
            local line = lines[count - left]
            left = left - 1
            return ffi_string(p + line.offset, line.length)
        end
    end
    local is_pair = block.arity == 2
    return function()
        if left == 0 then
            return nil
        end
        left = left - 1
        local v
        v, i = decode(p, i)
        if not is_pair then
            return v
        end
        local second
        second, i = decode(p, i)
        return { v, second }
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
    put_key(w, key)
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

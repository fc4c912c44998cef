-- Values through MessagePack and back, the bytes compared with those of the C side, and what is refused.

local core = require "moontide.core"
local codec = require "moontide.wire.codec"
local fast = require "moontide.wire.ffi"
local values = require "moontide.base.values"

local ffi, C = fast.ffi, fast.C
local null, array = values.null, values.array

ffi.cdef [[
void tide_buffer_create(struct tide_buffer *buffer);
void tide_pack_number(struct tide_buffer *out, double value);
void tide_pack_int64(struct tide_buffer *out, int64_t value);
void tide_pack_string(struct tide_buffer *out, const char *data, size_t size);
void tide_pack_array(struct tide_buffer *out, uint32_t count);
void tide_pack_map(struct tide_buffer *out, uint32_t count);
uint64_t tide_hash_packed(const uint8_t *data, size_t size);
]]

local function is_number(value) return type(value) == "number" end

-- Equal in everything that a record keeps: kind of number, sign of zero, NaN, the empty array.
local function same(a, b)
    if type(a) ~= type(b) then return false end
    if type(a) == "cdata" then return ffi.typeof(a) == ffi.typeof(b) and a == b end
    if is_number(a) then return a == b and 1 / a == 1 / b or a ~= a and b ~= b end
    if type(a) ~= "table" or a == null or b == null then return a == b end
    if next(a) == nil and values.is_array(a) ~= values.is_array(b) then return false end
    for k, v in pairs(a) do
        if not same(v, b[k]) then return false end
    end
    for k in pairs(b) do
        if a[k] == nil then return false end
    end
    return true
end

local function show(bytes)
    return (bytes:gsub(".", function(c) return ("%02x "):format(c:byte()) end))
end

local function check(value)
    local bytes = codec.pack(value)
    local back = codec.unpack(bytes)
    if not same(value, back) then
        error(("%s came back as %s, from %s"):format(tostring(value), tostring(back), show(bytes:sub(1, 40))), 2)
    end
    -- The C side finds one whole value, and the same bytes are made again.
    local p = ffi.cast("const uint8_t *", bytes)
    if C.tide_unpack_skip(p, p + #bytes) ~= p + #bytes then error("C reads it differently: " .. show(bytes:sub(1, 40)), 2) end
    if bytes ~= codec.pack(back) then error("other bytes the second time: " .. show(bytes:sub(1, 40)), 2) end
    return bytes
end

local function packed_by_c(write)
    local buffer = ffi.new "struct tide_buffer"
    C.tide_buffer_create(buffer)
    write(buffer)
    local bytes = ffi.string(buffer.data, buffer.size)
    C.tide_buffer_destroy(buffer)
    return bytes
end

-- No tail call: the frame keeps the string until the hash is there.
local function hash(bytes)
    local value = C.tide_hash_packed(ffi.cast("const uint8_t *", bytes), #bytes)
    return value
end

-- Numbers around every border of a form.
local function border_numbers()
    local list = { 0.5, -0.5, 1 / 3, 1e300, -1e-300, 5e-324, 1 / 0, -1 / 0, 0 / 0, -0.0 }
    for _, border in ipairs { 0, 32, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2 ^ 31, 2 ^ 32, 2 ^ 53, 2 ^ 63, 2 ^ 64 } do
        for offset = -2, 2 do
            list[#list + 1] = border + offset
            list[#list + 1] = -border + offset
        end
    end
    return list
end

describe("codec", function()
    it("brings back numbers in the bytes of the C side", function()
        for _, number in ipairs(border_numbers()) do
            local bytes = check(number)
            local expected = packed_by_c(function(out) C.tide_pack_number(out, number) end)
            if number == number then
                assert.equal(show(expected), show(bytes), tostring(number))
            end
        end
        for _ = 1, 5000 do
            local number = math.random(-2 ^ 31, 2 ^ 31) * 2 ^ math.random(-40, 10)
            if math.random(2) == 1 then number = math.floor(number) end
            local bytes = check(number)
            assert.equal(packed_by_c(function(out) C.tide_pack_number(out, number) end), bytes)
        end
    end)

    it("uses the shortest form of whole numbers", function()
        local sizes = { [0] = 1, [127] = 1, [128] = 2, [255] = 2, [256] = 3, [65535] = 3, [65536] = 5, [2147483647] = 5,
            [2147483648] = 9, [-1] = 1, [-32] = 1, [-33] = 2, [-128] = 2, [-129] = 3, [-32768] = 3, [-32769] = 5,
            [-2147483648] = 5, [-2147483649] = 9 }
        for number, size in pairs(sizes) do
            assert.equal(size, #codec.pack(number), tostring(number))
        end
    end)

    it("brings back 64 bit integers in the bytes of the C side", function()
        local exact = 9007199254740992LL
        for _, base in ipairs { 0LL, exact, -exact, 2LL ^ 62, -(2LL ^ 62) } do
            for offset = -3, 3 do
                local value = base + offset
                local bytes = codec.pack(value)
                local back = codec.unpack(bytes)
                assert.equal(packed_by_c(function(out) C.tide_pack_int64(out, value) end), bytes)
                assert.is_true(back == value)
                -- What a number holds exactly is a number.
                assert.equal(value >= -exact and value <= exact and "number" or "cdata", type(back))
            end
        end
        for _, value in ipairs { 9223372036854775807LL, -9223372036854775807LL - 1LL, 9007199254740993LL } do
            check(value)
        end
        for _, value in ipairs { 18446744073709551615ULL, 9223372036854775808ULL, 9007199254740993ULL } do
            check(value)
        end
        assert.equal(5, codec.unpack(codec.pack(5ULL)))
        assert.equal(codec.pack(5), codec.pack(5LL))
    end)

    it("gives equal integers one hash, whatever their type", function()
        assert.is_true(hash(codec.pack(9007199254740993LL)) == hash(codec.pack(9007199254740993ULL)))
        assert.is_true(hash(codec.pack(9007199254740994LL)) == hash(codec.pack(9007199254740994)))
        assert.is_true(hash(codec.pack(2ULL ^ 63)) == hash(codec.pack(2 ^ 63)))
        assert.is_false(hash(codec.pack(9007199254740993LL)) == hash(codec.pack(9007199254740992)))
        assert.is_true(hash(codec.pack(-0.0)) == hash(codec.pack(0)))
    end)

    it("brings back strings of every length class, with any bytes", function()
        local bytes = {}
        for byte = 0, 255 do bytes[#bytes + 1] = string.char(byte) end
        local all = table.concat(bytes)
        for _, size in ipairs { 0, 1, 31, 32, 33, 255, 256, 257, 65535, 65536, 70000, 1000000 } do
            local text = all:rep(math.ceil(size / 256)):sub(1, size)
            assert.equal(size, #text)
            local packed = check(text)
            assert.equal(packed_by_c(function(out) C.tide_pack_string(out, text, #text) end), packed)
        end
        check(all)
        check "moontide – 潮"
    end)

    it("brings back nil, null and booleans", function()
        assert.is_nil(codec.unpack(codec.pack(nil)))
        assert.equal(null, codec.unpack(codec.pack(null)))
        check(true)
        check(false)
        check { a = null, b = false }
        check { null, null }
    end)

    it("keeps arrays with holes", function()
        local back = codec.unpack(codec.pack { 1, nil, 3, nil, nil, 6 })
        assert.same({ 1, 3, 6 }, { back[1], back[3], back[6] })
        assert.is_nil(back[2])
        assert.is_nil(back[5])
        check { nil, nil, 3 }
        check { [2] = "only" }
        -- Few numbers far apart are a map.
        local sparse = check { [1] = "a", [1000000] = "b" }
        assert.is_true(#sparse < 20)
        check { [0] = "zero", "one" }
        check { [1.5] = "half", [-1] = "minus" }
    end)

    it("tells the empty array from the empty map", function()
        assert.equal("\128", codec.pack {})
        assert.equal("\144", codec.pack(array {}))
        assert.is_true(values.is_array(codec.unpack(codec.pack(array {}))))
        assert.is_false(values.is_array(codec.unpack(codec.pack {})))
        check { list = array {}, map = {} }
    end)

    it("brings back arrays and maps of every length class", function()
        for _, size in ipairs { 1, 15, 16, 255, 65535, 65536, 70000 } do
            local list, map = {}, {}
            for at = 1, size do
                list[at] = at % 3 == 0 and tostring(at) or at
                map["k" .. at] = at
            end
            local packed = check(list)
            local head = packed_by_c(function(out) C.tide_pack_array(out, size) end)
            assert.equal(head, packed:sub(1, #head))
            packed = check(map)
            head = packed_by_c(function(out) C.tide_pack_map(out, size) end)
            assert.equal(head, packed:sub(1, #head))
        end
    end)

    it("brings back nested tables", function()
        check { { { { {} } } }, { a = { b = { c = { 1, 2, { d = array {} } } } } } }
        local deep = "bottom"
        for _ = 1, 100 do deep = { deep } end
        check(deep)
    end)

    it("makes equal bytes of equal tables", function()
        local one, two = {}, {}
        local keys = { "a", "b", 10, 1.5, true, false, -3, "zebra", "", "a\0" }
        for at = 1, #keys do one[keys[at]] = at end
        for at = 500, 1, -1 do two["x" .. at] = at end -- another size, another order
        for at = 1, 500 do two["x" .. at] = nil end
        for at = #keys, 1, -1 do two[keys[at]] = at end
        assert.equal(codec.pack(one), codec.pack(two))
    end)

    it("reads what other programs write", function()
        local function unhex(text) return (text:gsub("%x%x ?", function(x) return string.char(tonumber(x:sub(1, 2), 16)) end)) end
        local cases = { ["c4 02 61 00"] = "a\0", ["c5 00 01 62"] = "b", ["c6 00 00 00 01 63"] = "c", ["ca 3f 00 00 00"] = 0.5,
            ["d0 ff"] = -1, ["d1 80 00"] = -32768, ["d2 ff ff ff ff"] = -1, ["d3 ff ff ff ff ff ff ff ff"] = -1, ["cc 05"] = 5,
            ["cd 00 05"] = 5, ["ce ff ff ff ff"] = 4294967295, ["cf 00 00 00 00 00 00 00 05"] = 5, ["d9 01 64"] = "d",
            ["da 00 01 65"] = "e", ["db 00 00 00 01 66"] = "f" }
        for hex, value in pairs(cases) do
            assert.equal(value, codec.unpack(unhex(hex)), hex)
        end
        assert.same({ 1, 2 }, codec.unpack(unhex "dc 00 02 01 02"))
        assert.same({ 1 }, codec.unpack(unhex "dd 00 00 00 01 01"))
        assert.same({ a = 1 }, codec.unpack(unhex "de 00 01 a1 61 01"))
        assert.same({ a = 1 }, codec.unpack(unhex "df 00 00 00 01 a1 61 01"))
        assert.has_error(function() codec.unpack "\193" end, "corrupt data: unknown MessagePack tag 0xc1")
        assert.has_error(function() codec.unpack "\165abc" end, "corrupt data: the packed value is cut short")
    end)

    it("brings back random values", function()
        local seed = 7
        local function random(n)
            seed = (seed * 16807) % 2147483647
            return seed % n
        end
        local borders = border_numbers()
        local function value(depth)
            local kind = random(depth > 0 and 9 or 6)
            if kind == 0 then return borders[1 + random(#borders)] end
            if kind == 1 then return random(1000) - 500 end
            if kind == 2 then return ("x"):rep(random(40)) .. string.char(random(256)) end
            if kind == 3 then return random(2) == 0 end
            if kind == 4 then return random(4) == 0 and null or random(100) / 7 end
            if kind == 5 then return 9007199254740993LL + random(1000) end
            local t = {}
            if kind == 6 then
                for at = 1, random(20) do t[at] = value(depth - 1) end
                return next(t) == nil and array(t) or t
            end
            for _ = 1, random(20) do
                local key = random(3) == 0 and random(50) - 25 or "key" .. random(1000)
                t[key] = value(depth - 1)
            end
            return t
        end
        for _ = 1, 1000 do check(value(3)) end
    end)

    describe("refuses", function()
        local function refused(value, pattern)
            local ok, why = pcall(codec.pack, value)
            assert.is_false(ok)
            assert.matches(pattern, why)
        end

        it("functions, coroutines, userdata and pointers, saying what to do", function()
            refused(print, "^a function can't be part of a record %(function: builtin.*%); call it and keep its result")
            refused({ a = { function() end } }, "^a function can't be part of a record")
            refused(coroutine.create(print), "^a coroutine can't be part of a record %(thread: .*%); keep the values it yields")
            refused(io.stdout, "^a userdata can't be part of a record %(file .*%); keep the plain data it stands for")
            refused(ffi.new "int[2]", "^a cdata can't be part of a record %(cdata<int %[2%]>.*%); only int64 and uint64 numbers can")
            refused({ [print] = 1 }, "^a function can't be part of a record")
        end)

        it("tables that contain themselves", function()
            local cycle = { name = "x" }
            cycle.self = { cycle }
            refused(cycle, "^a table contains itself %(a cycle%), or is nested more than 100 levels deep")
            local deep = {}
            for _ = 1, 102 do deep = { deep } end
            refused(deep, "nested more than 100 levels")
        end)

        it("tables as keys of tables", function()
            refused({ [{}] = 1 }, "^a table is used as a key of a table inside a record; use a string or a number")
        end)

        it("keys that are nil or NaN, and pairs that are none, with the number of the record", function()
            local function block(records, arity, pattern)
                local ok, why = pcall(codec.block_of, records, 1, #records, arity)
                assert.is_false(ok)
                assert.matches(pattern, why)
            end
            block({ { 1, 2 }, { 0 / 0, 2 } }, 2, "^record 2: the key is NaN, which is not equal to itself")
            block({ { nil, 2 } }, 2, "^record 1: the key is nil")
            block({ { 1 } }, 2, "^record 1: the value of the pair is nil; use moontide.null")
            block({ 5 }, 2, "^record 1 is not a {key, value} table but a number")
            block({ 1, 2, print }, 1, "^record 3: a function can't be part of a record")
        end)
    end)

    describe("blocks", function()
        local function release_and_check(address)
            codec.release(address)
            collectgarbage()
            collectgarbage()
            assert.equal(0, (core.liveBlocks()))
        end

        it("hold records of one value", function()
            local address = codec.block_of({ "skipped", 1, "two", { 3 }, null, "skipped" }, 2, 5, 1)
            assert.equal(1, codec.block_arity(address))
            local list = { "before" }
            codec.append_records(address, list)
            assert.is_true(same({ "before", 1, "two", { 3 }, null }, list))
            release_and_check(address)
        end)

        it("hold pairs", function()
            local address = codec.block_of({ { "a", 1 }, { 2, false }, { { 1 }, null } }, 1, 3, 2)
            assert.equal(2, codec.block_arity(address))
            local list = {}
            codec.append_records(address, list)
            assert.is_true(same({ { "a", 1 }, { 2, false }, { { 1 }, null } }, list))
            local keys = {}
            codec.each_record(address, function(key) keys[#keys + 1] = key end)
            assert.same({ "a", 2, { 1 } }, keys)
            release_and_check(address)
        end)

        it("may be empty", function()
            local address = codec.block_of({}, 1, 0, 2)
            assert.equal(0, codec.block_arity(address))
            local list = {}
            codec.append_records(address, list)
            assert.same({}, list)
            release_and_check(address)
        end)

        it("grow with what is put in", function()
            local records = {}
            for at = 1, 3000 do records[at] = ("%d "):format(at):rep(at % 200) end
            local address = codec.block_of(records, 1, #records, 1)
            local list = {}
            codec.append_records(address, list)
            assert.same(records, list)
            release_and_check(address)
        end)

        it("are freed when a record is refused", function()
            assert.is_false(pcall(codec.block_of, { "one", print }, 1, 2, 1))
            collectgarbage()
            collectgarbage()
            assert.equal(0, (core.liveBlocks()))
        end)
    end)
end)

-- Whole tables are packed in C (host/vm/pack_table.c); below a key that is a boolean everything is packed in Lua.
describe("a table", function()
    local random = math.random

    local function scalar()
        local pick = random(9)
        if pick == 1 then return random(-40, 300) end
        if pick == 2 then return random(-2147483648, 2147483647) end
        if pick == 3 then return random() * 1e18 - 5e17 end
        if pick == 4 then return ("x"):rep(({ 0, 1, 31, 32, 255, 256, 65535, 65536 })[random(8)]) end
        if pick == 5 then return random(2) == 1 end
        if pick == 6 then return values.null end
        if pick == 7 then return ({ 0, -0.0, 1 / 0, -1 / 0, 0 / 0, 2 ^ 31, -2 ^ 31 - 1, 2 ^ 53 })[random(8)] end
        return "\0" .. string.char(random(0, 255)) .. random(100)
    end

    local function any(depth)
        if depth > 3 or random(3) > 1 then return scalar() end
        local kind, t = random(4), {}
        if kind == 1 then return values.array({}) end
        for at = 1, random(0, random(10) == 1 and 70 or 6) do
            if kind == 2 then
                t[at] = any(depth + 1)
            elseif kind == 3 then
                t[random(3) == 1 and at * 0.5 or random(2) == 1 and "k" .. random(99) or ("k"):rep(random(40))] = any(depth + 1)
            else
                t[random(2 * at + 2)] = any(depth + 1) -- holes
            end
        end
        return t
    end

    it("has the same bytes whichever way it is packed", function()
        math.randomseed(7)
        for _ = 1, 800 do
            local t = { any(0), any(1), any(1) }
            if random(2) == 1 then t = { t = t, [random(9)] = any(1), [0.5] = any(2) } end
            assert.equal("\x81\xc3" .. codec.pack(t), codec.pack({ [true] = t }))
        end
    end)

    it("is packed as the codec would where C leaves it alone", function()
        local deep = "end"
        for _ = 1, 40 do deep = { deep } end
        assert.equal("\x81\xc3" .. codec.pack(deep), codec.pack({ [true] = deep }))
        local wide = {}
        for i = 1, 500 do wide["k" .. i] = i end
        assert.equal("\x81\xc3" .. codec.pack(wide), codec.pack({ [true] = wide }))
        local whole = { id = 2LL ^ 60, list = { 1ULL } }
        assert.equal("\x81\xc3" .. codec.pack(whole), codec.pack({ [true] = whole }))
        local indexed = setmetatable({ 1, nil, 3 }, { __index = function(_, k) return k * 10 end })
        assert.error_matches(function() codec.pack({ a = { indexed } }) end, "^record%.a%[1%] has a metatable")
        assert.error_matches(function() codec.pack({ 1, { print } }) end, "a function can't be part of a record")
        assert.error_matches(function() codec.pack({ [{}] = 1 }) end, "a table is used as a key")
        local cycle = {}
        cycle[1] = cycle
        assert.error_matches(function() codec.pack(cycle) end, "contains itself")
    end)

    it("may be large, and lets go of the memory", function()
        local large = { ("x"):rep(3000000), { ("y"):rep(3000000) } }
        assert.same(large, codec.unpack(codec.pack(large)))
        assert.same({ 1 }, codec.unpack(codec.pack({ 1 })))
    end)
end)

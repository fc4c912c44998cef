-- Packed values from elsewhere (host/wire/record.h): what is passed can be decoded, and ends where decoding does.

local codec = require "moontide.wire.codec"
local fast = require "moontide.wire.ffi"

local ffi, C = fast.ffi, fast.C

ffi.cdef "const uint8_t *tide_record_pass(const uint8_t *at, const uint8_t *end, const char **why);"

-- A generator of its own: the values are the same in every run.
local seed = 20261128

local function random(from, to)
    seed = (seed * 16807) % 2147483647
    return from + seed % (to - from + 1)
end

local SCALARS = {
    function() return string.char(random(0, 127)) end,
    function() return string.char(random(224, 255)) end,
    function()
        local size = random(0, 31)
        return string.char(0xa0 + size) .. ("x"):rep(size)
    end,
    function() return "\203" .. string.char(random(0, 255), random(0, 255), 0, 0, 0, 0, 0, random(0, 1)) end,
    function() return string.char(random(0xc0, 0xc3)) end,
    function() return "\199\0\1" end,
    -- Heads of anything with a few bytes behind them, often too few.
    function() return string.char(random(0xc4, 0xd8)) .. ("\0\1\2\3\0\1\2\3\4"):sub(random(1, 4), random(4, 9)) end,
    function() return "\205\1\2" end,
}

local function value(depth)
    local kind = random(1, depth > 0 and #SCALARS + 4 or #SCALARS)
    if SCALARS[kind] then return SCALARS[kind]() end
    local is_map, size, parts = kind % 2 == 0, random(0, 4), {}
    for i = 1, is_map and 2 * size or size do parts[i] = value(depth - 1) end
    local wide = random(1, 3) == 1
    local head = wide and (is_map and "\222\0" or "\220\0") .. string.char(size) or string.char((is_map and 0x80 or 0x90) + size)
    return head .. table.concat(parts)
end

describe("a packed value from elsewhere", function()
    it("that is passed is decoded without an error, to the same byte", function()
        local why = ffi.new "const char *[1]"
        local passed, refused = 0, 0
        for _ = 1, 50000 do
            local bytes = value(5)
            if random(1, 4) == 1 then
                local at = random(1, #bytes)
                bytes = bytes:sub(1, at - 1) .. string.char(random(0, 255)) .. bytes:sub(at + 1)
            end
            local data = ffi.new("uint8_t[?]", #bytes + 64, bytes)
            local stop = C.tide_record_pass(data, data + #bytes, why)
            if stop ~= nil then
                passed = passed + 1
                local ok, _, at = pcall(codec.decode, data, 0)
                assert(ok and at == tonumber(stop - data), ("not decoded: %q"):format(bytes))
            else
                refused = refused + 1
            end
        end
        assert.is_true(passed > 10000 and refused > 1000, passed .. " passed, " .. refused .. " refused")
    end)
end)

--- Random numbers for sampling: the same seed and stream give the same numbers on every machine. Streams of one seed (one
--- for each partition) are independent of one another. Not for secrets.
---
---     local draw = random.new(42, 0)
---     draw()  --> a number ≥ 0 and < 1
---
--- The generator is xoshiro128** (32-bit steps, which LuaJIT compiles); its state is mixed from seed and stream by splitmix64.
--- Used on the driver and by workers.

local bit = require "bit"
local ffi = require "ffi"

local random = {}

local bxor, lshift, rshift, rol, tobit, band = bit.bxor, bit.lshift, bit.rshift, bit.rol, bit.tobit, bit.band

local seed_type = ffi.typeof "union { double number; uint64_t bits; }"

local function splitmix(state)
    local z = state
    z = bxor(z, rshift(z, 30)) * 0xBF58476D1CE4E5B9ULL
    z = bxor(z, rshift(z, 27)) * 0x94D049BB133111EBULL
    return bxor(z, rshift(z, 31))
end

local GOLDEN = 0x9E3779B97F4A7C15ULL

local function bits_of(number)
    local box = seed_type()
    box.number = number
    return box.bits
end

local function low(word) return tobit(tonumber(band(word, 0xffffffffULL))) end
local function high(word) return tobit(tonumber(rshift(word, 32))) end

--- A generator: a function that returns the next number, ≥ 0 and < 1.
---@param seed number
---@param stream integer
---@return fun(): number
function random.new(seed, stream)
    local state = splitmix(bits_of(seed) + GOLDEN) + bits_of(stream)
    local first, second = splitmix(state + GOLDEN), splitmix(state + GOLDEN * 2)
    local a, b, c, d = low(first), high(first), low(second), high(second)
    if a == 0 and b == 0 and c == 0 and d == 0 then
        a = 1
    end
    local function next_word()
        local word = tobit(tobit(rol(tobit(b * 5), 7)) * 9)
        local t = lshift(b, 9)
        c = bxor(c, a)
        d = bxor(d, b)
        b = bxor(b, c)
        a = bxor(a, d)
        c = bxor(c, t)
        d = rol(d, 11)
        return word
    end
    return function()
        return (rshift(next_word(), 5) * 67108864 + rshift(next_word(), 6)) / 9007199254740992
    end
end

--- Four words, not all 0, that begin a generator: mixed from any numbers.
---@param ... number
---@return integer a
---@return integer b
---@return integer c
---@return integer d
function random.words(...)
    local state = 0ULL
    for index = 1, select("#", ...) do
        state = splitmix(state + bits_of((select(index, ...))) + GOLDEN)
    end
    local first, second = splitmix(state + GOLDEN), splitmix(state + GOLDEN * 2)
    return low(first), high(first), low(second), bit.bor(high(second), 1)
end

-- Above this mean the product below would become too small for a number; means add up.
local LARGEST_MEAN = 500

--- How often something happens that happens `mean` times on average (Poisson distributed).
---@param draw fun(): number
---@param mean number
---@return integer
function random.poisson(draw, mean)
    local count = 0
    while mean > 0 do
        local part = math.min(mean, LARGEST_MEAN)
        local limit, product = math.exp(-part), draw()
        while product > limit do
            count = count + 1
            product = product * draw()
        end
        mean = mean - part
    end
    return count
end

--- Puts an array in a random order.
---@param draw fun(): number
---@param list any[] changed
---@return any[] list
function random.shuffle(draw, list)
    for index = #list, 2, -1 do
        local other = math.floor(draw() * index) + 1
        list[index], list[other] = list[other], list[index]
    end
    return list
end

local drawn = 0

--- A seed that differs from call to call.
---@return integer
function random.seed()
    local core = require "moontide.core"
    drawn = drawn + 1
    local word = splitmix(bits_of(core.wall()) + bits_of(core.monotonic()) + bits_of(drawn) * GOLDEN)
    return tonumber(rshift(word, 12))
end

return random

--- math.random and math.randomseed as functions in a worker have them.
---
--- Numbers depend on the engine's seed (setting random.seed), the operator's place, the batch time and the partition: workers differ, and
--- a partition that is computed again, after a failure, a loss or in another job, gets the same numbers. Each operator whose function
--- names math.random has a generator of its own in each partition, so numbers do not depend on which operators run in the same
--- task; other functions share the task's generator.
---
--- A generator is a slot of an array; generated loops select one (`use.slot`), at a cost for operators that draw only. It is seeded
--- when its first number is drawn.
local declare = require "moontide.base.declare"
local ffi = require "ffi"
local random = require "moontide.base.random"

local bit = require "bit"
local bxor, lshift, rshift, rol, tobit = bit.bxor, bit.lshift, bit.rshift, bit.rol, bit.tobit
local floor, tonumber, type, error = math.floor, tonumber, type, error

local randomness = {}

declare.cdef [[
struct moontide_generator { int32_t a, b, c, d; int32_t ready; };
struct moontide_generator_use { int32_t slot; };
]]

local capacity = 64
local generators = ffi.new("struct moontide_generator[?]", capacity)
local use = ffi.new "struct moontide_generator_use"

--- Which generator counts: slot 0 is the task's.
randomness.use = use

local used = 1
local drawn = false -- by this task, from any of them
local places, partitions = { [0] = 0 }, { [0] = 0 }
local seed, batch_time = 0, -1

local function seed_with(generator, ...)
    local a, b, c, d = random.words(...)
    generator.a, generator.b, generator.c, generator.d, generator.ready = a, b, c, d, 1
    drawn = true
end

local function prepare(slot)
    local place, timed = places[slot], -1
    if type(place) == "table" then
        place = place.place
    else
        timed = batch_time
    end
    seed_with(generators[slot], seed, place, timed, partitions[slot])
end

local function next_word(generator)
    local a, b, c, d = generator.a, generator.b, generator.c, generator.d
    local word = tobit(tobit(rol(tobit(b * 5), 7)) * 9)
    local t = lshift(b, 9)
    c = bxor(c, a)
    d = bxor(d, b)
    generator.b, generator.a = bxor(b, c), bxor(a, d)
    generator.c, generator.d = bxor(c, t), rol(d, 11)
    return word
end

local function draw()
    local slot = use.slot
    local generator = generators[slot]
    if generator.ready == 0 then
        prepare(slot)
    end
    local high = rshift(next_word(generator), 5)
    return (high * 67108864 + rshift(next_word(generator), 6)) / 9007199254740992
end

local function check(index, value)
    local number = tonumber(value)
    if number == nil or (type(value) ~= "number" and type(value) ~= "string") then
        error(("bad argument #%d to 'random' (number expected, got %s)"):format(index, value == nil and "no value" or type(value)), 3)
    end
    return number
end

--- Like the library's.
---@param m? integer
---@param n? integer
---@return number
function randomness.random(m, n)
    if m == nil and n == nil then
        return draw()
    end
    local low, high = 1, check(1, m)
    if n ~= nil then
        low, high = high, check(2, n)
    end
    low, high = floor(low), floor(high)
    if low > high then
        error(("bad argument #%d to 'random' (interval is empty)"):format(n == nil and 1 or 2), 2)
    end
    local number = floor(draw() * (high - low + 1)) + low
    return number
end

--- Like the library's, for the generator that is in use; over with the task.
---@param value number
function randomness.randomseed(value)
    local number = tonumber(value)
    if number == nil then
        error(("bad argument #1 to 'randomseed' (number expected, got %s)"):format(value == nil and "no value" or type(value)), 2)
    end
    seed_with(generators[use.slot], number)
end

--- A task begins: all generators are as if they had never been used.
---@param engine_seed number
---@param time number batch time, -1: none
---@param partition integer
---@param place number what tells this task's plan from others
function randomness.begin(engine_seed, time, partition, place)
    if drawn or used > 1 then
        used, drawn, use.slot, generators[0].ready = 1, false, 0, 0
    end
    seed, batch_time = engine_seed, time
    places[0], partitions[0] = place, partition
end

--- An operator's function has been called: from here on it is the task's generator that counts.
function randomness.rest()
    if used > 1 then
        use.slot = 0
    end
end

--- A generator for an operator in one partition of its dataset.
---@param place number|{ place: number } a table: of a dataset that is the same in all batches
---@param partition integer
---@return integer slot
function randomness.slot(place, partition)
    local slot = used
    if slot == capacity then
        local more = ffi.new("struct moontide_generator[?]", capacity * 2)
        ffi.copy(more, generators, capacity * ffi.sizeof "struct moontide_generator")
        capacity, generators = capacity * 2, more
    end
    generators[slot].ready = 0
    places[slot], partitions[slot] = place, partition
    used = slot + 1
    return slot
end

--- Puts these functions in the library's place.
function randomness.install()
    -- luacheck: push ignore 122 (replacing the library's is what this is for)
    math.random, math.randomseed = randomness.random, randomness.randomseed
    -- luacheck: pop
end

return randomness

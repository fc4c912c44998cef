-- Loops that LuaJIT's betas compile to something else: with Moontide loaded they give what is written there.

local engine = require "spec.support.engine"

-- A table made in the loop is rehashed between a store and the load of the same field.
local function rehashed()
    local result
    for i = 6, 60 do
        local at = i % 2 + 6
        local t = { 1, 2, 3, 4, 5, 6, 7, 8 }
        t[at] = "stored"
        t[at + 1] = "stored"
        t[1], t[2], t[3], t[4], t[5], t[6] = nil, nil, nil, nil, nil, nil
        t["1000"] = 1000
        t[1], t[2], t[3], t[4] = nil, nil, nil, nil
        result = t[at + 1]
    end
    return result
end

-- The slot of a loop-carried table holds values of another type each time round.
local function alternating()
    local wrong, slot = 0, {}
    for i = 1, 400 do
        local value = slot[1]
        if i > 1 and value ~= (i % 2 == 0) then
            wrong = wrong + 1
        end
        slot = i % 2 ~= 0 and { true } or { false }
    end
    return wrong
end

-- What the table of the time before held, read through the loop. With numbers and nothing else the slot is carried in a
-- register, and side traces begin with the table still to be made.
local function carried()
    local out, n, b, s, before = {}, 0, true, "text", {}
    local function note(value)
        n = n + 1
        out[n] = tostring(value)
    end
    for i = 1, 40 do
        local t = { b, i, b, i }
        note(before[2])
        note(t[4])
        before = t
    end
    for i = 1, 40 do
        local t = { 1, a = b, 1, nil }
        note(before[2])
        t[2] = i
        note(t[2])
        before = t
    end
    for i = 1, 40 do
        local at = i % 2 + 4
        local t = { i, i, s, b, s, nil }
        if i % 4 == 1 then
            t[at + 1] = at
            note(t[at + 2])
        end
        note(t[1])
        note(before[2])
        if i % 5 == 1 then
            t[1000] = i
            note(t.c)
        end
        note(t[1])
        before = t
    end
    return table.concat(out, " ")
end

-- Loops that append to a list under another name, by each way of appending: how often `#list` was not what it had to be.
local appending = {
    ["by a computed index"] = function(count)
        local list, wrong = {}, 0
        local view = { list = list } -- luacheck: ignore 241
        for i = 1, count do
            local before = #list
            view.list[before + 1] = i
            if #list ~= before + 1 then wrong = wrong + 1 end
        end
        return wrong
    end,
    ["by table.insert"] = function(count)
        local list, wrong = {}, 0
        local view = { list = list } -- luacheck: ignore 241
        for i = 1, count do
            local before = #list
            table.insert(view.list, i)
            if #list ~= before + 1 then wrong = wrong + 1 end
        end
        return wrong
    end,
    ["by rawset"] = function(count)
        local list, wrong = {}, 0
        local view = { list = list } -- luacheck: ignore 241
        for i = 1, count do
            local before = #list
            rawset(view.list, before + 1, i)
            if #list ~= before + 1 then wrong = wrong + 1 end
        end
        return wrong
    end,
    ["by a constant index"] = function(count)
        local wrong = 0
        local list = { true }
        local view = { list = list } -- luacheck: ignore 241
        for i = 1, count do
            view.list[1] = i % 2 == 0 or nil
            local before = #list
            view.list[1] = i % 2 ~= 0 or nil
            if #list == before then wrong = wrong + 1 end
        end
        return wrong
    end,
    ["in a function of two parameters"] = function(count)
        local function both(a, b, i)
            local before = #a
            b[before + 1] = i
            return #a - before
        end
        local list, wrong = {}, 0
        for i = 1, count do
            if both(list, list, i) ~= 1 then wrong = wrong + 1 end
        end
        return wrong
    end,
    ["while its growth is added up"] = function(count)
        local function grow(a, b)
            local growth = 0
            for i = 1, count do
                local before = #a
                b[#b + 1] = i
                growth = growth + #a - before
            end
            return growth
        end
        local list = {}
        return count - grow(list, list)
    end,
    ["by removing"] = function(count)
        local list, wrong = {}, 0
        for i = 1, count do list[i] = i end
        local view = { list = list } -- luacheck: ignore 241
        for _ = 1, count do
            local before = #list
            table.remove(view.list)
            if #list ~= before - 1 then wrong = wrong + 1 end
        end
        return wrong
    end,
}

-- Loops that read an element, store a new one, which may move them all, and use the first: what the first ones add up to.
local moving = {
    ["by its index"] = function(lists)
        local sum = 0
        for i = 1, #lists do
            local list = lists[i]
            local first = list[1]
            list[5] = i
            sum = sum + first
        end
        return sum
    end,
    ["at the end"] = function(lists)
        local sum = 0
        for i = 1, #lists do
            local list = lists[i]
            local first = list[1]
            list[#list + 1] = i
            sum = sum + first
        end
        return sum
    end,
}

-- Lists of four numbers, of which the first is always 1.5.
local function lists_of_four()
    local lists = {}
    for i = 1, 400 do
        lists[i] = {}
        for j = 1, 4 do lists[i][j] = i * (j - 1) + 1.5 end
    end
    return lists
end

-- Loops that compiled were something else, or the end of the process.
local loops = {
    ["ask for the metatable of a file"] = function()
        local file, other, wrong = io.stdout, {}, 0
        local function is(value, class)
            return getmetatable(value) == class
        end
        local class = debug.getmetatable(file)
        for _ = 1, 300 do
            if is(file, other) or not is(file, class) then wrong = wrong + 1 end
            if getmetatable(file).__index ~= class.__index then wrong = wrong + 1 end
        end
        return wrong
    end,
    ["use variable arguments"] = function()
        local function twice(...)
            local sum = 0
            for _ = 1, 300 do
                local a, b = ...
                sum = sum + (...) + a * 10 + b * 100
            end
            return sum
        end
        return twice(1, 2, 3, 4)
    end,
    ["call what loops over variable arguments"] = function()
        local function sum_of(...)
            local sum = 0
            for i = 1, 3 do
                local a, b = ...
                sum = sum + a * i + b
            end
            return sum
        end
        local sum = 0
        for i = 1, 300 do sum = sum + sum_of(i, 2, 3) end
        return sum
    end,
    ["join by a metamethod with variable arguments"] = function()
        local joined, kept = setmetatable({}, { __concat = function(...) return (select(2, ...)) end }), 0
        for _ = 1, 300 do
            if "" .. "" .. joined == joined then kept = kept + 1 end
        end
        return kept
    end,
    ["join by pcall"] = function()
        local joined, kept = setmetatable({}, { __call = function(t) return t end, __concat = pcall }), 0
        for _ = 1, 300 do
            if joined .. joined .. "" == true then kept = kept + 1 end
        end
        return kept
    end,
    ["store where __newindex is called"] = function()
        local calls = 0
        local class = {
            __newindex = function(t, k, v)
                calls = calls + 1
                rawset(t, k, v)
            end,
        }
        local function store(t, same, key)
            for i = 1, 20 do
                t.a = i
                same[key] = nil
                t.a = i
                same[key] = 5
            end
        end
        for i = 1, 300 do
            local t = setmetatable({}, class)
            store(t, i % 3 == 0 and t or setmetatable({}, class), i % 2 == 0 and "a" or "b")
        end
        return calls
    end,
    ["cut strings beyond their end and before it"] = function()
        local text, sum = "ab", 0
        for i = 1, 300 do
            local to = i % 13 - 5
            sum = (sum * 31 + #text:sub(1, to) + select("#", text:byte(1, to)) * 7) % 1000003
        end
        return sum
    end,
    ["take NaN for a key"] = function()
        local t, refused = {}, 0 -- luacheck: ignore 241
        local function put(key) t[key] = true end
        for i = 1, 200 do put(i + 0.5) end
        for _ = 1, 200 do
            if not pcall(put, 0 / 0) then refused = refused + 1 end
        end
        return refused
    end,
    ["return to their own function in a trace that branches off"] = function()
        local ffi = require "ffi"
        local int64, new, modf, start = ffi.typeof "int64_t", ffi.new, math.modf, require("jit.opt").start
        local depth = 0
        local function give(value) return value end
        local function between()
            modf(1) -- ends a trace
            return give {}
        end
        local function descend()
            if depth > 4 then return 0 end
            depth = depth + 1
            give(1)
            give(1)
            descend()
            modf(1)
            give ""
            -- More values than registers.
            local a, b, c, d = new(int64, depth), new(int64, depth + 1), new(int64, depth + 2), new(int64, depth + 3)
            local e, f, g, h = new(int64, depth + 4), new(int64, depth + 5), new(int64, depth + 6), new(int64, depth + 7)
            local i, j, k, l, m = new(int64, depth), new(int64, depth), new(int64, depth), new(int64, depth), new(int64, depth)
            return give(between(a, b, c, d, e, f, g, h, i, j, k, l, m))
        end
        start("hotloop=1", "hotexit=1", "recunroll=1")
        descend()
        start("hotloop=56", "hotexit=10", "recunroll=2")
        return depth
    end,
    ["shift masked integers of 64 bits"] = function()
        local sum = 0ULL
        for i = 1, 300 do
            local x = 0x123456789abcdefULL * i
            sum = sum * 31 + bit.rshift(bit.band(x, 0xff00ff00ffULL), 8) + bit.rol(bit.band(x, 0xff00ULL), 3)
        end
        return tostring(sum)
    end,
}

-- The same, interpreted.
local function interpreted(fn)
    local copy = loadstring(string.dump(fn))
    jit.off(copy, true)
    return copy()
end

describe("compiled loops with table constructors", function()
    engine.watch(after_each)

    it("load what was stored, in the driver", function()
        assert.equal("stored", rehashed())
        assert.equal(0, alternating())
        local expected = interpreted(carried)
        for _ = 1, 20 do
            assert.equal(expected, carried())
            jit.flush()
        end
    end)

    it("load what was stored, in a worker", function()
        local sc = engine.context("local[1]")
        local dataset = sc:parallelize({ 1 })
        assert.equal("stored", dataset:map(function() return rehashed() end):first())
        assert.equal(0, dataset:map(function() return alternating() end):first())
        assert.equal(interpreted(carried), dataset:map(function() return carried() end):first())
    end)

    for way, loop in pairs(appending) do
        it("know the length of a list that grows under another name, " .. way .. ", in the driver", function()
            assert.equal(0, loop(10000))
        end)

        it("know the length of a list that grows under another name, " .. way .. ", in a worker", function()
            local sc = engine.context("local[1]")
            assert.equal(0, sc:parallelize({ 10000 }):map(loop):first())
        end)
    end

    it("know the length of a list that a function of mapPartitions appends to under another name", function()
        local sc = engine.context("local[1]")
        local wrong = sc:range(0, 100000, 1, 1):mapPartitions(function(it)
            local list, failures = {}, 0
            local view = { list = list } -- luacheck: ignore 241
            for i in it do
                local before = #list
                view.list[before + 1] = i
                if #list ~= before + 1 then failures = failures + 1 end
            end
            return { failures }
        end):first()
        assert.equal(0, wrong)
    end)

    for way, loop in pairs(moving) do
        it("use what was read of a list before it grew " .. way .. ", in the driver", function()
            assert.equal(600, loop(lists_of_four()))
        end)

        it("use what was read of a list before it grew " .. way .. ", in a worker", function()
            local sc = engine.context("local[1]")
            assert.equal(600, sc:parallelize({ 1 }):map(function() return loop(lists_of_four()) end):first())
        end)
    end

    it("leave the optimisation to others, in a worker", function()
        local sc = engine.context("local[1]")
        assert.same({ true, 1000, true }, sc:parallelize({ 1 }):flatMap(function()
            local function forwards()
                for _, option in ipairs({ jit.status() }) do
                    if option == "fwd" then return true end
                end
                return false
            end
            local before, t = forwards(), nil
            for i = 1, 1000 do t = { i, t and t[1] } end
            return { before, t[1], forwards() }
        end):collect())
    end)
end)

-- What lua/moontide/base/jit_refusals.lua keeps from being compiled, which it does in workers only.
local in_workers = {
    ["use variable arguments"] = true, ["call what loops over variable arguments"] = true,
    ["join by a metamethod with variable arguments"] = true, ["join by pcall"] = true, ["take NaN for a key"] = true,
    ["return to their own function in a trace that branches off"] = true,
    ["cut strings beyond their end and before it"] = true,
}

describe("compiled loops that", function()
    engine.watch(after_each)

    for what, loop in pairs(loops) do
        if not in_workers[what] then
            it(what .. " are right, in the driver", function()
                assert.equal(interpreted(loop), loop())
            end)
        end

        it(what .. " are right, in a worker", function()
            local sc = engine.context("local[1]")
            assert.equal(interpreted(loop), sc:parallelize({ 1 }):map(function() return loop() end):first())
        end)
    end
end)

describe("coroutines of a worker", function()
    engine.watch(after_each)

    it("may end in a call of C", function()
        local sc = engine.context("local[1]")
        local function twice(x)
            return 2 * x
        end
        local function run(x)
            local _, y = coroutine.wrap(function(n)
                return pcall(twice, n)
            end)(x)
            return y
        end
        assert.equal(2000 * 2001, sc:range(1, 2001):map(run):reduce(function(a, b) return a + b end))
        assert.same({ false, "bad argument #1 to 'create' (function expected, got number)" },
            sc:parallelize({ 1 }):flatMap(function() return { pcall(coroutine.create, 1) } end):collect())
    end)
end)

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

-- How often the metatable of a file was not what it is.
local function metatables_of_files()
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
end

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

describe("compiled loops that ask for a file's metatable", function()
    engine.watch(after_each)

    it("get it, in the driver", function()
        assert.equal(0, metatables_of_files())
    end)

    it("get it, in a worker", function()
        local sc = engine.context("local[1]")
        assert.equal(0, sc:parallelize({ 1 }):map(function() return metatables_of_files() end):first())
    end)
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

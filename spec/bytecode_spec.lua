-- What moontide.closure.bytecode reads from dumps, checked against what the compiler was given.

local bytecode = require "moontide.closure.bytecode"

local function compile(text)
    return assert(loadstring(text, "@job.lua"))
end

local function scan(fn, strip)
    return bytecode.scan(string.dump(fn, strip))
end

describe("bytecode.scan", function()
    it("finds the globals of a function and of those nested in it, in order, once", function()
        local fn = compile [[
            first = second.third
            local function inner()
                return function() fourth = first end
            end
            return inner, fifth("name", 1.5, 7LL, 2i, { a = 1 })
        ]]
        for _, strip in ipairs({ false, true }) do
            local globals = scan(fn, strip).globals
            table.sort(globals)
            assert.same({ "fifth", "first", "fourth", "second" }, globals)
        end
        assert.same({ "a", "b" }, scan(compile "return a, b, a").globals)
        assert.same({ a = true, b = true, c = true },
            scan(compile "local s = a return function(x) return x.b, s['c'] end").strings)
    end)

    it("finds none where none are named", function()
        assert.same({}, scan(compile "local t = { x = 1 } return t.x, t['y'], 'z'").globals)
    end)

    it("finds globals among many constants", function()
        local lines = {}
        for i = 1, 1000 do
            lines[i] = ("local _ = 'text%d', %d.5, { k%d = %d }"):format(i, i, i, i)
            if i % 100 == 0 then
                lines[i] = "name" .. i .. " = 1"
            end
        end
        local text = "do " .. table.concat(lines, " end do ") .. " end"
        local globals = scan(compile(text)).globals
        assert.equal(10, #globals)
        for i = 1, 10 do
            assert.equal("name" .. i * 100, globals[i])
        end
    end)

    it("reads names of every length", function()
        for _, length in ipairs({ 1, 100, 122, 123, 127, 128, 20000 }) do
            local name = ("n"):rep(length)
            assert.same({ name }, scan(compile("return " .. name)).globals)
        end
    end)

    it("tells which variables of the parent are never assigned to", function()
        local fn = compile [[
            local constant, assigned, outer = 1, 2, 3
            assigned = 3
            return (function() return function() return outer end, function() return constant, assigned end end)()
        ]]
        local _, inner = fn()
        local result = scan(compile([[
            local constant, assigned = 1, 2
            local function f() return constant, assigned end
            assigned = 3
            return f
        ]])())
        assert.equal(2, result.upvalues)
        assert.same({ true, false }, result.immutable)
        assert.same({ false, false }, scan(inner).immutable, "bytecode does not say it of variables from further out")
    end)
end)

describe("the dump of a scan", function()
    local TABLE = "return { alpha = 1, beta = 2, gamma = { 1, 2, x = true }, [1.5] = 'n', [7] = false, delta = nil }"

    it("has its constant tables in one order and still makes the same tables", function()
        local expected = compile(TABLE)()
        local canonical = scan(compile(TABLE)).dump
        assert.same(expected, assert(load(canonical, "=dump", "b"))())
        -- The hash seed is fixed within a process, so another order is simulated: two entries trade places.
        local raw = string.dump(compile "return { aa = 1, bb = 2, cc = 3 }", true)
        local entries = {}
        for _, name in ipairs({ "aa", "bb", "cc" }) do
            local from, to = raw:find("\7" .. name .. "\3.")
            entries[#entries + 1] = { from = from, text = raw:sub(from, to) }
        end
        table.sort(entries, function(a, b) return a.from < b.from end)
        local head, tail = raw:sub(1, entries[1].from - 1), raw:sub(entries[3].from + #entries[3].text)
        local seen
        for _, order in ipairs({ { 1, 2, 3 }, { 3, 1, 2 }, { 2, 3, 1 }, { 3, 2, 1 } }) do
            local text = {}
            for i, k in ipairs(order) do
                text[i] = entries[k].text
            end
            local dump = bytecode.scan(head .. table.concat(text) .. tail).dump
            seen = seen or dump
            assert.equal(seen, dump)
        end
        assert.same({ aa = 1, bb = 2, cc = 3 }, assert(load(seen, "=dump", "b"))())
    end)

    it("is the dump itself where nothing is to be put in order", function()
        local dump = string.dump(compile "return function(a, b) return a + b, { 1, 2, 3 } end")
        assert.equal(dump, bytecode.scan(dump).dump)
    end)
end)

describe("bytecode.seal", function()
    it("does not depend on where the variables came from, and loads", function()
        local near = compile "local a, b = 1, 2 return function() return a + b end"
        local far = compile "local x, y, a, b = 0, 0, 1, 2 return (function() return function() return a + b end end)()"
        local both = { true, true }
        local sealed = bytecode.seal(scan(near(), true), both)
        assert.equal(sealed, bytecode.seal(scan(far(), true), both))
        assert.are_not.equal(sealed, bytecode.seal(scan(near(), true), { true, false }))
        local fn = assert(load(sealed, "=sealed", "b"))
        debug.setupvalue(fn, 1, 30)
        debug.setupvalue(fn, 2, 12)
        assert.equal(42, fn())
    end)

    it("keeps the dump of a function without upvalues", function()
        local result = scan(compile "return function() end")
        assert.equal(result.dump, bytecode.seal(result, {}))
    end)
end)

-- What the packages of one session share, and that sharing does not make packages differ from batch to batch.

local closure = require "moontide.closure"
local unpack_package = require "moontide.closure.unpack"
local support = require "spec.support.closure_support"

local script, with_globals = support.script, support.with_globals

after_each(support.undo)

local function pack(fn)
    return (closure.pack(fn, "map", "f"))
end

-- Packs functions in this order and loads them in this order (default: the same) into one session.
local function ship_all(functions, order)
    local packages, loaded = {}, {}
    for i, fn in ipairs(functions) do
        packages[i] = pack(fn)
    end
    local session = unpack_package.session()
    for _, i in ipairs(order or { 1, 2, 3, 4, 5, 6 }) do
        loaded[i] = packages[i] and assert(session:load(packages[i]))
    end
    return unpack(loaded)
end

-- A variable with a function that counts it up and one that reads it; packed separately they share only the variable.
local COUNTER = "local n = ... return function() n = n + 1 return n end, function() return n end"

describe("a session shares", function()
    it("variables that one function assigns to, whichever was packed or loaded first", function()
        for _, order in ipairs({ { 1, 2 }, { 2, 1 } }) do
            local bump, read = script(COUNTER, 5)
            local b, r = ship_all({ bump, read }, order)
            b()
            assert.same({ 7, 7 }, { b(), r() })

            bump, read = script(COUNTER, 5)
            r, b = ship_all({ read, bump }, order)
            b()
            assert.equal(6, r())
            assert.equal(5, read())
        end
    end)

    it("variables although nothing else holds the closures any more", function()
        local functions = { script(COUNTER, 1) }
        local first = pack(functions[1])
        functions[1] = nil
        collectgarbage()
        collectgarbage()
        local second = pack(functions[2])
        local session = unpack_package.session()
        local bump, read = assert(session:load(first)), assert(session:load(second))
        bump()
        assert.equal(2, read())
    end)

    it("tables, with all that is in them", function()
        local writer, reader = script [[
            local seen = { list = {}, n = 0 }
            seen.self = seen
            local list = seen.list
            return function(x) seen.n = seen.n + 1 list[#list + 1] = x end,
                   function() return seen.self.n, seen.list[1], #list end
        ]]
        local w, r = ship_all({ writer, reader })
        w("a")
        w("b")
        assert.same({ 2, "a", 2 }, { r() })
    end)

    it("the state of functions that both closures call", function()
        local a, b = script [[
            local n = 0
            local function nextId() n = n + 1 return n end
            return function() return nextId() end, function() return nextId() end
        ]]
        local fa, fb = ship_all({ a, b })
        assert.same({ 1, 2, 3 }, { fa(), fb(), fa() })
    end)

    it("nothing between sessions", function()
        local bump, read = script(COUNTER, 0)
        local b, r = assert(unpack_package.load(pack(bump))), assert(unpack_package.load(pack(read)))
        b()
        assert.equal(0, r())
    end)

    it("what a closure keeps, when it is used twice", function()
        local bump = script(COUNTER, 0)
        local a, b, c = ship_all({ bump, bump, bump })
        assert.same({ 1, 2, 3 }, { a(), b(), c() })
    end)

    it("nothing between the closures of a factory, and tells their companions apart", function()
        local bump1, read1 = script(COUNTER, 0)
        local bump2, read2 = script(COUNTER, 0)
        local b1, b2, r1, r2 = ship_all({ bump1, bump2, read1, read2 })
        b1()
        b2()
        b2()
        assert.same({ 1, 2 }, { r1(), r2() })

        bump1, read1 = script(COUNTER, 0)
        bump2, read2 = script(COUNTER, 0)
        b1, r1, b2, r2 = ship_all({ bump1, read1, bump2, read2 })
        b1()
        b2()
        b2()
        assert.same({ 1, 2 }, { r1(), r2() })
    end)

    it("nothing with a variable that took the place of a dead one", function()
        local session = unpack_package.session()
        local loaded = {}
        for i = 1, 30 do
            loaded[i] = assert(session:load(pack((script(COUNTER, 0)))))
            collectgarbage()
        end
        for i = 1, 30 do
            assert.equal(1, loaded[i]())
        end
    end)

    it("environments made by setfenv", function()
        local env = setmetatable({ n = 1 }, { __index = _G })
        local bump = setfenv(script "return function() n = n + 1 return n end", env)
        local read = setfenv(script "return function() return n end", env)
        local b, r = ship_all({ bump, read })
        b()
        assert.equal(3, b())
        assert.equal(3, r())
        assert.equal(1, env.n)
    end)

    it("a table that is also an environment, each as what it is", function()
        local env = { n = 1 }
        local fn = setfenv(script("local env = ... return function() n = n + 1 return n, env.n end", env), env)
        local a, b = ship_all({ fn, fn })
        a()
        assert.same({ 3, 1 }, { b() })
    end)
end)

describe("globals in a session", function()
    it("are one table for all packages, which may bring more names", function()
        with_globals("spec_a", "spec_b", "spec_total")
        local first, second = script [[
            spec_a, spec_b = 1, 2
            return function() spec_total = (spec_total or 0) + spec_a return spec_total end,
                   function() spec_total = (spec_total or 0) + spec_b return spec_total end
        ]]
        local f, s = ship_all({ first, second })
        assert.same({ 1, 3, 4 }, { f(), s(), f() })
    end)

    it("with functions are one table, too", function()
        with_globals("spec_next", "spec_n")
        local first, second = script [[
            spec_n = 0
            function spec_next() spec_n = spec_n + 1 return spec_n end
            return function() return spec_next() end, function() return spec_next(), spec_n end
        ]]
        local f, s = ship_all({ first, second })
        f()
        assert.same({ 2, 2 }, { s() })
    end)

    it("that the script changed between two calls keep the value of each call", function()
        with_globals("spec_limit")
        local packages = {}
        for i = 1, 3 do
            rawset(_G, "spec_limit", i)
            packages[i] = pack(script "return function() return spec_limit end")
        end
        packages[4] = pack(script "return function(x) spec_limit = x end")
        local session, loaded = unpack_package.session(), {}
        for i = 1, 4 do
            loaded[i] = assert(session:load(packages[i]))
        end
        assert.same({ 1, 2, 3 }, { loaded[1](), loaded[2](), loaded[3]() })
        loaded[4](30)
        assert.same({ 1, 2, 30 }, { loaded[1](), loaded[2](), loaded[3]() })
    end)
end)

describe("closures are snapshots", function()
    it("of a variable that the script assigns to between two calls", function()
        local a, b, c = (function()
            local i, made = 0, {}
            for k = 1, 3 do
                i = i + 1
                made[k] = pack(function(x) return x + i end)
            end
            return unpack(made)
        end)()
        local session = unpack_package.session()
        local fa, fb, fc = assert(session:load(a)), assert(session:load(b)), assert(session:load(c))
        assert.same({ 1, 2, 3 }, { fa(0), fb(0), fc(0) })
    end)

    it("of a table that the script changes between two calls; those of the same content share", function()
        local config = { n = 1, inner = { 1 } }
        local function reader() return function() return config.n, config.inner[1] end end
        local function writer() return function(x) config.n, config.inner[1] = x, x end end
        local packages = { pack(reader()) }
        config.inner[1] = 2
        packages[2] = pack(reader())
        packages[3] = pack(writer())
        packages[4] = pack(reader())
        local session, loaded = unpack_package.session(), {}
        for i = 1, 4 do
            loaded[i] = assert(session:load(packages[i]))
        end
        assert.same({ 1, 1 }, { loaded[1]() })
        assert.same({ 1, 2 }, { loaded[2]() })
        loaded[3](9)
        assert.same({ 1, 1 }, { loaded[1]() }, "packed before the change")
        assert.same({ 9, 9 }, { loaded[2]() })
        assert.same({ 9, 9 }, { loaded[4]() })
    end)

    it("of a table that got a new part which looks the same", function()
        local t = { part = { 1 } }
        local first = pack(function() return t.part end)
        t.part = { 1 }
        local part = t.part
        local second = pack(function() return t.part, part end)
        local session = unpack_package.session()
        assert(session:load(first))
        local a, b = assert(session:load(second))()
        assert.equal(a, b, "within a package, one table is one table")
    end)
end)

describe("packages made for every batch are equal", function()
    -- The packages that `batch` makes, as one string per batch.
    local function batches(n, batch)
        local results = {}
        for i = 1, n do
            local functions = { batch(i) }
            for k, fn in ipairs(functions) do
                functions[k] = pack(fn)
            end
            results[i] = table.concat(functions, "|")
        end
        return results
    end

    local function all_equal(results, from)
        for i = from, #results do
            assert.equal(results[from], results[i])
        end
    end

    it("for fresh closures over constants, tables and variables", function()
        all_equal(batches(20, function()
            return script "local k, t, n = 3, { 1, { 2 } }, 0 return function(x) n = n + x return t[1] + k + n end"
        end), 1)
    end)

    it("for fresh closures that share with each other", function()
        all_equal(batches(20, function() return script(COUNTER, 0) end), 1)
    end)

    it("for fresh closures of a factory, used twice in a batch", function()
        all_equal(batches(20, function()
            local bump1, read1 = script(COUNTER, 0)
            local bump2, read2 = script(COUNTER, 0)
            return bump1, bump2, read1, read2
        end), 1)
    end)

    it("for one closure that keeps nothing", function()
        local fn = script "local k, name = 2, 'x' return function(x) return x * k, name end"
        all_equal(batches(20, function() return fn end), 1)
    end)

    it("from the second batch on for long-lived tables and variables", function()
        local words, bump = { "a", "b" }, script(COUNTER, 0)
        all_equal(batches(20, function()
            return bump, script("local words = ... local mine = {} return function(x) mine[x] = words[x] end", words),
                (script(COUNTER, 0))
        end), 9)
        all_equal(batches(20, function()
            return script("local words = ... return function(x) return words[x] end", words)
        end), 2)
        all_equal(batches(20, function()
            return script("local words = ... local mine = {} return function(x) mine[x] = words[x] end", words)
        end), 2)
    end)

    it("whenever the garbage collector runs", function()
        local function make()
            return script "local t, n = {}, 0 return function() n = n + 1 t[n] = n end"
        end
        local first = pack(make())
        for i = 1, 50 do
            if i % 3 == 0 then
                collectgarbage()
            end
            assert.equal(first, pack(make()))
        end
    end)
end)

describe("identities", function()
    it("are forgotten in the end, which only ends sharing", function()
        local bump, read = script(COUNTER, 0)
        local first = pack(bump)
        for _ = 1, 600 do
            pack((script(COUNTER, 0)))
        end
        local second = pack(read)
        local session = unpack_package.session()
        local b, r = assert(session:load(first)), assert(session:load(second))
        b()
        assert.equal(0, r())
    end)

    it("do not keep tables alive", function()
        local weak = setmetatable({}, { __mode = "v" })
        for i = 1, 10 do
            local t = { i }
            weak[i] = t
            pack(function() return t end)
        end
        collectgarbage()
        collectgarbage()
        assert.is_nil(next(weak))
    end)

    it("survive a package that can't be loaded", function()
        local bump, read = script(COUNTER, 0)
        local session = unpack_package.session()
        local b = assert(session:load(pack(bump)))
        local package_bytes = pack(read)
        local nothing, err = session:load(package_bytes:sub(1, -2))
        assert.is_nil(nothing)
        assert.is_string(err)
        local r = assert(session:load(package_bytes))
        b()
        assert.equal(1, r())
    end)
end)

describe("rebuilt functions in compiled code", function()
    it("are inlined, their constants folded", function()
        local vmdef, util = require "jit.vmdef", require "jit.util"
        local fn = assert(unpack_package.load(pack(script [[
            local factor, offset = 3, 4
            local function scale(x) return x * factor end
            return (function() return function(x) return scale(x) + offset end end)()
        ]])))
        local traces = {}
        local function on_trace(what, trace)
            if what == "stop" then
                traces[#traces + 1] = trace
            end
        end
        jit.flush()
        local loop = loadstring "local fn, n = ... local sum = 0 for i = 1, n do sum = sum + fn(i) end return sum"
        jit.attach(on_trace, "trace")
        local sum = loop(fn, 10000)
        jit.attach(on_trace)
        assert.equal(150055000, sum)
        -- The function may get hot, and a trace of its own, before the loop does.
        local info, loop_trace
        for _, trace in ipairs(traces) do
            if util.traceinfo(trace).linktype == "loop" then
                loop_trace = trace
                info = util.traceinfo(trace)
            end
        end
        assert.is_truthy(loop_trace, "the loop was compiled as a whole")
        local reads = 0
        for i = 1, info.nins do
            local _, op = util.traceir(loop_trace, i)
            if op then
                local name = vmdef.irnames:sub(bit.rshift(op, 8) * 6 + 1, bit.rshift(op, 8) * 6 + 6)
                if name:find("^U") or name:find("^CALL") then
                    reads = reads + 1
                end
            end
        end
        assert.equal(0, reads, "upvalue reads or calls in the compiled loop")
    end)
end)

-- What a packed function carries with it, and what it refuses to carry. The bytes: closure_package_spec. Sharing between
-- packages: closure_sharing_spec.

local bit = require "bit"
local ffi = require "ffi"
local closure = require "moontide.closure"
local unpack_package = require "moontide.closure.unpack"
local support = require "spec.support.closure_support"

local MODULE, script, ship, ship_value = support.MODULE, support.script, support.ship, support.ship_value
local refusal, contains, cleanup = support.refusal, support.contains, support.cleanup
local with_globals, with_module = support.with_globals, support.with_module

after_each(support.undo)

describe("a packed function", function()
    it("runs with copies of its upvalues", function()
        local factor, label = 3, "n="
        local fn = ship(function(x) return label .. x * factor end)
        assert.equal("n=12", fn(4))
    end)

    it("tells where it was written", function()
        assert.equal("job.lua:3", closure.site(script("\n\nreturn function(a, b, ...) end")))
        assert.equal("job.lua:1", closure.site(script("return function() end")))
        assert.equal("[C] string.upper", closure.site(string.upper))
        assert.equal("[C] print", closure.site(print))
        assert.equal("[C] math.deg", closure.site(math.deg))
    end)

    it("keeps the line numbers of the script in its errors", function()
        local fn = ship(script("return function(x)\n\n  error('boom ' .. x) end"))
        local ok, message = pcall(fn, 1)
        assert.is_false(ok)
        assert.equal("job.lua:3: boom 1", message)
    end)

    it("keeps strings of any bytes and every kind of number", function()
        local bytes, nan, inf, tiny = "a\0b\255\n", 0 / 0, math.huge, 5e-324
        local zero, big, odd, int32 = -0.0, 2 ^ 53, 0.1, -2147483648
        local fn = ship(function() return bytes, nan, inf, -inf, tiny, zero, big, odd, int32 end)
        local b, n, i, m, t, z, g, o, w = fn()
        assert.equal(bytes, b)
        assert.is_true(n ~= n)
        assert.same({ inf, -inf, tiny, big, odd, int32 }, { i, m, t, g, o, w })
        assert.equal(-inf, 1 / z)
    end)

    it("keeps integers of every size next to the limits of their encoding", function()
        local list = {}
        for _, power in ipairs({ 6, 7, 13, 14, 29, 30, 31, 32, 53 }) do
            for delta = -1, 1 do
                list[#list + 1] = 2 ^ power + delta
                list[#list + 1] = -(2 ^ power + delta)
            end
        end
        assert.same(list, ship_value(list))
    end)

    it("carries 64-bit integers by value", function()
        local signed, unsigned = -9223372036854775807LL - 1, 18446744073709551615ULL
        local a, b = ship(function() return signed, unsigned, 7LL end)()
        assert.is_true(ffi.istype("int64_t", a) and a == signed)
        assert.is_true(ffi.istype("uint64_t", b) and b == unsigned)
    end)

    it("carries nil, false and absent upvalues", function()
        local nothing, no = nil, false
        local a, b, c = ship(function() return nothing, no, nothing == no end)()
        assert.is_nil(a)
        assert.is_false(b)
        assert.is_false(c)
    end)

    it("passes varargs through", function()
        local fn = ship(function(...) return select("#", ...), ... end)
        local n, a, b, c = fn(nil, 2, nil)
        assert.same({ 3, nil, 2, nil }, { n, a, b, c })
    end)

    it("carries the functions it calls: recursive, mutually recursive, nested", function()
        local function factorial(n) return n == 0 and 1 or n * factorial(n - 1) end
        assert.equal(120, ship(factorial)(5))

        local even, odd
        function even(n) return n == 0 or odd(n - 1) end
        function odd(n) return n ~= 0 and even(n - 1) end
        assert.is_true(ship(even)(10))
        assert.is_false(ship(odd)(10))

        local function adder(n) return function(x) return x + n end end
        assert.equal(7, ship(function(x) return adder(3)(x) end)(4))
    end)

    it("shares one variable between its functions, written and read", function()
        local n = 10
        local function bump() n = n + 1 end
        local function read() return n end
        local fn = ship(function() bump() bump() return read(), n end)
        assert.same({ 12, 12 }, { fn() })
        assert.equal(10, n, "the driver's variable is another one")
    end)

    it("has its variables for itself: two closures of a factory", function()
        local function counter()
            local n = 0
            return function() n = n + 1 return n end
        end
        local a, b = counter(), counter()
        local fa, fb = ship(function() return a(), a(), b() end), ship(a)
        assert.same({ 1, 2, 1 }, { fa() })
        assert.equal(1, fb())
    end)

    it("carries more upvalues than fit one number", function()
        local lines, sum = {}, {}
        for i = 1, 60 do
            lines[i] = ("local v%d = %d"):format(i, i)
            sum[i] = "v" .. i
        end
        local text = table.concat(lines, "\n") .. "\nreturn function() return " .. table.concat(sum, "+") .. " end"
        assert.equal(1830, ship(script(text))())
    end)

    it("carries a stripped function", function()
        local fn = loadstring(string.dump(script("return function(x) return x + 1 end"), true))
        assert.equal(3, ship(fn)(2))
    end)

    it("carries constant tables and 64-bit constants of the code", function()
        local fn = ship(function() return { a = 1, b = { 2, 3 }, [4.5] = "x", [true] = false }, 1ULL end)
        local t, u = fn()
        assert.same({ a = 1, b = { 2, 3 }, [4.5] = "x", [true] = false }, t)
        assert.is_true(u == 1ULL)
    end)

    it("can be packed again by the worker", function()
        local k = 5
        assert.equal(6, ship(ship(function(x) return x + k end))(1))
    end)
end)

describe("tables", function()
    it("keep their array and hash parts, holes and odd keys", function()
        local t = { 1, 2, nil, 4, [0] = 0, [-3] = "m", [2.5] = "f", [2 ^ 40] = "b", x = { y = {} }, [true] = 1, [false] = 0 }
        assert.same(t, ship_value(t))
        -- A list that was filled backwards sits in the hash part.
        local backwards = { n = 1 }
        for i = 20, 1, -1 do
            backwards[i] = i
        end
        assert.same(backwards, ship_value(backwards))
    end)

    it("keep cycles and shared references", function()
        local shared = { 1 }
        local t = { a = shared, b = shared }
        t.self = t
        shared.back = t
        local copy = ship_value(t)
        assert.equal(copy, copy.self)
        assert.equal(copy.a, copy.b)
        assert.equal(copy, copy.a.back)
        assert.are_not.equal(t, copy)
    end)

    it("keep tables and functions as keys", function()
        local key = { "key" }
        local fn = function() return "f" end
        local copy = ship_value({ [key] = 1, [fn] = key, key = key, [string.upper] = "u" })
        assert.equal(1, copy[copy.key])
        assert.equal("u", copy[string.upper])
        for k, v in pairs(copy) do
            if type(k) == "function" and k ~= string.upper then
                assert.equal(copy.key, v)
                assert.equal("f", k())
            end
        end
    end)

    it("keep metatables with chains of __index, and protected ones", function()
        local base = { greet = function(self) return "hi " .. self.name end }
        base.__index = base
        local derived = setmetatable({ __metatable = "locked", __call = function(_, x) return x * 2 end }, base)
        derived.__index = derived
        local object = setmetatable({ name = "ada" }, derived)
        local fn = ship(function(x) return object:greet(), object(x), getmetatable(object) end)
        assert.same({ "hi ada", 8, "locked" }, { fn(4) })
    end)

    it("are read raw: no metamethod runs while packing", function()
        local touched = 0
        local function touch() touched = touched + 1 end
        local t = setmetatable({ 1, a = 2 }, { __index = touch, __len = touch, __pairs = touch, __newindex = touch })
        ship_value(t)
        assert.equal(0, touched)
    end)

    it("may be nested as deep as memory allows", function()
        local list
        for i = 1, 200000 do
            list = { next = list, i = i }
        end
        local copy, n = ship_value(list), 0
        while copy do
            n = n + 1
            copy = copy.next
        end
        assert.equal(200000, n)
    end)

    it("may be a chain of functions as deep", function()
        local fn = function(x) return x end
        for _ = 1, 20000 do
            local inner = fn
            fn = function(x) return inner(x + 1) end
        end
        assert.equal(20000, ship(fn)(0))
    end)
end)

describe("globals of the script", function()
    it("travel when the function or a nested one names them", function()
        with_globals("spec_limit", "spec_helper", "spec_unused")
        local fn = ship(script [[
            spec_limit = 10
            spec_unused = io.stdout
            function spec_helper(x) return x + spec_limit end
            return function(x) return (function() return spec_helper(x) end)() end
        ]])
        rawset(_G, "spec_limit", nil)
        rawset(_G, "spec_helper", nil)
        assert.equal(11, fn(1))
    end)

    it("are written in the worker's own table", function()
        with_globals("spec_total")
        local fn = ship(script [[
            spec_total = 1
            return function(x) spec_total = spec_total + x return spec_total end
        ]])
        assert.same({ 3, 5 }, { fn(2), fn(2) })
        assert.equal(1, rawget(_G, "spec_total"))
    end)

    it("that are undefined stay so until the worker assigns them", function()
        with_globals("spec_fresh")
        local fn = ship(script "return function(x) local old = spec_fresh spec_fresh = x return old end")
        assert.is_nil(fn(1))
        assert.equal(1, fn(2))
        assert.is_nil(rawget(_G, "spec_fresh"))
    end)

    it("may call each other", function()
        with_globals("spec_even", "spec_odd")
        local fn = ship(script [[
            function spec_even(n) if n == 0 then return true end return spec_odd(n - 1) end
            function spec_odd(n) if n == 0 then return false end return spec_even(n - 1) end
            return function(n) return spec_even(n) end
        ]])
        assert.is_true(fn(8))
    end)

    it("replace library functions when the script did", function()
        local original = _G.tonumber
        cleanup(function() _G.tonumber = original end)
        local fn = script "tonumber = function() return 'mine' end return function(x) return tonumber(x) end"
        local shipped = ship(fn)
        _G.tonumber = original
        assert.equal("mine", shipped("1"))
    end)

    it("of setfenv are read from that environment", function()
        local fn = script "return function() counter = counter + 1 return counter, tostring(counter) end"
        setfenv(fn, setmetatable({ counter = 4, unused = io.stdout }, { __index = _G }))
        local shipped = ship(fn)
        assert.same({ 5, "5" }, { shipped() })
        assert.same({ 6, "6" }, { shipped() })
    end)

    it("may be guarded by a strict mode", function()
        local env = setmetatable({ known = 1 }, {
            __index = function(_, name) error("undefined variable " .. name) end,
            __newindex = function(_, name) error("assignment to undefined variable " .. name) end,
        })
        local fn = setfenv(script "return function() local old = unknown unknown = known return old, unknown end", env)
        assert.same({ n = 2, [2] = 1 }, { n = 2, ship(fn)() })
    end)
end)

describe("libraries and modules", function()
    it("are found again by their path", function()
        local gmatch, floor, upper = string.gmatch, math.floor, string.upper
        local fn = ship(function(text)
            return upper(gmatch(text, "%S+")()), floor(2.5), bit.band(7, 3), math.deg(math.pi), type(ffi.C)
        end)
        assert.same({ "AB", 2, 3, 180, "userdata" }, { fn(" ab cd") })
        assert.equal(string.upper, ship(string.upper))
        assert.equal(tonumber, ship(tonumber))
        assert.equal(_G, ship_value({ _G })[1])
        assert.equal(io.stdout, ship_value({ io.stdout })[1])
    end)

    it("are required by the worker, with state of its own", function()
        local module = with_module()
        module.count()
        local bytes = closure.pack(function() return module.count(), module.calls() end, "map", "f")
        package.loaded[MODULE] = nil
        local fn = assert(unpack_package.load(bytes))
        assert.same({ 1, 1 }, { fn() })
        assert.equal(1, module.calls(), "the driver's module was not touched")
        assert.equal(1, require(MODULE).calls(), "it is the worker's module that counted")
    end)

    it("keep classes one thing, also as metatables", function()
        local module = with_module()
        local point = module.point(-3, 4)
        local upper = module.handlers.upper
        local fn = ship(function() return point:norm1(), getmetatable(point), upper("x") end)
        local norm, class, x = fn()
        assert.equal(7, norm)
        assert.equal(module.Point, class)
        assert.equal("X", x)
    end)

    it("give functions that are not in their tables by value", function()
        local module = with_module()
        module.count()
        module.count()
        local counter = module.counter()
        assert.equal(3, ship(counter)())
        assert.equal(2, module.calls())
    end)

    it("may have been extended by the script: its function travels by value", function()
        local module = with_module()
        local fn = script([[
            local module = ...
            function module.mine(x) return -x end
            local mine = module.mine
            return function(x) return mine(x) end
        ]], module)
        local bytes = closure.pack(fn, "map", "f")
        module.mine = nil
        assert.equal(-2, assert(unpack_package.load(bytes))(2))
    end)

    it("get the fields that the script added, where a function names them", function()
        local function forget()
            rawset(string, "trimmed", nil)
            rawset(math, "twice", nil)
            rawset(table, "pack2", nil)
        end
        cleanup(forget)
        local text, number, none = script([[
            function string.trimmed(s) return (s:gsub("^%s+", "")) end
            function math.twice(x) return 2 * x end
            table.pack2 = function(...) return { n = select("#", ...), ... } end
            local function nested() return function(s) return s:trimmed(), string.trimmed(s), table.pack2(s).n end end
            return nested(), function(x) return math.twice(math.twice(x)) end, function(x) return x end
        ]])
        local text_bytes, number_bytes = closure.pack(text, "map", "f"), closure.pack(number, "map", "f")
        assert.is_nil(closure.pack(none, "map", "f"):find("twice", 1, true))
        assert.is_nil(number_bytes:find("trimmed", 1, true))
        forget()
        assert.same({ "a", "a", 1 }, { assert(unpack_package.load(text_bytes))("  a") })
        assert.is_nil(rawget(math, "twice"))
        assert.equal(12, assert(unpack_package.load(number_bytes))(3))
    end)

    it("keep what they have when the script replaces it", function()
        local format = string.format
        rawset(string, "format", function() return "replaced" end)
        local bytes = closure.pack(script("return function(x) return string.format('%d', x) end"), "map", "f")
        rawset(string, "format", format)
        assert.equal("3", assert(unpack_package.load(bytes))(3))
    end)

    it("that got something that can't travel are named, where a function uses it", function()
        cleanup(function() rawset(string, "log", nil) end)
        rawset(string, "log", io.tmpfile())
        contains(refusal(script("return function(s) return string.log:write(s) end")), "'string.log'", "job.lua:1", "an open file")
        assert.equal(1, ship(function() return 1 end)())
    end)

    it("that the worker can't load are named", function()
        package.loaded.spec_no_such_module = { f = function(x) return x end }
        cleanup(function() package.loaded.spec_no_such_module = nil end)
        local module = package.loaded.spec_no_such_module
        local bytes = closure.pack(script("local m = ... return function(x) return m.f(x) end", module), "map", "f")
        package.loaded.spec_no_such_module = nil
        local fn, err = unpack_package.load(bytes)
        assert.is_nil(fn)
        contains(err, "spec_no_such_module", "job.lua:1", "can't be loaded in a worker")
    end)

    it("that lack a field in the worker are named", function()
        local module = with_module()
        local count = module.count
        local bytes = closure.pack(script("local count = ... return function() return count() end", count), "map", "f")
        module.count = nil
        local fn, err = unpack_package.load(bytes)
        assert.is_nil(fn)
        contains(err, "'count'", MODULE, "job.lua:1")
    end)
end)

describe("a refusal", function()
    local connection = setmetatable({}, { __moontide = "DStream" })

    it("of a stream names the variable and the way out", function()
        local message = refusal(script("local lines = ...\n\nreturn function(x) return lines end", connection))
        contains(message, "map: the function at job.lua:3 uses the DStream 'lines' (upvalue). Streams and contexts live in "
            .. "the driver and can't be shipped to workers: ")
    end)

    it("of a context, a dataset, and of handles in other places, too", function()
        with_globals("spec_sc")
        local function handle(class) return setmetatable({}, { __moontide = class }) end
        rawset(_G, "spec_sc", handle("StreamingContext"))
        contains(refusal(script "return function() return spec_sc end"),
            "the function at job.lua:1 uses the StreamingContext 'spec_sc' (global). Contexts live in the driver")
        contains(refusal(script("local cfg = ... return function() return cfg end", { deep = { rdd = handle("RDD") } })),
            "uses an RDD: upvalue 'cfg' → field 'deep' → field 'rdd'. RDDs live in the driver")
        local proxy = newproxy(true)
        getmetatable(proxy).__moontide = "Broker"
        contains(refusal(script("local b = ... return function() return b end", proxy)), "the Broker 'b' (upvalue)")
        local _, message = closure.try_pack_value(handle("RDD"), "fold", "the zero value")
        contains(message, "fold: the zero value is an RDD. RDDs live in the driver")
    end)

    it("names the way to the culprit", function()
        local udata = newproxy()
        contains(refusal(script("local cfg = { db = ... }\nreturn function() return cfg end", udata)),
            "map: the function at job.lua:2 uses upvalue 'cfg' → field 'db', a userdata, ",
            "Create it inside the function, or in a module that the function requires")
        contains(refusal(script("local sock = ...\nlocal function helper() return sock end\n"
            .. "return function() return helper() end", udata)),
            "the function at job.lua:3 uses upvalue 'helper' (function at job.lua:2) → upvalue 'sock', a userdata")
        contains(refusal(script("local sock = ...\nlocal helper\nhelper = function() return sock end\n"
            .. "return function() return helper() end", udata)),
            "uses upvalue 'helper' (function at job.lua:3) → upvalue 'sock', a userdata")
        contains(refusal(script("local list = { 1, { x = ... } } return function() return list end", udata)),
            "upvalue 'list' → field [2] → field 'x'")
        contains(refusal(script("local set = { [...] = 1 } return function() return set end", udata)),
            "upvalue 'set' → a table key, a userdata")
        contains(refusal(script("local o = setmetatable({}, { __gc = ... }) return function() return o end", udata)),
            "upvalue 'o' → the metatable → field '__gc'")
        with_globals("spec_conn", "spec_open")
        script("spec_conn = ... function spec_open() return spec_conn end", udata)
        contains(refusal(script "return function() return spec_open() end"),
            "uses global 'spec_open' (function at job.lua:1) → global 'spec_conn', a userdata")
    end)

    it("shortens a long way", function()
        local list = { newproxy() }
        for _ = 1, 1000 do
            list = { list }
        end
        local message = refusal(script("local list = ... return function() return list end", list))
        contains(message, "upvalue 'list' → field [1]", "… (994 steps) …", "a userdata")
        assert.is_true(#message < 500)
    end)

    it("says what to do about files, buffers, coroutines, cdata and C functions", function()
        local function of(value)
            return refusal(script("local v = ... return function() return v end", value), "filter")
        end
        local file = io.tmpfile()
        cleanup(function() file:close() end)
        contains(of(file), "filter: the function at job.lua:1 uses upvalue 'v', an open file", "Open it inside the function")
        contains(of(require("string.buffer").new()), "a userdata (string.buffer)")
        contains(of(coroutine.create(print)), "upvalue 'v', a coroutine", "can't leave the Lua state", "mapPartitions")
        contains(of(ffi.new("struct { int x; }")), "a cdata (struct", "only int64_t and uint64_t travel")
        contains(of(ffi.new("int[2]")), "a cdata (int [2])", "Create it inside the function, or in a module")
        contains(of(coroutine.wrap(print)), "a C function", "no loaded module offers")
        contains(of((string.gmatch("a", "a"))), "a C function", "iterators")
        assert.equal("map: f must be a function, got table", refusal({}))
        contains(refusal((string.gmatch("a", "a")), "flatMap", "f"), "flatMap: f is a C function, which no loaded module offers")
    end)

    it("is raised by pack, returned by try_pack", function()
        local fn = script("local v = ... return function() return v end", newproxy())
        local ok, message = pcall(closure.pack, fn, "map", "f")
        assert.is_false(ok)
        assert.equal(refusal(fn), message)
        ok, message = closure.try_pack_value({ x = coroutine.create(print) }, "fold", "the zero value")
        assert.is_nil(ok)
        contains(message, "fold: the zero value uses field 'x', a coroutine")
    end)

    it("of a package above the limit names the biggest part", function()
        local small, huge = ("x"):rep(1000), ("y"):rep(65 * 1024 * 1024)
        local message = refusal(script("local small, huge = ... return function() return small, huge end", small, huge))
        contains(message, "map: the function at job.lua:1 needs a package of more than 64 MB, most of it in upvalue 'huge'",
            "read it from a file in a module")
    end)

    it("of a package above the limit finds the biggest among structures", function()
        local limit = closure.MAX_BYTES
        cleanup(function() closure.MAX_BYTES = limit end)
        closure.MAX_BYTES = 100000
        local few, many = {}, {}
        for i = 1, 20000 do
            many[i] = { i }
            few[i <= 2000 and i or 1] = { i }
        end
        contains(refusal(script("local few, many = ... return function() return few, many end", few, many)),
            "more than 0.09537 MB, most of it in upvalue 'many'")
        with_globals("spec_words")
        rawset(_G, "spec_words", many)
        contains(refusal(script "return function() return spec_words end"), "most of it in global 'spec_words'")
    end)

    it("leaves nothing behind", function()
        refusal(script("local v = ... return function() return v end", newproxy()))
        local k = 2
        assert.equal(6, ship(function(x) return x * k end)(3))
    end)
end)

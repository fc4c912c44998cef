-- Functions that call themselves without end, by way of the library's C functions: an error of the task that names the line, and the
-- worker goes on. A C stack that is too small would end the process.

local moontide = require "moontide"

-- Each makes a function that recurses without end when it is called.
local WAYS = {
    ["string.gsub"] = function()
        local function f() return (("x"):gsub("x", f)) end
        return f
    end,
    ["string.gsub, interpreted"] = function()
        local function f()
            jit.off(true, true)
            return (("x"):gsub("x", f))
        end
        return f
    end,
    ["table.sort"] = function()
        local function f()
            table.sort({ 1, 2, 3 }, f)
            return false
        end
        return f
    end,
    ["a chain of pcall"] = function()
        local function f()
            local ok, why = pcall(f)
            if not ok then error(why, 0) end
        end
        return f
    end,
    ["a chain of xpcall"] = function()
        local function f()
            local ok, why = xpcall(f, function(e) return e end)
            if not ok then error(why, 0) end
        end
        return f
    end,
    ["__index"] = function()
        return function()
            local t = setmetatable({}, { __index = function(t, key) return t[key .. ""] end })
            return t.x
        end
    end,
    ["__lt and table.sort"] = function()
        return function()
            local list, mt = {}, {}
            for index = 1, 3 do list[index] = setmetatable({}, mt) end
            function mt.__lt() table.sort(list) return false end
            table.sort(list)
        end
    end,
    ["tostring"] = function()
        return function()
            local mt = {}
            local t = setmetatable({}, mt)
            function mt.__tostring() return (tostring(t)) end
            return (tostring(t))
        end
    end,
    ["string.format with %s"] = function()
        return function()
            local mt = {}
            local t = setmetatable({}, mt)
            function mt.__tostring() return (("%s"):format(t)) end
            return (("%s"):format(t))
        end
    end,
    ["the reader of load"] = function()
        local function f() assert(load(f)) end
        return f
    end,
    ["coroutine.wrap"] = function()
        local function f() return coroutine.wrap(f)() end
        return f
    end,
    ["coroutine.resume"] = function()
        local function f()
            local ok, why = coroutine.resume(coroutine.create(f))
            if not ok then error(why, 0) end
        end
        return f
    end,
    ["string.gsub within coroutines"] = function()
        local function f(depth)
            depth = tonumber(depth) or 0
            if depth % 50 == 49 then return coroutine.wrap(f)(depth + 1) end
            return (("x"):gsub("x", function() return f(depth + 1) end))
        end
        return f
    end,
}

describe("a recursion without end", function()
    local sc

    setup(function()
        sc = moontide.Context("local[1]", "deep_recursion_spec")
    end)

    teardown(function()
        sc:stop()
    end)

    for name, make in pairs(WAYS) do
        it("is an error that the worker survives: " .. name, function()
            local recurse = make()
            local numbers = sc:parallelize({ 1, 2 }, 1)
            for _ = 1, 2 do
                local ok, err = pcall(function()
                    return numbers:map(function(x)
                        recurse()
                        return x
                    end):collect()
                end)
                assert.is_false(ok)
                assert.truthy(tostring(err):find("stack overflow", 1, true), tostring(err))
                assert.truthy(tostring(err):find("deep_recursion_spec.lua", 1, true), tostring(err))
                assert.same({ 2, 3 }, numbers:map(function(x) return x + 1 end):collect())
            end
        end)
    end

    it("below the iterator of mapPartitions is one too", function()
        local function f() return (("x"):gsub("x", f)) end
        local ok, err = pcall(function()
            return sc:parallelize({ 1, 2 }, 1):map(function(x) return f() and x end):mapPartitions(function(it)
                return { it() }
            end):collect()
        end)
        assert.is_false(ok)
        assert.truthy(tostring(err):find("stack overflow", 1, true), tostring(err))
    end)

    it("leaves memory as it was", function()
        local function resident()
            local file = assert(io.open("/proc/self/status"))
            local kb = file:read("*a"):match("VmRSS:%s*(%d+)")
            file:close()
            return tonumber(kb)
        end
        local function f() return (("x"):gsub("x", f)) end
        local function fail()
            local ok = pcall(function() return sc:parallelize({ 1 }, 1):map(function() return f() end):collect() end)
            assert.is_false(ok)
        end
        fail()
        local before = resident()
        fail()
        assert.is_true(resident() < before + 20000, resident() - before .. " KB more")
        sc:parallelize({ 1 }, 1):count()
    end)
end)

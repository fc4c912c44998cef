-- Finalizers of the script (__gc of newproxy, ffi.gc, ffi.metatype) that raise: the program goes on, and says so once per state.

local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local sanitized = (os.getenv("MOONTIDE_SANITIZE") or "") ~= ""

local function count(text, pattern)
    return select(2, text:gsub(pattern, ""))
end

-- Runs a script, `%s` in it stands for something that makes garbage with a finalizer.
local function run(script, make, interpreter)
    local dir = tempdir.new()
    finally(function() dir:remove() end)
    local path = dir:write("job.lua", (script:gsub("%%s", function() return make end)))
    if interpreter then
        return shell.run(interpreter .. " " .. path)
    end
    return shell.moontide({ "run", path })
end

-- Each batch leaves garbage enough for the worker to collect it in the pause behind, and while compiled loops run.
local STREAM = [[
    local moontide = require "moontide"
    local ssc = moontide.StreamingContext("local[1]", "finalizers", moontide.milliseconds(20))
    local seen = 0
    ssc:queueStream({ { 1 }, { 2 }, { 3 }, { 4 }, { 5 }, { 6 } }):map(function(x)
        local kept = {}
        for i = 1, 20000 do
            if i % 100 == 0 then %s end
            kept[i % 100] = { i }
        end
        return x * 2
    end):foreachRDD(function(rdd)
        print(rdd:collect()[1])
        seen = seen + 1
        if seen == 6 then ssc:stop() end
    end)
    ssc:start()
    ssc:awaitTermination()
]]

local MAKERS = {
    ["newproxy"] = "getmetatable(newproxy(true)).__gc = function() error('it failed') end",
    ["ffi.gc"] = "require('ffi').gc(require('ffi').new('int[1]'), function() error('it failed') end)",
    ["ffi.metatype"] = [[
        local ffi = require "ffi"
        if not made then
            made = ffi.metatype(ffi.typeof("struct { int n; }"), { __gc = function() error('it failed') end })
        end
        made()
    ]],
    ["debug.setmetatable"] = "debug.setmetatable(newproxy(), { __gc = function() error('it failed') end })",
}

describe("a finalizer that raises", function()
    for name, make in pairs(MAKERS) do
        it("in a worker disturbs no batch and is told once: " .. name, function()
            local result = run(STREAM, make)
            assert.equal("2\n4\n6\n8\n10\n12\n", result.out)
            assert.equal(0, result.code, result.err)
            assert.equal(1, count(result.err, "WARN  worker: a finalizer %(__gc, ffi%.gc%) of the script failed: %S*job%.lua:%d+: it failed"),
                result.err)
            -- A machine that is too slow for batches of 20 ms is told of, too.
            assert.equal(1, count((result.err:gsub("[^\n]* WARN  pace: [^\n]*\n", "")), "\n"), result.err)
        end)

        it("in the script disturbs nothing and is told once: " .. name, function()
            local result = run([[
                local moontide = require "moontide"
                local sc = moontide.Context("local[1]", "finalizers")
                local kept, sum = {}, 0
                for i = 1, 200000 do
                    if i % 100 == 0 then %s end
                    kept[i % 100] = { i }
                    sum = sum + i
                end
                collectgarbage()
                print(sum, sc:range(0, 10):count())
                sc:stop()
                %s
            ]], make)
            assert.equal("20000100000\t10\n", result.out)
            assert.equal(0, result.code, result.err)
            assert.equal(1, count(result.err, "WARN  script: a finalizer %(__gc, ffi%.gc%) of the script failed"), result.err)
            assert.equal(1, count(result.err, "\n"), result.err)
        end)
    end

    it("with a value that is no text is told too", function()
        local result = run(STREAM, "getmetatable(newproxy(true)).__gc = function() error({}) end")
        assert.equal(0, result.code, result.err)
        assert.truthy(result.err:find("of the script failed: (a table); further ones are not told", 1, true), result.err)
    end)

    it("in a worker disturbs nothing when a stock luajit runs the script", function()
        if sanitized then
            pending("a stock luajit cannot load an instrumented module")
            return
        end
        local result = run(STREAM, MAKERS.newproxy, "luajit")
        assert.equal("2\n4\n6\n8\n10\n12\n", result.out)
        assert.equal(0, result.code, result.err)
        assert.equal(1, count(result.err, "it failed"), result.err)
    end)
end)

describe("a finalizer that raises nothing", function()
    it("is called with its object, as often as without us", function()
        local result = run([[
            local ffi, ran, right = require "ffi", 0, 0
            local function finalize(object)
                ran = ran + 1
                if type(object) == "userdata" or object[0] == 7 then right = right + 1 end
            end
            for i = 1, 100 do
                getmetatable(newproxy(true)).__gc = finalize
                local cell = ffi.gc(ffi.new("int[1]", 7), finalize)
                if i > 50 then ffi.gc(cell, nil) end
            end
            collectgarbage()
            collectgarbage()
            local mt = getmetatable(newproxy(true))
            mt.__index = function(_, key) return key end
            print(ran, right, rawget(mt, "__gc"), newproxy(false) ~= nil)
        ]], "")
        assert.equal("150\t150\tnil\ttrue\n", result.out)
        assert.same({ "", 0 }, { result.err, result.code })
    end)
end)

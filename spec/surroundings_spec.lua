-- What a function of the script does to the worker around it is over when its task has ended; what would reach the whole process is
-- refused.

local engine = require "spec.support.engine"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

describe("a function that runs in a worker", function()
    engine.watch(after_each)

    -- Runs `fn` as a task, then tells whether an ordinary job still works, three times over.
    local function after(sc, fn)
        local ok, result = pcall(function() return sc:parallelize({ 1 }, 1):map(fn):collect() end)
        for _ = 1, 3 do
            assert.same({ "1 ONE", "2 TWO" }, sc:parallelize({ "one", "two" }, 1):map(function(word)
                return word
            end):zipWithIndex():map(function(word, index)
                return string.format("%d %s", math.floor(index + 1.5), word:upper())
            end):collect())
        end
        return ok, result
    end

    it("cannot end the program with os.exit", function()
        local sc = engine.context("local[1]")
        for _, code in ipairs { 0, 1, true } do
            local text = engine.message(function()
                sc:parallelize({ 1 }, 1):foreach(function() os.exit(code) end)
            end)
            assert.matches("surroundings_spec.lua:%d+: os.exit%(%) in a function that runs in a worker would end the whole program", text)
            assert.matches("ssc:stop%(%) in a function of foreachRDD", text)
        end
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        local script = dir:write("job.lua", [[
            local exit = os.exit
            local sc = require("moontide").Context("local[1]", "exit")
            sc:parallelize({ 1 }, 1):foreach(function() exit(0) end)
        ]])
        local result = shell.moontide({ "run", script })
        assert.not_equal(0, result.code)
        assert.matches("job.lua:3: os.exit", result.err)
    end)

    it("may ask for the locale and not set it", function()
        local sc = engine.context("local[1]")
        assert.equal("C", sc:parallelize({ 1 }):map(function() return os.setlocale() end):first())
        assert.equal("C", sc:parallelize({ 1 }):map(function() return os.setlocale(nil, "numeric") end):first())
        assert.matches("os.setlocale%(%) .* locale of the whole program", engine.message(function()
            sc:parallelize({ 1 }):map(function() return os.setlocale("C.UTF-8") end):first()
        end))
    end)

    local changes = {
        ["clears _G"] = function()
            local G = getfenv(0)
            for name in pairs(G) do rawset(G, name, nil) end
            return 1
        end,
        ["clears the string metatable"] = function()
            local mt = getmetatable ""
            for name in pairs(mt) do mt[name] = nil end
            return 1
        end,
        ["takes the metatable of strings away"] = function()
            debug.setmetatable("", nil)
            return 1
        end,
        ["gives nil, numbers and functions metatables"] = function()
            local mt = { __index = function() return 0 end, __concat = function() return "" end, __add = function() return 0 end }
            debug.setmetatable(nil, mt)
            debug.setmetatable(0, mt)
            debug.setmetatable(print, mt)
            return 1
        end,
        ["replaces library functions"] = function()
            for _, library in ipairs { string, table, math } do
                for name in pairs(library) do library[name] = name == "format" and error or nil end
            end
            return 1
        end,
        ["removes whole libraries and modules"] = function()
            rawset(getfenv(0), "string", nil)
            rawset(getfenv(0), "math", {})
            for name in pairs(package.loaded) do package.loaded[name] = nil end
            package.path, package.loaders = "", nil
            return 1
        end,
        ["makes _G strict"] = function()
            setmetatable(getfenv(0), { __index = function(_, name) error("undefined " .. name) end, __newindex = error })
            return 1
        end,
        ["replaces the environment of the thread"] = function()
            setfenv(0, {})
            return 1
        end,
        ["stops the collector"] = function()
            collectgarbage "stop"
            collectgarbage("setpause", 1000)
            collectgarbage("setstepmul", 1)
            return 1
        end,
        ["switches the compiler off"] = function()
            jit.off()
            require("jit.opt").start(0, "hotloop=1000000", "maxtrace=1")
            return 1
        end,
        ["sets a hook"] = function()
            debug.sethook(function() error "hooked" end, "l")
            return 1
        end,
        ["redirects io"] = function()
            io.output(os.tmpname())
            io.input(io.tmpfile())
            return 1
        end,
        ["fails after it has taken everything apart"] = function()
            local fail, G = error, getfenv(0)
            for name in pairs(G) do rawset(G, name, nil) end
            fail "at last"
        end,
    }
    for what, change in pairs(changes) do
        it("that " .. what .. " does no harm to later tasks", function()
            local sc = engine.context("local[1]")
            after(sc, change)
            assert.same({ true, "function", 200, "main", true, true }, sc:parallelize({ 1 }, 1):flatMap(function()
                local pause = collectgarbage("setpause", 200)
                return {
                    (jit.status()), type(string.format), pause, debug.gethook() == nil and "main" or "hooked",
                    io.output() == io.stdout, getfenv(0) == package.loaded._G,
                }
            end):collect())
        end)
    end

    it("tells its own failure after it has taken everything apart", function()
        local sc = engine.context("local[1]")
        local ok, err = after(sc, changes["fails after it has taken everything apart"])
        assert.is_false(ok)
        assert.matches("at last\n  in map %(spec/surroundings_spec.lua:%d+%), partition 0\n  record: 1", tostring(err))
    end)

    it("may change the environment of a function for its own task", function()
        local sc = engine.context("local[1]")
        local function word() return greeting end -- luacheck: ignore 113
        word()
        local function greet(x)
            local before = word()
            setfenv(word, { greeting = "hello " .. x })
            return tostring(before) .. " " .. word()
        end
        local rdd = sc:parallelize({ 1, 2 }, 1):map(greet)
        assert.same({ "nil hello 1", "hello 1 hello 2" }, rdd:collect())
        assert.same({ "nil hello 1", "hello 1 hello 2" }, rdd:collect())
        local own = sc:parallelize({ 1 }, 1):map(function(x)
            local before = type(type)
            setfenv(1, { y = x })
            return before .. (type and "" or "nil") .. y -- luacheck: ignore 113
        end)
        assert.same({ "functionnil1" }, own:collect())
        assert.same({ "functionnil1" }, own:collect())
    end)

    it("may keep the compiler from itself and from another function, and ask what io reads from", function()
        local sc = engine.context("local[1]")
        assert.same({ true, true, true }, sc:parallelize({ 1 }, 1):flatMap(function()
            jit.off(true)
            jit.off(function() end, true)
            return { (jit.status()), io.input() == io.stdin, io.output() == io.stdout }
        end):collect())
        assert.matches("surroundings_spec.lua:%d+: .*no_such_file", engine.message(function()
            sc:parallelize({ 1 }, 1):foreach(function() io.input("no_such_file") end)
        end))
    end)

    it("may leave something for later tasks in _G", function()
        local sc = engine.context("local[1]")
        local function count()
            local G = package.loaded._G
            rawset(G, "spec_count", (rawget(G, "spec_count") or 0) + 1)
            return rawget(G, "spec_count")
        end
        assert.equal(1, sc:parallelize({ 1 }, 1):map(count):first())
        assert.equal(2, sc:parallelize({ 1 }, 1):map(count):first())
    end)
end)

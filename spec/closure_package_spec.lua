-- The bytes of closure packages: equal for equal functions, readable by other processes, never trusted when damaged.

local bit = require "bit"
local closure = require "moontide.closure"
local unpack_package = require "moontide.closure.unpack"
local format = require "moontide.closure.format"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"
local support = require "spec.support.closure_support"

local script, contains, cleanup = support.script, support.contains, support.cleanup
local with_globals, with_module = support.with_globals, support.with_module

after_each(support.undo)

describe("the bytes of a package", function()
    local function bytes_of(fn)
        return (closure.pack(fn, "map", "f"))
    end

    it("are the same for the same graph", function()
        local function make()
            local config = { limits = { 1, 2, 3 }, b = true, a = "x", [10] = 1, [-1] = 2, [0.5] = 3, [false] = 4 }
            for i = 1, 50 do
                config["key" .. i] = i
            end
            config.self = config
            return script([[
                local config, threshold = ...
                local function helper(x) return x > threshold and config.limits[1] end
                return function(x) return helper(x), tostring(x), { q = 1, w = 2, e = 3 } end
            ]], config, 5)
        end
        local first = bytes_of(make())
        for _ = 1, 20 do
            assert.equal(first, bytes_of(make()))
        end
    end)

    it("do not depend on the order in which a table was filled", function()
        local forward, backward = {}, {}
        for i = 1, 100 do
            forward["k" .. i], forward[i] = i, i
        end
        for i = 100, 1, -1 do
            backward[i], backward["k" .. i] = i, i
        end
        assert.equal(assert(closure.try_pack_value(forward, "fold", "zero")), assert(closure.try_pack_value(backward, "fold", "zero")))
    end)

    it("do not depend on the addresses of keys that are objects", function()
        local function set()
            local t = {}
            for i = 1, 20 do
                t[{ name = "key" .. i }] = i
                t[script("return function() return " .. i .. " end")] = i
            end
            return t
        end
        local first = assert(closure.try_pack_value(set(), "fold", "zero"))
        for _ = 1, 5 do
            assert.equal(first, assert(closure.try_pack_value(set(), "fold", "zero")))
        end
    end)

    it("do not depend on where the parent kept the variables", function()
        local near = script("local k = ... return function(x) return x + k end", 1)
        local far = script("local k = ... return (function() return function(x) return x + k end end)()", 1)
        assert.equal(#bytes_of(near), #bytes_of(far))
        assert.equal(bytes_of(near), bytes_of(far))
    end)

    it("differ with every value", function()
        local seen = {}
        local samples = { 0, -0.0, 1, -1, 0.5, "", "1", true, false, 1LL, 1ULL, {}, { 1 }, { {} }, { a = 1 }, { a = true } }
        for i = 1, 17 do
            local value = samples[i]
            local bytes = assert(closure.try_pack_value(value, "fold", "zero"))
            assert.is_nil(seen[bytes], "sample " .. i)
            seen[bytes] = true
        end
    end)

    it("are the same in every process", function()
        local text = [[
            local closure = require "moontide.closure"
            local t = {}
            for i = 1, 30 do t["key" .. i] = i end
            local fn = loadstring("local t = ... return function() return t, {alpha=1,beta=2,gamma=3,delta=4,eps=5} end",
                "@job.lua")(t)
            io.stdout:write(require("bit").tohex(#closure.pack(fn, "map", "f")), " ", (closure.pack(fn, "map", "f")))
        ]]
        local dir = tempdir.new()
        cleanup(function() dir:remove() end)
        local command = shell.command({ shell.program, "run", dir:write("pack.lua", text) })
        local first = shell.run(command, { env = { LUA_PATH = package.path } })
        assert.equal(0, first.code, first.err)
        for _ = 1, 5 do
            assert.equal(first.out, shell.run(command, { env = { LUA_PATH = package.path } }).out)
        end
    end)

    it("load in another process", function()
        local module = with_module()
        with_globals("spec_word")
        rawset(_G, "spec_word", "shipped")
        module.count()
        local seen, point = 0, module.point(1, -2)
        local functions = {
            script "return function(i) return spec_word, i end",
            function(i)
                seen = seen + i
                return module.count(), point:norm1(), seen
            end,
            function(i)
                seen = seen + i
                return module.count(), seen
            end,
        }
        local dir = tempdir.new()
        cleanup(function() dir:remove() end)
        -- A stock luajit cannot load an instrumented module.
        local sanitized = (os.getenv("MOONTIDE_SANITIZE") or "") ~= ""
        local words = { sanitized and shell.program or "luajit", sanitized and "run" or nil }
        words[#words + 1] = "spec/support/closure_process.lua"
        for i, fn in ipairs(functions) do
            words[#words + 1] = dir:write(i .. ".package", (closure.pack(fn, "map", "f")))
        end
        words[#words + 1] = dir:write("broken.package", "MTCP\1")
        local result = shell.run(shell.command(words), { env = { LUA_PATH = package.path } })
        assert.equal("", result.err)
        assert.equal("shipped 1\n1 3 2\n2 5\nerror: the closure package is damaged (its head is incomplete)\n", result.out)
    end)
end)

describe("damaged packages", function()
    local good = closure.pack(script("local t = ... return function(x) return t[x] end", { 1, "two", { 3 } }), "map", "f")

    local function rejected(bytes)
        local fn, err = unpack_package.load(bytes)
        assert.is_nil(fn)
        assert.is_string(err)
        return err
    end

    it("are recognised wherever a byte is wrong", function()
        for i = 1, #good do
            for _, flip in ipairs({ 1, 128, 255 }) do
                local byte = string.char(bit.bxor(good:byte(i), flip))
                rejected(good:sub(1, i - 1) .. byte .. good:sub(i + 1))
            end
        end
    end)

    it("are recognised wherever they are cut, and when bytes follow", function()
        for i = 0, #good - 1 do
            rejected(good:sub(1, i))
        end
        contains(rejected(good .. "\0"), "the closure package is damaged (its head announces")
        contains(rejected(good:sub(1, -2)), "the closure package is damaged")
    end)

    it("are told from something else", function()
        contains(rejected(""), "not a closure package")
        contains(rejected("hello, this is no package"), "not a closure package")
        contains(rejected(12), "not a closure package")
        contains(rejected(string.dump(function() end)), "not a closure package")
    end)

    it("of another build or format are refused by name", function()
        contains(rejected(good:sub(1, 4) .. "\9" .. good:sub(6)), "has format 9, this program reads format 2")
        local other = good:gsub("gc64", "gc32", 1)
        contains(rejected(other), "made by another LuaJIT build", "gc32", format.TAG)
    end)

    it("do not crash the reader when the checksums are right", function()
        -- The digests keep damaged bytes away from the reader; its own limits are tested on bare records.
        local record = "\5\255\255\255\255\15abc"
        assert.has_error(function() format.reader(record, 0, #record):value({}) end)
        assert.has_error(function() format.reader("\255\255\255\255\255\255", 0, 6):uint() end)
        assert.has_error(function() format.reader("", 0, 0):byte() end)
        assert.has_error(function() format.reader("\4\0\0", 0, 3):value({}) end)
        assert.has_error(function() format.reader("\77", 0, 1):value({}) end)
    end)
end)

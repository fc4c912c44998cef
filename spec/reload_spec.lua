-- Modules that are cleared from package.loaded and required again, as test runners do between files: LuaJIT refuses to declare a
-- struct twice in a state, and what was made before goes on working.

local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local SCRIPT = [[
local function clear()
    for name in pairs(package.loaded) do
        if name:find("^moontide") then package.loaded[name] = nil end
    end
end

local function use(moontide)
    local sc = moontide.Context("local[2]")
    local sum, list = sc:accumulator(0), sc:broadcast({ 10, 20 })
    local counts = sc:range(0, 10, 1, 2):map(function(x)
        sum:add(1)
        return x % 2, list:value()[1]
    end):reduceByKey(function(a, b) return a + b end):cache()
    local function check()
        assert(counts:count() == 2 and counts:lookup(1)[1] == 50)
        assert(sc:parallelize({ "a", moontide.null }):count() == 2)
        assert(sum:value() == 10)
    end
    check()
    return sc, check, sum
end

local sc, check, sum = use(require "moontide")
for _ = 1, 3 do
    clear()
    local other, check_other = use(require "moontide")
    check()
    check_other()
    other:stop()
end
sc:range(0, 5):foreach(function() sum:add(1) end)
assert(sum:value() == 15)

local moontide = require "moontide"
local result = moontide.testing.run {
    inputs = { { { "a b", "a" }, { "b" } } },
    build = function(ssc, lines)
        return lines:flatMap(function(line) return line:gmatch("%S+") end):countByValueAndWindow(2000, 1000)
    end,
}
assert(#result.batches == 2, tostring(result.error))
sc:stop()

-- One module alone, and in any order.
for _, name in ipairs { "moontide.wire.ffi", "moontide.wire.codec", "moontide.driver.save", "moontide.driver.files", "moontide.testing" } do
    package.loaded[name] = nil
    assert(require(name))
end
print("ok")
]]

describe("a module that is required again", function()
    local sanitized = (os.getenv("MOONTIDE_SANITIZE") or "") ~= ""
    local dir

    before_each(function() dir = tempdir.new() end)
    after_each(function() dir:remove() end)

    it("works, and so does what was made before, in the program", function()
        local result = shell.moontide({ "run", dir:write("job.lua", SCRIPT) })
        assert.same({ out = "ok\n", err = "", code = 0 }, result)
    end)

    it("works, and so does what was made before, under luajit", function()
        if sanitized then
            return pending("a stock luajit cannot load an instrumented module")
        end
        assert.same({ out = "ok\n", err = "", code = 0 }, shell.run("luajit " .. shell.quote(dir:write("job.lua", SCRIPT))))
    end)
end)

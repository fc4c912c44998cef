-- The registry of operator kinds (lua/moontide/worker/kinds.lua): workers have an implementation of every kind that the driver makes,
-- and no other.

require "moontide.worker" -- registers all of them
local kinds = require "moontide.worker.kinds"
local operators = require "moontide.operators"

local function upvalue(fn, name)
    for index = 1, 20 do
        local found, value = debug.getupvalue(fn, index)
        if found == name then return value end
    end
    error("no upvalue " .. name)
end

-- Before anything is loaded on demand: the kinds that are there, and those that their module is loaded for.
local at_once, demanded = {}, {}
for _, implementations in pairs(upvalue(kinds.register, "registered")) do
    for kind in pairs(implementations) do at_once[kind] = true end
end
for kind, module in pairs(upvalue(kinds.find, "on_demand")) do demanded[kind] = module end

-- Not made by an operator: the sink of jobs that only compute what is cached (host/driver/).
local MADE_IN_C = { cache = true }

local function read(path)
    local file = assert(io.open(path, "rb"))
    local content = file:read("*a")
    file:close()
    return content
end

local function lua_files()
    local paths = {}
    local pipe = assert(io.popen("ls lua/moontide/operators/*.lua lua/moontide/*.lua lua/moontide/driver/*.lua"))
    for path in pipe:lines() do paths[#paths + 1] = path end
    pipe:close()
    assert(#paths > 20, "run the specs from the top folder")
    return paths
end

describe("the registry of kinds", function()
    it("has each kind that operators make", function()
        local all, missing = kinds.all(), {}
        for kind in pairs(operators.kinds) do
            if not all[kind] then missing[#missing + 1] = kind end
        end
        assert.same({}, missing)
    end)

    it("finds each kind, also those of modules that are loaded on demand", function()
        local lost = {}
        for kind in pairs(kinds.all()) do
            if not at_once[kind] and not demanded[kind] then lost[#lost + 1] = kind end
        end
        assert.same({}, lost)
        assert.is_true(demanded.glom ~= nil and not at_once.glom)
    end)

    it("has no kind that nothing makes", function()
        local unused = {}
        for kind in pairs(kinds.all()) do
            if operators.kinds[kind] == nil and not MADE_IN_C[kind] then unused[#unused + 1] = kind end
        end
        assert.same({}, unused)
        assert.equal(0, os.execute([[grep -q '(&bytes, "cache")' host/driver/*.c]]))
    end)

    it("knows every kind that a file of the driver names", function()
        local named, unknown = 0, {}
        for _, path in ipairs(lua_files()) do
            local source = read(path)
            for _, pattern in ipairs { '%f[%w]descriptor%("(%w+)"', '%f[%w]narrow%([%w_.]+, "(%w+)"', '%f[%w]sink%("(%w+)"' } do
                for kind in source:gmatch(pattern) do
                    named = named + 1
                    if operators.kinds[kind] == nil then unknown[#unknown + 1] = path .. ": " .. kind end
                end
            end
        end
        assert.same({}, unknown)
        assert(named > 30, "the patterns of this test find nothing")
    end)

    it("says which kinds do a thing", function()
        assert.same({ "exchange", "sink" }, kinds.all().combine)
        assert.same({ "record" }, kinds.all().map)
        assert.same({ "partition" }, kinds.all().mapPartitions)
        assert.is_function(kinds.find("record", "filter"))
        assert.is_nil(kinds.find("record", "count"))
    end)

    it("refuses an unknown kind, and one that is registered twice", function()
        local ok, message = pcall(kinds.need, "partition", "shuffleTwice")
        assert.is_false(ok)
        assert.equal("moontide: unknown operator kind 'shuffleTwice' (as \"partition\")", message)
        ok, message = pcall(kinds.register, "record", "map", function() end)
        assert.is_false(ok)
        assert.equal("moontide: the operator kind 'map' is registered twice as \"record\"", message)
        ok, message = pcall(operators.descriptor, "shuffleTwice", "map", "job.lua:1")
        assert.is_false(ok)
        assert.equal("moontide: unknown operator kind shuffleTwice", message)
    end)
end)

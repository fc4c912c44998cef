-- lua/moontide/_meta/core.lua describes the C module for the language server: no more and no less than there is.
local core = require "moontide.core"

local PATH = "lua/moontide/_meta/core.lua"

-- Names "Engine.turn" as the file declares them, each with the parameters of the declaration and those that have a line of their own.
local function declared()
    local names, parameters, documented = {}, {}, {}
    local pending, inherited = {}, {}
    for line in io.lines(PATH) do
        local class, parent = line:match("^%-%-%-@class moontide%.core%.(%w+) : moontide%.core%.(%w+)")
        if class then
            inherited[class] = parent
        end
        local parameter = line:match("^%-%-%-@param ([%w_]+)")
        if parameter then
            pending[#pending + 1] = parameter
        end
        local owner, name, list = line:match("^function (%w+)[.:](%w+)%((.-)%) end$")
        if owner then
            names[owner .. "." .. name] = true
            parameters[owner .. "." .. name] = list
            documented[owner .. "." .. name] = table.concat(pending, ", ")
            pending = {}
        end
    end
    for class, parent in pairs(inherited) do
        local methods = {}
        for full in pairs(names) do
            methods[#methods + 1] = full:match("^" .. parent .. "%.(.*)$")
        end
        for _, name in ipairs(methods) do
            names[class .. "." .. name] = true
        end
    end
    for full in pairs(names) do
        names[full] = full:match("^Node%.") == nil or nil
    end
    return names, parameters, documented
end

describe("the description of moontide.core", function()
    it("has the functions and methods that there are", function()
        local engine = assert(core.engine { workers = 1 })
        finally(function() engine:close(1000) end)
        local graph = engine:graph { batch = 1000, clock = "manual" }
        local rdd = engine:blocks {}
        local objects = { Engine = engine, Graph = graph, Stream = graph:queue(), RDD = rdd, Job = rdd:job("\x81\xa4kind\xa5count") }
        local there = {}
        for name, value in pairs(core) do
            there["core." .. name] = type(value) == "function" or nil
        end
        for class, object in pairs(objects) do
            for name in pairs(getmetatable(object).__index) do
                there[class .. "." .. name] = true
            end
        end
        assert.same(there, (declared()))
    end)

    it("has a line for each parameter", function()
        local _, parameters, documented = declared()
        assert.same(parameters, documented)
    end)

    it("is neither installed nor embedded", function()
        local pipe = assert(io.popen("make -s -n install DESTDIR=/nowhere 2>&1"))
        local commands = pipe:read("*a")
        pipe:close()
        assert.truthy(commands:find("lua/moontide/dstream.lua", 1, true))
        assert.is_nil(commands:find("_meta", 1, true))
        assert.is_nil(package.preload["moontide._meta.core"])
    end)
end)

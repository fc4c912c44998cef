--- Moontide: live data cut in small batches, each batch a dataset, the same functional operators on every batch.
---
---     local moontide = require "moontide"
---
---     local ssc = moontide.StreamingContext("local[2]", "NetworkWordCount", moontide.seconds(1))
---     local words = ssc:socketTextStream("localhost", 9999):flatMap(function(line) return line:gmatch("%S+") end)
---     local counts = words:map(function(word) return word, 1 end):reduceByKey(function(a, b) return a + b end)
---     counts:print()
---     ssc:start()
---     ssc:awaitTermination()
---
--- Workers load this module too, when a function uses it (moontide.null, moontide.seconds): what belongs to the driver is
--- loaded when it is used.

require "moontide.base.interpreter"
require "moontide.base.jit_fixes"
local check = require "moontide.base.check"
local duration = require "moontide.base.duration"
local values = require "moontide.base.values"

---@class moontide
---@field Context moontide.ContextConstructor
---@field StreamingContext moontide.StreamingContextConstructor
---@field StateSpec moontide.StateSpecs
---@field Partitioner fun(n: integer, f: (fun(key: any): integer)?, id: (string|number)?): moontide.Partitioner
---@field StorageLevel moontide.StorageLevels
---@field testing moontide.testing
---@field StatsReportListener fun(numBatches: integer?, write: fun(line: string)?): moontide.StreamingListener
---@field version string
local moontide = {}

---@class moontide.ContextConstructor
---@overload fun(master: string, appName: string?): moontide.Context
---@overload fun(options: { master: string?, appName: string?, conf: table? }): moontide.Context

---@class moontide.StreamingContextConstructor
---@field getOrCreate fun(directory: string, create: fun(): moontide.StreamingContext): moontide.StreamingContext
---@field getActive fun(): moontide.StreamingContext?
---@field getActiveOrCreate fun(create: fun(): moontide.StreamingContext): moontide.StreamingContext
---@overload fun(master: string, appName: string, batch: number|string): moontide.StreamingContext
---@overload fun(sc: moontide.Context, batch: number|string): moontide.StreamingContext
---@overload fun(options: table): moontide.StreamingContext

moontide.milliseconds = duration.milliseconds
moontide.seconds = duration.seconds
moontide.minutes = duration.minutes

--- An explicit null: a value where nil cannot be one (a record, a value of a pair).
---
---     sc:parallelize({ "1", "x" }):map(function(text) return tonumber(text) or moontide.null end):collect()
---         --> { 1, moontide.null }
---
--- It is the light userdata NULL, and so the same as `cjson.null`; cjson and dkjson both write it as null. `dkjson.null` becomes it
--- where a record is packed (for a shuffle, a cache, a state, a file, the driver), so compare with `moontide.null`:
--- `v == dkjson.null` is false from there on. Not in Spark, whose null it stands for.
moontide.null = values.null

--- Marks a table as an array, so that an empty one stays an empty array.
---
---     sc:parallelize({ "ebb" }):map(function(word) return word, moontide.array {} end):collect()  --> { { "ebb", {} } }
---
--- The metatables with which dkjson's decode marks arrays and objects say the same and are kept on empty tables. No other metatable
--- is part of a record: a table with one is refused. Not in Spark, whose lists are never taken for maps.
moontide.array = values.array

local loaders = {}

function loaders.Context()
    return require("moontide.context").constructor
end

function loaders.StreamingContext()
    return require("moontide.streaming").constructor
end

function loaders.Partitioner()
    return require("moontide.operators.partitioner").constructor
end

function loaders.StateSpec()
    return require("moontide.operators.state").specs
end

function loaders.StorageLevel()
    return require "moontide.base.storage_level"
end

function loaders.StatsReportListener()
    return require("moontide.driver.stats_report").new
end

function loaders.testing()
    return require "moontide.testing"
end

function loaders.version()
    return require("moontide.core").version
end

-- What workers have too; the rest needs the core.
local EVERYWHERE = { StorageLevel = true }

local names = check.names(loaders)
for name in pairs(moontide) do
    names[#names + 1] = name
end

return setmetatable(moontide, {
    __name = "moontide",
    __index = function(module, name)
        local load = loaders[name]
        if not load then
            check.fail("moontide has no '%s'%s", tostring(name), check.suggestion(tostring(name), names))
        end
        local current = package.loaded["moontide.worker.current"]
        if current and current.in_worker and not EVERYWHERE[name] then
            check.fail("moontide.%s belongs to the driver: a function given to an operator runs in a worker and gets records only; "
                .. "use it in the script, or in a function of transform or foreachRDD", name)
        end
        local value = load()
        rawset(module, name, value)
        return value
    end,
})

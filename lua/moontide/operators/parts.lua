--- Writing a dataset as a directory of parts: workers write them, one worker puts all of them in place (driver/save.lua says how).

local actions = require "moontide.operators.actions"
local errors = require "moontide.base.errors"
local operators = require "moontide.operators"
local save = require "moontide.driver.save"

local parts = {}

-- Runs a node whose partitions write their records somewhere and yield how many they were.
local function count_written(rdd, node)
    local sum = 0
    for _, n in ipairs(actions.collect(rdd.scope, node)) do
        sum = sum + n
    end
    return sum
end

-- The function of the operator that puts parts into place; it runs in a worker.
local function committer(it)
    local mark, done = require("moontide.worker.save").commit(it())
    return { mark, done }
end

local packed_committer -- made once: it is the same for all outputs

-- Has a worker commit what other workers have written. Returns nil, or why that failed.
local function commit(scope, saving, count, options)
    local name, site = options.name, options.site
    local task = scope.from_array(name, { save.commission(saving, count, options.gzip) }, 1, 1)
    packed_committer = packed_committer or operators.own("commit", committer)
    local node = operators.narrow(task, "mapPartitions", name, site, { fn = packed_committer })
    local result = actions.collect(scope, node, nil, name, site, true)
    if not result[2] then
        return result[1]
    end
    save.done(scope.state, saving, result[1])
end

--- How an output is written.
---@class moontide.SaveOptions
---@field name string operator, "saveAsTextFile"
---@field site string "job.lua:12"
---@field label string? put in front of what goes wrong with the directory
---@field fresh boolean? the directory must not be there
---@field skip_empty boolean? a dataset without records leaves no directory
---@field gzip boolean? the parts are called part-NNNNN.gz
---@field write fun(saving: moontide.Save): any, boolean? has the parts written; true when there was no record

--- Writes a directory of parts: all of it, or nothing. What fails is raised.
---@param scope table
---@param count integer how many parts there will be
---@param directory string
---@param options moontide.SaveOptions
---@return any what options.write gave first
function parts.write(scope, count, directory, options)
    local label = options.label and options.label .. ": " or ""
    local saving, reason = save.begin(scope.state, directory,
        { label = options.site .. ": " .. options.name, fresh = options.fresh })
    if not saving then
        error(errors.new("EIO", label .. reason), 0)
    end
    local ok, result, empty = pcall(options.write, saving)
    if ok and not empty then
        local written = result
        ok, result = pcall(commit, scope, saving, count, options)
        if ok and result == nil then
            return written
        end
        result = ok and errors.new("EIO", label .. result) or result
    end
    save.abort(saving)
    if not (ok and empty) then
        error(result, 0)
    end
end

--- Writes a dataset as files, see save.lua.
---@param rdd moontide.RDD
---@param directory string
---@param writer fun(saving: moontide.Save): userdata makes the node that writes parts to saving.temporary
---@param options moontide.SaveOptions without write
function parts.save(rdd, directory, writer, options)
    local function clear()
        local done, reason = save.clear(rdd.scope.state, directory)
        if not done then
            error(errors.new("EIO", options.label .. ": " .. reason), 0)
        end
    end
    options.label = options.site .. ": " .. options.name
    if options.skip_empty and actions.known_records(rdd) == 0 then
        return clear()
    end
    options.write = function(saving)
        local records = count_written(rdd, writer(saving))
        return records, options.skip_empty and records == 0
    end
    if not parts.write(rdd.scope, rdd.node:partitions(), directory, options) then
        clear()
    end
end

return parts

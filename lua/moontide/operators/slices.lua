--- DStream:slice: the datasets of past batches.

local check = require "moontide.base.check"
local errors = require "moontide.base.errors"
local handles = require "moontide.operators.handles"
local lifecycle = require "moontide.driver.lifecycle"

---@class moontide.DStream
local DStream = {}

local MOST_TIMES = 1000000

-- What a function of transform makes for a slice; raises what is wrong with it.
local function transformed(scope, transform, nodes, time)
    local rdds = {}
    for index, node in ipairs(nodes) do
        rdds[index] = scope.wrap_rdd(node)
    end
    local result = transform.run(rdds, time)
    if not scope.is_rdd(result) then
        error(errors.new("ECLOSURE", ("the function must return an RDD, got %s\n  in %s (%s), batch %.0f ms"):format(
            check.type_name(result), transform.name, transform.site, time), { time = time }), 0)
    end
    return result.node
end

-- A dataset can't be made: the slice fails, or leaves it out (onError = "skip").
local function fail(scope, err, time)
    local life = scope.life
    if not life.graph:sliceSkip() then
        error(err, 0)
    end
    lifecycle.fail(life, errors.is(err) and err or errors.new("ECLOSURE", errors.text(err), { time = time }))
end

-- Answers the functions of transform that a slice needs, until everything is there.
local function run_slice(scope)
    local life = scope.life
    local graph = life.graph
    while true do
        local status, found, nodes, time = graph:sliceStep()
        if status == "done" then
            return found
        elseif status then
            local ok, made = pcall(transformed, scope, life.transforms[found], nodes, time)
            if ok then
                graph:sliceAnswer(made)
            else
                fail(scope, made, time)
            end
        else
            fail(scope, errors.new(nodes or "EGENERATION", found, {}), 0)
        end
    end
end

-- A time, ms since the epoch; what is before it is taken for it.
local function time_argument(index, value)
    return math.max(0, check.integer(index, "slice", value, -2 ^ 53, 2 ^ 53))
end

--- The stream's datasets of all batches from `from` to `to`, both included; those that are not in memory are computed. In a
--- running context, from foreachRDD or the main script. ssc:remember(d) says how far back it can reach.
---
---     counts:foreachRDD(function(_, time)
---         for _, rdd in ipairs(counts:slice(time - 10000, time)) do
---             print(time, rdd:count())
---         end
---     end)
---
--- Errors: a context that is not started or is stopped, `from` after `to`, more than a million batches, datasets that were
--- dropped because no batch needs them (received data under a window), and what makes the computation fail. As in Spark 0.9.
---@param from number ms; rounded down to the stream's batch times
---@param to number ms; likewise
---@return moontide.RDD[] the oldest first; batches without a dataset are left out
function DStream:slice(from, to)
    check.self(self, handles.DStream, "slice")
    from, to = time_argument(1, from), time_argument(2, to)
    local scope = self.scope
    if scope.life.state == "STOPPED" then
        check.fail("'slice': the streaming context is stopped (stop was called)")
    elseif from > to then
        check.fail("'slice': the first time (%.0f ms) is after the last (%.0f ms)", from, to)
    elseif (to - from) / self.node:slide() > MOST_TIMES then
        check.fail("'slice': these are more than %d batches", MOST_TIMES)
    end
    local begun, reason = self.node:slice(from, to)
    if not begun then
        check.fail("'slice': %s", reason)
    end
    local ok, result = pcall(run_slice, scope)
    scope.life.graph:sliceEnd()
    if not ok then
        error(result, 0)
    end
    local datasets = {}
    for index, node in ipairs(result) do
        datasets[index] = scope.wrap_rdd(node)
    end
    return datasets
end

handles.add { DStream = DStream }

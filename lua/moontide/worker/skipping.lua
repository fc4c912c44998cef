--- The setting onError = "skip" for keyed state: a key whose function fails keeps its state, the failure is logged, and the batch
--- continues. Otherwise one bad record would fail this batch and, because states are made from one another, every later one.
local fast = require "moontide.wire.ffi"
local current = require "moontide.worker.current"
local failure = require "moontide.worker.failure"
local memory = require "moontide.base.memory"

local C = fast.C

local ERROR = C.TIDE_LOG_ERROR
local MOST = 10 -- failures logged one by one; the others are counted

local skipping = {}

--- What tells failures of one task: report(err, key).
---@param op table
---@param time number batch time
---@return fun(err: any, key: any) report
function skipping.reporter(op, time)
    local count = 0
    local where = ("%s (%s), batch %.0f ms"):format(op.name or op.kind, op.site or "?", time)
    table.insert(current.cleanup, function()
        if count > MOST then
            C.tide_log(ERROR, "state", "%s", ("%s: %d more keys kept their states"):format(where, count - MOST))
        end
    end)
    return function(err, key)
        memory.rethrow(err) -- no fault of the function
        count = count + 1
        if count > MOST then
            return
        end
        C.tide_log(ERROR, "state", "%s", ("%s\n  in %s\n  the key %s keeps the state it had"):format(tostring(err), where,
            failure.preview(key)))
    end
end

return skipping

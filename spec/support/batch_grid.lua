-- The arithmetic of the batch grid as Spark's Time and RecurringTimer have it, for the conformance cases about it. (The engine's is
-- host/clock/boundary.c.)

local batch_grid = {}

--- `time` rounded down to a multiple of `step`, counted from `zero`.
---
---     batch_grid.floor(1350, 200)      --> 1200
---     batch_grid.floor(1350, 200, 50)  --> 1250
---
---@param time number
---@param step number
---@param zero? number default 0
---@return number
function batch_grid.floor(time, step, zero)
    zero = zero or 0
    return zero + math.floor((time - zero) / step) * step
end

--- `time` rounded up to a multiple of `step`: how much of a stream must be remembered so that `time` is covered.
---
---     batch_grid.ceil(60000, 7000)  --> 63000
---
---@param time number
---@param step number
---@return number
function batch_grid.ceil(time, step)
    return math.ceil(time / step) * step
end

local function range(from, limit, step)
    if step <= 0 or step ~= step then
        error(("the step between two times must be longer than 0 ms, got %s"):format(tostring(step)))
    end
    local times = {}
    for time = from, limit, step do
        times[#times + 1] = time
    end
    return times
end

--- The times from `from` in steps of `step`, `limit` not included.
---@param from number
---@param limit number
---@param step number
---@return number[]
function batch_grid.until_(from, limit, step)
    local times = range(from, limit, step)
    if times[#times] == limit then
        times[#times] = nil
    end
    return times
end

--- The times from `from` in steps of `step`, `limit` included when it is one of them.
---@param from number
---@param limit number
---@param step number
---@return number[]
function batch_grid.to(from, limit, step)
    return range(from, limit, step)
end

--- Whether `ms` is a multiple of `step`.
---@param ms number
---@param step number
---@return boolean
function batch_grid.isMultipleOf(ms, step)
    return ms % step == 0
end

--- The first batch time strictly after `now`, on the grid counted from the epoch.
---@param now number
---@param period number
---@return number
function batch_grid.start_time(now, period)
    return (math.floor(now / period) + 1) * period
end

--- The first batch time strictly after `now`, on the grid counted from `zero`.
---@param now number
---@param period number
---@param zero number
---@return number
function batch_grid.restart_time(now, period, zero)
    return zero + (math.floor((now - zero) / period) + 1) * period
end

return batch_grid

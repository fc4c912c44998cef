--- Whether a stream keeps pace: batches that come later and later, and functions that do not return. Both are told in the log, at most
--- once a minute, with how often it was met since.
---
--- The delay of a batch is what the streams' clock says between its time and the end of its last output; how long it took is measured.
--- lifecycle.lua tells when outputs begin and end, loop.lua asks when to look again.

local pace = {}

local TOLD_EVERY = 60000 -- ms
local LATE_BATCHES = 2 -- a batch is late when it is done after so many of its intervals …
local LATE_LEAST = 1000 -- … and so many ms

--- How long a task may take before a message reports that it makes no progress, in ms.
pace.patience = 60000

local function core()
    return require "moontide.core"
end

local function warn(format, ...)
    core().log("warn", "pace", string.format(format, ...))
end

local function duration(ms)
    return ms < 1000 and ("%.0f ms"):format(ms) or ("%.1f s"):format(ms / 1000)
end

--- The state of one stream.
---@return table
function pace.new()
    return { batch = nil, took = 0, delay = 0, late = 0, slowest = nil, told = nil, stalled = 0, look_at = 0, stall_told = nil }
end

--- An output begins.
---@param life table
---@param task table with name, site and time
function pace.begin(life, task)
    local state = life.pace
    if state.batch ~= task.time then
        state.batch, state.took, state.slowest = task.time, 0, nil
    end
    task.began = core().monotonic()
end

-- The batch is late, and later than the one before.
local function tell_late(life, delay)
    local state, now = life.pace, life.graph:now()
    state.late = state.late + 1
    if state.told and now - state.told < TOLD_EVERY then
        return
    end
    state.told = now
    warn("batches of %s take %s; total delay %s and growing; slowest: %s%s", duration(life.batch), duration(state.took),
        duration(delay), state.slowest.text, state.late > 1 and (" (%d late batches so far)"):format(state.late) or "")
end

--- An output has ended.
---@param life table
---@param task table
function pace.finish(life, task)
    local state = life.pace
    local took = (core().monotonic() - task.began) * 1000
    if state.batch ~= task.time then
        return
    end
    state.took = state.took + took
    if not state.slowest or took > state.slowest.took then
        state.slowest = { took = took, text = ("%s (%s), %s"):format(task.name, task.site, duration(took)) }
    end
    local delay = life.graph:now() - task.time
    if delay > math.max(LATE_BATCHES * life.batch, LATE_LEAST) and delay > state.delay then
        tell_late(life, delay)
    end
    state.delay = delay
end

--- Tells tasks that stand still: called now and then while something runs.
---@param life table
---@return number? seconds after which to look again
function pace.look(life)
    if life.tasks == 0 then
        return nil
    end
    local state, now = life.pace, core().monotonic() * 1000
    if now < state.look_at then
        return (state.look_at - now) / 1000
    end
    state.look_at = now + pace.patience / 4
    for _, text in ipairs(life.context.engine:describe()) do
        local seconds = tonumber(text:match("for ([%d.]+) s$"))
        if seconds and seconds * 1000 >= pace.patience and not (state.stall_told and now - state.stall_told < TOLD_EVERY) then
            state.stalled, state.stall_told = state.stalled + 1, now
            warn("a task does not come to an end: %s%s", text, state.stalled > 1
                and (" (told %d times so far)"):format(state.stalled) or "; the setting task.timeout sets a limit")
        end
    end
    return pace.patience / 4000
end

return pace

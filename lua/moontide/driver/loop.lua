--- The driver loop of the script's thread. The core never calls into Lua: it queues events, and this loop turns the
--- engines, takes the events and runs what belongs to them. Functions of the script (foreachRDD, transform, listeners)
--- run as *tasks*, in coroutines of their own: an action inside suspends the task, never the loop.
---
--- The loop runs only while the script waits for something: an action's result, awaitTermination, stop.

local check = require "moontide.base.check"
local errors = require "moontide.base.errors"

local loop = {}

---@class moontide.Task
---@field kind "output"|"transform"|"listener"|"open"|"close"
---@field name string operator or callback, for messages
---@field site string? where the script registered it
---@field time number? batch time, ms
---@field stream table? state of the streaming context it belongs to
---@field co thread
---@field job userdata? what it waits for

local WAIT = {}          -- yielded together with the job to wait for
local BREATHE = {}       -- yielded by a task that only lets others have their turn
local SLICE = 0.005      -- seconds an engine may wait while another one is busy too

--- What takes the additions of tasks to accumulators: moontide.driver.shared sets it.
---@type fun(address: integer)
loop.merge_updates = nil

--- What lets go of broadcast variables that are held while an operator packs functions and hands them to the core: moontide.driver.shared
--- sets it.
---@type fun()
loop.let_go = nil

local engines = {}       -- open engine states, see context.lua: { engine=, streams={}, jobs=n, … }
local waiting = {}       -- job → task
local breathing = {}     -- tasks that go on after the next turn, in order
local current            -- the task that runs right now

-- Datasets and results hold blocks outside the Lua heap, which the collector does not see: a few small handles can keep
-- gigabytes. So the collector is run when blocks pile up.
local PILE = 32 * 1024 * 1024
local PERIOD = 1         -- seconds between collections while there is more than a PILE
local collected = { bytes = 0, at = 0 }

local function core()
    return require "moontide.core"
end

--- Takes part in the loop from now on. `state` has `engine`, `jobs` (how many are running), `streams` (a list of
--- streaming states with the functions `handle(event)`, `before_turn()`, `deadline()`, `overdue()` and `is_busy()`),
--- `before_turn()` and `on_signal(count)`.
---@param state table of an engine
function loop.add(state)
    engines[#engines + 1] = state
end

--- Takes part in the loop no longer.
---@param state table of an engine
function loop.remove(state)
    for index, other in ipairs(engines) do
        if other == state then
            table.remove(engines, index)
            return
        end
    end
end

--- The task that calls, or nil when the main script does.
---@return moontide.Task?
function loop.current()
    return current and coroutine.running() == current.co and current or nil
end

--- Frees datasets, results and broadcast variables that the script has let go. Called after each task and each action.
---@param rarely? boolean only when blocks have piled up to twice of what the last collection left
function loop.relieve(rarely)
    loop.let_go()
    local _, bytes = core().liveBlocks()
    if bytes < PILE then
        return
    end
    local now = core().monotonic()
    if bytes >= 2 * collected.bytes or not rarely and now - collected.at >= PERIOD then
        local ok, why = pcall(collectgarbage) -- what a finalizer of the script raises concerns nobody here
        if not ok and not collected.told then
            collected.told = true
            core().log("warn", "script", "a finalizer of the script failed: " .. tostring(why) .. "; further ones are not told")
        end
        _, collected.bytes = core().liveBlocks()
        collected.at = now
    end
end

--- Whether the caller runs below a task, also when it made coroutines of its own there.
---@return moontide.Task?
function loop.enclosing()
    return current
end

local function finish(task, ok, ...)
    if task.ended then
        return
    end
    task.ended = true
    if task.stream then
        task.stream.tasks = task.stream.tasks - 1
    end
    task.done(ok, ...)
end

local function handle_error(raised)
    return { raised = raised, traceback = debug.traceback("", 2):gsub("^\n", "") }
end

local function body(task, ...)
    return xpcall(task.fn, handle_error, ...)
end

-- A function of the script that did not return while a stop of its stream ran into its limit is to blame for that.
local function note_busy(task, since)
    local deadline = task.stream and task.stream.deadline()
    local now = deadline and core().monotonic()
    if deadline and since < deadline and deadline <= now then
        task.stream.held_up_by = { task = task, seconds = now - since }
    end
end

local function resume(task, ...)
    local outer, since = current, core().monotonic()
    current = task
    -- `first`: WAIT, or whether the function succeeded; `second`: the job, its result, or its failure.
    local alive, first, second = coroutine.resume(task.co, ...)
    current = outer
    note_busy(task, since)
    loop.relieve()
    if not alive then
        finish(task, false, first, debug.traceback(task.co))
    elseif coroutine.status(task.co) == "dead" then
        if first then
            finish(task, true, second)
        else
            finish(task, false, second.raised, second.traceback)
        end
    elseif first == WAIT then
        task.job = second
        waiting[second] = task
    elseif first == BREATHE then
        breathing[#breathing + 1] = task
    else
        finish(task, false, ("the function of %s yielded: coroutine.yield has nowhere to go there"):format(
            task.name), debug.traceback(task.co))
    end
end

--- Runs `task.fn(...)` as a task. `task.done(ok, value or error, traceback)` is called when it has ended.
---@param task table
---@param ... any arguments of `task.fn`
function loop.start(task, ...)
    task.co = coroutine.create(body)
    if task.stream then
        task.stream.tasks = task.stream.tasks + 1
    end
    resume(task, task, ...)
end

-- Tasks that have let others have their turn go on. One of them may run the loop in turn, and the others in it.
local function go_on()
    for _ = 1, #breathing do
        local task = table.remove(breathing, 1)
        if task and not task.ended then
            resume(task)
        end
    end
end

--- Abandons a task that waits: its function is never continued.
---@param task moontide.Task
function loop.abandon(task)
    if task.job then
        waiting[task.job] = nil
        task.job = nil
    end
    if not task.ended then
        task.ended = true
        task.stream.tasks = task.stream.tasks - 1
    end
end

--- Tasks of a streaming state that wait for a job, or for their next turn.
---@param stream table streaming state
---@return moontide.Task[]
function loop.waiting_tasks(stream)
    local found = {}
    for _, task in ipairs(breathing) do
        if task.stream == stream and not task.ended then
            found[#found + 1] = task
        end
    end
    for _, task in pairs(waiting) do
        if task.stream == stream then
            found[#found + 1] = task
        end
    end
    return found
end

local function dispatch(state, event)
    if event.kind == "job" then
        state.jobs = state.jobs - 1
        local task = waiting[event.job]
        if task then
            waiting[event.job], task.job = nil, nil
            resume(task)
        end
    elseif event.kind == "updates" then
        loop.merge_updates(event.block)
    elseif event.kind == "signal" then
        -- Every engine that watches signals reports the same one.
        for _, other in ipairs({ unpack(engines) }) do
            other.on_signal(event.count)
        end
    else
        for _, stream in ipairs(state.streams) do
            if stream.graph == event.graph then
                stream.handle(event)
                return
            end
        end
    end
end

-- Whether a stop has run into its limit: the functions of what is queued must not hold that up.
local function is_overdue()
    for _, state in ipairs(engines) do
        for _, stream in ipairs(state.streams) do
            local deadline = stream.deadline()
            if deadline and deadline <= core().monotonic() then
                return true
            end
        end
    end
    return false
end

-- Handles what is queued, engine by engine. Handling an event may open or close engines.
local function drain()
    local progress
    repeat
        progress = false
        for _, state in ipairs({ unpack(engines) }) do
            local event = not state.closed and state.engine:poll()
            if event then
                progress = true
                dispatch(state, event)
            end
        end
    until not progress or is_overdue()
end

local function is_busy(state)
    if state.jobs > 0 then
        return true
    end
    for _, stream in ipairs(state.streams) do
        if stream.is_busy() then
            return true
        end
    end
    return false
end

-- Before the engines turn: what the script queued meanwhile goes in, and stops that take too long are broken off.
-- Returns the seconds until the next such deadline, or nil.
local function prepare(now)
    local nearest
    for _, state in ipairs({ unpack(engines) }) do
        state.before_turn()
        for _, stream in ipairs({ unpack(state.streams) }) do
            stream.before_turn()
            local deadline = stream.deadline()
            if deadline and deadline <= now then
                stream.overdue()
                deadline = stream.deadline()
            end
            if deadline and (not nearest or deadline < nearest) then
                nearest = deadline
            end
            local again = stream.look()
            if again and (not nearest or now + again < nearest) then
                nearest = now + again
            end
        end
    end
    return nearest and math.max(0, nearest - now)
end

local function turn(seconds)
    local busy = {}
    for _, state in ipairs(engines) do
        if is_busy(state) then
            busy[#busy + 1] = state
        end
    end
    if #busy == 0 then
        busy[1] = engines[1]
    end
    if #busy > 1 then
        seconds = math.min(seconds or SLICE, SLICE)
    end
    local ready = 0
    for index = #busy, 1, -1 do
        local state = busy[index]
        if not state.closed then
            local wait = (index > 1 or ready > 0) and 0 or seconds and math.ceil(seconds * 1000) or -1
            ready = ready + state.engine:turn(wait)
        end
    end
end

--- Runs the loop until `done()` is true.
---@param done fun(): boolean
---@param timeout? number ms
---@return boolean done false when the time has passed
function loop.run_until(done, timeout)
    local monotonic = core().monotonic
    local limit = timeout and monotonic() + timeout / 1000
    while true do
        drain()
        if done() then
            return true
        end
        go_on()
        if done() then
            return true
        end
        local now = monotonic()
        if limit and now >= limit then
            return false
        end
        local wait = prepare(now)
        if done() then
            return true
        end
        if limit then
            wait = math.min(wait or math.huge, limit - now)
        end
        if #engines == 0 then
            check.fail("nothing to wait for: every context is stopped")
        end
        turn(#breathing > 0 and 0 or wait)
    end
end

--- Lets events, ticks and other tasks have their turn, when a task calls that is at work for long: it goes on after that. Does nothing in
--- the main script, and in a function that cannot be suspended.
function loop.breathe()
    if loop.current() and coroutine.isyieldable() then
        coroutine.yield(BREATHE)
    end
end

--- Waits for a job: the calling task is suspended, the main script runs the loop. The same happens in a function that
--- cannot be suspended (a comparison called by table.sort, a coroutine of the script's own).
---@param state table engine state
---@param job userdata
function loop.wait(state, job)
    local task = loop.current()
    if task and coroutine.isyieldable() then
        coroutine.yield(WAIT, job)
    else
        -- A compiled loop keeps the upvalues it was compiled with alive, so the job, whose result may be large, is dropped.
        local awaited = { job = job }
        loop.run_until(function()
            return awaited.job:ended() or state.closed
        end)
        awaited.job = nil
        loop.relieve(true)
    end
    if state.closed then
        error(errors.new("ECLOSED", "the context was stopped while a result was waited for"), 0)
    end
end

--- Open engine states, newest last.
---@return table[] engine states
function loop.engines()
    return { unpack(engines) }
end

return loop

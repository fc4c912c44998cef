--- What saveTo writes to: the life of sinks beside that of their streaming context.
---
---     start()    open(name), lastCommitted()   of every sink; what fails here fails start(), and nothing has happened
---     a batch    write(rdd, time)              later than all that is stored; a batch that is stored already is passed over
---     the end    close()                       once, of every sink that was opened
---
--- After a write that failed, or was broken off, nobody knows whether its batch is stored. So the sink is asked for
--- lastCommitted() again before it gets another batch.
---
--- The methods run in coroutines of the driver (driver/loop.lua), so they may wait for actions.

local check = require "moontide.base.check"
local errors = require "moontide.base.errors"
local loop = require "moontide.driver.loop"

local save_to = {}

---@class moontide.SinkOutput one saveTo
---@field sink moontide.Sink
---@field stream integer number of the stream
---@field sink_name string what the sink stores batches under
---@field by_position boolean nobody has chosen that name
---@field site string "job.lua:12"
---@field is_open boolean
---@field stored number? time of the last batch that the sink has, ms
---@field in_doubt number? time of a batch that the sink may have or not
---@field told boolean the log has been told that batches are passed over

local function log(level, output, format, ...)
    require("moontide.core").log(level, "streaming", ("saveTo '%s' (%s): "):format(output.sink_name, output.site) .. format:format(...))
end

local function failed(output, method, reason)
    return ("the sink of '%s' failed in %s: %s"):format(output.sink_name, method, reason)
end

local function with_traceback(raised)
    return { raised = raised, traceback = errors.is(raised) and "" or errors.trim_traceback((debug.traceback("", 2):gsub("^\n", ""))) }
end

-- Calls a method of the sink. Returns what it returned; or nil and an error value.
local function ask(output, method, ...)
    local sink = output.sink
    local ok, value, reason = xpcall(function(...)
        return sink[method](sink, ...)
    end, with_traceback, ...)
    if ok and value then
        return value
    elseif ok and method == "lastCommitted" and value == nil and reason == nil then
        return nil
    end
    local failure = reason
    if not ok then
        failure = value.raised
    elseif reason == nil then
        failure = ("it returned %s and no reason (true means that it is done)"):format(tostring(value))
    end
    local text = failed(output, method, errors.text(failure))
    return nil, errors.new(errors.is(failure) and failure.code or not ok and "ECLOSURE" or "EIO",
        errors.join(text, not ok and value.traceback or ""), { cause = failure })
end

-- Asks the sink what it has. nil and an error when it does not say.
local function ask_stored(output)
    local time, err = ask(output, "lastCommitted")
    if err then
        return nil, err
    end
    if type(time) == "cdata" then
        time = tonumber(time)
    end
    local reason = time ~= nil and check.not_integer(time, 0, 2 ^ 53)
    if reason then
        return nil, errors.new("EINVAL", failed(output, "lastCommitted", "the time of a batch in ms, or nil for none: " .. reason))
    end
    output.stored = time
    return true
end

--- Writes a batch, unless the sink has it already. Raises what fails.
---@param output moontide.SinkOutput
---@param rdd moontide.RDD
---@param time number ms
function save_to.write(output, rdd, time)
    if output.in_doubt then
        local known, err = ask_stored(output)
        if not known then
            error(err, 0)
        end
        if output.stored and output.stored >= output.in_doubt then
            log("info", output, "the sink has stored the batch of %.0f ms, though its write did not say so", output.in_doubt)
        end
        output.in_doubt = nil
    end
    if output.stored and time <= output.stored then
        if not output.told then
            output.told = true
            log("info", output, "the sink has the batches up to %.0f ms already; they are passed over", output.stored)
        end
        return
    end
    output.in_doubt = time
    local done, err = ask(output, "write", rdd, time)
    if not done then
        error(err, 0)
    end
    output.stored, output.in_doubt = time, nil
end

local function close(output)
    output.is_open = false
    return ask(output, "close")
end

-- Opens the sinks in the order of the script. On failure those that are open are closed again; returns the reason.
local function open_all(life)
    local now, failure = life.graph:now(), nil
    for _, output in ipairs(life.sinks) do
        local done, err = ask(output, "open", output.sink_name)
        if done then
            output.is_open, output.in_doubt, output.told = true, nil, false
            done, err = ask_stored(output)
        end
        if not done then
            failure = ("%s\n  in saveTo (%s)"):format(err.message, output.site)
            break
        end
        if output.stored and output.stored > now then
            output.told = true
            log("warn", output, "the sink has batches up to %.0f ms, which is %.0f ms ahead of the clock: batches up to there are "
                .. "passed over", output.stored, output.stored - now)
        end
    end
    return failure
end

local function close_all(life)
    for _, output in ipairs(life.sinks) do
        if output.is_open then
            local closed, err = close(output)
            if not closed then
                log("error", output, "%s", err.message)
                life.incomplete = life.incomplete
                    or errors.new(err.code, ("%s\n  in saveTo (%s)"):format(err.message, output.site), { cause = err.cause })
            end
        end
    end
end

--- Opens the sinks of a context that is about to start, and waits for that.
---@param life table see lifecycle.lua
---@return string? failure why it cannot start; then no sink is open
function save_to.open(life)
    if #life.sinks == 0 then
        return nil
    end
    local task = { kind = "open", stream = life, name = "start", site = check.site() }
    local ended, failure = false, nil
    function task.fn()
        local reason = open_all(life)
        if reason or life.state ~= "INITIALIZED" then
            close_all(life)
        end
        return reason
    end
    function task.done(ok, result)
        ended, failure = true, result
        if not ok then
            failure = errors.text(result)
        end
    end
    life.opening = true
    loop.start(task)
    loop.run_until(function() return ended or life.state ~= "INITIALIZED" end)
    life.opening = false
    if failure and life.state == "INITIALIZED" then
        life.incomplete = nil -- a sink that could not be closed: the log has told it, a later stop() is not concerned
    end
    return failure or life.state ~= "INITIALIZED" and "the streaming context was stopped while its sinks were opened" or nil
end

--- Closes the sinks that are open, in a task of its own. `done()` is called at its end.
---@param life table
---@param done fun()
function save_to.close(life, done)
    local any = false
    for _, output in ipairs(life.sinks) do
        any = any or output.is_open
    end
    if not any or life.closing_sinks then
        return
    end
    life.closing_sinks = true
    loop.start({
        kind = "close", stream = life, name = "close", site = life.start_site,
        fn = function() close_all(life) end,
        done = function()
            life.closing_sinks = false
            done()
        end,
    })
end

--- Closes the sinks of a context that cannot start after all, and waits for that. Failures are told by the log.
---@param life table
function save_to.close_again(life)
    life.opening = true
    save_to.close(life, function() end)
    loop.run_until(function() return not life.closing_sinks or life.state ~= "INITIALIZED" end)
    life.opening = false
    if life.state == "INITIALIZED" then
        life.incomplete = nil
    end
end

return save_to

-- The cases of kind `error` that are told in prose: each form of words is turned into a small program against the
-- public door, which has to fail at the moment the case names, with a message.
--
-- Durations, method names and states are read out of the words. A form of words that is not known here is reported
-- as missing, with its text.

local situations = {}

local batch_default = 1000

local function library()
    return require "moontide"
end

-- Contexts made for one situation; all are stopped when it has ended.
local opened = {}

local function new_context(batch)
    local ssc = library().StreamingContext("local[1]", "conformance", batch or batch_default)
    opened[#opened + 1] = ssc
    return ssc, ssc:queueStream { { 1, 2, 3 } }
end

local function close_all()
    for _, ssc in ipairs(opened) do
        pcall(ssc.stop, ssc, true, false)
    end
    opened = {}
end

local function identity(x)
    return x
end

local function first(a)
    return a
end

-- Runs `fn`; the text of the error it raised, or of the operational error it returned as `nil, err`.
local function failure_of(fn, ...)
    local results = { pcall(fn, ...) }
    if not results[1] then
        return tostring(results[2])
    elseif results[2] == nil and results[3] ~= nil then
        return tostring(results[3])
    end
    return nil
end

-- How the library refuses what it does not have yet, and what it does not know at all.
local function is_missing(text)
    return type(text) == "string" and (text:find("not part of this release", 1, true) ~= nil
        or text:find("has no method", 1, true) ~= nil or text:find("in this release", 1, true) ~= nil)
end

local function ms(number, unit)
    return tonumber(number) * (unit == "ms" and 1 or unit == "s" and 1000 or 60000)
end

local function durations_in(text)
    local list = {}
    for number, unit in text:gmatch("([%d%.]+) (m?s)%f[%A]") do
        list[#list + 1] = ms(number, unit)
    end
    return list
end

-- Arguments that make a method's call right but for what the situation is about.
local function arguments_of(method, ssc)
    local own = {
        map = { identity }, flatMap = { identity }, filter = { identity }, mapPartitions = { identity },
        reduce = { first }, transform = { identity }, foreachRDD = { identity }, mapValues = { identity },
        reduceByKey = { first }, repartition = { 2 }, print = {}, count = {}, countByValue = {}, glom = {},
        groupByKey = {}, window = { batch_default * 2, batch_default }, updateStateByKey = { first },
        countByWindow = { batch_default * 2, batch_default },
        countByValueAndWindow = { batch_default * 2, batch_default },
        reduceByWindow = { first, first, batch_default * 2, batch_default },
        reduceByKeyAndWindow = { first, first, batch_default * 2, batch_default },
        socketTextStream = { "localhost", 9 }, queueStream = { {} },
    }
    if method == "union" or method:find("[Jj]oin") or method == "cogroup" then
        return { (select(2, new_context())) }
    elseif method == "transformWith" then
        return { (select(2, new_context())), first }
    elseif method == "mapWithState" then
        return { library().StateSpec.func(first) }
    end
    return own[method] or error("no arguments known for " .. method .. " of " .. tostring(ssc), 0)
end

local function stream_has(stream, method)
    return (pcall(function() return stream[method] end))
end

local function bring_to(state, ssc, stream)
    stream:print()
    if state == "active" then
        ssc:start()
    end
    if state == "stopped" then
        ssc:stop(true, false)
    end
end

-- { pattern of the situation, function(case, captures...) → text of the error or nil }
local forms = {}

local function form(pattern, fn)
    forms[#forms + 1] = { pattern = pattern, fn = fn }
end

form("^([%w]+)[%(%)%.]* on an existing stream of an? (%a+) context", function(_, method, state)
    local ssc, stream = new_context()
    bring_to(state, ssc, stream)
    return failure_of(function() return stream[method](stream, unpack(arguments_of(method, ssc))) end)
end)

form("^creating an input stream on an? (%a+) context", function(_, state)
    local ssc, stream = new_context()
    bring_to(state, ssc, stream)
    return failure_of(ssc.queueStream, ssc, { { 1 } })
        and failure_of(ssc.socketTextStream, ssc, "localhost", 9)
end)

form("^start%(%) on a context that was stopped", function()
    local ssc, stream = new_context()
    stream:print()
    ssc:stop(true, false)
    return failure_of(ssc.start, ssc)
end)

form("^start.* no output", function()
    local ssc = new_context()
    return failure_of(ssc.start, ssc)
end)

form("([%w]+) function throws", function(case, method)
    local ssc, stream = new_context(20)
    local message = "thrown by the function of " .. method
    local function throw()
        error(message)
    end
    if method == "output" or not stream_has(stream, method) then
        method = "foreachRDD"
    end
    message = "thrown by the function of " .. method
    if method == "foreachRDD" then
        stream:foreachRDD(throw)
    else
        stream[method](stream, throw):print()
    end
    ssc:start()
    local text = failure_of(ssc.awaitTermination, ssc)
    if text and not text:find(message, 1, true) then
        return nil, case.error .. " expected, got: " .. text
    end
    return text
end)

-- window(3 s) on 2 s batches; reduceByKeyAndWindow(f, inv, 3 s, 2 s) on 2 s batches
form("^([%w]+)%((.*)%) on a?n? ?([%d%.]+) (m?s) ?%a*", function(_, method, arguments, number, unit)
    local ssc = library().StreamingContext("local[1]", "conformance", ms(number, unit))
    opened[#opened + 1] = ssc
    local stream = ssc:queueStream { {} }
    local list = {}
    if method:find("^reduce") then
        list[1] = first
        list[2] = arguments:find("inv") and first or nil
    end
    for _, length in ipairs(durations_in(arguments)) do
        list[#list + 1] = length
    end
    return failure_of(function() return stream[method](stream, unpack(list)) end)
end)

form("^(%w+)[^%.]- used by an output, no checkpoint directory", function(_, method)
    local ssc, stream = new_context()
    local text = failure_of(function()
        stream = stream:map(function(x) return x, 1 end)
        return stream[method](stream, unpack(arguments_of(method, ssc))):print()
    end)
    return text or failure_of(ssc.start, ssc)
end)

form("checkpoint%(([%d%.]+) (m?s)%).* no checkpoint directory", function(_, number, unit)
    local ssc, stream = new_context()
    local text = failure_of(function()
        return stream:map(identity):checkpoint(ms(number, unit)):print()
    end)
    return text or failure_of(ssc.start, ssc)
end)

form("^stream%.checkpoint%(([%d%.]+) (m?s)%) on a ([%d%.]+) (m?s) stream", function(_, number, unit, batch, of)
    local ssc, stream = new_context(ms(batch, of))
    local text = failure_of(function()
        ssc:checkpoint(os.tmpname() .. ".d")
        return stream:map(identity):checkpoint(ms(number, unit)):print()
    end)
    return text or failure_of(ssc.start, ssc)
end)

form("^window%(.-%)%.checkpoint%(([%d%.]+) (m?s)%), checkpoint directory set", function(_, number, unit)
    local ssc, stream = new_context()
    local text = failure_of(function()
        ssc:checkpoint(os.tmpname() .. ".d")
        return stream:window(2 * batch_default):checkpoint(ms(number, unit)):print()
    end)
    return text or failure_of(ssc.start, ssc)
end)

form("^stream%.checkpoint%(%a*%) after start", function()
    local ssc, stream = new_context()
    bring_to("active", ssc, stream)
    return failure_of(function() return stream:checkpoint(10 * batch_default) end)
end)

form("^ctx%.(%w+) of an empty list", function(_, method)
    local ssc = new_context()
    return failure_of(function() return ssc[method](ssc, {}, first) end)
end)

form("^([%w/]+) of streams with different slides", function(_, methods)
    local text
    for method in methods:gmatch("%w+") do
        local _, stream = new_context()
        text = failure_of(function()
            local slower = stream:window(2 * batch_default, 2 * batch_default)
            return stream[method](stream, slower, method == "transformWith" and first or nil)
        end)
        if not text or is_missing(text) then
            return text
        end
    end
    return text
end)

form("^([%w/]+) of streams of different contexts", function(_, methods)
    local text
    for method in methods:gmatch("%w+") do
        local _, stream = new_context()
        local _, other = new_context()
        text = failure_of(function()
            return stream[method](stream, other, method == "transformWith" and first or nil)
        end)
        if not text then
            return nil
        end
    end
    return text
end)

form("^recreate a context from a directory that does not exist", function()
    return failure_of(library().StreamingContext, os.tmpname() .. ".none")
end)

form("^stop%(%) called from inside a listener", function()
    local ssc, stream = new_context(20)
    local text, called
    ssc:addStreamingListener {
        onBatchCompleted = function()
            if not called then
                called = true
                text = failure_of(ssc.stop, ssc)
            end
        end,
    }
    stream:foreachRDD(function() end)
    ssc:start()
    while not called and not ssc:awaitTerminationOrTimeout(20) do end
    return text
end)

form("^remember.* twice", function()
    local ssc = new_context()
    ssc:remember(10 * batch_default)
    return failure_of(ssc.remember, ssc, 20 * batch_default)
end)

form("^checkpoint dir set and an output function captures something that cannot be serialized", function()
    local ssc, stream = new_context()
    ssc:checkpoint(os.tmpname() .. ".d")
    local file = io.tmpfile()
    stream:foreachRDD(function(rdd) file:write(tostring(rdd)) end)
    local text = failure_of(ssc.start, ssc)
    if library().StreamingContext.getActive() then
        return nil, "the context is active"
    end
    return text
end)

form("^PIDRateEstimator%((.*)%)", function(case)
    return failure_of(require("moontide.driver.rate_estimator").pid, unpack(case.args))
end)

form("^slice", function()
    local ssc, stream = new_context()
    stream:print()
    return failure_of(function() return stream:slice(0, 1000) end) or failure_of(ssc.start, ssc)
end)

form("second.*active", function()
    local ssc, stream = new_context()
    bring_to("active", ssc, stream)
    -- A process may have several engines here; the rule holds for each.
    local other = library().StreamingContext(ssc.sc, batch_default)
    other:queueStream({}):print()
    return failure_of(other.start, other)
end)

form("^(%w+)%(?%)? after start", function(_, method)
    local ssc, stream = new_context()
    bring_to("active", ssc, stream)
    if method == "remember" then
        return failure_of(ssc.remember, ssc, 10 * batch_default)
    end
    return failure_of(function() return stream[method](stream, method == "checkpoint" and 10 * batch_default or nil) end)
end)

form("transform.* returns n[ui]ll", function()
    local ssc, stream = new_context(20)
    stream:transform(function() return nil end):print()
    ssc:start()
    return failure_of(ssc.awaitTermination, ssc)
end)

form("closure captures", function()
    local ssc, stream = new_context()
    return failure_of(function() return stream:map(function() return ssc:getState() end) end)
        and failure_of(function() return stream:map(function() return tostring(stream) end) end)
end)

--- Checks what a case says about the message: "whose message contains 'start'".
---@param case table
---@param text string the message we gave
---@return "passed"|"failed" status
---@return string? reason
function situations.check_message(case, text)
    local word = case.error:match("message contains '(.-)'")
    if word and not text:lower():find(word:lower(), 1, true) then
        return "failed", string.format("the message should contain '%s': %s", word, text)
    elseif not text:find("%a") then
        return "failed", "the error has no message"
    end
    return "passed"
end

-- Situations of what Moontide does not have.
local ABSENT = {
    { "recover", "checkpoint recovery" },
    { "writeAheadLog", "the journal of received data" },
    { "numRecords", "inputs whose records a script counts and reports by itself: the core counts the records of every block" },
}

--- Runs the situation of a case.
---@param case table
---@return "passed"|"failed"|"missing" status
---@return string? reason
function situations.run(case)
    for _, each in ipairs(forms) do
        local captures = { case.situation:match(each.pattern) }
        if captures[1] then
            local ok, text, problem = pcall(each.fn, case, unpack(captures))
            close_all()
            if is_missing(text) then
                return "missing", (text:gsub("^[^:]+%.lua:%d+: ", ""))
            elseif not ok then
                return "failed", tostring(text)
            elseif not text then
                return "failed", problem or "expected " .. case.error .. ", but nothing failed"
            end
            return situations.check_message(case, text)
        end
    end
    for _, absent in ipairs(ABSENT) do
        if case.situation:find(absent[1]) then
            return "missing", "not part of this release: " .. absent[2]
        end
    end
    return "missing", "this situation is not written down as a program: " .. case.situation
end

--- A streaming context whose clock the caller moves. The public door has a manual clock in moontide.testing only,
--- which starts at 0: this goes one level deeper.
---@param period number batch interval, ms
---@param start number first reading of the clock, ms
---@param on_batch fun(time: number, rdd: table) called for each batch
---@param define? fun(ssc: table): table the stream that on_batch gets, default one of empty batches
---@return { advance: fun(ms: number), stop: fun() }
function situations.manual_clock(period, start, on_batch, define)
    local loop = require "moontide.driver.loop"
    local sc = library().Context("local[1]", "conformance")
    local ssc = require("moontide.streaming").create(sc, period, { clock = "manual", start = start })
    local stream = define and define(ssc) or ssc:queueStream({})
    stream:foreachRDD(function(rdd, time) on_batch(time, rdd) end)
    ssc:start()
    local life = ssc.life
    return {
        advance = function(by)
            life.graph:advance(by)
            loop.run_until(function()
                return life.state == "STOPPED" or life.tasks == 0 and life.graph:idle()
            end)
        end,
        stop = function() sc:stop() end,
    }
end

return situations

--- The settings of an engine: the one list, and reading them from a table, from the command line or from the environment.
---
---     moontide.Context{ master = "local[2]", conf = { onError = "skip", ["socket.maxLine"] = "64kb" } }
---     moontide run --conf onError=skip --conf socket.maxLine=64kb job.lua
---     MOONTIDE_ON_ERROR=skip MOONTIDE_SOCKET_MAX_LINE=64kb moontide run job.lua
---     moontide help conf
---
--- The command line goes before the script, the script before the environment, and that before the default. A key that is not
--- in the list is refused with the nearest valid one; in the environment, which others fill too, only one that misses a setting by a
--- slip is refused, and others are a warning.

local check = require "moontide.base.check"
local duration = require "moontide.base.duration"
local number_text = require "moontide.base.number_text"

local conf = {}

---@class moontide.ConfOption
---@field key string
---@field type "text"|"integer"|"boolean"|"duration"|"bytes"|"choice"
---@field default any nil: see `shown`
---@field shown string? how the default is described when it is computed
---@field values string[]? of a choice
---@field min number?
---@field max number?
---@field unit string? what its number counts; durations and sizes know their own
---@field reason string what it is for, in one sentence

--- All settings, in the order in which help shows them.
---@type moontide.ConfOption[]
conf.options = {
    { key = "master", type = "text", shown = "local[*]",
      reason = "Where to run: local, local[N] (N worker threads) or local[*] (one for each core it may use)." },
    { key = "appName", type = "text", shown = "the script's name",
      reason = "Name of the application: sc.appName, and in the text form of contexts." },
    { key = "defaultParallelism", type = "integer", min = 1, max = check.MAX_PARTITIONS, shown = "the number of workers",
      unit = "partitions",
      reason = "Partitions of shuffles and of parallelize when the call does not say." },
    { key = "onError", type = "choice", values = { "stop", "skip" }, default = "stop",
      reason = "When a batch fails: stop after it and let awaitTermination raise the error, or report it and go on; then a dataset that "
        .. "has failed counts as no dataset: windows, states, unions and slices go on without it, a join has none." },
    { key = "task.maxFailures", type = "integer", min = 1, max = 1000, default = 1, unit = "failures",
      reason = "How often one task may fail before its job does; 2 means that it is tried once more, from its inputs." },
    { key = "task.timeout", type = "duration", min = 1, shown = "none",
      reason = "How long one task may take before its function is interrupted and the task fails, as by an error." },
    { key = "concurrentJobs", type = "integer", min = 1, max = 1000, default = 1, unit = "outputs",
      reason = "How many output operations run at a time; with more than one, batches overlap and may end in any order. "
        .. "A sink of saveTo gets its batches in order all the same." },
    { key = "gracefulStopTimeout", type = "duration", min = 1, shown = "10 batches, at least 10s",
      reason = "How long a graceful stop may take before what still runs is reported and broken off." },
    { key = "stopTimeout", type = "duration", min = 0, default = 2000,
      reason = "How long an immediate stop waits for running functions before it breaks them off." },
    { key = "stopContextByDefault", type = "boolean", default = true,
      reason = "Whether StreamingContext:stop() also stops the Context under it." },
    { key = "listener.maxEvents", type = "integer", min = 1, max = 10000000, default = 10000, unit = "events",
      reason = "Events that wait for listeners that are slower than the streams; further ones are dropped and counted." },
    { key = "random.seed", type = "integer", min = 0, max = 2 ^ 53, shown = "what math.randomseed got in the script, else drawn", unit = "seed",
      reason = "What the numbers of math.random in workers follow from: with the same seed and input they are the same again." },
    { key = "logLevel", type = "choice", values = { "debug", "info", "warn", "error", "off" }, default = "warn",
      reason = "Least important messages written to stderr." },
    { key = "memory.limit", type = "bytes", min = 1, max = 2 ^ 50, shown = "half of the memory, a container's if that is less",
      reason = "Kept data in memory (persist, windows, states, shuffles) before the least recently used goes to disk." },
    { key = "spill.directory", type = "text", shown = "$TMPDIR or /var/tmp",
      reason = "Where kept data goes that has no room in memory; its files have no names and end with the process." },
    { key = "save.sync", type = "boolean", default = true,
      reason = "Whether files of saveAs… and checkpoints are made durable (fsync) before _SUCCESS; without it a power cut may lose them." },
    { key = "socket.maxLine", type = "bytes", min = 1, max = 2 ^ 30, default = 1048576,
      reason = "Longest line taken from a socket; a longer one is reported and left out." },
    { key = "socket.reconnect", type = "duration", min = 1, default = 2000,
      reason = "Wait before a lost or refused connection is tried again." },
    { key = "socket.memory", type = "bytes", min = 65536, max = 2 ^ 50,
      shown = "what two batches took lately, at least 64mb, at most a quarter of memory.limit",
      reason = "Received data of unfinished batches, of all sources together, before they are read more slowly." },
    { key = "fileStream.minRemember", type = "duration", min = 1, default = 60000,
      reason = "How old a file may be, by its time of modification, when a file stream first sees it; files of that time are remembered." },
    { key = "fileStream.maxFiles", type = "integer", min = 1, max = 10000000, shown = "no limit", unit = "files",
      reason = "New files that one batch of a file stream takes; the others wait for the next ones." },
    { key = "fileStream.maxBytes", type = "bytes", min = 1, max = 2 ^ 53, shown = "no limit",
      reason = "Bytes of new files that one batch of a file stream takes, one file at least; the others wait for the next ones." },
}

local by_key, keys = {}, {}
for _, option in ipairs(conf.options) do
    by_key[option.key] = option
    keys[#keys + 1] = option.key
end

local BYTES = { [""] = 1, b = 1, kb = 1024, mb = 1024 ^ 2, gb = 1024 ^ 3 }

-- "spark.streaming.gracefulStopTimeout" → gracefulStopTimeout: names from Spark lead to ours.
local function propose(key)
    local last = key:match("^spark%.[%w%.]-([%w_]+)$")
    return check.suggestion(last or key, keys)
end

local function in_range(option, value, shown)
    if option.min and value < option.min or option.max and value > option.max then
        if not option.max then
            return nil, ("at least %s expected, got %s"):format(number_text(option.min), shown)
        end
        return nil, ("%s to %s expected, got %s"):format(number_text(option.min or 0), number_text(option.max), shown)
    end
    return value
end

local read = {}

function read.text(_, value)
    if type(value) ~= "string" or value == "" then
        return nil, "text expected, got " .. (value == "" and "an empty text" or check.type_name(value))
    end
    return value
end

function read.choice(option, value)
    for _, valid in ipairs(option.values) do
        if value == valid then
            return value
        end
    end
    return nil, ("one of %s expected, got %s%s"):format(table.concat(option.values, ", "),
        type(value) == "string" and "'" .. value .. "'" or check.type_name(value),
        type(value) == "string" and check.suggestion(value, option.values) or "")
end

function read.boolean(_, value, from_text)
    if from_text and (value == "true" or value == "false") then
        return value == "true"
    end
    if type(value) ~= "boolean" then
        return nil, "true or false expected, got " .. (from_text and "'" .. value .. "'" or check.type_name(value))
    end
    return value
end

function read.integer(option, value, from_text)
    local number = from_text and tonumber(value) or value
    local reason = check.not_integer(number, option.min, option.max)
    if reason then
        return nil, reason
    end
    return number
end

function read.duration(option, value, from_text)
    if from_text and tonumber(value) then
        value = tonumber(value)
    end
    local ms, reason = duration.parse(value)
    if not ms then
        return nil, reason
    end
    return in_range(option, ms, duration.text(ms))
end

function read.bytes(option, value)
    local count = value
    if type(value) == "string" then
        local number, unit = value:match("^%s*([%d%.]+)%s*(%a*)%s*$")
        local scale = unit and BYTES[unit:lower()]
        if not (scale and tonumber(number)) then
            return nil, ("size expected (like 1048576, \"64kb\", \"1mb\"), got '%s'"):format(value)
        end
        count = tonumber(number) * scale
    end
    local reason = check.not_integer(count, 0, 2 ^ 53)
    if reason then
        return nil, "size in bytes: " .. reason
    end
    return in_range(option, count, tostring(value))
end

--- Reads one setting.
---@param key string
---@param value any a Lua value, or with `from_text` what was written on the command line
---@param from_text? boolean
---@return any value nil when it is wrong
---@return string? reason
function conf.read(key, value, from_text)
    local option = type(key) == "string" and by_key[key]
    if not option then
        return nil, ("unknown setting '%s'%s (moontide help conf lists them)"):format(tostring(key),
            type(key) == "string" and propose(key) or "")
    end
    local result, reason = read[option.type](option, value, from_text)
    if result == nil then
        return nil, ("setting '%s': %s"):format(key, reason)
    end
    return result
end

--- Reads "key=value", as given to --conf.
---@param text string
---@return string? key nil when it is wrong
---@return any value or the reason
function conf.parse(text)
    local key, value = text:match("^%s*([^=%s]+)%s*=(.*)$")
    if not key then
        return nil, ("'%s' is not of the form key=value"):format(text)
    end
    local result, reason = conf.read(key, value, true)
    if result == nil then
        return nil, reason
    end
    return key, result
end

--- Checks a table of settings given by a script; a wrong one is an error at the caller's line.
---@param what string the function it was given to
---@param settings table?
---@return table<string, any> only what was given
function conf.check(what, settings)
    local result = {}
    if settings == nil then
        return result
    end
    if check.type_name(settings) ~= "table" then
        check.fail("%s: conf must be a table of settings, got %s", what, check.type_name(settings))
    end
    for key, value in pairs(settings) do
        local read_value, reason = conf.read(key, value)
        if read_value == nil then
            check.fail("%s: %s", what, reason)
        end
        result[key] = read_value
    end
    return result
end

--- The value of a setting: the given one or the default of the list.
---@param settings table<string, any>
---@param key string
---@return any
function conf.get(settings, key)
    local value = settings[key]
    if value == nil then
        return assert(by_key[key], key).default
    end
    return value
end

-- "task.maxFailures" → "MOONTIDE_TASK_MAX_FAILURES"
local function variable_of(key)
    return "MOONTIDE_" .. key:gsub("%.", "_"):gsub("(%l)(%u)", "%1_%2"):upper()
end

--- The environment variable of each setting.
---@type table<string, string>
conf.variables = {}

local key_of = {}
for _, key in ipairs(keys) do
    conf.variables[key] = variable_of(key)
    key_of[conf.variables[key]] = key
end

-- Variables of this project that are no settings: faults and memory stress for tests, and what `make test` tells the specs.
local OTHERS = {
    MOONTIDE_LARGE = true,
    MOONTIDE_FAULT = true, MOONTIDE_GCSTRESS = true, MOONTIDE_BIN = true, MOONTIDE_BUILD = true, MOONTIDE_SANITIZE = true,
    MOONTIDE_TAP = true,
}

-- The setting's variable that a name misses by a slip: a letter in eight, or where the underscores are.
local function nearly(name)
    local plain = name:gsub("_", "")
    for variable in pairs(key_of) do
        if check.distance(name, variable) <= math.max(1, math.floor((#variable - 9) / 8))
                or plain == variable:gsub("_", "") then
            return variable
        end
    end
end

--- Reads settings from environment variables. Orchestrators name variables after services: one called moontide gives
--- MOONTIDE_PORT, MOONTIDE_SERVICE_HOST and more, which are none of ours.
---@param variables table<string, string> all of the environment
---@return table<string, any>? settings nil when one is wrong, or a name misses a setting's by a slip
---@return string|string[] result the reason; else the names that begin like a setting's and are none, in order
function conf.from_environment(variables)
    local settings, unknown = {}, {}
    for _, name in ipairs(check.names(variables)) do
        local key = key_of[name]
        if key and variables[name] ~= "" then
            local value, reason = conf.read(key, variables[name], true)
            if value == nil then
                return nil, ("environment variable %s: %s"):format(name, reason)
            end
            settings[key] = value
        elseif not key and name:sub(1, 9) == "MOONTIDE_" and not OTHERS[name] then
            local near = nearly(name)
            if near then
                return nil, ("unknown environment variable %s; did you mean '%s'? (moontide help conf lists them)"):format(
                    name, near)
            end
            unknown[#unknown + 1] = name
        end
    end
    return settings, unknown
end

local function shown_default(option)
    if option.shown then
        return option.shown
    elseif option.type == "duration" then
        return option.default % 1000 == 0 and option.default / 1000 .. "s" or option.default .. "ms"
    elseif option.type == "bytes" then
        return option.default % 1048576 == 0 and option.default / 1048576 .. "mb" or tostring(option.default)
    end
    return tostring(option.default)
end

local KINDS = { text = "text", integer = "number", boolean = "true|false", duration = "duration", bytes = "size" }

--- The list for people, as `moontide help conf` prints it.
---@return string
function conf.describe()
    local lines = {}
    for _, option in ipairs(conf.options) do
        local kind = option.values and table.concat(option.values, "|") or KINDS[option.type]
        lines[#lines + 1] = ("  %-22s %s%s, default %s\n      %s\n      %s"):format(option.key, kind,
            option.unit and " of " .. option.unit or "", shown_default(option), option.reason, conf.variables[option.key])
    end
    return table.concat(lines, "\n")
end

return conf

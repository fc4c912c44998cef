--- Error values of operational failures: a job that failed, a batch that could not be generated, a file that cannot be
--- written. They carry what programs want to know, and wherever a script uses them as text they are their message: in `..` and
--- tostring, with the methods of strings, and in what files write (driver/error_writes.lua).
---
---     local ok, err = pcall(function() return rdd:count() end)
---     if not ok and err:find("timed out", 1, true) then io.stderr:write(err.operator, " at ", err.file, ": ", err, "\n") end

local check = require "moontide.base.check"
local memory = require "moontide.base.memory"
local preview = require "moontide.base.preview"

local errors = {}

---@class moontide.Error
---@field message string complete text, for people
---@field code string "ECLOSURE", "EIO", "ELIMIT", "ECANCELLED", "EGENERATION", "ETIMEOUT", "ESTATE" …
---@field traceback string? where in the script it was raised
---@field cause any the value that the script raised, when it was one of its functions that failed
---@field time number? batch time, ms
---@field operator string? name of the operator whose function failed
---@field file string? of the script, where it failed
---@field line integer? likewise
---@field partition integer? the partition it failed in, from 0
---@field record string? preview of the record it failed on
---@field key string? preview of its key, where it has one
local Error = {}
Error.__name = "moontide.Error"

local methods = {} -- those of strings, on the message

function Error.__index(_, name)
    local method = methods[name]
    if method == nil and type(string[name]) == "function" then
        method = function(self, ...)
            return string[name](tostring(self), ...)
        end
        methods[name] = method
    end
    return method
end

function Error:__tostring()
    return rawget(self, "message")
end

function Error.__concat(a, b)
    return tostring(a) .. tostring(b)
end

-- "key k, values v and w", and the pair ("k", v) or (7, v).
local function key_of(record)
    return record:match("^key (.-), value") or record:match("^key (.+)$") or record:match('^%((".-[^\\]"), ')
        or record:match('^%((""), ') or record:match("^%(([%-%w.+]+), ")
end

-- What the lines of a message say (lua/moontide/worker/failure.lua and lifecycle.lua write them).
local function read_fields(err)
    local message = err.message
    local file, line = message:match("^([^\n]-):(%d+): ")
    local operator, where = message:match("\n  in ([%w_]+) %b()([^\n]*)")
    where = where or message:match("\n  in ([^\n]*)") or ""
    local record = message:match("\n  record: ([^\n]*)")
    err.file, err.line, err.operator = err.file or file, err.line or tonumber(line), err.operator or operator
    err.time = err.time or tonumber(where:match("batch (%-?%d+) ms"))
    err.partition = tonumber(where:match("partition (%d+)"))
    err.record, err.key = record, record and key_of(record)
end

--- Makes an error value.
---@param code string
---@param message string
---@param fields? table traceback, cause, time
---@return moontide.Error
function errors.new(code, message, fields)
    local err = { code = code, message = message }
    for name, value in pairs(fields or {}) do
        err[name] = value
    end
    read_fields(err)
    return setmetatable(err, Error)
end

function memory.describe()
    local site = check.site()
    return errors.new("ENOMEM", (site ~= "?" and site .. ": " or "") .. "out of memory while packing records")
end

--- Whether a value is an error of this module.
---@param value any
---@return boolean
function errors.is(value)
    return getmetatable(value) == Error
end

--- Any raised value as text.
---@param value any
---@return string
function errors.text(value)
    if errors.is(value) then
        return tostring(value)
    end
    return preview.raised(value)
end

-- A line of a traceback that tells nothing about the script: the library, and what C calls it from.
local function is_inside(line, is_top)
    local path = line:match("^%s*(.-%.lua):%d+:")
    if path then
        return check.is_library("@" .. path)
    end
    return not is_top and (line:find("^%s*%[C%]:") ~= nil or line:find("^%s*%[builtin#") ~= nil)
end

--- A traceback with the lines of the script alone (and the function of C that raised, at its top).
---@param traceback string
---@return string "" when no function of the script is in it
function errors.trim_traceback(traceback)
    local lines, top = {}, true
    for line in traceback:gmatch("[^\n]+") do
        local heading = line == "stack traceback:"
        if heading or not is_inside(line, top) then
            lines[#lines + 1] = line
        end
        top = heading
    end
    return #lines > 1 and table.concat(lines, "\n") or ""
end

--- A message with a traceback below it, if there is one.
---@param message string
---@param traceback string
---@return string
function errors.join(message, traceback)
    return traceback ~= "" and message .. "\n" .. traceback or message
end

return errors

-- Error values of operational failures: a job that failed, a batch that could not be generated, a file that cannot be
-- written. They print as their message, and carry a code for programs.

local check = require "moontide.check"

local errors = {}

---@class moontide.Error
---@field message string complete text, for people
---@field code string "ECLOSURE", "EIO", "ELIMIT", "ECANCELLED", "EGENERATION", "ETIMEOUT", "ESTATE" …
---@field traceback string? where in the script it was raised
---@field cause any the value that the script raised, when it was one of its functions that failed
---@field time number? batch time, ms
local Error = {}
Error.__index = Error
Error.__name = "moontide.Error"

function Error:__tostring()
    return self.message
end

function Error.__concat(a, b)
    return tostring(a) .. tostring(b)
end

--- Makes an error value.
--- @param code string
--- @param message string
--- @param fields? table traceback, cause, time
--- @return moontide.Error
function errors.new(code, message, fields)
    local err = setmetatable({ code = code, message = message }, Error)
    for name, value in pairs(fields or {}) do
        err[name] = value
    end
    return err
end

--- Whether a value is an error of this module.
--- @param value any
--- @return boolean
function errors.is(value)
    return getmetatable(value) == Error
end

--- Any raised value as text.
--- @param value any
--- @return string
function errors.text(value)
    if type(value) == "string" or errors.is(value) then
        return tostring(value)
    end
    local metatable = getmetatable(value)
    if type(metatable) == "table" and metatable.__tostring then
        return tostring(value)
    end
    return string.format("(error value of type %s: %s)", type(value), tostring(value))
end

local function is_below_script(line)
    local path = line:match("^%s*(.-%.lua):%d+:")
    return path and check.is_library("@" .. path) or line:find("^%s*%[C%]:") ~= nil or line:find("^%s*%[builtin#") ~= nil
end

--- The part of a traceback that belongs to the script: what the library puts below it is left out.
--- @param traceback string
--- @return string
function errors.trim_traceback(traceback)
    local lines = {}
    for line in traceback:gmatch("[^\n]+") do
        lines[#lines + 1] = line
    end
    while #lines > 1 and is_below_script(lines[#lines]) do
        lines[#lines] = nil
    end
    return table.concat(lines, "\n")
end

return errors

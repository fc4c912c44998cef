-- Error values of operational failures: a job that failed, a batch that could not be generated, a file that cannot be
-- written. They print as their message, and carry a code for programs.

local check = require "moontide.check"
local preview = require "moontide.preview"

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
    return "(error object) " .. preview(value)
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
--- @param traceback string
--- @return string "" when no function of the script is in it
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
--- @param message string
--- @param traceback string
--- @return string
function errors.join(message, traceback)
    return traceback ~= "" and message .. "\n" .. traceback or message
end

return errors

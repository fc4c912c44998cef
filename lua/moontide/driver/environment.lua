--- The settings that the environment gives, read once for the process.

local conf = require "moontide.base.conf"
local declare = require "moontide.base.declare"

local environment = {}

-- All variables of the process. Lua can only ask for one by name.
local function all()
    local ffi = require "ffi"
    declare.cdef "extern char **environ;"
    local found, list = {}, ffi.C.environ
    local index = 0
    while list ~= nil and list[index] ~= nil do
        local name, value = ffi.string(list[index]):match("^([^=]+)=(.*)$")
        if name and name:sub(1, 9) == "MOONTIDE_" then
            found[name] = value
        end
        index = index + 1
    end
    return found
end

local settings, problem
local SHOWN = 5 -- so many unknown names are told

--- The settings. The first call tells of variables that look like settings and are none.
---@return table<string, any>? settings nil when one is wrong or unknown
---@return string? reason
function environment.settings()
    if not settings and not problem then
        local result
        settings, result = conf.from_environment(all())
        if not settings then
            problem = result
        elseif result[1] then
            require("moontide.core").log("warn", "settings", "the environment has " .. table.concat(result, ", ", 1,
                math.min(#result, SHOWN)) .. (#result > SHOWN and " and " .. #result - SHOWN .. " more" or "")
                .. ", which no setting has the name of (moontide help conf lists them): ignored")
        end
    end
    return settings, problem
end

return environment

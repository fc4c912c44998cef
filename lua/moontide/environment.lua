-- The settings that the environment gives, read once for the process.

local conf = require "moontide.conf"

local environment = {}

-- All variables of the process. Lua can only ask for one by name.
local function all()
    local ffi = require "ffi"
    pcall(ffi.cdef, "extern char **environ;")
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

--- The settings.
--- @return table<string, any>? settings nil when one is wrong or unknown
--- @return string? reason
function environment.settings()
    if not settings and not problem then
        settings, problem = conf.from_environment(all())
    end
    return settings, problem
end

return environment

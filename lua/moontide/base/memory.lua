--- Errors that report that memory for records is gone (TIDE_ENOMEM of host/base/error.h). Records lie outside the Lua heap, so an
--- allocation that fails is noticed by our modules, in the driver and in workers. The error must stay recognizable on its way: code
--- that catches errors to word them anew calls `rethrow` first.

local memory = {}

local raised = setmetatable({}, { __mode = "k" })

--- Makes the error value. The driver (base/errors.lua) and the workers (worker/init.lua) set functions of their own, which add the line
--- of the script.
---@return table
function memory.describe()
    return setmetatable({}, {
        __tostring = function()
            return "out of memory"
        end,
    })
end

--- Raises that memory is gone.
function memory.exhausted()
    local err = memory.describe()
    raised[err] = true
    error(err, 0)
end

--- Raises a caught error again if it reports that memory is gone; else does nothing.
---
---     local ok, why = pcall(codec.put, writer, value)
---     if not ok then
---         memory.rethrow(why)
---         error("record 3: " .. why, 0)
---     end
---@param err any
function memory.rethrow(err)
    if err ~= nil and raised[err] then
        error(err, 0)
    end
end

return memory

--- Where something is inside of a table, as text for messages.
---
---     field_path.find({ user = { tags = { "a", print } } }, function(x) return x == print end)  --> ".user.tags[2]"
local iterate = require "moontide.base.iterate"
local preview = require "moontide.base.preview"

local field_path = {}

local MAX_DEPTH = 100 -- deeper tables are refused as records

-- How a field is written: .name or [key].
local function step(key)
    return type(key) == "string" and key:find("^[%a_][%w_]*$") and "." .. key or "[" .. preview(key) .. "]"
end

--- The path to a value that `test` says yes to.
---@param value any
---@param test fun(value: any): boolean
---@param depth? integer of the value, default 0
---@return string? path nil: there is none; "": it is the value itself
function field_path.find(value, test, depth)
    if test(value) then
        return ""
    end
    depth = depth or 0
    if type(value) ~= "table" or depth >= MAX_DEPTH then
        return nil
    end
    local keys, count = iterate.keys(value)
    for at = 1, count do
        local path = field_path.find(rawget(value, keys[at]), test, depth + 1)
        if path then
            return step(keys[at]) .. path
        end
    end
end

return field_path

--- Values that plain Lua cannot tell apart by itself: an explicit null, and the empty array.
local values = {}

--- An explicit null: unlike nil it can be a record, a value of a pair, or an element of an array.
---@class moontide.null
values.null = setmetatable({}, {
    __tostring = function() return "null" end,
    __newindex = function() error("moontide.null can't be changed", 2) end,
})

local array_mt = { __name = "moontide.array" }

--- Marks a table as an array, so that an empty one stays an empty array when it is packed (`{}` alone is an empty map).
---
--- ```lua
--- return key, moontide.array {}   -- a key with an empty list
--- ```
---@generic T: table
---@param list T array part only
---@return T list the same table
function values.array(list)
    if type(list) ~= "table" then
        error("bad argument #1 to 'array' (table expected, got " .. type(list) .. ")", 2)
    end
    return setmetatable(list, array_mt)
end

--- Was the table marked by `array`?
---@param value any
---@return boolean
function values.is_array(value)
    return type(value) == "table" and getmetatable(value) == array_mt
end

values.array_mt = array_mt

return values

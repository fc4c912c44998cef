--- Refuses values that a function returns beyond a value or a pair: they would be lost.
local failure = require "moontide.worker.failure"

local surplus = {}

local PARENTHESES = "; of a call that returns more than is meant, such as s:gsub(…), parentheses take the first: return (s:gsub(…))"

--- A third value where a record is one value or a pair.
function surplus.third(op, a, b, c)
    failure.broken(op, ("the function returned a third value: %s, %s, %s; a record is one value or a pair: return a table for more, "
        .. "such as {a, b, c} or key, {a, b}%s"):format(failure.preview(a), failure.preview(b), failure.preview(c), PARENTHESES))
end

--- What is said of a second value where there can be one.
---@param a any
---@param b any
---@return string
function surplus.two(a, b)
    return ("the function returned two values, %s and %s, where one is taken: return a table for more, such as {a, b}%s"):format(
        failure.preview(a), failure.preview(b), PARENTHESES)
end

--- A second value where there can be one.
---@param op table
---@param a any
---@param b any
function surplus.second(op, a, b) failure.broken(op, surplus.two(a, b)) end

--- Something after an array.
function surplus.after_array(op, list, more)
    failure.broken(op, ("the function returned the array %s and, after it, %s, which would be lost: return one array of all, or an "
        .. "iterator"):format(failure.preview(list), failure.preview(more)))
end

--- A {key, value} table with more in it.
function surplus.pair(op, pair)
    failure.broken(op, "the function returned the table " .. failure.preview(pair)
        .. " for a pair, which is {key, value}: put more into the value, such as {key, {a, b}}")
end

return surplus

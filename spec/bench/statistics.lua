-- Medians and percentiles of a list of numbers.

local statistics = {}

--- The value below which the share `p` (0 … 1) of the values lies; values in between are interpolated.
---@param values number[] not empty; left as it is
---@param p number
---@return number
function statistics.percentile(values, p)
    local sorted = {}
    for index, value in ipairs(values) do
        sorted[index] = value
    end
    table.sort(sorted)
    local position = 1 + (#sorted - 1) * p
    local below = math.floor(position)
    local above = math.min(below + 1, #sorted)
    return sorted[below] + (sorted[above] - sorted[below]) * (position - below)
end

---@param values number[] not empty
---@return number
function statistics.median(values)
    return statistics.percentile(values, 0.5)
end

return statistics

--- What `rdd:stats()` returns: count, mean and variance of numbers, merged from the numbers of each partition without losing
--- precision (Chan's method).

local number_text = require "moontide.base.number_text"

local statistics = {}

---@class moontide.Stats
---@field count integer
---@field sum number
---@field mean number NaN when there is no number
---@field min number math.huge when there is no number
---@field max number -math.huge when there is no number
---@field variance number of the numbers as the whole population; NaN when one of them is infinite
---@field stdev number
---@field sampleVariance number of the numbers as a sample (divided by count - 1)
---@field sampleStdev number
local Stats = {
    __name = "Stats",
    __tostring = function(self)
        return ("(count: %s, mean: %s, stdev: %s, max: %s, min: %s)"):format(number_text(self.count),
            number_text(self.mean), number_text(self.stdev), number_text(self.max), number_text(self.min))
    end,
}

local NAN = 0 / 0

-- The distances from the mean are no numbers when one of the numbers is infinite, and may be infinite when two are very far apart:
-- the mean is then that of the sum, and the variance NaN or infinite.
local function beyond_doubles(count, mean, m2, min, max, sum)
    local infinite = min == -math.huge or max == math.huge
    if count > 0 and mean - mean ~= 0 then
        mean = sum / count
    end
    if count > 0 and (infinite or m2 < 0 or m2 ~= m2) then
        m2 = infinite and NAN or math.huge
    end
    return mean, m2
end

--- Merges the {count, mean, m2, min, max, sum} of the partitions (worker/partition_ends.lua), m2 being the sum of the squared
--- distances from the mean.
---@param parts number[][]
---@return moontide.Stats
function statistics.merge(parts)
    local count, mean, m2, min, max, sum = 0, 0, 0, math.huge, -math.huge, 0
    for _, part in ipairs(parts) do
        local n = part[1]
        if count == 0 and n > 0 then -- merged with nothing it stays what it is: infinity times 0 would be NaN
            count, mean, m2, min, max, sum = unpack(part)
        elseif n > 0 then
            local delta, total = part[2] - mean, count + n
            m2 = m2 + part[3] + delta * delta * (count * (n / total))
            mean = mean + delta * (n / total)
            count = total
            min, max, sum = math.min(min, part[4]), math.max(max, part[5]), sum + part[6]
        end
    end
    mean, m2 = beyond_doubles(count, mean, m2, min, max, sum)
    local variance = count > 0 and m2 / count or NAN
    local sample = count > 1 and m2 / (count - 1) or NAN
    return setmetatable({
        count = count, sum = sum, mean = count > 0 and mean or NAN, min = min, max = max, variance = variance,
        stdev = math.sqrt(variance), sampleVariance = sample, sampleStdev = math.sqrt(sample),
    }, Stats)
end

--- The place of a number among ascending boundaries: i when boundaries[i] <= x < boundaries[i + 1], where the last bucket has
--- its upper boundary too; nil when it is outside or NaN.
---@param boundaries number[]
---@param x number
---@return integer?
function statistics.bucket(boundaries, x)
    local low, high = 1, #boundaries
    if not (x >= boundaries[low] and x <= boundaries[high]) then
        return nil
    end
    while high - low > 1 do
        local middle = math.floor((low + high) / 2)
        if x >= boundaries[middle] then
            low = middle
        else
            high = middle
        end
    end
    return low
end

--- `n` buckets of equal width from min to max; a single one when these are equal.
---@param min number
---@param max number
---@param n integer at least 1
---@return number[] boundaries one more than there are buckets
function statistics.even(min, max, n)
    if min == max then
        return { min, max }
    end
    local boundaries = {}
    for index = 0, n - 1 do
        boundaries[index + 1] = min + (max - min) * index / n
    end
    boundaries[n + 1] = max
    return boundaries
end

return statistics

--- Random parts of datasets: sample, sampleByKey, randomSplit, takeSample. The same seed gives the same result for the same data in the
--- same partitions.

local check = require "moontide.base.check"
local handles = require "moontide.operators.handles"
local operators = require "moontide.operators"
local preview = require "moontide.base.preview"
local random = require "moontide.base.random"
local text_form = require "moontide.base.text_form"

---@class moontide.RDD
local RDD = {}

local function check_seed(index, name, seed)
    return check.integer(index, name, seed, nil, nil, random.seed())
end

-- Records whose random number lies in [low, high).
local function between(low, high, seed)
    return function(index, it)
        local draw = random.new(seed, index)
        return function()
            for a, b in it do
                local x = draw()
                if x >= low and x < high then
                    return a, b
                end
            end
        end
    end
end

local function repeated(mean, seed)
    return function(index, it)
        local draw = random.new(seed, index)
        local a, b, left = nil, nil, 0
        return function()
            while left == 0 do
                a, b = it()
                if a == nil then
                    return nil
                end
                left = random.poisson(draw, mean)
            end
            left = left - 1
            return a, b
        end
    end
end

local function picked(rdd, name, pick)
    local fields = { fn = operators.own(name, pick) }
    return rdd.scope.wrap(operators.narrow(rdd, "mapPartitionsWithIndex", name, check.site(), fields, true))
end

local function sampled(rdd, name, with_replacement, fraction, seed)
    return picked(rdd, name, with_replacement and repeated(fraction, seed) or between(0, fraction, seed))
end

-- A fraction with which a sample very likely has at least `wanted` of `total` records.
local function generous_fraction(wanted, total, with_replacement)
    if with_replacement then
        return (wanted + 9 * math.sqrt(wanted) + 9) / total
    end
    local share, margin = wanted / total, -math.log(1e-4) / total
    return math.min(1, share + margin + math.sqrt(margin * margin + 2 * margin * share))
end

local function sample_by_key(with_replacement, fractions, seed)
    return function(index, it)
        local draw = random.new(seed, index)
        local function fraction_of(key)
            local fraction = fractions[key]
            if fraction == nil then
                error("no fraction is given for the key " .. text_form.value(key), 0)
            end
            return fraction
        end
        if not with_replacement then
            return function()
                for key, value in it do
                    if draw() < fraction_of(key) then
                        return key, value
                    end
                end
            end
        end
        local key, value, left = nil, nil, 0
        return function()
            while left == 0 do
                key, value = it()
                if key == nil then
                    return nil
                end
                left = random.poisson(draw, fraction_of(key))
            end
            left = left - 1
            return key, value
        end
    end
end

local function check_fractions(fractions, with_replacement)
    if type(fractions) ~= "table" or check.type_name(fractions) ~= "table" then
        check.bad_argument(2, "sampleByKey", "table from key to fraction", fractions)
    end
    for key, fraction in pairs(fractions) do
        if type(fraction) ~= "number" or fraction ~= fraction or fraction < 0 or not with_replacement and fraction > 1 then
            check.fail("bad argument #2 to 'sampleByKey' (key %s: a fraction %s expected, got %s)", text_form.value(key),
                with_replacement and "of at least 0" or "from 0 to 1", preview(fraction))
        end
    end
end

local function check_weights(weights)
    check.array(1, "randomSplit", weights)
    local sum = 0
    for index, weight in ipairs(weights) do
        if type(weight) ~= "number" or weight ~= weight or weight < 0 or weight == math.huge then
            check.fail("bad argument #1 to 'randomSplit' (weight %d: a number of at least 0 expected, got %s)", index,
                preview(weight))
        end
        sum = sum + weight
    end
    if sum <= 0 then
        check.fail("bad argument #1 to 'randomSplit' (the weights add up to nothing)")
    end
    return sum
end

--- A random part of the records, in their order.
---
---     lines:sample(false, 0.1, 42)
---
--- The size is about fraction × count, not exactly.
--- A fraction out of range is an error. As in Spark 0.9.
---@param withReplacement boolean true: a record may come several times
---@param fraction number chance of each record (0 to 1); with replacement how often it comes on average
---@param seed? integer the same seed gives the same sample, default another one each time
---@return moontide.RDD
function RDD:sample(withReplacement, fraction, seed)
    operators.begin(self, "sample")
    check.boolean(1, "sample", withReplacement)
    if type(fraction) ~= "number" then
        check.bad_argument(2, "sample", "number", fraction)
    elseif fraction ~= fraction or fraction < 0 or fraction == math.huge or not withReplacement and fraction > 1 then
        check.fail("bad argument #2 to 'sample' (a fraction %s expected, got %s)",
            withReplacement and "of at least 0" or "from 0 to 1", preview(fraction))
    end
    return sampled(self, "sample", withReplacement, fraction, check_seed(3, "sample", seed))
end

--- A sample in which each key has a fraction of its own.
---
---     scores:sampleByKey(false, { ann = 0.5, bob = 1 }, 7)
---
--- A key without a fraction is an error of the job. As in Spark 1.1.
---@param withReplacement boolean true: a record may come several times
---@param fractions table<any, number> chance of a record (0 to 1), with replacement how often it comes on average
---@param seed? integer the same seed gives the same sample, default another one each time
---@return moontide.RDD
function RDD:sampleByKey(withReplacement, fractions, seed)
    local scope = operators.begin(self, "sampleByKey")
    check.boolean(1, "sampleByKey", withReplacement)
    check_fractions(fractions, withReplacement)
    seed = check_seed(3, "sampleByKey", seed)
    local pick = operators.own("sampleByKey", sample_by_key(withReplacement, fractions, seed))
    return scope.wrap(operators.narrow(self, "mapPartitionsWithIndex", "sampleByKey", check.site(), { fn = pick }, true))
end

--- Splits the records at random into several datasets; each record is in exactly one of them.
---
---     local training, test = unpack(data:randomSplit({ 0.8, 0.2 }, 42))
---
--- Weights below 0, or 0 in sum, are an error. As in Spark 1.0.
---@param weights number[] shares; only their proportions count
---@param seed? integer default another one each time
---@return moontide.RDD[] as many as there are weights
function RDD:randomSplit(weights, seed)
    operators.begin(self, "randomSplit")
    local sum = check_weights(weights)
    seed = check_seed(2, "randomSplit", seed)
    local parts, low, reached = {}, 0, 0
    for index, weight in ipairs(weights) do
        reached = reached + weight
        local high = index == #weights and 1 or reached / sum
        parts[index] = picked(self, "randomSplit", between(low, high, seed))
        low = high
    end
    return parts
end

--- Action: `n` records at random, in random order; all of them when there are no more.
---
---     users:takeSample(false, 10, 42)
---
--- As in Spark 0.9.
---@param withReplacement boolean true: a record may come several times
---@param n integer 0 or more
---@param seed? integer default another one each time
---@return any[]
function RDD:takeSample(withReplacement, n, seed)
    handles.begin(self, handles.RDD, "takeSample")
    check.boolean(1, "takeSample", withReplacement)
    check.integer(2, "takeSample", n, 0)
    seed = check_seed(3, "takeSample", seed)
    local total = n > 0 and self:count() or 0
    if total == 0 then
        return {}
    end
    local draw = random.new(seed, -1)
    if not withReplacement and n >= total then
        return random.shuffle(draw, self:collect())
    end
    local fraction = generous_fraction(n, total, withReplacement)
    local list
    repeat -- hardly ever a second time
        list = sampled(self, "takeSample", withReplacement, fraction, math.floor(draw() * 2 ^ 52)):collect()
    until #list >= n
    random.shuffle(draw, list)
    for index = #list, n + 1, -1 do
        list[index] = nil
    end
    return list
end

handles.add { RDD = RDD }
